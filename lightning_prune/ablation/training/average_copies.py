"""Average the copies of a soup: all of them, or those that make the mean no worse, with BatchNorm estimated again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from lightning_prune.ablation.config.loaders_of_module import has_loader, owner_of_loaders
from lightning_prune.ablation.storage.folders import RESULT, read_result
from lightning_prune.ablation.training.ensemble import measured_ensemble
from lightning_prune.ablation.training.evaluation import name_on_test
from lightning_prune.ablation.training.node_measurement import best_name
from lightning_prune.basics.file_names import LAST
from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.metric_names import choose_columns, lower_is_better
from lightning_prune.regimes.soups import estimate_again_, greedy_members, mean_of, refuse_other_masks
from lightning_prune.regimes.steady_batches import SteadyBatches
from lightning_prune.regimes.two_networks import at_rest

State = dict[str, Tensor]


def average_copies(
    made: CommandLine, folders: Sequence[Path], work: Path, greedy: bool, metric: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Average copies, measure the mean, and save it as a checkpoint from which the next cycle goes on.

    The optimizers, the schedules and the random state are those of the first member.

    Args:
        made: Trainer, model and data of the arm. The model ends with the mean weights.
        folders: The folders of the copies.
        work: The folder for the checkpoint.
        greedy: Whether a copy is left out if the mean with it is worse by validation.
        metric: The logged value that the study chooses by. None: the validation accuracy or loss.

    Returns:
        The row of the cycle, and what is told of the soup: which copies are in it, the best copy, the ensemble.

    Raises:
        ValueError: If the copies have other masks or sizes, or hold an average of their own.
    """
    saved = [torch.load(folder / LAST, map_location="cpu", weights_only=True) for folder in folders]
    rows = [read_result(folder / RESULT)["rows"][-1] for folder in folders]
    _refuse_unlike(made.model, saved)
    states = [_tensors(one) for one in saved]
    name = rows[0]["metric"]
    sign = 1.0 if name is None or lower_is_better(name) else -1.0
    values = [sign * float(row["val_last"]) for row in rows]
    training = _training_batches(made)

    def mix(members: Sequence[int]) -> float:
        load_(made.model, mean_of([states[place] for place in members]))
        _estimate_again_(made, training)
        return sign * float(_validated(made, metric).get("val_last") or float("nan"))

    members = greedy_members(values, mix)[0] if greedy else tuple(range(len(states)))
    ensemble = _of_ensemble(made, states, training, name)
    mix(members)
    cycle = rows[0]["cycle"]
    measured = _validated(made, metric)
    kept = {**saved[members[0]], "state_dict": made.model.state_dict()}
    for file in (LAST, best_name(cycle)):
        write_whole(work / file, lambda aside: torch.save(kept, aside))
    best = min(range(len(values)), key=values.__getitem__)
    told = {
        "mixed": list(members),
        "best": rows[best]["val_last"],
        "best_test": rows[best].get("test_last"),
        **ensemble,
    }
    same = {key: rows[members[0]][key] for key in ("cycle", "sparsity", "density", "peak_lr")}
    row = {**same, **measured, "val_best": measured["val_last"], "best_epoch": 0, "epochs": 0}
    return row, told


def load_(model: LightningModule, state: Mapping[str, Tensor]) -> None:
    """Load averaged tensors into a model, whose other state stays.

    Args:
        model: The model.
        state: Tensors by name.
    """
    model.load_state_dict({**model.state_dict(), **state})


def _tensors(saved: Mapping[str, Any]) -> State:
    return {name: one for name, one in saved["state_dict"].items() if isinstance(one, Tensor)}


def _refuse_unlike(model: LightningModule, saved: Sequence[Mapping[str, Any]]) -> None:
    if any("current_model_state" in one for one in saved):
        raise UserError("A soup averages networks, and these are averages themselves: leave out WeightAveraging.")
    shapes = {name: one.shape for name, one in model.state_dict().items() if isinstance(one, Tensor)}
    for one in saved:
        if {name: tensor.shape for name, tensor in _tensors(one).items()} != shapes:
            raise UserError("A soup averages whole networks, and these are smaller: leave out Shrink(at='cycles').")
    refuse_other_masks([_tensors(one) for one in saved], [name for name, _ in model.named_parameters()])


def _training_batches(made: CommandLine) -> SteadyBatches:
    data: Any = owner_of_loaders(made.model, made.datamodule)
    if data is made.model:
        data = data.train_dataloader()
    else:
        data.prepare_data()
        data.setup("fit")
    return SteadyBatches(data, None, 0, "soup")


def _estimate_again_(made: CommandLine, training: SteadyBatches) -> None:
    device = made.trainer.strategy.root_device
    made.model.to(device if device.type != "cuda" or torch.cuda.is_available() else "cpu")
    with at_rest(made.model):  # which puts the old statistics back
        estimate_again_(made.model, training, "loss")
        state = {name: one.clone() for name, one in _tensors({"state_dict": made.model.state_dict()}).items()}
    load_(made.model, state)


def _validated(made: CommandLine, metric: str | None) -> dict[str, Any]:
    """The columns of a validation."""
    made.trainer.validate(made.model, datamodule=made.datamodule, verbose=False)
    found = {name: float(value) for name, value in made.trainer.callback_metrics.items() if value.numel() == 1}
    columns = choose_columns(list(found), metric if metric in found else None)
    values = {"metric": columns.metric, "val_last": found.get(columns.metric or "")}
    return {**values, "loss_last": found.get(columns.val_loss or "")}


def _of_ensemble(
    made: CommandLine, states: Sequence[State], training: SteadyBatches, metric: str | None
) -> dict[str, Any]:
    """The metric of the mean of the predictions of all copies, or the reason why it was not measured."""

    def validate() -> float | None:
        found: float | None = _validated(made, metric)["val_last"]
        return found

    def test() -> float | None:
        if not is_overridden("test_step", made.model) or not has_loader(made.model, made.datamodule, "test_dataloader"):
            return None
        made.trainer.test(made.model, datamodule=made.datamodule, verbose=False)
        found = made.trainer.callback_metrics.get(name_on_test(metric) or "")
        return None if found is None else float(found)

    return measured_ensemble(made.model, states, next(training.on(made.model))[0], validate, test)
