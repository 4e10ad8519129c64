"""``retrain="0ep"``: prune when the dense run is over, and train no more."""

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lightning_prune as lp


class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(nn.Linear(8, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 2))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, _):
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


class Seen(pl.Callback):
    """The number of zeros at each validation and at each end of an epoch."""

    def __init__(self):
        self.validated, self.ended, self.losses = [], [], []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.validated.append(zeros(pl_module))
            self.losses.append(float(trainer.callback_metrics["val_loss"]))

    def on_train_epoch_end(self, trainer, pl_module):
        self.ended.append(zeros(pl_module))


def data(shuffle=True):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(48, 8, generator=generator)
    return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=8, shuffle=shuffle)


def zeros(module):
    return sum(int((module.get_parameter(name) == 0).sum()) for name in ("net.0.weight", "net.4.weight"))


def pruning(**options):
    return lp.IterativePruning(**{"cycles": 1, "retrain": "0ep", "sparsity": lp.OneShot(0.75), **options})


def fit(tmp_path, callbacks, ckpt_path=None, module=None, **options):
    pl.seed_everything(3, verbose=False)
    module = Net() if module is None else module
    given = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    given |= {"max_epochs": 3, "default_root_dir": tmp_path, **options}
    if not any(isinstance(one, pl.callbacks.Checkpoint) for one in callbacks):
        given["enable_checkpointing"] = False
    trainer = pl.Trainer(callbacks=callbacks, **given)
    trainer.fit(module, data(), data(False), ckpt_path=ckpt_path, weights_only=False)
    return trainer, module


def loaded(path):
    module = Net()
    module.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
    return module


@pytest.mark.parametrize(
    ("options", "steps"),
    [({}, 18), ({"max_epochs": None, "max_steps": 14}, 14), ({"max_steps": 14}, 14), ({"max_epochs": 0}, 0)],
)
@pytest.mark.parametrize("retrain", ["0ep", 0, "0it"])
def test_the_dense_run_goes_to_its_end_and_the_pruned_network_is_delivered(tmp_path, options, steps, retrain):
    extra = {"dense_run": "3ep"} if options.get("max_epochs") == 0 else {}
    plain = Net()
    if steps:
        _, plain = fit(tmp_path, [], **options)
    made, seen = pruning(retrain=retrain, **extra), Seen()
    trainer, module = fit(tmp_path, [made, seen], **options)
    assert trainer.global_step == steps
    assert zeros(module) == 90
    assert made.measured_sparsity == 0.75
    assert made.cycle == lp.Cycle(1, steps, 0, 0.75)
    for name, weight in module.named_parameters():  # living weights are those of the dense run
        dense = plain.get_parameter(name)
        expected = dense * made.masks[name] if name in made.masks else dense
        assert torch.equal(weight, expected)


def test_the_dense_run_is_validated_as_ever_and_the_pruned_network_once_more(tmp_path):
    dense, seen = Seen(), Seen()
    fit(tmp_path, [dense])
    trainer, module = fit(tmp_path, [pruning(), seen])
    assert seen.losses[:3] == dense.losses
    assert seen.validated == [0, 0, 0, 90]
    assert seen.ended == [0, 0, 0]
    (again,) = pl.Trainer(logger=False, enable_progress_bar=False, accelerator="cpu").validate(
        module, data(False), verbose=False
    )
    assert seen.losses[3] == again["val_loss"]
    assert trainer.callback_metrics["val_loss"] == seen.losses[3]


def test_a_fit_without_validation_is_pruned_and_saved(tmp_path):
    saving = pl.callbacks.ModelCheckpoint(tmp_path / "files", save_last=True)
    _, module = fit(tmp_path, [pruning(), saving], limit_val_batches=0)
    assert zeros(module) == zeros(loaded(saving.best_model_path)) == zeros(loaded(saving.last_model_path)) == 90


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("on_epoch_end", [None, True])
def test_every_model_checkpoint_holds_the_pruned_network_at_the_end(tmp_path, every, on_epoch_end):
    common = {"every_n_epochs": every, "save_on_train_epoch_end": on_epoch_end, "save_last": True}
    best = pl.callbacks.ModelCheckpoint(tmp_path / "best", monitor="val_loss", **common)
    newest = pl.callbacks.ModelCheckpoint(tmp_path / "newest", **common)
    fit(tmp_path, [pruning(), best, newest])
    for saving in (best, newest):
        assert zeros(loaded(saving.best_model_path)) == zeros(loaded(saving.last_model_path)) == 90
        assert len(list((tmp_path / saving.dirpath).glob("*step*.ckpt"))) == 1  # save_top_k


def test_the_checkpoints_of_cycles_are_those_of_the_dense_run_and_of_the_pruned_network(tmp_path):
    fit(tmp_path, [pruning(), lp.CycleCheckpoint(monitor="val_loss", dirpath=str(tmp_path / "files"))])
    found = {path.name: zeros(loaded(path)) for path in (tmp_path / "files").iterdir()}
    assert found == {
        "cycle=00-density=1.000-best.ckpt": 0,
        "cycle=00-density=1.000-last.ckpt": 0,
        "cycle=01-density=0.250-best.ckpt": 90,
        "cycle=01-density=0.250-last.ckpt": 90,
    }


def everything(trainer, module):
    saved = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    state = saved["callbacks"]["IterativePruning"]
    tensors = [*module.state_dict().values(), *state["masks"].values()]
    tensors += [one for held in saved["optimizer_states"][0]["state"].values() for one in held.values()]
    return torch.cat([tensor.double().flatten() for tensor in tensors])


@pytest.mark.parametrize("criterion", [lp.random, lp.criteria.snip], ids=["random", "snip"])
@pytest.mark.parametrize("epoch", [0, 2, 3])
def test_resumed_from_an_epoch_end_or_after_the_prune_it_ends_as_the_run_that_was_not_stopped(
    tmp_path, epoch, criterion
):
    def those():
        saving = pl.callbacks.ModelCheckpoint(tmp_path / "all", filename="{epoch}", save_top_k=-1)
        return [pruning(criterion=criterion), saving]

    whole, module = fit(tmp_path, those())
    expected = everything(whole, module)
    path = tmp_path / "all" / f"epoch={epoch}.ckpt"
    assert zeros(loaded(path)) == (90 if epoch == 3 else 0)
    whole, module = fit(tmp_path, those(), ckpt_path=path)
    assert torch.equal(everything(whole, module), expected)


@pytest.mark.parametrize("mode", ["cycle", "run"])
@pytest.mark.parametrize("limits", [{"max_epochs": 9}, {"max_epochs": None, "max_steps": 60}])
def test_early_stopping_ends_the_dense_run_and_the_network_is_pruned(tmp_path, mode, limits):
    stopping = pl.callbacks.EarlyStopping("val_loss", patience=1, min_delta=1e6)
    trainer, module = fit(tmp_path, [pruning(early_stopping=mode), stopping], **limits)
    assert zeros(module) == 90
    assert trainer.global_step == 12


def test_time_that_ends_the_dense_run_early_prunes_nothing(tmp_path):
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = trainer.global_step == 8

    _, module = fit(tmp_path, [pruning(), Stop()])
    assert zeros(module) == 0


def test_the_log_and_the_record_tell_the_prune(tmp_path):
    logger = pl.loggers.CSVLogger(tmp_path, "run", 0)
    fit(tmp_path, [pruning()], logger=logger, log_every_n_steps=1)
    rows = (tmp_path / "run" / "version_0" / "metrics.csv").read_text().splitlines()
    names = rows[0].split(",")
    last = [dict(zip(names, row.split(","), strict=True)) for row in rows[1:]]
    assert [row["pruning/sparsity"] for row in last if row["pruning/sparsity"]] == ["0.0"] * 3 + ["0.75"]
    assert last[-1]["val_loss"]
    assert last[-1]["epoch"] == "3"
    assert '"finished": true' in (tmp_path / "run" / "version_0" / "pruning.json").read_text()


def test_rewound_and_pruned_it_is_the_ticket(tmp_path):
    start = lp.WeightRewind(to=0)
    _, module = fit(tmp_path, [pruning(), start, lp.FineTune()])
    first = Net()
    assert zeros(module) == 90
    weight = module.net[0].weight
    assert torch.equal(weight[weight != 0], first.net[0].weight[weight != 0])


def test_an_average_is_as_sparse_as_the_network(tmp_path):
    _, module = fit(tmp_path, [pruning(), pl.callbacks.EMAWeightAveraging(decay=0.5)])
    assert zeros(module) == 90


def test_a_fast_dev_run_goes_through(tmp_path):
    _, module = fit(tmp_path, [pruning()], fast_dev_run=True)
    assert zeros(module) == 90


def test_several_cycles_without_retraining_are_refused():
    with pytest.raises(ValueError, match=r"retrain='0ep', cycles=3\) would prune 3 times.*cycles=1"):
        lp.IterativePruning(cycles=3, retrain="0ep")


def test_a_replay_without_retraining_is_refused(tmp_path):
    with pytest.raises(ValueError, match="disagree"):
        fit(tmp_path, [pruning(), lp.LRRewind(to="1ep")])
