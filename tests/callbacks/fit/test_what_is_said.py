"""What ``print`` and the log say of callbacks, masks and cycles."""

import inspect
import re

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from policy_members import example, members
from toys import fit

import lightning_prune as lp
from lightning_prune.callbacks.base import CycleMember
from lightning_prune.masks.chain import Chain
from lightning_prune.masks.masks import Masks


def others():
    return [lp.WeightRewind(to="2ep"), lp.ScratchTrain(), lp.Reinitialize(), lp.EstimateBatchNorm(), lp.ExactResume()]


@pytest.mark.parametrize("made", [*map(example, members()), *others()], ids=lambda made: type(made).__name__)
def test_a_callback_says_what_it_is_and_can_be_made_from_what_it_says(made):
    said = repr(made)
    assert said.startswith(f"{type(made).__name__}(")
    assert " at 0x" not in said
    if type(made).__name__ in vars(lp) and "Scheduler" not in said:  # whose class is written by its name alone
        again = eval(said, {**vars(lp), type(made).__name__: type(made)})
        for name in inspect.signature(type(made)).parameters:
            assert getattr(again, name, None) == getattr(made, name, None)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            lp.IterativePruning(),
            "IterativePruning(cycles=10, retrain=None, sparsity=Geometric(fraction=0.2, initial=0.0))",
        ),
        (
            lp.IterativePruning(
                1, "5ep", lp.OneShot(0.8), lp.criteria.taylor, lp.layerwise, lp.Prunable(include="net")
            ),
            "IterativePruning(cycles=1, retrain='5ep', sparsity=OneShot(final=0.8), criterion=taylor, "
            "allocation=layerwise, prunable=Prunable(types=None, include=['net'], exclude=[], embeddings=False, "
            "last_layer=True, first_layer=True))",
        ),
        (lp.LRRewind(to="5ep"), "LRRewind(to='5ep')"),
        (lp.FineTune(), "FineTune()"),
        (lp.WeightRewind(to="2ep"), "WeightRewind(to='2ep')"),
        (lp.CycleCheckpoint(monitor="val_loss"), "CycleCheckpoint(monitor='val_loss')"),
        (lp.Levels([0.5, 0.9]), "Levels(levels=[0.5, 0.9])"),
        (lp.Cubic(0.9, cycles=5), "Cubic(final=0.9, cycles=5, initial=0.0)"),
        (Masks({"a": torch.ones(3), "b": torch.ones(2000)}), "Masks(0.0 % of 2,003 weights pruned in 2 tensors)"),
        (Chain({"a": torch.ones(3)}, (0.5, 0.8)), "Chain(2 cycles of 1 tensors, sparsities [0.5, 0.8])"),
        (
            lp.Ticket({"a": torch.tensor([True, False])}, {}, {"cycle": 3}),
            "Ticket(cycle 3: 1 dead weights in 1 tensors, no rewind point)",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_it_is_said_as_it_was_made(made, said):
    assert repr(made) == said


def test_every_member_of_the_cycles_has_this_repr():
    def subclasses(cls):
        return {cls, *(one for sub in cls.__subclasses__() for one in subclasses(sub))}

    ours = {cls for cls in subclasses(CycleMember) if cls.__module__.startswith("lightning_prune.")}
    assert all(cls.__repr__ is CycleMember.__repr__ for cls in ours)


def test_a_cycle_of_whole_units_says_what_share_of_the_operations_is_pruned(log):
    half = lp.IterativePruning(
        cycles=1, retrain="1ep", sparsity=lp.OneShot(0.5), granularity=lp.Structures(), measure="flops"
    )
    fit([half], max_epochs=1)
    (said,) = [one for one in log.messages if one.startswith("cycle ")]
    share = re.search(r" weights pruned, ([\d.]+) % of the operations$", said)
    assert share is not None
    assert float(share[1]) == pytest.approx(50, abs=5)


class Bar(pl.callbacks.ProgressBar):
    shows_cycle = True


@pytest.mark.parametrize("bar", [None, Bar()], ids=["plain", "a bar that shows the cycle"])
def test_a_cycle_that_begins_is_told_unless_the_bar_tells_it(log, bar):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, "accelerator": "cpu"}
    made = lp.IterativePruning(cycles=2, retrain="1ep", sparsity=lp.Geometric(fraction=0.25))
    trainer = pl.Trainer(
        max_epochs=1, limit_train_batches=2, limit_val_batches=0, callbacks=[made, *([] if bar is None else [bar])],
        enable_progress_bar=bar is not None, **quiet,
    )  # fmt: skip
    trainer.fit(BoringModel())
    told = [one for one in log.messages if one.startswith("cycle ")]
    expected = ["cycle 1 of 2: 25.0 % of 64 weights pruned", "cycle 2 of 2: 43.8 % of 64 weights pruned"]
    assert told == (expected if bar is None else [])
