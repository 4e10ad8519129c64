"""Find the metric that a run is judged by, and related columns, among the names that the run logged."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError

STAGES = ("val", "valid", "validation")
FAVOURITES = ("val/accuracy", "val_accuracy", "val/acc", "val_acc")


@dataclass(frozen=True)
class Columns:
    """The four columns of a table, each ``None`` if the run did not log it."""

    metric: str | None
    train_metric: str | None
    train_loss: str | None
    val_loss: str | None

    def logged(self) -> list[str]:
        """List the columns that exist, in the order of the table, each once."""
        every = (self.train_loss, self.train_metric, self.val_loss, self.metric)
        return list(dict.fromkeys(name for name in every if name is not None))


def choose_columns(names: Collection[str], metric: str | None = None) -> Columns:
    """Find the metric and related columns among the names that a run logged.

    Args:
        names: The logged names.
        metric: The column to judge by. None: :func:`main_metric` chooses.

    Raises:
        ValueError: If ``metric`` was not logged.

    Example:
        >>> choose_columns(["epoch", "train_loss", "train_acc", "val_loss", "val_acc"])
        Columns(metric='val_acc', train_metric='train_acc', train_loss='train_loss', val_loss='val_loss')
    """
    if metric is not None and metric not in names:
        raise UserError(f"`metric={metric}` (--metric) was not logged.{_advice(metric, names)}")
    chosen = metric or main_metric(names)
    return Columns(
        metric=chosen,
        train_metric=None if chosen is None else _first(names, _twins(chosen, "train")),
        train_loss=_first(names, ("train/loss", "train_loss", "train/loss_epoch", "train_loss_epoch", "loss")),
        val_loss=_first(names, ("val/loss", "val_loss", "valid/loss", "valid_loss", "validation/loss")),
    )


def main_metric(names: Iterable[str]) -> str | None:
    """Choose the validation accuracy. If there is none, choose the validation loss. Otherwise choose nothing.

    Example:
        >>> main_metric(["val/loss", "val/acc", "train/accuracy"])
        'val/acc'
        >>> main_metric(["train/accuracy", "top1_acc"])  # not measured on the training set
        'top1_acc'
        >>> main_metric(["lr-SGD", "val/loss"])
        'val/loss'
        >>> main_metric(["lr-SGD"]) is None
        True
    """
    held_out = [name for name in names if not name.startswith(("train", "test", "pruning/"))]
    validation = [name for name in held_out if name.startswith(STAGES)]
    accuracies = [name for name in (*validation, *held_out) if "acc" in name]
    losses = [name for name in validation if "loss" in name]
    favourites = [name for name in FAVOURITES if name in held_out]
    return next(iter([*favourites, *accuracies, *losses]), None)


def lower_is_better(metric: str) -> bool:
    """Tell a loss or an error from a score.

    Example:
        >>> lower_is_better("val/loss"), lower_is_better("val/accuracy")
        (True, False)
    """
    return any(word in metric.lower() for word in ("loss", "err", "perplexity"))


def is_fraction(metric: str) -> bool:
    """Tell whether a metric is a fraction, which is best shown in percent.

    Example:
        >>> is_fraction("val_acc"), is_fraction("val/loss")
        (True, False)
    """
    return "acc" in metric.lower()


def _twins(metric: str, stage: str) -> list[str]:
    """The names that a validation metric may have on another stage."""
    prefix = next((known for known in reversed(STAGES) if metric.startswith(known)), None)
    if prefix is None:
        return []
    twin = stage + metric.removeprefix(prefix)
    return [twin, f"{twin}_epoch"]


def _first(names: Collection[str], wanted: Iterable[str]) -> str | None:
    return next((name for name in wanted if name in names), None)


def _advice(metric: str, names: Collection[str]) -> str:
    known = sorted(name for name in names if not name.startswith(("pruning/", "lr-")) and name not in ("epoch", "step"))
    return f"{suggest(metric, known)} The run logged: {', '.join(known) or 'no metrics'}."
