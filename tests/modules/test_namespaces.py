"""``pytorch_lightning`` is ``lightning.pytorch`` under another name: whatever works with the one works with the other."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import lightning.pytorch
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lightning_prune as lp
from lightning_prune.callbacks.compat.namespaces import everywhere, join_namespaces

OTHER = pytest.importorskip("pytorch_lightning")
NAMES = ["lightning.pytorch", "pytorch_lightning"]


def named(name):
    return {"lightning.pytorch": lightning.pytorch, "pytorch_lightning": OTHER}[name]


def module_of(pl, seed=1):
    class Net(pl.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(seed)
            self.backbone = nn.Linear(8, 12)
            self.net = nn.Sequential(nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 2))

        def forward(self, x):
            return self.net(self.backbone(x))

        def training_step(self, batch, _):
            loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def validation_step(self, batch, _):
            self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

        def configure_optimizers(self):
            optimizer = torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2)]

    return Net()


def data(shuffle=True):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(48, 8, generator=generator)
    return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=8, shuffle=shuffle)


def callbacks(**options):
    return [lp.IterativePruning(**{"cycles": 2, "retrain": "2ep", "sparsity": lp.Geometric(0.5), **options})]


def fit(pl, tmp_path, more=(), ckpt_path=None, max_epochs=3, module=None, **options):
    pl.seed_everything(3, verbose=False)
    module = module_of(pl) if module is None else module
    given = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pl.Trainer(max_epochs=max_epochs, callbacks=list(more), default_root_dir=tmp_path, **{**given, **options})
    trainer.fit(module, data(), data(shuffle=False), ckpt_path=ckpt_path, weights_only=False)
    return trainer, module


def weights_of(module):
    return torch.cat([tensor.float().flatten() for tensor in module.state_dict().values()])


def zeros(module):
    return sum(int((module.get_parameter(name) == 0).sum()) for name in ("backbone.weight", "net.3.weight"))


def test_the_same_run_in_both_namespaces_has_the_same_weights(tmp_path):
    ends = []
    for name in NAMES:
        _, module = fit(named(name), tmp_path / name, [*callbacks(), lp.LRRewind()])
        assert zeros(module) == 90  # of 120
        ends.append(weights_of(module))
    assert torch.equal(*ends)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_in_both_namespaces_a_run_resumes_exactly(tmp_path, name, epoch):
    pl = named(name)

    def those():
        saving = pl.callbacks.ModelCheckpoint(tmp_path / "all", filename="{epoch}", save_top_k=-1)
        return [*callbacks(), lp.WeightRewind(to="1ep"), lp.LRRewind(to="1ep"), saving]

    _, whole = fit(pl, tmp_path, those())
    _, resumed = fit(pl, tmp_path, those(), ckpt_path=tmp_path / "all" / f"epoch={epoch}.ckpt")
    assert torch.equal(weights_of(whole), weights_of(resumed))


@pytest.mark.parametrize("trainer", NAMES)
@pytest.mark.parametrize("callback", NAMES)
def test_an_early_stopping_of_either_namespace_ends_the_cycle(tmp_path, trainer, callback):
    stopping = named(callback).callbacks.EarlyStopping("val_loss", patience=1, min_delta=1e6)
    made = callbacks()
    trainer, module = fit(named(trainer), tmp_path, [*made, stopping], max_epochs=20, enable_checkpointing=False)
    assert made[0].cycle.index == 2
    assert zeros(module) == 90
    assert trainer.current_epoch == 2 + 2 + 2  # the dense run stops after two epochs, and each cycle has two


@pytest.mark.parametrize("name", NAMES)  # Lightning itself cannot average a module of the other namespace
def test_an_average_of_either_namespace_starts_afresh_from_the_pruned_network(tmp_path, name):
    average = named(name).callbacks.EMAWeightAveraging(decay=0.5)
    _, module = fit(named(name), tmp_path, [*callbacks(), average], enable_checkpointing=False)
    assert zeros(module) == 90


@pytest.mark.parametrize("trainer", NAMES)
@pytest.mark.parametrize("callback", NAMES)
def test_a_best_checkpoint_of_either_namespace_is_as_sparse_as_the_last_cycle(tmp_path, trainer, callback):
    saving = named(callback).callbacks.ModelCheckpoint(tmp_path, monitor="val_loss", mode="max")
    fit(named(trainer), tmp_path, [*callbacks(), saving], enable_checkpointing=True)
    module = module_of(named(trainer))
    module.load_state_dict(torch.load(saving.best_model_path, weights_only=True)["state_dict"])
    assert zeros(module) == 90


@pytest.mark.parametrize("trainer", NAMES)
@pytest.mark.parametrize("callback", NAMES)
@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        ("StochasticWeightAveraging", {"swa_lrs": 0.1}, "StochasticWeightAveraging and IterativePruning"),
        ("ModelPruning", {"pruning_fn": "l1_unstructured"}, "would both prune"),
    ],
)
def test_a_callback_of_either_namespace_that_cannot_go_together_is_refused(
    tmp_path, trainer, callback, kind, options, error
):
    other = getattr(named(callback).callbacks, kind)(**options)
    with pytest.raises(ValueError, match=error):
        fit(named(trainer), tmp_path, [*callbacks(), other], enable_checkpointing=False)


@pytest.mark.parametrize("trainer", NAMES)
@pytest.mark.parametrize("callback", NAMES)
def test_a_backbone_that_a_callback_of_either_namespace_unfreezes_is_pruned(tmp_path, trainer, callback):
    thawing = named(callback).callbacks.BackboneFinetuning(1, verbose=False)
    _, module = fit(named(trainer), tmp_path, [*callbacks(), thawing], enable_checkpointing=False)
    assert zeros(module) == 90


@pytest.mark.parametrize("name", NAMES)  # nor schedule its windows
def test_windows_that_a_callback_of_either_namespace_schedules_are_counted(tmp_path, name):
    windows = named(name).callbacks.GradientAccumulationScheduler({0: 1, 3: 3})
    made = callbacks()
    fit(named(name), tmp_path, [*made, windows], enable_checkpointing=False)
    assert made[0].cycle.steps == 4  # 2 epochs of 6 batches, 3 to a step


@pytest.mark.parametrize("trainer", NAMES)
@pytest.mark.parametrize("kind", ["CSVLogger", "TensorBoardLogger"])
@pytest.mark.parametrize("logger", NAMES)
def test_a_logger_of_either_namespace_holds_cycles_and_the_record(tmp_path, trainer, kind, logger):
    made = getattr(named(logger).loggers, kind)(tmp_path, name="run", version=0)
    used, _ = fit(named(trainer), tmp_path, callbacks(), logger=made, enable_checkpointing=False, log_every_n_steps=1)
    assert Path(used.log_dir, "pruning.json").exists()  # a Trainer knows the folder of its own loggers only
    assert used.log_dir == made.log_dir or trainer != logger
    if kind == "CSVLogger":
        assert "pruning/cycle" in (tmp_path / "run" / "version_0" / "metrics.csv").read_text()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("criterion", ["taylor", "synflow", "snip"])
def test_criteria_look_at_a_module_of_either_namespace(tmp_path, name, criterion):
    chosen = getattr(lp.criteria, criterion)
    _, module = fit(named(name), tmp_path, callbacks(criterion=chosen), enable_checkpointing=False)
    assert zeros(module) == 90


@pytest.mark.parametrize("name", NAMES)
def test_synflow_misses_a_forward_in_a_module_of_either_namespace(tmp_path, name):
    class Without(type(module_of(named(name)))):
        forward = named(name).LightningModule.forward

        def training_step(self, batch, _):
            return self.net(self.backbone(batch[0])).square().mean()

        def validation_step(self, batch, _):
            return None

    with pytest.raises(ValueError, match="Without, which has no forward"):
        fit(
            named(name),
            tmp_path,
            callbacks(criterion=lp.criteria.synflow),
            enable_checkpointing=False,
            module=Without(),
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_trainer_of_either_namespace_takes_our_callbacks_for_its_own(tmp_path, name):
    pl = named(name)
    alone = pl.Trainer(callbacks=lp.IterativePruning(), logger=False, enable_progress_bar=False)
    assert any(isinstance(one, lp.IterativePruning) for one in alone.callbacks)  # without a list
    saving = lp.CycleCheckpoint(monitor="val_loss", dirpath=str(tmp_path / "cycles"))
    trainer, _ = fit(pl, tmp_path, [*callbacks(), saving])
    assert trainer.checkpoint_callbacks == [saving]  # and none of the Trainer's own beside it
    assert len(list((tmp_path / "cycles").glob("cycle=*-last.ckpt"))) == 3
    last = [*callbacks(), lp.CycleCheckpoint(monitor="val_loss", dirpath=str(tmp_path / "cycles"))]
    resumed, _ = fit(pl, tmp_path, last, ckpt_path="last")
    assert resumed.current_epoch == 7


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_that_fails_before_its_first_batch_saves_nothing_in_either_namespace(tmp_path, name):
    pl = named(name)
    fit(pl, tmp_path, [*callbacks(), lp.CycleCheckpoint(dirpath=str(tmp_path / "a"))])
    saving = pl.callbacks.OnExceptionCheckpoint(tmp_path, "failed")
    with pytest.raises(ValueError, match="criterion"), pytest.warns(UserWarning, match="is not written"):
        fit(
            pl,
            tmp_path,
            [*callbacks(criterion=lp.random), lp.CycleCheckpoint(dirpath=str(tmp_path / "a")), saving],
            ckpt_path=next((tmp_path / "a").glob("cycle=01*")),
        )
    assert not (tmp_path / "failed.ckpt").exists()


def test_a_class_is_found_in_both_namespaces_and_others_are_left_alone():
    for path in ("callbacks.EarlyStopping", "Trainer", "loggers.logger.DummyLogger", "LightningModule"):
        module, _, name = f".{path}".rpartition(".")
        ours, theirs = (getattr(import_module(start + module), name) for start in NAMES)
        assert everywhere(ours) == (ours, theirs)
        assert ours is not theirs
    assert everywhere(nn.Linear) == (nn.Linear,)


def test_joining_twice_changes_nothing():
    join_namespaces()
    before = lp.CycleCheckpoint.__mro__
    join_namespaces()
    assert lp.CycleCheckpoint.__mro__ == before
    made = lp.CycleCheckpoint(monitor="loss", mode="max")
    assert isinstance(made, OTHER.callbacks.ModelCheckpoint)
    assert made.monitor == "loss"
    assert made.mode == "max"


@pytest.mark.slow
def test_without_the_other_namespace_everything_works_and_nothing_imports_it(tmp_path):
    code = """
import sys
sys.modules["pytorch_lightning"] = None  # importing it fails
import lightning_prune as lp
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.callbacks import EarlyStopping
callbacks = [lp.IterativePruning(cycles=2, retrain="1ep"), lp.CycleCheckpoint(), EarlyStopping("train_loss", strict=False)]
quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
Trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=0, callbacks=callbacks, **quiet).fit(BoringModel())
assert callbacks[0].measured_sparsity == 23 / 64
assert not [name for name in sys.modules if name.startswith("pytorch_lightning.")], "imported"
"""
    root = str(Path(lp.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=300, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}
    )
