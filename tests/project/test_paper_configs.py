"""One config for each method of a paper: each says where its numbers come from, becomes objects and runs."""

import importlib
import math
import re
import socket
from pathlib import Path

import pytest
import torch
import yaml
from generated_images import generate_images

import lightning_prune
from lightning_prune import DynamicSparsity, IterativePruning, LRRewind
from lightning_prune.allocation.block_by_block import BlockByBlock
from lightning_prune.callbacks.fit.assembly import assemble, rewinding
from lightning_prune.callbacks.timing.plan import plan
from lightning_prune.callbacks.timing.plan_gradual import plan_inside
from lightning_prune.callbacks.timing.timeline import is_shorter
from lightning_prune.cli import main
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.data import ImageFolders, mnist
from lightning_prune.lab.data.division import set_apart
from lightning_prune.lab.networks.lenet import LeNet300100
from lightning_prune.masks.ticket import Ticket, write_ticket
from lightning_prune.schedules.durations import Duration, parse_duration

ROOT = Path(lightning_prune.__file__).parents[1] / "configs" / "papers"
CONFIGS = sorted(ROOT.rglob("*.yaml"))
SOURCES = {"code", "paper", "derived", "ours", "unconfirmed"}
PAPERS = {
    "frankle_carbin_2019",
    "renda_2020",
    "mikler_2021",
    "le_hua_2021",
    "zimmer_2023",
    "silo_2023",
    "s_cyc_2021",
    "gupta_2022",
    "zhu_gupta_2017",
    "liu_2019",
    "ice_2025",
    "perp_2023",
    "li_2017",
    "mishra_2021",
    "gadhikar_burkholz_2024",
    "gadhikar_2024",
    "oh_2025",
    "kurtic_alistarh_2022",
    "roy_2020",
    "lin_2020",
    "evci_2020",
    "mocanu_2018",
    "peste_2021",
}


def name_of(config):
    return str(config.relative_to(ROOT).with_suffix(""))


def dotted_paths(tree):
    if isinstance(tree, dict | list):
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from dotted_paths(inner)
    elif isinstance(tree, str) and re.fullmatch(r"(lightning_prune|torch)(\.\w+)+", tree):
        yield tree


def exists(path):
    module, _, name = path.rpartition(".")
    return hasattr(importlib.import_module(module), name)


def tree_of(config):
    return yaml.safe_load(config.read_text())


READY = [config for config in CONFIGS if all(map(exists, dotted_paths(tree_of(config))))]
# It needs checkpoints of another run; tests/callbacks/starting_points/test_signed_starts.py trains such a pair.
RECORDED = [ROOT / "oh_2025" / "transfer.yaml"]
MOVING = [config for config in READY if "pruning" not in tree_of(config)]  # RigL and its like, with no cycles
SMALL = [
    config for config in READY if tree_of(config)["model"]["init_args"]["network"]["class_path"].endswith("LeNet300100")
]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_every_paper_has_configs():
    assert {config.parent.name for config in CONFIGS} == PAPERS
    assert READY == CONFIGS, "every class that a config names exists"
    assert all(config.parent.parent == ROOT for config in CONFIGS)


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_a_config_is_short_and_names_its_paper(config):
    lines = config.read_text().splitlines()
    assert 14 <= len(lines) <= 40
    assert max(map(len, lines)) <= 120
    head = " ".join(line for line in lines if line.startswith("# "))
    assert config.parent.name[-4:] in head
    assert "logger" not in tree_of(config)["trainer"], "a run is named after its config, or after a copy of it"


def without_source(text):
    """The lines with a number and no source: beside it, above it, or beside or above what it belongs to."""
    depth = 10**6  # what lies deeper has a source
    for line in text.splitlines():
        content, _, comment = line.partition("# ")
        indent = len(line) - len(line.lstrip())
        depth = depth if indent > depth else 10**6
        if SOURCES & set(re.findall(r"\w+", comment)):
            depth = indent if content.strip() else indent - 1
        elif indent <= depth and re.search(r"(?<![\w.])\d", content) and not re.match(UNSOURCED, content):
            yield line.strip()
        elif depth == indent - 1 and "{" in content:  # the comment above was of one line
            depth = 10**6


UNSOURCED = r"seed_everything|  log_every_n_steps|  logger|  cycles: 1$"


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_every_number_has_its_source(config):
    assert not list(without_source(config.read_text()))


def test_a_number_without_a_source_is_found():
    text = "a: 1  # paper\nb: 2\nc:  # code\n  d: 3\n# ours: why\ne: {f: 4}\ng: 5  # because\nh: six\n  # unconfirmed\n  i:\n    j: 7"
    assert list(without_source(text)) == ["b: 2", "g: 5  # because"]


# What the papers and their code have: length, batch, then lr, momentum, weight decay, Nesterov, milestones and factor.
RECIPES = {
    "renda_2020": (182, 128, 0.1, 0.9, 2e-4, False, [91, 136], 0.1),
    "mikler_2021/resnet20": (72_000, 128, 0.1, 0.9, 2e-4, True, [36_000, 54_000], 0.1),
    "mikler_2021/wrn16": (80_000, 128, 0.1, 0.9, 4e-4, True, [32_000, 48_000, 64_000], 0.2),
    "le_hua_2021": (160, 64, 0.1, 0.9, 1e-4, False, [80, 120], 0.1),
    "li_2017": (160, 64, 0.1, 0.9, 1e-4, False, [80, 120], 0.1),
    "liu_2019": (160, 64, 0.1, 0.9, 1e-4, False, [80, 120], 0.1),
    "silo_2023/resnet20": (50, 64, 0.03, 0.9, 5e-4, False, [25, 32], 0.1),
    "silo_2023/vgg19": (160, 64, 0.04, 0.9, 5e-4, False, [80, 120], 0.1),
    "gupta_2022": (120, 256, 0.1024, 0.875, 7e-6, True, None, None),
}


@pytest.mark.parametrize("prefix", RECIPES)
def test_recipes_are_those_of_the_sources(prefix):
    configs = [config for config in CONFIGS if name_of(config).startswith(prefix)]
    assert configs
    for config in configs:
        tree = tree_of(config)
        trainer, model = tree["trainer"], tree["model"]["init_args"]
        optimizer, scheduler = model["optimizer"]["init_args"], model["scheduler"]["init_args"]
        length = trainer["max_steps"] if trainer["max_epochs"] == -1 else trainer["max_epochs"]
        found = [length, tree["data"]["init_args"]["batch_size"]]
        found += [optimizer["lr"], optimizer["momentum"], optimizer["weight_decay"], optimizer.get("nesterov", False)]
        assert (*found, scheduler.get("milestones"), scheduler.get("gamma")) == RECIPES[prefix]


def clock_of(tree):
    """The arguments of the IterativePruning of a config."""
    return tree["pruning"]


TICKETS = [config for config in CONFIGS if config.parent.name == "frankle_carbin_2019"]
PRUNING = [config for config in TICKETS if "masks_from" not in clock_of(tree_of(config))]


def test_the_control_takes_the_masks_that_the_config_of_the_tickets_records():
    (control,) = [config for config in TICKETS if config not in PRUNING]
    ticket = tree_of(ROOT / "frankle_carbin_2019" / "lenet.yaml")
    mine, theirs = (clock_of(tree) for tree in (tree_of(control), ticket))
    assert mine["masks_from"] == "runs/papers/frankle_carbin_2019/lenet/version_0"
    assert any(one["class_path"] == "CycleCheckpoint" for one in ticket["trainer"]["callbacks"])
    assert (mine["cycles"], mine["retrain"]) == (theirs["cycles"], theirs["retrain"])
    assert mine["dense_run"] == f"{ticket['trainer']['max_steps']}it"
    for key in ("model", "data"):
        assert tree_of(control)[key] == ticket[key]


@pytest.mark.parametrize("config", PRUNING, ids=name_of)
def test_the_sparsities_of_lottery_tickets_follow_from_the_fractions_of_their_layers(config):
    tree = tree_of(config)
    pruning = clock_of(tree)
    fractions = pruning["allocation"]["init_args"]["fractions"]
    with torch.device("meta"):
        model = CommandLine([f"--config={config}"], run=False).model
    weights = {name: one.numel() for name, one in model.named_parameters() if one.dim() > 1}
    by_name = {name: [one for part, one in fractions.items() if name.startswith(part)] for name in weights}
    fraction = {name: (found or [fractions.get("*")])[0] for name, found in by_name.items()}
    total = sum(weights.values())
    for cycle, level in enumerate(pruning["sparsity"]["init_args"]["levels"], start=1):
        left = sum(size * (1 - fraction[name]) ** cycle for name, size in weights.items())
        assert level == pytest.approx(1 - left / total, abs=1e-5)


def test_phases_of_the_same_share_reach_their_target():
    for name, phases in (("budgeted", 4), ("wrn28_10_adaptive", 3)):
        pruning = clock_of(tree_of(ROOT / "zimmer_2023" / f"{name}.yaml"))
        assert pruning["cycles"] == phases
        assert (1 - pruning["sparsity"]["init_args"]["fraction"]) ** phases == pytest.approx(1 - 0.9, abs=1e-5)
    tree = tree_of(ROOT / "zimmer_2023" / "budgeted.yaml")
    assert tree["trainer"]["max_epochs"] + 4 * int(clock_of(tree)["retrain"].removesuffix("ep")) == 160


FIRST = {config.parent: config for config in reversed(READY)}.values()  # of each paper


@pytest.mark.parametrize(
    "config", [c if c in FIRST else pytest.param(c, marks=pytest.mark.slow) for c in READY], ids=name_of
)
def test_a_config_becomes_objects_and_its_dump_parses_back(config, monkeypatch):
    def refuse(*_):
        raise AssertionError("A config was instantiated, and something was downloaded.")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with torch.device("meta"):  # drawing takes its time
        command = CommandLine([f"--config={config}"], run=False)
    dump = command.parser.dump(command.config)
    assert command.parser.dump(command.parser.parse_string(dump)) == dump
    if config in MOVING:
        assert any(isinstance(callback, DynamicSparsity) for callback in command.trainer.callbacks)
        return
    (pruning,) = [callback for callback in command.trainer.callbacks if isinstance(callback, IterativePruning)]
    levels = {pruning.scheduled(cycle) for cycle in range(1, pruning.cycles + 1)}
    repeats = config.parent.name == "gadhikar_2024"  # a mask that stays is trained again
    assert (pruning.cycles > len(levels)) if repeats else (pruning.cycles == len(levels))
    assert timeline(command, pruning).cycles == pruning.cycles


def timeline(command, pruning):
    """The lengths of the real run, which is never run here: they have to fit together."""
    trainer, data = command.trainer, command.datamodule
    dense = Duration(trainer.max_epochs, "ep") if trainer.max_epochs != -1 else Duration(trainer.max_steps, "it")
    before = None if pruning.dense_run is None else parse_duration(pruning.dense_run, "dense_run")
    images = 60_000 if isinstance(data, mnist.MNIST) else 100_000 if isinstance(data, ImageFolders) else 50_000
    per_epoch = math.ceil((images - set_apart(images, data.validation)) / data.batch_size)
    added = assemble(trainer, gradual=pruning.during is not None)
    if pruning.during is not None:
        return plan_inside(dense, pruning.during, pruning.retrain, pruning.cycles, per_epoch)
    laid_out = plan(dense, pruning.retrain, pruning.cycles, rewinding(trainer, added), per_epoch, before)
    if any(isinstance(callback, LRRewind) and callback.rewind_point is None for callback in trainer.callbacks):
        assert not is_shorter(dense, laid_out.retrain, per_epoch)
    return laid_out


def shortened(config):
    """The config with two cycles at most, and its last sparsity. A fit of one batch is sparse from its start."""
    tree = tree_of(config)
    pruning = tree.get("pruning", {})
    if config in MOVING:
        arguments = tree["trainer"]["callbacks"][0]["init_args"]
        arguments |= {"prune_at": ["0ep"], "release_at": []} if "prune_at" in arguments else {}
    sparsity = pruning.get("sparsity", {"init_args": {}})["init_args"]
    if "cycles" in pruning:
        pruning["cycles"] = min(pruning["cycles"], 2)
    if "masks_from" in pruning:
        record(Path(pruning["masks_from"]))
    if "levels" in sparsity:
        levels = sparsity["levels"]
        sparsity["levels"] = levels[::15] if len(levels) > 15 else [levels[0], levels[-1]]
    if "cycles" in sparsity:
        sparsity["cycles"] = 2
    Path("short.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return "short.yaml"


def record(folder):
    """What a run of lottery tickets would have left: the masks of two cycles."""
    weights = {name: one for name, one in LeNet300100(inputs=784).named_parameters() if one.dim() > 1}
    for cycle, level in enumerate((0.2, 0.5), start=1):
        masks = {
            f"network.{n}": (torch.arange(w.numel()) >= level * w.numel()).view(w.shape) for n, w in weights.items()
        }
        header = {"cycle": cycle, "sparsity": level, "alive": dict.fromkeys(masks, 1), "cycles": []}
        write_ticket(folder / f"{cycle}.safetensors", Ticket(masks, {}, header))


def run(config, monkeypatch):
    generate_images(monkeypatch)
    found = []

    def noted(end):
        def at_the_end(self, *args):
            found.append(self)
            return end(self, *args)

        return at_the_end

    for kind in (IterativePruning, DynamicSparsity):
        monkeypatch.setattr(kind, "on_train_end", noted(kind.on_train_end))
    options = ["--trainer.fast_dev_run=true", "--trainer.accelerator=cpu", "--trainer.enable_model_summary=false"]
    options += ["--data.init_args.batch_size=4", "--data.init_args.validation=0.1"]
    main(["fit", f"--config={shortened(config)}", *options])
    (pruning,) = found
    return pruning


@pytest.mark.parametrize("config", SMALL, ids=name_of)
def test_a_small_config_runs(config, monkeypatch):
    pruning = run(config, monkeypatch)
    assert pruning.measured_sparsity == pytest.approx(wanted(pruning), abs=1e-3)


def wanted(pruning):
    return pruning.sparsity if isinstance(pruning, DynamicSparsity) else pruning.scheduled(pruning.cycles)


@pytest.mark.filterwarnings("ignore:Cycle .* leaves no weight alive")  # after a batch, most weights have moved alike
@pytest.mark.slow
@pytest.mark.parametrize("config", [config for config in READY if config not in (*SMALL, *RECORDED)], ids=name_of)
def test_a_config_runs(config, monkeypatch):
    pruning = run(config, monkeypatch)
    if isinstance(getattr(pruning, "allocation", None), BlockByBlock):  # two of its blocks, whatever the schedule says
        assert 0 < pruning.measured_sparsity < pruning.scheduled(pruning.cycles)
        return
    assert pruning.measured_sparsity == pytest.approx(wanted(pruning), abs=1e-3)
