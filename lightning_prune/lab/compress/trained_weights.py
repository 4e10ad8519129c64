"""Start a fit from weights that somebody has trained: the part of a checkpoint that every file has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from lightning_prune.basics.checkpoints import read_checkpoint
from lightning_prune.basics.user_error import UserError
from lightning_prune.shrinking.small_checkpoints import record_in

WHOLE = {"state_dict", "loops", "callbacks", "optimizer_states"}  # what a dense run is continued from


class TrainedWeights(Callback):
    """Load weights into the module when a fit starts. A fit that resumes has its own.

    Args:
        path: A checkpoint of a Trainer, with or without its optimizers, or a file with a state dict, from
            ``torch.save(...)`` or safetensors. The names of the weights are those of the module, or of one of its
            attributes, such as ``network``.

    Raises:
        UserError: When the fit starts, if the file cannot be read, or its weights are those of another network.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        if stage == "fit":
            load_weights(self.path, pl_module)


def load_weights(path: str | Path, module: nn.Module) -> None:
    """Load the weights of a file into a module.

    Args:
        path: See :class:`TrainedWeights`.
        module: The module. It is changed.

    Raises:
        UserError: If the file cannot be read, or its weights are those of another network.
    """
    weights = read_weights(path)
    owner = owner_of(weights, module)
    if owner is None:
        raise UserError(f"`{path}` holds the weights of another network: {difference(weights, module)}.")
    owner.load_state_dict(weights)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the weights of a file. No code in it is run.

    Args:
        path: See :class:`TrainedWeights`.

    Raises:
        UserError: If the file cannot be read, holds no weights, or is of a small network.
    """
    if Path(path).suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as file:
                is_small = "shrunk" in (file.metadata() or {})
            weights = load_file(path)
        except (SafetensorError, OSError) as error:
            raise UserError(f"`{path}` cannot be read as safetensors: {error}.") from error
        if is_small:
            raise _is_small(path)
        return weights
    content = _content(path)
    found = content.get("state_dict", content)
    if not found or not all(isinstance(one, Tensor) for one in found.values()):
        raise UserError(f"`{path}` holds no weights: give a checkpoint, or a state dict that torch.save wrote.")
    return dict(found)


def can_be_continued(path: str | Path) -> bool:
    """Whether a file holds a whole fit of a Trainer: weights, optimizers and how far it came.

    Args:
        path: The file.

    Raises:
        UserError: If the file cannot be read, or is of a small network.
    """
    return Path(path).suffix != ".safetensors" and _content(path).keys() >= WHOLE


def owner_of(weights: Mapping[str, Tensor], module: nn.Module) -> nn.Module | None:
    """Find the module whose weights these are: the module itself, or else the one attribute that fits.

    Args:
        weights: Weights by name.
        module: A module.

    Example:
        >>> outer = nn.Sequential(nn.Linear(2, 3))
        >>> owner_of(nn.Linear(2, 3).state_dict(), outer) is outer[0], owner_of({}, outer)
        (True, None)
    """
    fitting = [one for one in (module, *module.children()) if _shapes(one.state_dict()) == _shapes(weights)]
    return fitting[0] if fitting else None


def difference(weights: Mapping[str, Tensor], module: nn.Module) -> str:
    """Name the first difference between given weights and those of a module.

    Args:
        weights: Weights by name.
        module: A module.

    Example:
        >>> difference({"weight": nn.Linear(2, 2).weight}, nn.Linear(2, 3, bias=False))
        'weight has the shape (2, 2), and Linear needs (3, 2)'
    """
    given, needed = _shapes(weights), _shapes(module.state_dict())
    kind = type(module).__name__
    if missing := sorted(needed.keys() - given.keys()):
        return f"{kind} needs {missing[0]}, which is not in it"
    if more := sorted(given.keys() - needed.keys()):
        return f"it has {more[0]}, which {kind} does not have"
    name = next(name for name, shape in needed.items() if given[name] != shape)
    return f"{name} has the shape {given[name]}, and {kind} needs {needed[name]}"


def _content(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint or a state dict of a whole network."""
    content = read_checkpoint(path, "lightning-prune compress")
    if record_in(content, f"`{path}`") is not None:
        raise _is_small(path)
    return content


def _is_small(path: str | Path) -> UserError:
    return UserError(f"`{path}` is a small network. Give the weights of the whole one that was trained.")


def _shapes(weights: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(one.shape) for name, one in weights.items() if isinstance(one, Tensor)}
