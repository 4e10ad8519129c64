"""The sections `pruning`, `policy` and `start`: on the command line, in configs, and in configs of earlier versions."""

from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from command_line_runs import QUICK, failure, in_an_empty_folder, write  # noqa: F401

from lightning_prune import Filters, FineTune, Geometric, IterativePruning, LRRewind, OneCycleRetrain
from lightning_prune.callbacks.settings.described import describe_object
from lightning_prune.cli import main
from lightning_prune.criteria import random
from lightning_prune.lab import ResNet
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.cli.sections import in_full, with_list

LIST = """
trainer:
  max_epochs: 2
  callbacks:
    - {class_path: lightning_prune.TrainOnly, init_args: {parts: [bias, head]}}
    - class_path: lightning_prune.WeightRewind
      init_args: {to: 1ep}
    - class_path: lightning_prune.OneCycleRetrain
      init_args: {max_lr: 0.3, warmup: 0.4}
    - class_path: lightning_prune.IterativePruning
      init_args:
        cycles: 2
        retrain: 1ep
        criterion: lightning_prune.criteria.random
        allocation: lightning_prune.allocation.layerwise
        sparsity: {class_path: lightning_prune.schedules.Geometric, init_args: {fraction: 0.4}}
model:
  class_path: lightning_prune.lab.Classifier
  init_args:
    network: {class_path: lightning_prune.lab.LeNet300100, init_args: {inputs: 64}}
    optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1, momentum: 0.9}}
    scheduler: {class_path: torch.optim.lr_scheduler.MultiStepLR, init_args: {milestones: [1], gamma: 0.1}}
data: {class_path: lightning_prune.lab.Digits, init_args: {batch_size: 64, subset: 320}}
"""
SECTIONS = """
trainer: {max_epochs: 2, callbacks: [{class_path: TrainOnly, init_args: {parts: [bias, head]}}]}
pruning:
  cycles: 2
  retrain: 1ep
  criterion: random
  allocation: layerwise
  sparsity: {class_path: Geometric, init_args: {fraction: 0.4}}
policy: {class_path: OneCycleRetrain, init_args: {max_lr: 0.3, warmup: 0.4}}
start: {class_path: WeightRewind, init_args: {to: 1ep}}
model:
  class_path: Classifier
  init_args:
    network: {class_path: LeNet300100, init_args: {inputs: 64}}
    optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1, momentum: 0.9}}
    scheduler: {class_path: torch.optim.lr_scheduler.MultiStepLR, init_args: {milestones: [1], gamma: 0.1}}
data: {class_path: Digits, init_args: {batch_size: 64, subset: 320}}
"""


def made(*words, config=SECTIONS):
    """What a command makes, by kind."""
    callbacks = CommandLine([f"--config={write(config)}", *words], run=False).trainer.callbacks
    return {
        kind: [one for one in callbacks if isinstance(one, kind)]
        for kind in (IterativePruning, OneCycleRetrain, FineTune, LRRewind)
    }


def run(name, config, *words):
    Path(f"{name}.yaml").write_text(config)
    main(["fit", f"--config={name}.yaml", f"--trainer.logger.version={name}", "--trainer.logger.name=", *QUICK, *words])
    checkpoint = torch.load(f"runs/{name}/checkpoints/last.ckpt", weights_only=False)
    return checkpoint, pd.read_csv(f"runs/{name}/metrics.csv").drop(columns="pruning/seconds", errors="ignore")


def test_a_config_of_an_earlier_version_gives_the_same_run_bit_for_bit_and_so_does_the_config_it_saves():
    old, logged = run("old", LIST)
    new, logged_too = run("new", SECTIONS)
    again, logged_again = run("again", Path("runs/new/config.yaml").read_text())
    pd.testing.assert_frame_equal(logged, logged_too, check_exact=True)
    pd.testing.assert_frame_equal(logged, logged_again, check_exact=True)
    for one in (new, again):
        assert old["callbacks"].keys() == one["callbacks"].keys()
        for part in ("state_dict", "optimizer_states", "lr_schedulers"):
            torch.testing.assert_close(old[part], one[part], rtol=0, atol=0)
    saved = yaml.safe_load(Path("runs/old/config.yaml").read_text())
    assert saved["policy"]["class_path"] == "lightning_prune.OneCycleRetrain", "the saved config has the sections"


def test_the_two_forms_are_one_config():
    old, new = (in_full(yaml.safe_load(text)) for text in (LIST, SECTIONS))
    listed = [with_list(one)["trainer"]["callbacks"][:3] for one in (old, new)]
    names = [[entry["class_path"].rpartition(".")[2] for entry in one] for one in listed]
    assert names == [["IterativePruning", "OneCycleRetrain", "WeightRewind"]] * 2
    arguments = [{**one[0]["init_args"], "sparsity": None} for one in listed]
    assert arguments[0] == arguments[1]


@pytest.mark.parametrize("config", [LIST, SECTIONS], ids=["list", "sections"])
def test_options_change_what_a_config_says(config):
    clock = made("--pruning.cycles=5", "--pruning.sparsity.fraction", "0.7", config=config)[IterativePruning][0]
    assert (clock.cycles, clock.retrain, clock.sparsity, clock.criterion) == (5, "1ep", Geometric(0.7), random)
    assert made("--policy.max_lr=0.7", config=config)[OneCycleRetrain][0].warmup == 0.4
    assert (
        made("--policy", "OneCycleRetrain", "--policy.max_lr", "0.7", config=config)[OneCycleRetrain][0].warmup == 0.1
    ), "a policy that is named takes no arguments over"
    found = made("--policy=LRRewind", "--policy.to=1ep", config=config)
    assert (len(found[OneCycleRetrain]), [one.to for one in found[LRRewind]]) == (0, ["1ep"])


def test_options_alone_are_enough_and_are_shown(capsys):
    words = ["--pruning.cycles=3", "--pruning.criterion=random", "--policy=FineTune", "--model.network=ResNet"]
    command = CommandLine(words, run=False)
    assert isinstance(command.model.network, ResNet)
    assert made(*words, config="trainer: {max_epochs: 1}")[IterativePruning][0].criterion is random
    with pytest.raises(SystemExit):
        main(["fit", *words, "--print_config"])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["pruning"]["init_args"]["cycles"] == 3
    assert shown["policy"]["class_path"] == "lightning_prune.FineTune"
    assert shown["start"] is None


def test_granularities_have_short_names_too():
    assert (
        made("--pruning.granularity=Filters", config=SECTIONS.replace("criterion: random", "criterion: magnitude"))[
            IterativePruning
        ][0].granularity
        == Filters()
    )


@pytest.mark.parametrize("config", [LIST, SECTIONS], ids=["list", "sections"])
def test_pruning_null_trains_without_pruning(config):
    callbacks = CommandLine([f"--config={write(config)}", "--pruning=null"], run=False).trainer.callbacks
    assert not [
        one
        for one in callbacks
        if type(one).__module__.startswith("lightning_prune.callbacks") and type(one).__name__ != "ExactResume"
    ]
    checkpoint, _ = run("dense", config, "--pruning", "null")
    assert checkpoint["epoch"] == 1
    assert all(bool((weight != 0).all()) for weight in checkpoint["state_dict"].values() if weight.dim() == 2)
    on_again = CommandLine([f"--config={write(config)}", "--pruning=null", "--pruning.cycles=1"], run=False)
    assert [one.cycles for one in on_again.trainer.callbacks if isinstance(one, IterativePruning)] == [1]


def test_a_policy_without_pruning_is_refused(capsys):
    assert "FineTune does nothing without IterativePruning" in failure(
        capsys, "fit", f"--config={write('trainer: {max_epochs: 1}')}", "--policy=FineTune", *QUICK
    )


WRONG = {
    "--policy=LRRewnd": "policy: given was `LRRewnd`, expected a dotted path (such as torch.nn.Linear) or null. Did you mean `LRRewind`?",
    "--policy=Geometric": "policy: `lightning_prune.Geometric` is no class that derives from LearningRatePolicy.",
    "--policy.max_lrr=1": "there is no `max_lrr`. Did you mean `max_lr`?",
    "--pruning.cycels=1": "there is no `cycels`. Did you mean `cycles`?",
    "--pruning.cycles=abc": "cycles: given was `abc`, expected int.",
    "--pruning.sparsity=0.8": "Write `sparsity: {class_path: lightning_prune.OneShot, init_args: {final: 0.8}}`.",
    "--pruning.criterion=magnitud": "Write `criterion: lightning_prune.criteria.magnitude`.",
    "--start.to=1ep": "start: there is no class that could take `to`. Name one: `start: <a StartingPoint>`.",
    "--polcy=FineTune": "There is no `polcy`. Did you mean `policy`?",
}


@pytest.mark.parametrize(("word", "said"), WRONG.items())
def test_a_wrong_option_is_one_message(capsys, word, said):
    config = SECTIONS.replace("start: {class_path: WeightRewind, init_args: {to: 1ep}}\n", "")
    printed = failure(capsys, "fit", f"--config={write(config)}", word)
    assert said in printed
    assert len(printed.splitlines()) == 2


def test_a_scheduler_of_the_command_line_is_described_without_the_command_line():
    scheduler = "{class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 5}}"
    words = ["--policy=TorchScheduler", f"--policy.scheduler={scheduler}", "--pruning.cycles=1"]
    callbacks = CommandLine([f"--config={write(SECTIONS)}", *words], run=False).trainer.callbacks
    policy = next(one for one in callbacks if type(one).__name__ == "TorchScheduler")
    assert len(describe_object(policy)) < 1000
    assert "TorchScheduler(" in repr(policy)
