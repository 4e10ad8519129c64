"""A study from Python objects is the study from their class paths and arguments."""

import re
from functools import partial

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import EarlyStopping
from members import classes
from policy_members import example, members
from studies import BASE, Dropping, study
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import lightning_prune as lp
from lightning_prune import allocation, criteria
from lightning_prune.ablation import Ablation
from lightning_prune.ablation.config.callback_objects import make_callbacks
from lightning_prune.ablation.config.from_objects import written
from lightning_prune.ablation.config.plain_values import plain
from lightning_prune.callbacks.settings.described import describe_object
from lightning_prune.lab import Digits


class Net(LightningModule):
    """A module of one's own, which knows nothing of this package."""

    def __init__(self, width: int = 12, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def training_step(self, batch, _):
        return cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch, _):
        scores = self.layers(batch[0])
        self.log("val/loss", cross_entropy(scores, batch[1]))
        self.log("val/accuracy", (scores.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams.lr, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


class Forgetful(LightningModule):
    def __init__(self, width: int) -> None:
        super().__init__()


class Inherits(Net):
    """Its base class reads ``self.hparams.lr``, which the class itself does not take."""

    def __init__(self, width: int = 12) -> None:
        super().__init__(width, lr=0.05)


def test_hyperparameters_of_a_base_class_that_the_class_does_not_take_are_refused_before_anything_runs():
    wanted = (
        r"Ablation\(base\.model\) is a Inherits, whose base class has saved the hyperparameter `lr`\. Inherits does not"
    )
    with pytest.raises(ValueError, match=wanted):
        written(Inherits(), "base.model")
    assert written(Net(width=3), "base.model")["init_args"] == {"width": 3, "lr": 0.1}


CALLBACKS = [
    *(example(one) for one in members() if one.__name__ in vars(lp)),
    lp.WeightRewind(to="2ep"), lp.ScratchTrain(), lp.Reinitialize(seed=3), lp.EstimateBatchNorm(), lp.ExactResume(),
    lp.IterativePruning(3, "2ep", lp.Levels([0.5, 0.6, 0.7]), criteria.taylor, lp.layerwise),
    lp.IterativePruning(3, "500it", lp.Cubic(0.9, 3), criteria.OnBatches(criteria.snip, 4), lp.WithFloor(0.1, lp.erk)),
    lp.IterativePruning(prunable=lp.Prunable(types=nn.Linear, exclude=["head*"]), during="1ep:3ep", seed=7),
    lp.IterativePruning(1, "0ep", lp.OneShot(0.8), criteria.SynFlow(10), lp.LayerFractions({"*": 0.2})),
]  # fmt: skip


@pytest.mark.parametrize("made", CALLBACKS, ids=repr)
def test_a_callback_is_made_again_from_what_is_written(made):
    entry = plain(written(made, "base"), "")
    (again,) = make_callbacks([entry])
    assert type(again) is type(made)
    if not isinstance(made, lp.TorchScheduler):  # its scheduler is wrapped by what has read the config
        assert without_point(describe_object(again)) == without_point(describe_object(made))


def without_point(text):
    """Numbers as they are: a config may hold 100 where a class has the type of 100.0."""
    return re.sub(r"\.0\b", "", text)


def test_every_policy_is_among_them():
    assert len([one for one in CALLBACKS if isinstance(one, lp.LearningRatePolicy)]) > 12
    assert classes(allocation, allocation.rule.Rule)


def of_objects(*names):
    pruning = lp.IterativePruning(cycles=1, retrain="1ep", sparsity=lp.OneShot(0.5))
    trainer = {"max_epochs": 2, "accelerator": "cpu", "callbacks": [pruning]}
    base = {"model": partial(Net, width=10), "data": partial(Digits, batch_size=64, subset=192), "trainer": trainer}
    arms = {
        "fine-tuning": [],
        "LR rewinding": [lp.LRRewind(to="1ep")],
        "one callback": lp.FineTune(lr=0.01),
        "wider": {"model.width": 14},
    }
    return Ablation(base=base, arms={name: arms[name] for name in names or arms}, seeds=[0], name="mine")


def test_a_study_of_objects_is_that_of_class_paths():
    made = of_objects()
    assert [arm.name for arm in made.config.arms] == ["fine-tuning", "LR rewinding", "one callback", "wider"]
    base = made.config.base
    assert base["model"] == {"class_path": f"{Net.__module__}.Net", "init_args": {"width": 10}}
    assert base["trainer"]["callbacks"][0]["init_args"]["sparsity"]["init_args"] == {"final": 0.5}
    again = Ablation.from_config({**made.config.given})
    assert [run.resolved.config for run in again.runs] == [run.resolved.config for run in made.runs]


@pytest.mark.slow
def test_it_is_trained_and_reported(tmp_path):
    made = of_objects()
    frame = made.run(tmp_path / "out", workers=0)
    assert frame["error"].isna().all()
    assert sorted(frame["arm"].unique()) == ["LR rewinding", "fine-tuning", "one callback", "wider"]
    assert set(frame.loc[frame["cycle"] == 1, "density"].round(3)) == {0.5}
    page = made.report()
    assert page.is_file()
    assert page.parent == tmp_path / "out" / "report"


def test_a_module_that_has_saved_its_arguments_stands_for_itself():
    entry = written(Net(width=20), "base.model")
    assert entry == {"class_path": f"{Net.__module__}.Net", "init_args": {"width": 20, "lr": 0.1}}
    assert written(Net, "base.model") is Net


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (Forgetful(3), r"Ablation\(base.model\) is a Forgetful, whose `width` nobody knows.*functools.partial\(Forgetful"),
        (partial(Net, 3), r"Ablation\(base.model\) is a partial of .*Net: give one of a class, by names"),
        (EarlyStopping("val/loss"), r"is a EarlyStopping, which nobody knows any more.*partial\(EarlyStopping"),
    ],
)  # fmt: skip
def test_an_object_that_nobody_can_make_again_is_refused(given, error):
    with pytest.raises(ValueError, match=error):
        Ablation(base={"model": given, "trainer": {}}, arms={"a": []})


def loaders():
    return DataLoader([0]), DataLoader([0])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (DataLoader([0]), r"is a DataLoader"),
        (TensorDataset(torch.zeros(1)), r"is a TensorDataset"),
        (TensorDataset, r"is torch.utils.data.dataset.TensorDataset"),
        (partial(TensorDataset, torch.zeros(1)), r"is torch.utils.data.dataset.TensorDataset"),
        (loaders, r"is test_from_objects.loaders"),
    ],
    ids=["loader", "dataset", "class", "partial", "function"],
)
def test_data_that_is_no_data_module_is_refused_with_what_to_write(data, said):
    with pytest.raises(
        ValueError, match=rf"Ablation\(base.data\) {said}, and.* give the class of a LightningDataModule"
    ):
        Ablation(base={"model": Net, "data": data, "trainer": {}}, arms={"a": []})


def test_other_objects_and_half_a_study_are_refused():
    with pytest.raises(ValueError, match="which no config can hold"):
        Ablation(base={"model": Dropping(), "trainer": {}}, arms={"a": []})
    with pytest.raises(ValueError, match=r"takes base=... and arms=..., or the config"):
        Ablation()
    with pytest.raises(ValueError, match="`arms` is missing"):
        Ablation(base=BASE)
    with pytest.raises(RuntimeError, match="before Ablation.run"):
        Ablation.from_config(study({"a": {}})).report()


def test_classes_of_the_running_program_are_trained_in_its_process(tmp_path, monkeypatch):
    import __main__

    monkeypatch.setattr(__main__, "Net", Net, raising=False)
    monkeypatch.setattr(Net, "__module__", "__main__")
    frame = of_objects("LR rewinding").run(tmp_path / "out")
    assert frame["error"].isna().all()


class Loading(Net):
    """The same with loaders of its own, and no data module."""

    def train_dataloader(self):
        return loader(96)

    def val_dataloader(self):
        return loader(32)


def loader(count):
    generator = torch.Generator().manual_seed(count)
    images, labels = torch.rand(count, 8, 8, generator=generator), torch.arange(count) % 10
    return DataLoader(TensorDataset(images, labels), batch_size=16)


def test_a_module_with_loaders_of_its_own_needs_no_data_module(tmp_path):
    pruning = lp.IterativePruning(cycles=1, retrain="1ep", sparsity=lp.OneShot(0.5))
    base = {"model": Loading, "trainer": {"max_epochs": 1, "accelerator": "cpu", "callbacks": [pruning]}}
    frame = Ablation(base=base, arms={"fine-tuning": []}, seeds=1).run(tmp_path / "out", workers=0)
    assert frame["error"].isna().all()
    assert frame["val_last"].notna().all()
    assert frame["epochs"].sum() == 2
