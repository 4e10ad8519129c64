"""Draw a profile: how long batches take, and where the time goes."""

from pathlib import Path

import altair as alt

from lightning_prune.deployment.profiling.profiled import Profile
from lightning_prune.lab.report.canvas import color_of
from lightning_prune.lab.report.report_file import write_report_file
from lightning_prune.lab.report.vega import DATA, Drawing, Rows, Spec, png_of, printed, svg_of, with_rows

NAME, MANY = "profile", 12
BAR, WIDTH = 11, 460


def draw_profile(profile: Profile, folder: Path) -> list[Path]:
    """Draw a profile as ``profile.png`` and ``profile.svg``.

    Args:
        profile: The profile.
        folder: The folder for the files.

    Returns:
        The files.
    """
    drawn = svg_of(specification_of(profile))
    return [
        write_report_file(folder / f"{NAME}.png", png_of(drawn)),
        write_report_file(folder / f"{NAME}.svg", drawn),
    ]


def specification_of(profile: Profile) -> Spec:
    """Write the picture of a profile as Vega-Lite, with its data.

    Args:
        profile: The profile.
    """
    rows = [*_timing_rows(profile), *_layer_rows(profile)]
    names = list(reversed(profile.names)) if profile.against is not None else [profile.names[0]]
    first = profile.timings[0]
    titles = (
        "Time of a forward pass, relative to the longest of its batch" if profile.against is None else _title(profile),
        f"Where the time goes: the slowest layers, batch {first.batch}, threads {first.threads}",
    )
    parts = [_bars(part, title, names) for part, title in zip(("timing", "layer"), titles, strict=True)]
    return printed(with_rows(alt.vconcat(*parts, spacing=26).resolve_scale(x="independent", y="independent"), rows))


def _title(profile: Profile) -> str:
    return f"Time of a forward pass (operations: {profile.fewer_flops:.2f} x fewer)"


def _timing_rows(profile: Profile) -> Rows:
    rows: Rows = []
    for one in profile.timings:
        place = f"{one.runtime}, threads {one.threads}, batch {one.batch}"
        faster = "" if one.speedup is None else f", {one.speedup:.2f} x faster"
        longest = max(one.this.minimum, one.against.minimum if one.against else 0.0)
        for name, times in zip(profile.names, (one.this, one.against), strict=True):
            if times is not None:
                end = faster if name == profile.names[0] else ""
                rows.append(_row("timing", place, name, times.minimum, times.minimum / longest, end))
    return rows


def _layer_rows(profile: Profile) -> Rows:
    rows: Rows = []
    for one in profile.layers[:MANY]:
        for name, seconds in zip(profile.names, (one.seconds, one.against), strict=True):
            if seconds is not None:
                rows.append(_row("layer", one.name or "(the network itself)", name, seconds, 1e3 * seconds, ""))
    return rows


def _row(part: str, place: str, name: str, seconds: float, length: float, end: str) -> dict[str, object]:
    return {"part": part, "place": place, "network": name, "length": length, "said": f"{1e3 * seconds:.3g} ms{end}"}


def _bars(part: str, title: str, names: list[str]) -> Drawing:
    base = alt.Chart(DATA).transform_filter(f"datum.part == '{part}'")
    sign = "format(datum.value, '~g') + ' ms'" if part == "layer" else "format(datum.value, '.0%')"
    axis = alt.Axis(title=None, gridOpacity=0.6, labelExpr=sign)
    base = base.encode(
        y=alt.Y("place:N", sort=None, axis=alt.Axis(title=None, labelLimit=260)),
        yOffset=alt.YOffset("network:N", sort=names),
        x=alt.X("length:Q", axis=axis),
    )
    bars = base.mark_bar(height=BAR - 2).encode(color=color_of("network", names))
    words = base.mark_text(align="left", dx=4, fontSize=10).encode(text="said:N")
    heading = alt.TitleParams(text=title, anchor="start", frame="group", fontSize=13, fontWeight="normal", offset=8)
    return alt.layer(bars, words).properties(width=WIDTH, height=alt.Step(BAR), title=heading)
