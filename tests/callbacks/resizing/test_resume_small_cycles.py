"""A run whose cycles train a smaller network is resumed bit for bit, and its checkpoints load elsewhere."""

import copy

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from resumed_runs import compare
from shrinking_runs import clock, distance, sizes
from structured import structured
from torch import nn, optim
from toys import Images, equal, fit, make_trainer

from lightning_prune import (
    CycleCheckpoint,
    FineTune,
    Recorded,
    Reinitialize,
    ScratchTrain,
    Shrink,
    WeightRewind,
    load_small,
    load_ticket,
    save_ticket,
    shrink,
    shrink_like,
)
from lightning_prune.criteria import movement
from lightning_prune.shrinking.small_checkpoints import record_in

pytestmark = [
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
]
LAST = 4  # the last epoch: two dense ones, and three cycles


def drawn():
    """A network with dropout, so that the random state counts, too."""
    wide = nn.Linear(36, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2)
    return nn.Sequential(nn.Flatten(), *wide, nn.Linear(12, 3))


def train(folder, beside=list, ckpt_path=None, shrinks=True, module=None, pruning=None, **options):
    keep = ModelCheckpoint(
        folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    given = structured(network=drawn(), optimizer=lambda p: optim.AdamW(p, lr=0.01)) if module is None else module
    last = [Shrink(at="cycles")] if shrinks else []
    callbacks = [clock(**(pruning or {})), *beside(), *last, keep]
    fit(callbacks, given, Images(shuffle=True), ckpt_path, enable_checkpointing=True, **{"max_epochs": 2, **options})
    return given


BESIDE = {
    "nothing": list,
    "rewind": lambda: [WeightRewind(to="1ep", moments="rewind")],
    "average": lambda: [EMAWeightAveraging(decay=0.9)],
    "reinitialize": lambda: [Reinitialize(), FineTune()],
    "scratch": lambda: [ScratchTrain(budget="equal-flops")],
}


@pytest.mark.parametrize("name", ["nothing", "rewind", "average", "reinitialize"])
def test_from_the_end_of_every_epoch(tmp_path, name):
    short = {"retrain": "1ep"}
    whole = train(tmp_path / "whole", BESIDE[name], pruning=short)
    for epoch in range(LAST):
        resumed = train(tmp_path / f"{epoch}", BESIDE[name], tmp_path / "whole" / f"epoch={epoch}.ckpt", pruning=short)
        assert compare(tmp_path / "whole", tmp_path / f"{epoch}", range(epoch + 1, LAST + 1)) == LAST - epoch
        assert equal(dict(whole.state_dict()), dict(resumed.state_dict()))


def test_evidence_of_earlier_epochs_and_scratch_b_are_resumed(tmp_path):
    for number, (beside, pruning) in enumerate(
        [(list, {"criterion": movement, "retrain": "2ep"}), (BESIDE["scratch"], {"retrain": None, "cycles": 2})]
    ):
        whole = train(tmp_path / f"whole {number}", beside, pruning=pruning)
        for epoch in (2, 4):
            path = tmp_path / f"whole {number}" / f"epoch={epoch}.ckpt"
            resumed = train(tmp_path / f"{number} {epoch}", beside, path, pruning=pruning)
            assert equal(dict(whole.state_dict()), dict(resumed.state_dict()))


def test_the_largest_difference_is_kept_over_cycles_and_a_resume(tmp_path):
    train(tmp_path, pruning={"retrain": "1ep"})
    saved = torch.load(tmp_path / "epoch=3.ckpt", weights_only=True)
    saved["callbacks"]["Shrink"]["error"] = 0.25
    torch.save(saved, tmp_path / "larger.ckpt")
    resumed = train(tmp_path / "resumed", ckpt_path=tmp_path / "larger.ckpt", pruning={"retrain": "1ep"})
    (shrinking,) = [one for one in resumed.trainer.callbacks if isinstance(one, Shrink)]
    assert shrinking.shrunk.error == 0.25


class SavesAsItBegins(Callback):
    """Saves a checkpoint while a cycle begins, when the network is whole."""

    def __init__(self, path):
        self.path = path

    def on_cycle_start(self, trainer, pl_module, cycle):
        trainer.save_checkpoint(self.path / f"begins {cycle.index}.ckpt")


def test_from_a_cycle_that_was_beginning(tmp_path):
    beside = lambda: [SavesAsItBegins(tmp_path), Reinitialize(), FineTune()]  # noqa: E731
    whole = train(tmp_path / "whole", beside, pruning={"retrain": "1ep"})
    for cycle in (1, 2, 3):
        path = tmp_path / f"begins {cycle}.ckpt"
        assert record_in(torch.load(path, weights_only=True), "it") is None
        copied = tmp_path / f"copied {cycle}.ckpt"
        path.rename(copied)
        resumed = train(tmp_path / f"{cycle}", beside, copied, pruning={"retrain": "1ep"})
        assert equal(dict(whole.state_dict()), dict(resumed.state_dict()))


def test_by_the_same_module_in_the_same_process(tmp_path):
    """The module is small from the run that is over. It becomes whole, and then as small as the checkpoint."""
    whole = train(tmp_path / "whole")
    module = copy.deepcopy(whole)
    for epoch in (3, 1, 2):
        train(tmp_path / f"{epoch}", ckpt_path=tmp_path / "whole" / f"epoch={epoch}.ckpt", module=module)
        assert equal(dict(whole.state_dict()), dict(module.state_dict()))


def test_a_small_network_is_fitted_again_from_its_own_sizes(tmp_path):
    module = train(tmp_path / "first")
    before = sizes(module)
    assert module.net[1].in_features == 36
    train(tmp_path / "second", module=module)
    assert sizes(module) < before
    record = shrink_like(structured(network=drawn()), tmp_path / "first" / f"epoch={LAST}.ckpt")
    assert sizes(record) == before


def test_a_masked_run_goes_on_in_small_cycles(tmp_path):
    masked = train(tmp_path / "masked", shrinks=False, precision="64-true", module=structured())
    shrinking, module = Shrink(at="cycles"), structured()
    fit(
        [clock(), shrinking], module, Images(shuffle=True), tmp_path / "masked" / "epoch=2.ckpt", max_epochs=2,
        precision="64-true",
    )  # fmt: skip
    assert sizes(module) < sizes(masked)
    assert distance(module, shrinking, masked) < 1e-12


def test_a_run_in_small_cycles_does_not_go_on_without_them(tmp_path):
    train(tmp_path / "whole")
    with pytest.raises(ValueError, match=r"fit with Shrink\(at='cycles'\), whose network is small by now"):
        train(tmp_path / "other", ckpt_path=tmp_path / "whole" / "epoch=3.ckpt", shrinks=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, train(folder, lambda: [CycleCheckpoint(dirpath=folder / "cycles")])


def test_checkpoints_load_into_plain_modules(finished):
    folder, module = finished
    path, images = folder / f"epoch={LAST}.ckpt", torch.randn(4, 1, 6, 6)
    for load in (lambda one: shrink_like(one, path), lambda one: load_small(path, one)):
        loaded = load(structured(network=drawn()))
        assert equal(dict(loaded.state_dict()), dict(module.state_dict()))
        assert torch.equal(loaded.eval()(images), module.eval()(images))
    further = shrink(structured(network=drawn()), checkpoint=path, example=images)
    assert equal(dict(further.module.state_dict()), dict(module.state_dict()))
    whole, left = (sum(one.numel() for one in made.parameters()) for made in (structured(network=drawn()), module))
    assert further.parameters == (whole, left)
    assert left < whole
    further.save(folder / "small.safetensors")
    again = load_small(folder / "small.safetensors", structured(network=drawn()))
    assert equal(dict(again.state_dict()), dict(module.state_dict()))


class SavesWeightsAlone(Callback):
    """As ``ModelCheckpoint(save_weights_only=True)`` does."""

    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.save_checkpoint(self.path / f"alone epoch={trainer.current_epoch}.ckpt", weights_only=True)


def test_checkpoints_of_weights_alone_load_into_plain_modules(tmp_path):
    module = train(tmp_path, lambda: [SavesWeightsAlone(tmp_path)], pruning={"retrain": "1ep"})
    module.trainer.save_checkpoint(tmp_path / "after.ckpt", weights_only=True)
    for epoch, name in ((2, "alone epoch=2"), (LAST, f"alone epoch={LAST}"), (LAST, "after")):
        full = shrink_like(structured(network=drawn()), tmp_path / f"epoch={epoch}.ckpt")
        loaded = shrink_like(structured(network=drawn()), tmp_path / f"{name}.ckpt")
        assert "callbacks" not in torch.load(tmp_path / f"{name}.ckpt", weights_only=True)
        assert equal(dict(loaded.state_dict()), dict(full.state_dict()))
    measured = [
        make_trainer([clock(), Shrink(at="cycles")]).validate(one, Images(), ckpt_path=path, verbose=False)
        for one, path in ((structured(network=drawn()), tmp_path / "after.ckpt"), (module, None))
    ]
    assert measured[0] == measured[1]
    with pytest.raises(ValueError, match=r"no unit was removed yet"):
        shrink_like(structured(network=drawn()), tmp_path / "alone epoch=1.ckpt")
    with pytest.raises(ValueError, match=r"holds weights only|saved with save_weights_only=True"):
        train(tmp_path / "resumed", ckpt_path=tmp_path / "after.ckpt")


def test_every_checkpoint_is_evaluated_in_its_own_sizes(finished):
    folder, module = finished
    expected = {}
    for epoch in (1, 2, 3, 4):
        path = folder / f"epoch={epoch}.ckpt"
        plain = structured(network=drawn())
        saved = torch.load(path, weights_only=True)
        plain.load_state_dict(saved["state_dict"]) if epoch == 1 else shrink_like(plain, path)
        (expected[epoch],) = make_trainer().validate(plain, Images(), verbose=False)
    trainer = make_trainer([clock(), Shrink(at="cycles")])
    used = copy.deepcopy(module)
    for epoch in (4, 2, 1, 3):
        path = folder / f"epoch={epoch}.ckpt"
        for one in (used, structured(network=drawn())):
            (found,) = trainer.validate(one, Images(), ckpt_path=path, verbose=False)
            assert found == expected[epoch]
    assert "load_checkpoint" not in vars(trainer.strategy)


def test_tickets_and_masks_are_those_of_the_whole_network(finished, tmp_path):
    folder, _ = finished
    path = folder / f"epoch={LAST}.ckpt"
    save_ticket(tmp_path / "ticket.safetensors", path)
    shapes = {name: one.shape for name, one in structured(network=drawn()).named_parameters()}
    ticket = load_ticket(tmp_path / "ticket.safetensors")
    assert ticket.masks
    assert all(mask.shape == shapes[name] for name, mask in ticket.masks.items())
    recorded = Recorded(folder / "cycles").read(3)
    assert equal(recorded[2].masks, ticket.masks)


def test_what_is_no_small_checkpoint_is_refused(finished, tmp_path):
    folder, _ = finished
    whole = structured(network=drawn())
    before = copy.deepcopy(dict(whole.state_dict()))
    with pytest.raises(ValueError, match="has no record of a small network: no unit was removed yet"):
        shrink_like(whole, folder / "epoch=1.ckpt")
    with pytest.raises(ValueError, match="is of another network than this Structured"):
        shrink_like(structured(), folder / f"epoch={LAST}.ckpt")
    with pytest.raises(ValueError, match="no such file"):
        shrink_like(whole, tmp_path / "missing.ckpt")
    saved = torch.load(folder / f"epoch={LAST}.ckpt", weights_only=True)
    saved["callbacks"]["Shrink"]["shrunk"]["kept"] = {"net.1.weight": 3}
    torch.save(saved, tmp_path / "damaged.ckpt")
    with pytest.raises(ValueError, match=r"is damaged: in it 'shrunk/kept/net.1.weight' is a int"):
        shrink_like(whole, tmp_path / "damaged.ckpt")
    saved["callbacks"]["Shrink"]["shrunk"]["format"] = 99
    torch.save(saved, tmp_path / "later.ckpt")
    with pytest.raises(ValueError, match="99"):
        shrink_like(whole, tmp_path / "later.ckpt")
    assert equal(before, dict(whole.state_dict()))
