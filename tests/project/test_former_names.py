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
from lightning_prune import Geometric, IterativePruning, LayerFractions, Reinitialize, ScratchTrain
from lightning_prune.ablation.config.arm_changes import changed
from lightning_prune.ablation.config.callback_objects import make_callbacks
from lightning_prune.basics.renamed import CLASSES, MODULES, with_present_names
from lightning_prune.callbacks import policies
from lightning_prune.callbacks.settings.described import describe_object
from lightning_prune.callbacks.starting_points.initializations import sparse_fan_in_

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


@pytest.mark.parametrize(
    ("module", "former", "present"),
    [
        (module, *names)
        for module in (lightning_prune, policies)
        for names in CLASSES.items()
        if names[1] in dir(module)
    ],
)
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


def test_a_module_does_not_offer_former_names_of_other_modules():
    with pytest.raises(AttributeError, match="no attribute 'LayerRates'"):
        policies.LayerRates  # noqa: B018


def test_a_class_is_found_in_its_former_module():
    with pytest.warns(DeprecationWarning, match="allocation.layer_rates is lightning_prune.allocation.layer_fractions"):
        from lightning_prune.allocation.layer_rates import LayerRates
    assert LayerRates is LayerFractions


ARGUMENTS = {"SchedulerRestart": {"scheduler": {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 5}}}}  # fmt: skip


@pytest.mark.parametrize(("former", "present"), [(a, b) for a, b in CLASSES.items() if hasattr(policies, b)])
def test_yaml_may_name_a_class_as_it_was(former, present):
    with pytest.warns(DeprecationWarning, match=f"is lightning_prune.{present} now"):
        made = made_from_yaml(f"lightning_prune.{former}", **ARGUMENTS.get(former, {}))
    assert type(made) is getattr(lightning_prune, present)
    with pytest.warns(DeprecationWarning, match=f"is lightning_prune.{present} now"):
        arm = changed({}, {"policy": {"class_path": former, "init_args": ARGUMENTS.get(former, {})}}, "arm 'a'")
    assert arm["trainer"]["callbacks"][0]["class_path"] == f"lightning_prune.{former}", "the arm of a study"


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
    path = "lightning_prune.callbacks.starting_points.initializations.sparse_fan_in_"
    with pytest.warns(DeprecationWarning, match=rf"{start.__name__}\(initialise=...\) is"):
        made = made_from_yaml(f"lightning_prune.{start.__name__}", initialise=path)
    assert made.initialize is sparse_fan_in_


def test_a_fraction_may_be_called_a_rate_as_it_was():
    with pytest.warns(DeprecationWarning, match=r"Geometric\(rate=...\) is Geometric\(fraction=...\) now") as caught:
        former = Geometric(rate=0.3, initial=0.5)
    assert former == Geometric(0.3, 0.5), "the arguments have the places that they had"
    assert caught[0].filename == __file__, "the line that has to be changed"
    assert repr(former) == "Geometric(fraction=0.3, initial=0.5)"
    with pytest.warns(DeprecationWarning, match=r"Geometric.rate is Geometric.fraction now"):
        assert former.rate == 0.3
    with pytest.warns(DeprecationWarning, match=r"LayerFractions\(rates=...\) is"):
        assert LayerFractions(rates={"*": 0.3}) == LayerFractions({"*": 0.3})
    with pytest.warns(DeprecationWarning, match=r"LayerFractions.rates is"):
        assert LayerFractions({"*": 0.3}).rates == {"*": 0.3}
    with pytest.raises(ValueError, match="Geometric got both fraction=... and rate=..."):
        Geometric(fraction=0.3, rate=0.4)
    with (
        pytest.raises(ValueError, match=r"Geometric\(fraction=1.5\) must lie"),
        pytest.warns(DeprecationWarning, match="rate"),
    ):
        Geometric(rate=1.5)
    with pytest.raises(TypeError, match=r"no argument `ratio`: write Geometric\(fraction, initial\)"):
        Geometric(ratio=0.3)


def test_yaml_may_call_a_fraction_a_rate_as_it_was():
    allocation = {"class_path": "lightning_prune.LayerRates", "init_args": {"rates": {"*": 0.4}}}
    sparsity = {"class_path": "lightning_prune.schedules.Geometric", "init_args": {"rate": 0.3}}
    with pytest.warns(DeprecationWarning, match="now: write that") as caught:
        made = made_from_yaml("lightning_prune.IterativePruning", sparsity=sparsity, allocation=allocation)
    assert made.sparsity == Geometric(0.3)
    assert made.allocation == LayerFractions({"*": 0.4})
    said = {str(one.message).partition(" now")[0] for one in caught}
    assert said >= {
        "lightning_prune.LayerRates is lightning_prune.LayerFractions",
        "Geometric(rate=...) is Geometric(fraction=...)",
        "LayerFractions(rates=...) is LayerFractions(fractions=...)",
    }


@pytest.mark.parametrize("base", [{"rate": 0.5}, {"initial": 0.0}], ids=["in the base, too", "in the arm"])
def test_an_arm_of_a_study_may_call_a_fraction_a_rate_as_it_was(base):
    sparsity = {"class_path": "lightning_prune.schedules.Geometric", "init_args": base}
    config = changed({"pruning": {"sparsity": sparsity}}, {"sparsity.rate": 0.4}, "arm 'a'")
    with pytest.warns(DeprecationWarning, match=r"Geometric\(rate=...\) is"):
        assert make_callbacks(config["trainer"]["callbacks"])[0].sparsity == Geometric(0.4)


def test_settings_of_other_classes_keep_their_names():
    mine = "WithFloor(minimum=2, allocation=Mine(rate=0.2, rates=[1]))"
    assert with_present_names(mine) == mine


def test_a_run_of_the_version_before_resumes(tmp_path):
    def train(folder, **options):
        keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        pruning = IterativePruning(cycles=1, retrain="1ep", allocation=LayerFractions({"*": 0.2}))
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
    assert settings["allocation"] == "LayerFractions(fractions={'*': 0.2})"
    settings["allocation"] = "LayerRates(rates={'*': 0.2})"
    settings["sparsity"] = "Geometric(rate=0.2, initial=0.0)"
    settings["learning_rate"] = "ScheduleRestart()"
    settings["weights"] = "Reinitialize(seed=0, draw='every-cycle', initialise=None)"
    torch.save(checkpoint, path)
    resumed, ends = train(tmp_path / "resumed", ckpt_path=path, **options)
    assert resumed == steps[-len(resumed) :], "the rates of the dense run are known"
    assert all(torch.equal(weights[name], ends[name]) for name in weights)
