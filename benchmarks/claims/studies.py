"""Read the studies behind the claims: configs of `lightning-prune ablate`, with the images that are available."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lightning_prune.lab import CIFAR10

DIGITS = "scikit-learn's digits"
DOCSTRINGS = "the docstrings of this package"
NAMED = {"Digits": DIGITS, "Docstrings": DOCSTRINGS}
TORCHVISION = "CIFAR-10 as torchvision has it"
CONFIGS = Path("configs", "claims")


def config_of(name: str, size: str) -> Path:
    """Where the config of a study lies, relative to the top of the repository."""
    return CONFIGS / size / f"{name}.yaml"


def read(name: str, size: str, data: str | None, cache: Path) -> dict[str, Any]:
    """Read a study, and put an image folder in the place of torchvision's CIFAR-10 or of the folder in the config.

    Args:
        name: The study, such as ``"rewinding_resnet8"``.
        size: ``"cpu"`` or ``"full"``.
        data: A folder with ``train/<class>/`` and ``test/<class>/``; None for torchvision's CIFAR-10.
        cache: Where the decoded images of that folder are kept.

    Returns:
        What :meth:`lightning_prune.ablation.Ablation.from_config` reads.
    """
    path = config_of(name, size)
    study: dict[str, Any] = yaml.safe_load(path.read_text())
    base: dict[str, Any] = yaml.safe_load((path.parent / study["base"]).read_text())
    if data is not None and base["data"]["class_path"].rpartition(".")[2] in ("CIFAR10", "ImageFolders"):
        base["data"] = in_folders(base["data"], data, cache)
    return {**study, "name": name, "base": base}


def in_folders(given: Mapping[str, Any], data: str, cache: Path) -> dict[str, Any]:
    """The data module of an image folder, with the other arguments as they are for CIFAR-10."""
    constants = CIFAR10.constants
    own = {"root": data, "cache": str(cache), "mean": list(constants.mean), "std": list(constants.std)}
    return {"class_path": "lightning_prune.lab.ImageFolders", "init_args": {**given["init_args"], **own}}
