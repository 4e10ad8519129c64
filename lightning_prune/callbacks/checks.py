"""What IterativePruning refuses before there is a fit."""

from numbers import Integral

from lightning_prune.callbacks.gradual import parse_span
from lightning_prune.durations import parse_duration
from lightning_prune.schedules import SparsitySchedule, check_levels, scheduled

_EXAMPLES = {
    "sparsity": "lightning_prune.Geometric(rate=0.2)",
    "criterion": "lightning_prune.magnitude",
    "allocation": "lightning_prune.globally",
    "prunable": "lightning_prune.Prunable()",
}


def check_arguments(
    cycles: int,
    retrain: str | int | None,
    sparsity: SparsitySchedule,
    optimizer_state: str,
    early_stopping: str,
    during: str | None,
    **functions: object,
) -> None:
    """Refuse arguments of ``IterativePruning`` that cannot work in any fit.

    Args:
        cycles: A whole number, at least 0.
        retrain: None, or a duration of at least one epoch or step.
        sparsity: In [0, 1) and never falling over the cycles, its end within them.
        optimizer_state: ``"mask"``, ``"reset"`` or ``"keep"``.
        early_stopping: ``"cycle"`` or ``"run"``.
        during: None, or a span; with at least one cycle then.
        functions: What is called: the criterion, the allocation and the selection.

    Raises:
        ValueError: If one of them is not.
    """
    if not isinstance(cycles, Integral) or isinstance(cycles, bool) or cycles < 0:
        raise ValueError(
            f"IterativePruning(cycles={cycles!r}) must be a whole number, at least 0: each cycle prunes and "
            "retrains, and 0 trains the dense run only."
        )
    for name, function in {"sparsity": sparsity, **functions}.items():
        if not callable(function):
            raise ValueError(
                f"IterativePruning({name}={function!r}) is not callable: give {_EXAMPLES[name]}, not a name or number."
            )
    if retrain is not None and parse_duration(retrain, "IterativePruning(retrain").amount < 1 and during is None:
        raise ValueError(f"IterativePruning(retrain={retrain!r}) must be at least one epoch or one step.")
    if during is not None:
        parse_span(during)
        if cycles < 1:
            raise ValueError(
                f"IterativePruning(during={during!r}, cycles={cycles}) prunes nothing: give at least one cycle."
            )
    if optimizer_state not in ("mask", "reset", "keep"):
        raise ValueError(f"IterativePruning(optimizer_state={optimizer_state!r}) must be 'mask', 'reset' or 'keep'.")
    if early_stopping not in ("cycle", "run"):
        raise ValueError(f"IterativePruning(early_stopping={early_stopping!r}) must be 'cycle' or 'run'.")
    check_levels(f"IterativePruning(sparsity={sparsity!r})", [float(sparsity(cycle)) for cycle in range(1, cycles + 1)])
    if during is not None and scheduled(sparsity, 0) > scheduled(sparsity, 1):
        raise ValueError(
            f"IterativePruning(during={during!r}, sparsity={sparsity!r}) begins the span at the sparsity of cycle 0, "
            f"{scheduled(sparsity, 0)}, and falls to {scheduled(sparsity, 1)} in cycle 1: dead weights never come "
            "back, so give a schedule whose cycle 0 is what it begins with."
        )
    needed = getattr(sparsity, "cycles", 0)
    if needed > cycles > 0:
        raise ValueError(
            f"IterativePruning(cycles={cycles}, sparsity={sparsity!r}) would never get to the last sparsity: it takes "
            f"{needed} cycles. Give the same number to both."
        )


def refuse_reuse(used: bool) -> None:
    """Refuse a callback that still holds the masks of another fit.

    Args:
        used: Whether it does, and this fit does not resume that one.

    Raises:
        ValueError: If so.
    """
    if used:
        raise ValueError(
            "This IterativePruning was already used in a fit. Give the Trainer new callbacks for a second fit, or "
            "resume the first one with trainer.fit(..., ckpt_path=...)."
        )
