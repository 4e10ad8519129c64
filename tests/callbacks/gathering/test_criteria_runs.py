"""Criteria through whole runs: pruned by what they should look at, resumed exactly, in bfloat16."""

import pytest
import torch
from gathering import every_needy, quick
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from stateful_loaders import KeepsItsPlace
from toys import STEPS, equal, fit, toy

from lightning_prune import IterativePruning, Levels, OneShot, WeightRewind, criteria


class Kept(Callback):
    """The masks and the weights around every prune."""

    def __init__(self):
        self.masks, self.after, self.epochs, self.last = [], [], [], None

    def on_cycle_start(self, trainer, pl_module, cycle):
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        self.masks.append({n: m.clone() for n, m in pruning.masks.items()})

    def on_train_epoch_start(self, trainer, pl_module):
        self.epochs.append({n: p.detach().clone() for n, p in pl_module.named_parameters()})

    def on_train_epoch_end(self, trainer, pl_module):
        self.after.append({n: p.detach().clone() for n, p in pl_module.named_parameters()})


def top(scores, count):
    joined = torch.cat([s.flatten() for s in scores.values()])
    cut = joined.sort(descending=True).values[count - 1]
    return {name: score >= cut for name, score in scores.items()}


CHANGES = {
    "movement": lambda kept, cycle: (0 if cycle == 1 else 4, lambda w, s: (w**2 - s**2) / 2),
    "last_epoch_change": lambda kept, cycle: (3 if cycle == 1 else 5, lambda w, s: (w - s).abs()),
    "last_epoch_change_magnitude": lambda kept, cycle: (3 if cycle == 1 else 5, lambda w, s: ((w - s) * w).abs()),
    "magnitude_increase": lambda kept, cycle: (0, lambda w, s: w.abs() - s.abs()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_measured_from_the_right_moment(name):
    kept = Kept()
    pruning = IterativePruning(cycles=2, retrain="2ep", criterion=getattr(criteria, name), sparsity=Levels([0.5, 0.7]))
    fit([pruning, kept], toy())
    size = 36 + 640 + 30
    for cycle, (end, density) in enumerate([(3, 0.5), (5, 0.3)], start=1):
        start, formula = CHANGES[name](kept, cycle)
        weights, earlier = kept.after[end], kept.epochs[start]
        scores = {n: formula(weights[n], earlier[n]) for n in kept.masks[0]}
        alive = {n: torch.ones_like(s, dtype=torch.bool) for n, s in scores.items()} if cycle == 1 else kept.masks[0]
        scores = {n: s.masked_fill(~alive[n], float("-inf")) for n, s in scores.items()}
        expected = top(scores, round(density * size))
        agree = sum(int((expected[n] == kept.masks[cycle - 1][n]).sum()) for n in expected)
        assert agree >= size - 2, "but for rounding in the formula"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
@every_needy
def test_resumed_is_uninterrupted_within_and_across_cycles(criterion, tmp_path):
    def callbacks():
        keep = ModelCheckpoint(
            tmp_path, filename="{step}", every_n_train_steps=STEPS // 2, save_top_k=-1, enable_version_counter=False
        )
        pruning = IterativePruning(cycles=2, retrain="2ep", criterion=quick(criterion))
        return [pruning, WeightRewind("1ep") if criterion is criteria.movement else Callback(), keep]

    def run(ckpt_path=None):
        module = toy(dropout=0.0)
        options = {"max_epochs": 4 if criterion is not criteria.movement else 3}
        trainer = fit(callbacks(), module, KeepsItsPlace(), ckpt_path, enable_checkpointing=True, **options)
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        return [{n: t.clone() for n, t in module.state_dict().items()}, pruning.masks]

    whole = run()
    dense = 4 if criterion is not criteria.movement else 3
    for step in (
        STEPS // 2,
        dense * STEPS - STEPS // 2,
        dense * STEPS,
        dense * STEPS + STEPS,
        dense * STEPS + 2 * STEPS,
    ):
        assert equal(whole, run(tmp_path / f"step={step}.ckpt")), step


def test_earlier_weights_are_saved_only_where_they_are_needed(tmp_path):
    for criterion, kinds in [(criteria.magnitude, set()), (criteria.magnitude_increase, {"initial"})]:
        keep = ModelCheckpoint(tmp_path, filename="last", enable_version_counter=False)
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=criterion), keep], toy(), enable_checkpointing=True)
        state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["IterativePruning"]["evidence"]
        assert set(state["remembered"]) == kinds


def test_a_cycle_prunes_by_its_own_gradients():
    masks = []
    for criterion in (criteria.snip, criteria.magnitude):
        kept = Kept()
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=criterion, sparsity=OneShot(0.5)), kept], toy())
        masks.append(kept.masks[0])
    assert not equal(*masks)


@pytest.mark.filterwarnings("ignore:Cycle 1 leaves no weight alive")
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
@every_needy
def test_every_criterion_runs_in_every_precision_and_gives_its_sparsity(criterion, precision):
    pruning = IterativePruning(cycles=1, retrain="1ep", criterion=quick(criterion), sparsity=OneShot(0.8))
    fit([pruning], toy(), precision=precision)
    assert pruning.measured_sparsity == pytest.approx(0.8, abs=1e-3)
