"""The classifier: learns, logs, leaves plain checkpoints, and survives a trip through YAML."""

from functools import partial

import pytest
import torch
import yaml
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR, OneCycleLR, ReduceLROnPlateau

from lightning_prune.lab import Classifier, ConvNet, Digits, LeNet300100

# Lightning 2.6 calls jsonargparse's `add_instantiator`, which jsonargparse 4.53 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning")


def quick_trainer(**kwargs) -> Trainer:
    settings = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    return Trainer(**{"enable_progress_bar": False, "max_epochs": 1, **settings, **kwargs})


def lenet(**kwargs) -> Classifier:
    return Classifier(LeNet300100(inputs=64), **kwargs)


def test_learns_digits_and_leaves_a_plain_checkpoint(tmp_path):
    seed_everything(0, verbose=False)
    checkpoints = ModelCheckpoint(dirpath=tmp_path, filename="last")
    trainer = quick_trainer(max_epochs=4, callbacks=[checkpoints], enable_checkpointing=True)
    classifier = lenet()
    data = Digits(batch_size=32)
    trainer.fit(classifier, datamodule=data)
    logged = set(trainer.callback_metrics)
    assert logged == {"train/loss", "train/accuracy", "val/loss", "val/accuracy"}
    assert trainer.callback_metrics["val/accuracy"] > 0.9
    tested = trainer.test(classifier, datamodule=data, verbose=False)[0]
    assert tested["test/accuracy"] > 0.9

    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert set(state) == {f"network.{name}" for name in LeNet300100(inputs=64).state_dict()}
    fresh = lenet()
    fresh.load_state_dict(state, strict=True)
    assert all(fresh.state_dict()[name].equal(value) for name, value in classifier.state_dict().items())
    plain = LeNet300100(inputs=64)
    plain.load_state_dict({name.removeprefix("network."): value for name, value in state.items()}, strict=True)
    again = Classifier.load_from_checkpoint(tmp_path / "last.ckpt", network=LeNet300100(inputs=64), weights_only=True)
    assert again.network.classifier.weight.equal(plain.classifier.weight)


def test_loss_and_accuracy_are_those_of_the_whole_set():
    seed_everything(0, verbose=False)
    data = Digits(batch_size=50)  # 360 test images: the last batch is smaller
    classifier = lenet()
    trainer = quick_trainer()
    tested = trainer.test(classifier, datamodule=data, verbose=False)[0]
    probabilities = torch.cat(trainer.predict(classifier, datamodule=data))
    labels = data.source.test.labels
    assert probabilities.sum(dim=1).sub(1).abs().max() < 1e-5
    assert tested["test/accuracy"] == pytest.approx((probabilities.argmax(1) == labels).float().mean().item())
    loss = -probabilities.log()[torch.arange(len(labels)), labels].mean()
    assert tested["test/loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_label_smoothing_is_for_training_only(monkeypatch):
    classifier = lenet(label_smoothing=0.5)
    logged = {}
    monkeypatch.setattr(classifier, "log", lambda name, value, **_: logged.update({name: value}))
    images, labels = torch.randn(4, 64), torch.arange(4)
    scores = classifier(images)
    classifier.training_step((images, labels), 0)
    classifier.validation_step((images, labels), 0)
    assert logged["train/loss"].equal(functional.cross_entropy(scores, labels, label_smoothing=0.5))
    assert logged["val/loss"].equal(functional.cross_entropy(scores, labels))


@pytest.mark.parametrize(
    ("interval", "length", "scheduler", "name"),
    [
        ("step", 8, partial(OneCycleLR, max_lr=0.1), "total_steps"),
        ("epoch", 2, partial(CosineAnnealingLR), "T_max"),
    ],
)
def test_a_schedule_as_long_as_the_run(interval, length, scheduler, name):
    classifier = lenet(scheduler=scheduler, interval=interval, scheduler_length=name)
    trainer = quick_trainer(max_epochs=2, limit_train_batches=4)
    trainer.fit(classifier, datamodule=Digits())
    made = trainer.lr_scheduler_configs[0].scheduler
    assert getattr(made, name) == length == made.last_epoch


def test_a_schedule_as_long_as_an_endless_run_is_refused():
    classifier = lenet(scheduler=lambda optimizer, **kwargs: None, scheduler_length="total_steps")
    with pytest.raises(ValueError, match=r"scheduler_length='total_steps'\) cannot tell .* Set `Trainer\(max_epochs"):
        quick_trainer(max_epochs=-1, max_steps=3).fit(classifier, datamodule=Digits())


def test_milestones_and_plateaus():
    classifier = lenet(scheduler=lambda optimizer: MultiStepLR(optimizer, milestones=[1]))
    trainer = quick_trainer(max_epochs=2, limit_train_batches=2)
    trainer.fit(classifier, datamodule=Digits())
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.01)
    classifier = lenet(scheduler=ReduceLROnPlateau, monitor="val/accuracy")
    trainer = quick_trainer(limit_train_batches=2)
    trainer.fit(classifier, datamodule=Digits())
    assert trainer.lr_scheduler_configs[0].monitor == "val/accuracy"


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")  # which is the intention
def test_all_training_images_and_no_validation():
    trainer = quick_trainer()
    trainer.fit(lenet(), datamodule=Digits(validation=0.0, batch_size=500))
    assert trainer.global_step == 3


@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "bf16-mixed"])
def test_every_precision(precision):
    trainer = quick_trainer(precision=precision, limit_train_batches=2, limit_val_batches=2)
    trainer.fit(lenet(), datamodule=Digits())
    assert trainer.global_step == 2


def test_channels_last_computes_the_same():
    torch.manual_seed(0)
    images = torch.randn(4, 3, 8, 8)
    network = ConvNet(width=4).eval()
    expected = network(images)
    classifier = Classifier(network, channels_last=True)
    assert network.features[3 + 1].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(classifier(images), expected)


def test_a_compiled_network_keeps_its_names():
    classifier = lenet()
    names = list(classifier.state_dict())
    classifier.network.compile(backend="eager")
    quick_trainer(limit_train_batches=2, limit_val_batches=1).fit(classifier, datamodule=Digits())
    assert list(classifier.state_dict()) == names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, r"Classifier\(classes=0\)"),
        ({"label_smoothing": -0.1}, r"Classifier\(label_smoothing=-0.1\)"),
        ({"interval": "batch"}, r"`interval` must be 'epoch' or 'step'"),
        ({"scheduler_length": "T_max"}, r"`scheduler_length` must be None without a `scheduler`"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Classifier(nn.Identity(), **arguments)


WRITTEN = {
    "trainer": {"max_epochs": 2, "accelerator": "cpu", "logger": False, "enable_checkpointing": False},
    "model": {
        "network": {"class_path": "lightning_prune.lab.ResNet", "init_args": {"depth": 8, "channels": 1, "width": 4}},
        "scheduler": {"class_path": "torch.optim.lr_scheduler.OneCycleLR", "init_args": {"max_lr": 0.1}},
        "interval": "step",
        "scheduler_length": "total_steps",
    },
    "data": {"class_path": "lightning_prune.lab.Digits", "init_args": {"batch_size": 100, "padding": 1}},
}


def from_yaml(written: dict) -> LightningCLI:
    return LightningCLI(
        Classifier,
        args=written,
        run=False,
        subclass_mode_data=True,
        save_config_callback=None,
        trainer_defaults={"enable_progress_bar": False, "enable_model_summary": False},
        seed_everything_default=False,
    )


def test_yaml_trains():
    command = from_yaml(WRITTEN)
    command.trainer.fit(command.model, datamodule=command.datamodule)
    steps_an_epoch = 13  # 1,293 images
    assert command.trainer.lr_scheduler_configs[0].scheduler.total_steps == 2 * steps_an_epoch
    assert type(command.model.network).__name__ == "ResNet"


@pytest.mark.parametrize(
    "optimizer",
    [
        None,
        {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
        "lightning_prune.lab.classifier.momentum_sgd",
    ],
)
def test_a_dumped_config_parses_back_to_itself(optimizer):
    written = {**WRITTEN, "model": {**WRITTEN["model"]}}
    if optimizer is not None:
        written["model"]["optimizer"] = optimizer
    first = from_yaml(written)
    dumped = first.parser.dump(first.config)
    second = from_yaml(yaml.safe_load(dumped))
    assert second.parser.dump(second.config) == dumped
    kinds = {type(command.model.optimizer(command.model.parameters())) for command in (first, second)}
    assert len(kinds) == 1


def test_yaml_reaches_torchvision():
    network = {"class_path": "lightning_prune.lab.torchvision_network", "init_args": {"name": "squeezenet1_1"}}
    network["dict_kwargs"] = {"dropout": 0.1}
    command = from_yaml({**WRITTEN, "model": {"network": network}})
    assert command.model.network.classifier[0].p == 0.1
