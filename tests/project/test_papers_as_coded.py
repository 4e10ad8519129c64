"""What the papers' configs say of the authors' code is so: networks, images, lengths; what differs is said to be ours."""

import importlib
import re
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import lightning_prune
from lightning_prune.lab.cli.sections import in_full, with_list

ROOT = Path(lightning_prune.__file__).parents[1] / "configs" / "papers"
CONFIGS = sorted(ROOT.rglob("*.yaml"))

# Parameters and convolutions of the network that the authors' code makes, counted there.
CODED = {
    "frankle_carbin_2019/lenet": (266_610, 0),
    "gupta_2022": (23_354_842, 28),
    "le_hua_2021": (869_530, 85),
    "mikler_2021/resnet20": (272_474, 21),
    "mikler_2021/wrn16_8": (10_961_370, 16),
    "renda_2020": (272_762, 22),
    "s_cyc_2021/resnet20": (272_474, 21),
    "s_cyc_2021/vgg19": (139_622_218, 16),
    "silo_2023/resnet20": (272_474, 21),
    "silo_2023/vgg19": (139_622_218, 16),
    "zimmer_2023/adaptive": (853_018, 55),
    "zimmer_2023/budgeted": (853_018, 55),
    "zimmer_2023/compressed": (853_018, 55),
    "zimmer_2023/linear": (853_018, 55),
}
# Those that are not, with the words that say so.
OTHER = {
    "evci_2020": "paper",
    "frankle_carbin_2019/conv": "paper",
    "gadhikar_2024": "ours: smaller than the paper's ResNet-18",
    "gadhikar_burkholz_2024": "ours",
    "ice_2025": "ours; code: ResNet-152",
    "li_2017/resnet": "paper",
    "li_2017/vgg16_a": "ours: no biases in convolutions, max pooling last",
    "kurtic_alistarh_2022": "ours",
    "lin_2020": "paper",
    "liu_2019": "ours: ",
    "mocanu_2018": "ours: the paper has three layers",
    "peste_2021": "code: depth, width; ours",
    "mishra_2021": "ours",
    "oh_2025": "ours",
    "perp_2023": "ours",
    "roy_2020": "paper",
    "silo_2023/densenet40": "unconfirmed: the growth",
    "silo_2023/mobilenet_v2": "ours: torchvision's strides",
    "silo_2023/resnet50": "ours: torchvision's",
    "silo_2023/vit": "ours: the size",
    "zhu_gupta_2017": "ours",
    "zimmer_2023/wrn28_10": "ours: ",
}


def named(prefix):
    return [config for config in CONFIGS if str(config.relative_to(ROOT)).startswith(prefix)]


def part(config, *keys):
    found = with_list(in_full(yaml.safe_load(config.read_text())))
    for key in keys:
        found = found[key]
    return found


def network_of(config):
    given = part(config, "model", "init_args", "network")
    module, _, name = given["class_path"].rpartition(".")
    with torch.device("meta"):
        return getattr(importlib.import_module(module), name)(**given["init_args"])


def source_of_network(config):
    """The comment beside the network, or else above it."""
    lines = config.read_text().splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("    network:")]
    _, beside, comment = lines[place].partition("  # ")
    return comment if beside else lines[place - 1].strip().removeprefix("# ")


def head_of(config):
    return " ".join(line[2:] for line in config.read_text().splitlines() if line.startswith("# "))


def test_every_config_is_of_one_kind():
    of_a_kind = [config for prefix in [*CODED, *OTHER] for config in named(prefix)]
    assert sorted(of_a_kind) == CONFIGS


@pytest.mark.parametrize("prefix", CODED)
def test_a_network_of_the_code_has_its_parameters_and_convolutions(prefix):
    for config in named(prefix):
        network = network_of(config)
        convolutions = sum(isinstance(layer, nn.Conv2d) for layer in network.modules())
        assert (sum(one.numel() for one in network.parameters()), convolutions) == CODED[prefix]
        assert re.match("code|paper", source_of_network(config))


@pytest.mark.parametrize("prefix", OTHER)
def test_another_network_is_not_said_to_be_the_codes(prefix):
    for config in named(prefix):
        assert OTHER[prefix] in source_of_network(config)


def test_dropout_is_that_of_the_code():
    for prefix, rates in (("gupta_2022", {0.3}), ("zimmer_2023/wrn28_10", {0.3}), ("silo_2023/vgg19", {0.5})):
        for config in named(prefix):
            layers = network_of(config).modules()
            assert {layer.p for layer in layers if isinstance(layer, nn.Dropout)} == rates


def test_images_are_varied_as_in_the_code():
    for config in [*named("gupta_2022"), *named("mikler_2021")]:
        assert part(config, "data", "init_args", "border") == "reflect"
    for config in named("zimmer_2023"):
        turned = "wrn28_10" in config.name
        assert part(config, "data", "init_args").get("rotation", 0) == (15 if turned else 0)


@pytest.mark.parametrize("name", ["lenet", "lenet_reinit"])
def test_five_thousand_digits_are_set_apart(name):
    assert part(ROOT / "frankle_carbin_2019" / f"{name}.yaml", "data", "init_args", "validation") == 5000


def test_blocks_of_the_reproducibility_study_go_by_steps_of_its_files():
    lengths = {
        config.stem: part(config, "trainer", "callbacks", 0, "init_args", "retrain") for config in named("mikler_2021")
    }
    assert lengths == {
        "resnet20_fine_tune": "64000it",
        "resnet20_lr_restart": "72000it",
        "resnet20_weight_rewind": "64000it",
        "wrn16_8_lr_restart": "80000it",
        "wrn16_8_weight_rewind": "72000it",
    }


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("le_hua_2021", ["As in the paper and in part of its code, a tenth"]),
        ("mikler_2021", ["20 % at a time"]),
        ("mikler_2021/resnet20", ["momentum of BatchNorm", "0.997"]),
        ("renda_2020", ["standardizes each image by itself", "momentum of BatchNorm", "0.997"]),
        ("silo_2023/resnet20", ["prunes BatchNorm's scales", "keeps its statistics", "Xavier", "36,000"]),
        ("silo_2023/vgg19", ["prunes BatchNorm's scales", "keeps its statistics", "Xavier", "36,000"]),
        ("s_cyc_2021", ["prunes BatchNorm's scales", "keeps its statistics", "Xavier", "36,000", "not public"]),
    ],
)
def test_the_head_says_what_the_code_does_otherwise(prefix, words):
    assert named(prefix)
    for config in named(prefix):
        assert [word for word in words if word not in head_of(config)] == []
