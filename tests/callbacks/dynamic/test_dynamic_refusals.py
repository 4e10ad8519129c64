"""What cannot stand beside moving masks, and arguments that are wrong, are refused by name before anything is trained."""

import pytest
import torch
from lightning.pytorch.callbacks import ModelPruning, StochasticWeightAveraging
from moving_masks import run
from toys import Images, fit, toy

from lightning_prune import ACDC, SET, IterativePruning, LRRewind, Prunable, RigL


@pytest.mark.parametrize("beside", [IterativePruning(cycles=1), IterativePruning(cycles=2, retrain="1ep")])
@pytest.mark.parametrize("first", [True, False])
def test_iterative_pruning_keeps_its_promise(beside, first):
    callbacks = [beside, RigL()] if first else [RigL(), beside]
    with pytest.raises(ValueError, match="RigL and IterativePruning cannot stand in one Trainer: .* come back"):
        fit(callbacks, toy(), Images())


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        (lambda: SET(), "would both mask the weights"),
        (lambda: ModelPruning("l1_unstructured", amount=0.5), "would both mask the weights"),
        (lambda: StochasticWeightAveraging(0.1), "StochasticWeightAveraging and RigL cannot go together"),
        (lambda: LRRewind(), "LRRewind does nothing without IterativePruning"),
    ],
)
def test_others_with_masks_or_cycles_are_refused(beside, said):
    with pytest.raises(ValueError, match=said):
        fit([RigL(), beside()], toy(), Images())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RigL(sparsity=1.0), r"RigL\(sparsity=1.0\).*strictly between 0 and 1"),
        (lambda: RigL(fraction=0.0), r"RigL\(fraction=0.0\).*\(0, 1\]"),
        (lambda: SET(every="0ep"), r"SET\(every='0ep'\).*at least one epoch or step"),
        (lambda: SET(every="often"), r"SET\(every='often'\) is not a duration"),
        (lambda: RigL(until=1.5), r"RigL\(until=1.5\).*fraction of the fit"),
        (lambda: ACDC(0.0, [1]), r"ACDC\(sparsity=0.0\)"),
        (lambda: ACDC(0.9, []), "must prune and release by turns"),
        (lambda: ACDC(0.9, [1, 3]), "must prune and release by turns"),
        (lambda: ACDC(0.9, [1, 3], [4]), "must prune and release by turns"),
        (lambda: ACDC(0.9, [1, "30it"], [2]), "have one unit"),
        (lambda: ACDC(0.9, [1], optimizer_state="keep"), "be 'reset' or 'mask'"),
    ],
)
def test_wrong_arguments(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_fit_that_would_end_dense_is_refused():
    with pytest.raises(ValueError, match="prunes last at 4ep, when the fit is over"):
        run(lambda: ACDC(0.6, ["1ep", "4ep"], ["2ep"]))


def test_what_moves_by_a_line_search_is_refused():
    with pytest.raises(ValueError, match="LBFGS searches along a line"):
        run(RigL, module=toy(optimizer=torch.optim.LBFGS))


def test_weights_that_no_optimizer_holds_stay_dense():
    module = toy(optimizer=lambda p: torch.optim.SGD([one for one in p if one.dim() != 4], lr=0.1))
    with pytest.warns(UserWarning, match="RigL leaves net.0.weight dense: no optimizer holds them"):
        _, callback = run(lambda: RigL(0.6), module=module, max_epochs=1)
    assert set(callback.masks) <= {"net.4.weight", "net.7.weight"}
    with pytest.raises(ValueError, match="RigL finds no prunable weight that an optimizer holds"):
        run(lambda: RigL(0.6, prunable=Prunable(include="net.0.weight")), module=module)


def test_weights_that_are_split_over_devices_are_refused(monkeypatch):
    monkeypatch.setattr("lightning_prune.callbacks.dynamic.owned.is_sharded", lambda weight: True)
    with pytest.raises(ValueError, match="RigL compares whole tensors, and these are sharded: train with DDP"):
        run(RigL)


def test_masks_before_the_training_are_asked_for_too_early():
    with pytest.raises(ValueError, match="no masks, no sparsity"):
        _ = RigL().masks
    assert repr(RigL(every="5it")) == "RigL(sparsity=0.9, every='5it')"


def test_a_fit_without_a_length_needs_one_for_its_updates():
    with pytest.raises(ValueError, match=r"RigL\(until=0.75\) is not known in steps.*until='20000it'"):
        run(lambda: RigL(0.6), max_epochs=-1, max_time="00:00:00:05")
