"""Write a profile as tables of plain text."""

from collections.abc import Sequence

from lightning_prune.deployment.profiling.sizes import Sizes
from lightning_prune.deployment.profiling.timings import LayerTime, Timing
from lightning_prune.structures.overview import text_table

NONE = "-"
MANY = 12  # layers in the table; the JSON has all
MASKED = 0.05  # the fraction of zeros from which on they are worth a sentence
Names = tuple[str, str]


def in_words(
    names: Names, sizes: Sizes, against: Sizes | None, timings: Sequence[Timing], layers: Sequence[LayerTime]
) -> str:
    """Write a profile as text: what the networks weigh, how long they take, and where the time goes.

    Args:
        names: What the network and the other one are called.
        sizes: What the network weighs.
        against: What the other one weighs. None if there is none.
        timings: How long batches take.
        layers: Where the time goes, the slowest layer first.
    """
    fewer = None if against is None else against.flops / max(sizes.flops, 1)
    parts = [
        _sizes(names, sizes, against),
        _timings(names, timings, fewer),
        _layers(names, layers, timings[0], against is not None),
        _zeros(names[0], sizes),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def megabytes(count: float) -> str:
    """Write a number of bytes, with a unit that suits it.

    Example:
        >>> megabytes(1500), megabytes(44_800_000), megabytes(20)
        ('1.5 kB', '44.8 MB', '20 B')
    """
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def milliseconds(seconds: float) -> str:
    """Write a time in milliseconds, with three digits.

    Example:
        >>> milliseconds(0.0123456), milliseconds(0.00004567), milliseconds(1.5)
        ('12.3 ms', '0.0457 ms', '1500 ms')
    """
    value = 1e3 * seconds
    return f"{value:.0f} ms" if value >= 100 else f"{value:#.3g} ms"


def million(count: float) -> str:
    """Write a number of operations.

    Example:
        >>> million(2_390_000), million(3_640_000_000)
        ('2.39 M', '3.64 G')
    """
    return f"{count / 1e9:.2f} G" if count >= 1e9 else f"{count / 1e6:.2f} M"


def _sizes(names: Names, sizes: Sizes, against: Sizes | None) -> list[str]:
    batches = list(sizes.activation_bytes)
    header = ["network", "parameters", "FLOPs", "file", *(f"activations, batch {one}" for one in batches)]
    rows = [[names[0], *_row(sizes, batches)]]
    if against is not None:
        rows.insert(0, [names[1], *_row(against, batches)])
        pairs = zip(_numbers(sizes, batches), _numbers(against, batches), strict=True)
        rows.append(["change", *(f"x {now / before:.2f}" if before else NONE for now, before in pairs)])
    return text_table([header, *rows], right=True)


def _numbers(sizes: Sizes, batches: Sequence[int]) -> list[int]:
    return [sizes.parameters, sizes.flops, sizes.file_bytes, *(sizes.activation_bytes[one] for one in batches)]


def _row(sizes: Sizes, batches: Sequence[int]) -> list[str]:
    parameters, flops, *others = _numbers(sizes, batches)
    return [f"{parameters:,}", million(flops), *map(megabytes, others)]


def _timings(names: Names, timings: Sequence[Timing], fewer: float | None) -> list[str]:
    header = ["runtime", "threads", "batch", f"{names[0]}, minimum", "median"]
    if fewer is not None:
        header += [f"{names[1]}, minimum", "median", "faster", "fewer FLOPs", "became time"]
    rows = []
    for one in timings:
        row = [one.runtime, str(one.threads), str(one.batch)]
        row += map(milliseconds, (one.this.minimum, one.this.median))
        if one.against is not None and one.speedup is not None and fewer is not None:
            row += map(milliseconds, (one.against.minimum, one.against.median))
            row += [f"{one.speedup:.2f} x", f"{fewer:.2f} x", f"{100 * one.speedup / fewer:.0f} %"]
        rows.append(row)
    return text_table([header, *rows], right=True)


def _layers(names: Names, layers: Sequence[LayerTime], first: Timing, compared: bool) -> list[str]:
    total = sum(one.seconds for one in layers) or 1.0
    header = ["where the time goes", "layer", names[0], "share", *([names[1], "faster"] if compared else [])]
    rows = [_layer(one, total, compared) for one in layers[:MANY]]
    rest = layers[MANY:]
    end = [f"{len(rest)} more: {100 * sum(one.seconds for one in rest) / total:.0f} % of the time."] if rest else []
    note = f"Layers in torch, batch {first.batch}, threads {first.threads}, without the layers that they call."
    return [*text_table([header, *rows], right=True), *end, note]


def _layer(one: LayerTime, total: float, compared: bool) -> list[str]:
    name = one.name or "(the network itself)"
    row = [name, one.kind, milliseconds(one.seconds), f"{100 * one.seconds / total:.0f} %"]
    if not compared:
        return row
    if one.against is None:
        return [*row, NONE, NONE]
    return [*row, milliseconds(one.against), f"{one.against / one.seconds:.2f} x" if one.seconds else NONE]


def _zeros(name: str, sizes: Sizes) -> list[str]:
    share = sizes.zeros / max(sizes.parameters, 1)
    if share < MASKED:
        return []
    return [
        f"{100 * share:.1f} % of the parameters of {name} are zero. Zeros alone make no runtime faster. Whole "
        "channels, heads and neurons can be removed: IterativePruning(granularity=Structures())."
    ]
