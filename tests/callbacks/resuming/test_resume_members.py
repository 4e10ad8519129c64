"""Killed between a prune and the end, a run resumes exactly: for every criterion of units, and for every companion."""

import pytest
import torch
from left_out import Chosen
from lightning.pytorch.callbacks import Checkpoint
from members import functions, named
from stateful_loaders import KeepsItsPlace, everything
from toys import equal, fit, toy

from lightning_prune import (
    DistillFromDense,
    Filters,
    FreezeLayers,
    IterativePruning,
    MaskedLoRA,
    Reconstruct,
    RescaleActivations,
    ScaledLoRA,
    Shrink,
    Structures,
    criteria,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata calls it
    pytest.mark.filterwarnings("ignore:.*leaves no weight alive"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]
ABSENT = (criteria.batch_norm_scale,)  # the toy has layers without a norm behind them
SCORED = [one for one in functions(criteria.units, "units", "evidence") if one not in ABSENT]
SCORED += [criteria.wanda, criteria.taylor]
QUICK = (criteria.feature_rank, criteria.mean_activation)
OF_WEIGHTS, OF_UNITS = {}, {"granularity": Structures()}
COMPANIONS = {
    "least squares, a cycle left out, frozen layers": (
        OF_WEIGHTS, lambda: [Reconstruct(batches=2), Chosen((1,)), FreezeLayers(0.3)]
    ),
    "blocks": (OF_WEIGHTS, lambda: [Reconstruct("blocks", batches=2, steps=3)]),
    "rescaled, distilled": (OF_WEIGHTS, lambda: [RescaleActivations(batches=2), DistillFromDense()]),
    "masked adapters, distilled": (OF_WEIGHTS, lambda: [MaskedLoRA(rank=2), DistillFromDense()]),
    "scaled adapters, a cycle left out": (OF_WEIGHTS, lambda: [ScaledLoRA(rank=2), Chosen((2,))]),
    "small cycles, one left out": (OF_UNITS, lambda: [Shrink(at="cycles"), Chosen((1,))]),
    "small cycles, least squares": (OF_UNITS, lambda: [Shrink(at="cycles"), Reconstruct(batches=2)]),
}  # fmt: skip


class KeepAt(Checkpoint):
    """Keeps a run where its second cycle begins, within it, and at the end of its epoch."""

    def __init__(self, folder):
        self.folder, self.cycle = folder, 0

    def on_cycle_start(self, trainer, pl_module, cycle):
        self.cycle = cycle.index
        if self.folder is not None and cycle.index == 2 and cycle.steps:
            trainer.save_checkpoint(self.folder / "begun.ckpt")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if self.folder is not None and self.cycle == 2 and batch_idx == 2:
            trainer.save_checkpoint(self.folder / "within.ckpt")

    def on_train_epoch_end(self, trainer, pl_module):
        if self.folder is not None and self.cycle == 1:
            trainer.save_checkpoint(self.folder / "ended.ckpt")


def train(options, beside, folder=None, ckpt_path=None):
    pruning = IterativePruning(cycles=3, retrain="1ep", **options)
    callbacks = [pruning, *beside(), KeepAt(folder)]
    data = {"ckpt_path": ckpt_path, "max_epochs": 1, "enable_checkpointing": True}
    return everything(fit(callbacks, toy(), KeepsItsPlace(), **data))


def assert_resumed(options, beside, folder):
    whole = train(options, beside, folder)
    files = sorted(folder.glob("*.ckpt"))
    assert files
    for file in files:
        again = train(options, beside, ckpt_path=file)
        # Shrink notes by how much its small network differs on the last batch that was seen.
        differing = [name for name, part in whole.items() if name != "Shrink" and not equal(again[name], part)]
        assert not differing, (file.stem, differing)


@pytest.mark.parametrize(
    "criterion", [pytest.param(c, id=named(c), marks=() if c in QUICK else pytest.mark.slow) for c in SCORED]
)
def test_every_criterion_of_units_goes_on_exactly(criterion, tmp_path):
    options = {"criterion": criterion, "granularity": Structures(), "measure": "units"}
    torch.manual_seed(0)
    assert_resumed(options, list, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "criterion", [criteria.l2_norm, criteria.geometric_median, criteria.wanda, criteria.taylor], ids=named
)
def test_so_does_every_kind_of_evidence_of_filters(criterion, tmp_path):
    assert_resumed({"criterion": criterion, "granularity": Filters()}, list, tmp_path)


@pytest.mark.parametrize(
    "name", [next(iter(COMPANIONS)), *(pytest.param(one, marks=pytest.mark.slow) for one in [*COMPANIONS][1:])]
)
def test_every_companion_goes_on_exactly(name, tmp_path):
    assert_resumed(*COMPANIONS[name], tmp_path)
