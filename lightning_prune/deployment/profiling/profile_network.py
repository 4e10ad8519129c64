"""Profile a network: what it weighs, how long it takes, where the time goes, and what it gains over another one."""

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import product
from typing import Any

import torch
from torch import nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.deployment.profiling.own_times import own_times
from lightning_prune.deployment.profiling.profiled import Profile
from lightning_prune.deployment.profiling.runtimes.in_torch import in_torch
from lightning_prune.deployment.profiling.runtimes.known import Ready, check_runtimes, runtime_named
from lightning_prune.deployment.profiling.sizes import sizes_of
from lightning_prune.deployment.profiling.timings import LayerTime, Timing
from lightning_prune.deployment.profiling.turns import Times, in_turn
from lightning_prune.deployment.sample_batches import SampleBatches
from lightning_prune.shrinking.example_calls import call_on
from lightning_prune.shrinking.quiet_calls import Call

ASKER = "profile(...)"
Told = Callable[[int, int, str], None]  # how many of how many measurements are done, and which one comes next


def profile(
    module: nn.Module,
    example: Any = None,
    against: nn.Module | None = None,
    batch: Sequence[int] = (1, 8, 32),
    threads: Sequence[int] = (1,),
    runtimes: Sequence[str] = ("torch",),
    rounds: int = 30,
    warm_up: int = 3,
    names: tuple[str, str] = ("this", "against"),
    progress: Told | None = None,
) -> Profile:
    """Measure what a network weighs, how long it takes, and what it gains over another one.

    Both networks run in eval mode and without gradients, on the device on which they are. They take turns, so that
    whatever else the machine does slows both. Modes, buffers and random states stay as they are.

    Args:
        module: The network.
        example: The inputs of ``forward``, or a batch of data that ``forward``, ``validation_step`` or
            ``training_step`` takes, with the samples along the first dimension. Batches of other sizes are made of its
            samples. None: the ``example_input_array`` of the module.
        against: A network to compare with, such as the dense one, which takes the same example.
        batch: The numbers of samples in a batch, each at least 1.
        threads: The numbers of threads that an operation may use, each at least 1.
        runtimes: Where the networks run: ``"torch"``, ``"onnxruntime"`` or ``"openvino"``. For the last two, both are
            exported into temporary files first.
        rounds: The number of rounds that are measured for each runtime, number of threads and batch size.
        warm_up: The number of rounds before them.
        names: What the two networks are called in the result.
        progress: Called before each measurement with the number of those done, the number of all, and words for the
            next one.

    Returns:
        The profile. ``print`` shows it as a table, and ``save(path)`` writes it as JSON.

    Raises:
        UserError: If a network does not run on the example, or an argument lies outside its range.

    Example:
        >>> dense = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 4))
        >>> small = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
        >>> found = profile(small, torch.ones(1, 8), against=dense, batch=[1, 4], rounds=2)
        >>> found.sizes.parameters, found.against.parameters, round(found.fewer_flops, 2)
        (212, 836, 4.0)
        >>> [(one.runtime, one.threads, one.batch) for one in found.timings]
        [('torch', 1, 1), ('torch', 1, 4)]
    """
    _check(batch, threads, rounds, warm_up)
    check_runtimes(runtimes, ASKER)
    sides = [module] if against is None else [module, against]
    wanted = sorted({1, *batch})
    calls = [{size: call_on_batch(side, example, size, ASKER) for size in wanted} for side in sides]
    told = _counting(progress, 2 + len(runtimes) * (1 + len(threads) * len(batch)))
    told("parameters, operations and memory")
    sizes = [sizes_of(side, its) for side, its in zip(sides, calls, strict=True)]
    timings = []
    for name in runtimes:
        told(f"{name}: making ready")
        with ExitStack() as undo:
            start = runtime_named(name)
            sources = [undo.enter_context(start(side, its[batch[0]])) for side, its in zip(sides, calls, strict=True)]
            for count, size in product(threads, batch):
                told(f"{name}, threads {count}, batch {size}")
                these = [its[size] for its in calls]
                timings.append(Timing(name, count, size, *_times(sources, these, count, rounds, warm_up)))
    told("the layers")
    layers = _layers(sides, [its[batch[0]] for its in calls], threads[0], rounds, warm_up)
    other = sizes[1] if against is not None else None
    settings = {"rounds": rounds, "warm_up": warm_up, **_machine_of(module)}
    return Profile(names, sizes[0], other, tuple(timings), tuple(layers), settings)


def call_on_batch(module: nn.Module, example: Any, size: int, asker: str) -> Call:
    """Find a way to run a network on a batch of some size.

    Args:
        module: The network.
        example: A batch, whose samples are repeated or left out. None: ``example_input_array`` of the module.
        size: The number of samples.
        asker: The call that asks, for errors.

    Raises:
        UserError: If the example has no samples, or the network does not run on it.
    """
    given = getattr(module, "example_input_array", None) if example is None else example
    batches = SampleBatches((given,))
    if given is not None and not batches.size:
        raise UserError(f"{asker}: the example has no samples. Give a batch, with the samples along dimension 0.")
    resized: Any = batches.of(size)
    return call_on(module, resized[0], asker)


def _machine_of(module: nn.Module) -> dict[str, str]:
    """What a profile says of where it was measured."""
    return {
        "torch": torch.__version__,
        "device": str(next((one.device for one in module.parameters()), "cpu")),
        "machine": platform.processor() or platform.machine(),
    }


def _times(sources: Sequence[Ready], calls: Sequence[Call], threads: int, rounds: int, warm_up: int) -> list[Times]:
    with ExitStack() as undo:
        runs = [undo.enter_context(ready(call, threads)) for ready, call in zip(sources, calls, strict=True)]
        return in_turn(runs, rounds, warm_up)


def _layers(
    sides: Sequence[nn.Module], calls: Sequence[Call], threads: int, rounds: int, warm_up: int
) -> list[LayerTime]:
    """The time of each layer, the slowest first."""
    times = []
    for side, call in zip(sides, calls, strict=True):
        with in_torch(side, call, threads) as run:
            times.append(own_times(side, run, rounds, warm_up))
    kinds = {name: type(one).__name__ for name, one in sides[0].named_modules()}
    other = times[1] if len(times) > 1 else {}
    found = [LayerTime(name, kinds[name], seconds, other.get(name)) for name, seconds in times[0].items()]
    return sorted(found, key=lambda one: -one.seconds)


def _counting(progress: Told | None, total: int) -> Callable[[str], None]:
    done: Iterator[int] = iter(range(total))

    def told(what: str) -> None:
        if progress is not None:
            progress(next(done), total, what)

    return told


def _check(batch: Sequence[int], threads: Sequence[int], rounds: int, warm_up: int) -> None:
    for name, values in {"batch": batch, "threads": threads}.items():
        if not values or any(isinstance(one, bool) or not isinstance(one, int) or one < 1 for one in values):
            raise UserError(f"profile({name}={values!r}) must be whole numbers, each at least 1, such as [1, 8].")
    for name, value, least in (("rounds", rounds, 1), ("warm_up", warm_up, 0)):
        if not isinstance(value, int) or value < least:
            raise UserError(f"profile({name}={value!r}) must be a whole number, at least {least}.")
