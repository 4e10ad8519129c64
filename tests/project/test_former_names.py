"""Names of the version before: they work for one release, in Python, in YAML and in checkpoints, and they warn."""

import importlib

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from toys import Rates, fit, toy

import lightning_prune
from lightning_prune import IterativePruning, Reinitialize, ScratchTrain
from lightning_prune.ablation.config.arm_changes import entry
from lightning_prune.basics.renamed import CLASSES, MODULES
from lightning_prune.callbacks import policies
from lightning_prune.callbacks.settings.described import describe_object
from lightning_prune.initializations import sparse_fan_in_

former_classes = pytest.mark.parametrize(("former", "present"), CLASSES.items())
starts = pytest.mark.parametrize("start", [Reinitialize, ScratchTrain])


def made_from_yaml(class_path, **init_args):
    """The callback that a YAML file names."""
    parser = ArgumentParser()
    parser.add_argument("--callbacks", type=list[Callback])
    given = {"callbacks": [{"class_path": class_path, "init_args": init_args}]}
    return parser.instantiate(parser.parse_string(yaml.safe_dump(given))).callbacks[0]


@pytest.mark.parametrize("former", MODULES)
def test_a_module_is_found_under_its_former_name(former):
    module = importlib.import_module(f"lightning_prune.{former}")
    present = importlib.import_module(f"lightning_prune.{MODULES[former]}")
    name = next(name for name, member in vars(present).items() if callable(member) and not name.startswith("_"))
    with pytest.warns(DeprecationWarning, match=f"is {present.__name__} now"):
        assert getattr(module, name) is getattr(present, name)


@former_classes
@pytest.mark.parametrize("module", [lightning_prune, policies], ids=lambda module: module.__name__)
def test_a_class_is_found_under_its_former_name(module, former, present):
    with pytest.warns(DeprecationWarning, match=f"{former} is {module.__name__}.{present} now") as caught:
        assert getattr(module, former) is getattr(module, present)
    assert caught[0].filename == __file__, "the line that has to be changed"
    assert former not in dir(module), "nobody is offered a name that goes"


def test_other_names_are_as_unknown_as_before():
    with pytest.raises(AttributeError, match="module 'lightning_prune' has no attribute 'LRRewnd'"):
        lightning_prune.LRRewnd  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'LRRewnd' from 'lightning_prune'"):
        exec("from lightning_prune import LRRewnd")


ARGUMENTS = {"SchedulerRestart": {"scheduler": {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 5}}}}  # fmt: skip


@former_classes
def test_yaml_may_name_a_class_as_it_was(former, present):
    with pytest.warns(DeprecationWarning, match=f"is lightning_prune.{present} now"):
        made = made_from_yaml(f"lightning_prune.{former}", **ARGUMENTS.get(former, {}))
    assert type(made) is getattr(lightning_prune, present)
    with pytest.warns(DeprecationWarning, match=f"is lightning_prune.{present} now"):
        assert entry(former, "arm 'a'")["class_path"] == f"lightning_prune.{former}", "the arm of a study"


@starts
def test_an_argument_may_be_named_as_it_was(start):
    with pytest.warns(DeprecationWarning, match=rf"{start.__name__}\(initialise=...\) is .*\(initialize=...\) now"):
        former = start(initialise=sparse_fan_in_)
    assert former.initialize is sparse_fan_in_
    assert describe_object(former) == describe_object(start(initialize=sparse_fan_in_))
    assert "initialise" not in describe_object(former)
    with pytest.raises(ValueError, match=rf"{start.__name__} got both initialize=... and initialise=..."):
        start(initialize=sparse_fan_in_, initialise=sparse_fan_in_)


@starts
def test_yaml_may_name_an_argument_as_it_was(start):
    path = "lightning_prune.initializations.sparse_fan_in_"
    with pytest.warns(DeprecationWarning, match=rf"{start.__name__}\(initialise=...\) is"):
        made = made_from_yaml(f"lightning_prune.{start.__name__}", initialise=path)
    assert made.initialize is sparse_fan_in_


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")  # Lightning, of the former name
@pytest.mark.filterwarnings("ignore:The dirpath has changed from")
def test_a_run_of_the_version_before_resumes(tmp_path):
    def train(folder, **options):
        keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        pruning = IterativePruning(cycles=1, retrain="1ep")
        rates, module = Rates(), toy()
        fit([pruning, lightning_prune.DenseScheduleRestart(), Reinitialize(), keep, rates], module, **options)
        return rates.steps, module.state_dict()

    options = {"max_epochs": 1}
    steps, weights = train(tmp_path, **options)
    path = tmp_path / "epoch=0.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    states = checkpoint["callbacks"]
    states["ScheduleRestart"] = states.pop("DenseScheduleRestart")
    settings = states["IterativePruning"]["settings"]
    settings["learning_rate"] = "ScheduleRestart()"
    settings["weights"] = "Reinitialize(seed=0, draw='every-cycle', initialise=None)"
    torch.save(checkpoint, path)
    resumed, ends = train(tmp_path / "resumed", ckpt_path=path, **options)
    assert resumed == steps[-len(resumed) :], "the rates of the dense run are known"
    assert all(torch.equal(weights[name], ends[name]) for name in weights)
