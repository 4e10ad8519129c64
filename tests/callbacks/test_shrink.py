"""Shrink makes the network of a fit small when it is over, and leaves the fit itself as it is."""

import copy

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from processes import in_processes
from torch import nn
from toys import Images, Toy, equal, fit, make_trainer, toy

from lightning_prune import FineTune, IterativePruning, Shrink, WeightRewind, load_small, shrink, structures_of
from lightning_prune.shrinking.slices import mask_, tensors_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),  # fits without the ModelCheckpoint
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]
ALIVE = {"0": torch.tensor([1, 0, 1, 0]), "4": torch.tensor([1, 1, 0, 1, 1, 0, 1, 0, 1, 1])}


def half_dead(**options) -> Toy:
    """A toy in which whole units are zero. They get no gradient, and stay zero."""
    module = toy(dropout=0.0, **options)
    found = structures_of(toy().net, torch.zeros(2, 1, 6, 6))
    mask_(tensors_of(module.net), found.groups.values(), ALIVE)
    return module


def shapes(state):
    return {name: tuple(one.shape) for name, one in state.items()}


def pruning(**options):
    return IterativePruning(cycles=1, retrain="2ep", **options)


def test_the_module_is_small_when_the_fit_is_over_and_computes_the_same():
    without, beside = half_dead(), half_dead()
    fit([pruning(), FineTune()], without)
    callback = Shrink()
    fit([pruning(), FineTune(), callback], beside)
    assert callback.shrunk.record.shapes == shapes(without.state_dict())
    assert beside.net[0].out_channels == 2
    assert (beside.net[4].in_features, beside.net[4].out_features) == (32, 7)
    images = torch.randn(5, 1, 6, 6)
    assert torch.allclose(without.eval()(images), beside.eval()(images), atol=1e-5)
    assert callback.shrunk.module is beside
    assert callback.shrunk.error < 1e-5


def test_checkpoints_of_the_fit_are_those_without_it(tmp_path):
    saved = []
    for name, more in (("without", []), ("beside", [Shrink()])):
        keep = ModelCheckpoint(tmp_path / name, save_last=True, filename="{epoch}", save_top_k=-1)
        fit([pruning(), FineTune(), *more, keep], half_dead())
        saved.append([torch.load(path, weights_only=True) for path in sorted((tmp_path / name).glob("*.ckpt"))])
    for without, beside in zip(*saved, strict=True):
        assert equal(without["state_dict"], beside["state_dict"])
        assert equal(without["optimizer_states"], beside["optimizer_states"])
        assert without["callbacks"].keys() - {"ModelCheckpoint"} == without["callbacks"].keys() - {"ModelCheckpoint"}


def test_a_resumed_fit_ends_as_small_as_the_uninterrupted_one(tmp_path):
    whole, resumed = half_dead(), half_dead()
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    fit([pruning(), FineTune(), Shrink(), keep], whole)
    fit([pruning(), FineTune(), Shrink()], resumed, ckpt_path=tmp_path / "epoch=4.ckpt")
    assert equal(dict(whole.state_dict()), dict(resumed.state_dict()))


def test_a_fit_that_is_resumed_after_its_end_is_shrunk_too(tmp_path):
    keep = ModelCheckpoint(tmp_path, save_last=True)
    fit([pruning(), FineTune(), keep], half_dead())
    resumed = half_dead()
    fit([pruning(), FineTune(), Shrink()], resumed, ckpt_path=tmp_path / "last.ckpt")
    assert resumed.net[0].out_channels == 2


def test_the_best_checkpoint_is_tested_with_the_small_network(tmp_path):
    keep = ModelCheckpoint(tmp_path, monitor="val_loss")
    module, data = half_dead(), Images()
    trainer = fit([pruning(), FineTune(), Shrink(), keep], module, data)
    (small,) = trainer.test(module, data, ckpt_path="best", verbose=False)
    whole = half_dead()
    (masked,) = make_trainer().test(whole, data, ckpt_path=keep.best_model_path, weights_only=True, verbose=False)
    assert small["val_loss"] == pytest.approx(masked["val_loss"], abs=1e-5)
    assert module.net[0].out_channels == 2


def test_averaged_weights_are_shrunk():
    module = half_dead()
    fit([pruning(), EMAWeightAveraging(decay=0.9), FineTune(), Shrink()], module)
    assert module.net[0].out_channels == 2
    reference = half_dead()
    fit([pruning(), EMAWeightAveraging(decay=0.9), FineTune()], reference)
    images = torch.randn(5, 1, 6, 6)
    assert torch.allclose(reference.eval()(images), module.eval()(images), atol=1e-5)


@pytest.mark.parametrize("beside", [[WeightRewind(to="2ep")], [FineTune()], []], ids=["rewind", "fine-tune", "default"])
def test_beside_every_starting_point(beside):
    module = half_dead()
    fit([Shrink(), pruning(), *beside], module)
    assert module.net[0].out_channels == 2


def test_without_pruning_nothing_is_removed_but_what_is_zero():
    module, dense = half_dead(), toy()
    fit([Shrink()], module)
    fit([Shrink()], dense)
    assert module.net[0].out_channels == 2
    assert dense.net[0].out_channels == 4


def test_optimizers_go_on_with_the_small_network():
    module = half_dead()
    trainer = fit([pruning(), Shrink()], module)
    (optimizer,) = trainer.optimizers
    before = [one.detach().clone() for one in module.parameters()]
    for parameter in module.parameters():
        assert optimizer.state[parameter]["momentum_buffer"].shape == parameter.shape
    optimizer.zero_grad()
    module(torch.randn(4, 1, 6, 6)).sum().backward()
    optimizer.step()
    assert any((one != other).any() for one, other in zip(module.parameters(), before, strict=True))


def test_the_masks_of_the_run_are_those_of_the_whole_network(tmp_path):
    clock, callback = pruning(), Shrink()
    module = half_dead()
    fit([clock, FineTune(), callback], module)
    whole = dict(half_dead().named_parameters())
    assert clock.masks
    assert all(mask.shape == whole[name].shape for name, mask in clock.masks.items())
    assert clock.measured_sparsity == pytest.approx(0.2, abs=1e-3)
    clock.save_ticket(tmp_path / "ticket.safetensors")
    callback.shrunk.save(tmp_path / "small.safetensors")
    fresh = load_small(tmp_path / "small.safetensors", toy(dropout=0.0))
    assert equal(dict(fresh.state_dict()), dict(module.state_dict()))


def test_the_small_network_is_fitted_again():
    callbacks = [pruning(), FineTune(), Shrink()]
    module = half_dead()
    fit(callbacks, module)
    fit([pruning(), FineTune(), Shrink()], module)
    trainer = fit(callbacks, module)
    assert module.net[0].out_channels == 2
    assert callbacks[0].measured_sparsity == pytest.approx(0.2, abs=1e-2)
    assert trainer.current_epoch == 6


def test_what_cannot_be_removed_stays_masked_with_a_warning():
    class Literal(Toy):
        def forward(self, x):
            hidden = self.net[:3](x)
            return self.net[4:](hidden.reshape(len(x), 64))

    module = Literal(dropout=0.0)
    found = structures_of(toy().net, torch.zeros(2, 1, 6, 6))
    mask_(tensors_of(module.net), found.groups.values(), ALIVE)
    callback = Shrink()
    with pytest.warns(
        UserWarning, match=r"Shrink\(\) keeps groups masked, because removing them would not be exact: net.0"
    ):
        fit([pruning(), callback], module)
    assert module.net[0].out_channels == 4
    assert module.net[4].out_features == 7


def test_a_module_without_forward_is_compared_by_its_steps():
    class Steps(LightningModule):
        def __init__(self):
            super().__init__()
            self.first, self.last, self.calls = nn.Linear(36, 5), nn.Linear(5, 3), 0

        def training_step(self, batch, index):
            self.calls += 1
            loss = nn.functional.cross_entropy(self.last(self.first(batch[0].flatten(1)).relu()), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters())

    torch.manual_seed(0)
    module = Steps()
    with torch.no_grad():
        for tensor in (module.first.weight[2], module.first.bias[2], module.last.weight[:, 2]):
            tensor.zero_()
    make_trainer([Shrink()], max_epochs=1).fit(module, Images().train_dataloader())
    assert module.first.out_features == 4
    assert module.calls == 6


def test_it_is_the_same_as_shrinking_the_last_checkpoint(tmp_path):
    keep = ModelCheckpoint(tmp_path, save_last=True)
    module, later = half_dead(), toy(dropout=0.0)
    fit([pruning(), FineTune(), Shrink(), keep], module)
    shrink(later, checkpoint=tmp_path / "last.ckpt", example=torch.randn(4, 1, 6, 6))
    assert equal(dict(module.state_dict()), dict(later.state_dict()))


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    keep = ModelCheckpoint(tmp_path, save_last=True)
    fit([keep], toy(), max_epochs=1)
    before = copy.deepcopy((other := toy(plain=True)).state_dict())
    with pytest.raises(ValueError, match=r"is of another network than this Toy: it lacks, or has another shape of"):
        shrink(other, checkpoint=tmp_path / "last.ckpt", example=torch.randn(4, 1, 6, 6))
    assert equal(dict(before), dict(other.state_dict()))
    (tmp_path / "sharded").mkdir()
    with pytest.raises(ValueError, match="is a folder of a sharded checkpoint"):
        shrink(other, checkpoint=tmp_path / "sharded", example=torch.randn(4, 1, 6, 6))


def test_there_is_no_small_network_before_the_fit_is_over():
    with pytest.raises(ValueError, match=r"Shrink has no small network before the fit is over: call trainer.fit"):
        _ = Shrink().shrunk


def test_processes_from_which_only_weights_come_back_are_refused():
    trainer = make_trainer([Shrink()], strategy="ddp_spawn", devices=2)
    with pytest.raises(ValueError, match=r"Shrink\(\) works in the processes of Trainer\(strategy='ddp'\)"):
        trainer.callbacks[0].setup(trainer, half_dead(), "fit")


def test_the_small_network_is_written_into_the_folder_of_the_run(tmp_path):
    module = half_dead()
    callbacks = [pruning(), FineTune(), Shrink(save="small.safetensors")]
    fit(callbacks, module, logger=CSVLogger(tmp_path, name="", version=7), log_every_n_steps=1)
    fresh = load_small(tmp_path / "version_7" / "small.safetensors", toy(dropout=0.0))
    assert fresh.net[0].out_channels == 2
    assert equal(dict(fresh.state_dict()), dict(module.state_dict()))


def test_a_path_from_the_root_is_taken_as_it_is(tmp_path):
    fit([Shrink(save=tmp_path / "folder" / "small.safetensors")], half_dead(), max_epochs=1)
    assert load_small(tmp_path / "folder" / "small.safetensors", toy()).net[0].out_channels == 2


def test_a_fast_dev_run_writes_no_file(tmp_path):
    file = tmp_path / "small.safetensors"
    fit([Shrink(save=file)], half_dead(), fast_dev_run=True)
    assert not file.exists()


def test_a_file_that_no_command_would_know_is_refused():
    with pytest.raises(ValueError, match=r"Shrink\(save='small.pt'\) must end in .safetensors"):
        Shrink(save="small.pt")


def shrunk_in_a_process(folder):
    rank = int(__import__("os").environ["LOCAL_RANK"])
    module, callback = half_dead(), Shrink(save=folder / "small.safetensors")
    fit(
        [pruning(), FineTune(), callback],
        module,
        Images(batch=4),
        strategy="ddp",
        devices=2,
        max_epochs=1,
        limit_val_batches=0,
    )
    # Statistics of BatchNorm are of each process's own data.
    state = {name: one for name, one in module.state_dict().items() if "running" not in name}
    torch.save({"state": state, "error": callback.shrunk.error}, folder / f"rank {rank}.pt")


@pytest.mark.slow
def test_all_processes_end_with_the_same_small_network(tmp_path):
    in_processes(2, shrunk_in_a_process, tmp_path)
    first, second = (torch.load(tmp_path / f"rank {rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["state"]["net.0.weight"].shape == (2, 1, 3, 3)
    assert equal(first, second)
    assert load_small(tmp_path / "small.safetensors", toy(dropout=0.0)).net[0].out_channels == 2
