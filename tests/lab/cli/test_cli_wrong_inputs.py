"""Wrong words on the command line and in configs: one message that says what to write, exit code 2, no traceback."""

import errno
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml
from command_line_runs import PRUNING, QUICK, failure, in_an_empty_folder, write  # noqa: F401

from lightning_prune.basics.config_files import did_you_mean
from lightning_prune.basics.extras import needs_extra
from lightning_prune.cli import main, unwritable


def pruning(text: str, more: str = "") -> str:
    one = f"    - {{class_path: IterativePruning, init_args: {{cycles: 1, retrain: 1ep, {text}}}}}\n"
    return write(f"trainer:\n  max_epochs: 1\n  callbacks:\n{one}{more}")


PRUNABLE = "prunable: {{class_path: lightning_prune.Prunable, init_args: {{{}}}}}"

IN_A_CONFIG = {
    "a sparsity": ("sparsity: 0.8", "Write `sparsity: {class_path: lightning_prune.OneShot, init_args: {final: 0.8}}`"),
    "sparsities": ("sparsity: [0.5, 0.9]", "Write `sparsity: {class_path: lightning_prune.Levels, init_args: {levels: [0.5, 0.9]}}`"),
    "a schedule by name": ("sparsity: one_shot", "{class_path: lightning_prune.schedules.OneShot, init_args: {final: ...}}`"),
    "an allocation by name": ("allocation: layer_wise", "Write `allocation: lightning_prune.allocation.layerwise`"),
    "a criterion by name": ("criterion: snipp", "Write `criterion: lightning_prune.criteria.snip`"),
    "layers": ("prunable: [net.0, net.4*]", "Write `prunable: {class_path: lightning_prune.Prunable, init_args: {include: [net.0, net.4*]}}`"),
    "a layer": ("prunable: net.0", "init_args: {include: [net.0]}}`"),
    "another argument": ("sparsity: {class_path: lightning_prune.OneShot, init_args: {sparsity: 0.8}}", "lightning_prune.OneShot: there is no `sparsity`. There is `final`."),
    "a schedule without its argument": ("sparsity: lightning_prune.OneShot", "lightning_prune.OneShot: `final` is missing."),
    "a type by name": (PRUNABLE.format("types: Linear"), "types: given was `Linear`, expected"),
    "a criterion of one argument": ("criterion: test_cli_wrong_inputs.one_argument", "`test_cli_wrong_inputs.one_argument` must be a function that returns"),
    "a function that selects": ("prunable: test_cli_wrong_inputs.one_argument", "`test_cli_wrong_inputs.one_argument` is no class that derives from Selection"),
}  # fmt: skip


def one_argument(weight):
    return weight


@pytest.mark.parametrize(("text", "words"), IN_A_CONFIG.values(), ids=IN_A_CONFIG)
def test_a_guess_in_a_config_is_answered_with_what_to_write(capsys, text, words):
    printed = failure(capsys, "fit", f"--config={pruning(text)}")
    assert words in printed
    assert len(printed.splitlines()) == 2


def test_one_pattern_and_one_type_are_taken():
    config = pruning(PRUNABLE.format("types: torch.nn.Linear, include: network.hidden"))
    main(["fit", f"--config={config}", *QUICK])
    pruned = yaml.safe_load(Path("runs/config/version_0/pruning.json").read_text())["pruned"]
    assert [one["name"] for one in pruned] == ["network.hidden.1.weight", "network.hidden.3.weight"]


REPLAY = "    - {class_path: lightning_prune.LRRewind}\n"
RESTART = "    - {class_path: lightning_prune.TorchScheduler, init_args: {scheduler: torch.optim.lr_scheduler.CosineAnnealingLR}}\n"


def test_callbacks_that_are_wrong_together_or_incomplete_are_one_message(capsys):
    config = pruning("seed: 0", "    - IterativePruning\n")
    assert "IterativePruning and IterativePruning would both count the cycles" in failure(
        capsys, "fit", f"--config={config}", *QUICK
    )
    assert "TorchScheduler > scheduler: `T_max` is missing." in failure(
        capsys, "fit", f"--config={pruning('seed: 0', RESTART)}"
    )
    gone = f"--config={pruning('initial_masks: gone.safetensors')}"
    assert "IterativePruning(initial_masks='gone.safetensors') is not a file" in failure(capsys, "fit", gone, *QUICK)


def test_an_argument_that_would_go_to_another_callback_says_how(capsys):
    config = f"--config={pruning('seed: 0', REPLAY)}"
    printed = failure(capsys, "fit", config, "--trainer.callbacks.cycles", "3", "--trainer.max_epochs=2")
    assert "`--trainer.callbacks.cycles` goes to no callback. Write `--pruning.cycles`." in printed
    assert "Write `--policy.to`." in failure(capsys, "fit", config, "--trainer.callbacks.to=1ep")
    with pytest.raises(SystemExit):
        main(["fit", config, "--pruning.cycles=3", "--print_config"])
    assert "cycles: 3" in capsys.readouterr().out


STUDY = {"base": "config.yaml", "arms": {"LR rewinding": {"callbacks": "LRRewind"}}, "seeds": 1}


def test_a_study_given_to_fit_and_a_run_given_to_ablate_name_the_other_command(capsys):
    config = pruning("seed: 0")
    Path("study.yaml").write_text(yaml.safe_dump(STUDY))
    printed = failure(capsys, "fit", "--config=study.yaml")
    assert (
        "`--config study.yaml` is a study: it has `arms`. Compare them with lightning-prune ablate --config=study"
        in printed
    )
    assert "config.yaml is the config of a run, without `base` and `arms`: lightning-prune fit" in failure(
        capsys, "ablate", f"--config={config}"
    )


def test_a_misspelt_config_names_the_nearest(capsys):
    Path("configs/digits").mkdir(parents=True)
    Path("configs/digits/lr_rewind.yaml").write_text(yaml.safe_dump(STUDY))
    said = "Did you mean `configs/digits/lr_rewind.yaml`?"
    for words in (["fit", "--config=configs/digits/lr_rewnd.yaml"], ["fit", "--config", "config/digit/lr-rewind.yaml"]):
        assert f"`--config {words[-1].removeprefix('--config=')}` does not exist. {said}" in failure(capsys, *words)
    assert f"does not exist. {said}" in failure(capsys, "ablate", "--config=configs/digits/lr_rewnd.yaml")
    assert did_you_mean(Path("configs/digits/quite_another.yaml")) == ""
    assert did_you_mean(Path("configs/digit")) == ""  # a folder is no file


def test_nothing_but_the_command_shows_the_help(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "\n    ablate " in capsys.readouterr().out


def test_a_fit_of_nothing_but_defaults_is_refused_and_its_advice_works(capsys):
    printed = failure(capsys, "fit")
    assert "nothing would be pruned, and 1,000 dense epochs trained: there is no `pruning`" in printed
    assert not Path("runs").exists()
    advice = [word.rstrip(".") for word in printed.split(", or add ")[1].split(" For a dense run")[0].split()]
    short = {
        "--trainer.max_epochs=20": "--trainer.max_epochs=1",
        "--pruning.cycles=10": "--pruning.cycles=1",
    }
    assert short.keys() < set(advice)
    main(["fit", *[short.get(word, word) for word in advice], *QUICK])
    assert yaml.safe_load(Path("runs/version_0/pruning.json").read_text())["finished"]


class Bilinear(torch.nn.Module):
    """Has the name of a class of torch."""


CLASSES = {
    "a callback": ("trainer: {callbacks: [{class_path: IterativePrunning}]}", [], "Did you mean `IterativePruning`?"),
    "data": ("{}", ["--data=Digitz"], "data: given was `Digitz`, expected a dotted path (such as torch.nn.Linear) or null. Did you mean `Digits`?"),
    "a module": ("model: {class_path: myne.Net}", [], "model > myne.Net: there is no module `myne` in the current folder, nor installed."),
    "a module of a callback": ("trainer: {callbacks: [{class_path: myne.Log}]}", [], "myne.Log: there is no module `myne`"),
    "a name of two": ("{}", ["--model.network=Bilinear"], "network: there are several `Bilinear`. Give the path of one: "),
}  # fmt: skip


@pytest.mark.parametrize(("text", "more", "words"), CLASSES.values(), ids=CLASSES)
def test_a_class_that_is_not_there_is_one_message(capsys, text, more, words):
    printed = failure(capsys, "fit", f"--config={write(text)}", *more)
    assert words in printed
    assert len(printed.splitlines()) == 2


@pytest.mark.parametrize("words", [["--trainer.logger.save_dir=file"], ["--data=CIFAR10", "--data.root=file"]])
def test_a_folder_that_cannot_be_written_is_one_message(capsys, words):
    Path("file").write_text("")
    network = ["--model.network=ConvNet"] if len(words) > 1 else []
    printed = failure(capsys, "fit", f"--config={pruning('seed: 0')}", *words, *network, *QUICK)
    message = next(line for line in printed.splitlines() if line.startswith("lightning-prune fit: error: "))
    assert "cannot be written" in message
    assert "Give another folder: --trainer.logger.save_dir, --trainer.default_root_dir, --data.root." in message


def test_a_folder_of_somebody_else_is_told_from_other_errors():
    refused = PermissionError(errno.EACCES, "Permission denied", "/root/out")
    assert (
        unwritable(refused, ["ablate"])
        == "/root/out cannot be written (Permission denied). Give another folder: --out, --store."
    )
    assert unwritable(OSError(errno.ENOSPC, "No space left on device", "/out"), ["ablate"]) is None
    assert unwritable(ValueError("x"), ["fit"]) is None


def test_a_refused_resumption_does_not_offer_the_command_that_failed(capsys):
    quick = ["--trainer.logger.version=one", *QUICK]
    main(["fit", f"--config={write(PRUNING.format(dense=2, cycles=1, to='1ep'))}", *quick])
    config = write(PRUNING.format(dense=2, cycles=1, to="0"))
    printed = failure(capsys, "fit", f"--config={config}", "--ckpt_path=runs/config/one/checkpoints/last.ckpt", *quick)
    assert "cannot resume" in printed
    assert "To resume" not in printed


@pytest.mark.parametrize(
    ("part", "name", "missing", "extra"),
    [("lab", "Digits", "torchvision", "cli"), ("ablation", "Ablation", "pandas", "studies")],
)
def test_an_import_without_the_extra_names_it(monkeypatch, part, name, missing, extra):
    for loaded in [one for one in sys.modules if one.startswith((f"lightning_prune.{part}", missing))]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        ModuleNotFoundError, match=rf"lightning_prune.{part} needs {missing}.*pip install 'lightning-prune\[{extra}\]'"
    ):
        getattr(import_module(f"lightning_prune.{part}"), name)
    with pytest.raises(ModuleNotFoundError, match="^No module named 'lightning_prune.gone'$"), needs_extra("x", "y"):
        import_module("lightning_prune.gone")
