"""What is kept of a pruned network to train it again: its masks and the weights of its rewind point, in one file.

A ticket is a safetensors file: the masks at one bit a weight, the weights and
buffers of the rewind point where there is one, and a JSON header with figures
and configuration. Nothing in it is code.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lightning_prune.packing import pack_bits, unpack_bits
from lightning_prune.parameters import plain_name

_MASK, _WEIGHT = "masks/", "weights/"


@dataclass(frozen=True)
class Ticket:
    """Masks, and the weights to start from.

    Args:
        masks: From the names of weights to boolean tensors of their shapes, true where alive; what is missing lives.
        weights: Parameters and buffers of the rewind point by name; empty where the run had none.
        header: Figures and configuration in plain values: ``cycle``, ``sparsity``, ``settings``, ...

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> ticket = Ticket({"weight": torch.tensor([[True, False]])}, {"weight": torch.tensor([[3.0, 4.0]])}, {})
        >>> ticket.apply_(layer)
        >>> layer.weight.tolist()
        [[3.0, 0.0]]
    """

    masks: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    header: Mapping[str, Any]

    def apply_(self, module: nn.Module) -> None:
        """Set a network to the weights of the rewind point, and its dead weights to zero.

        Args:
            module: The network that the ticket was made of, or a new one like it.

        Raises:
            ValueError: If it has other names or shapes; nothing is changed then.
        """
        tensors = {plain_name(name): tensor for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
        wrong = sorted(
            name
            for name, tensor in [*self.masks.items(), *self.weights.items()]
            if name not in tensors or tensors[name].shape != tensor.shape
        )
        if wrong:
            raise ValueError(
                f"The ticket is of another network than this {type(module).__name__}: it has no, or another shape of, "
                f"{', '.join(dict.fromkeys(wrong))}."
            )
        with torch.no_grad():
            for name, weight in self.weights.items():
                tensors[name].copy_(weight)
            for name, mask in self.masks.items():
                tensors[name].mul_(mask.to(tensors[name].device))


def save_ticket(path: str | Path, checkpoint: str | Path) -> None:
    """Make a ticket of a checkpoint of a pruned run, on any machine and long after the run.

    Args:
        path: The file to write, such as ``"ticket.safetensors"``.
        checkpoint: A full checkpoint of a run with ``IterativePruning``.

    Raises:
        ValueError: If the checkpoint is not of such a run.
    """
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    states = saved.get("callbacks", {})
    if not any("masks" in state for state in states.values()):
        raise ValueError(
            f"save_ticket(checkpoint='{checkpoint}') holds no masks, because it was made without IterativePruning or "
            "saved with save_weights_only=True. Give a full checkpoint of a pruned run."
        )
    shapes = {plain_name(name): tensor.shape for name, tensor in saved["state_dict"].items()}
    write_ticket(path, ticket_of(states, shapes))


def ticket_of(states: Mapping[str, Mapping[str, Any]], shapes: Mapping[str, torch.Size]) -> Ticket:
    """Make a ticket of the states of the callbacks of a run.

    Args:
        states: By the callbacks' names, as a checkpoint has them.
        shapes: The shapes of the weights by name.
    """
    run = next(state for state in states.values() if "masks" in state)
    empty: Mapping[str, Any] = {"to": None, "snapshot": {}}
    rewind = next((state for state in states.values() if "snapshot" in state), empty)
    masks = {name: unpack_bits(bits, shapes[name]).bool() for name, bits in run["masks"].items()}
    cycle = run["position"]["cycle"]
    alive = run["cycles"][-1]["alive"] if run["cycles"] else {name: int(mask.sum()) for name, mask in masks.items()}
    size = sum(shapes[name].numel() for name in alive)
    metrics: Mapping[str, Any] = next((state["metrics"] for state in states.values() if "metrics" in state), {})
    header = {
        "cycle": cycle["index"] if cycle else 0,
        "sparsity": (size - sum(alive.values())) / max(size, 1),
        "alive": alive,
        "rewind_point": rewind["to"],
        "metrics": {name: float(value) for name, value in metrics.items()},
        "settings": run["settings"],
        "cycles": run["cycles"],
    }
    return Ticket(masks, rewind["snapshot"], header)


def write_ticket(path: str | Path, ticket: Ticket) -> None:
    """Write a ticket aside and put it in place whole.

    Args:
        path: The file.
        ticket: The ticket.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"{_MASK}{name}": pack_bits(mask.to(torch.uint8)) for name, mask in ticket.masks.items()}
    tensors |= {f"{_WEIGHT}{name}": weight.detach().cpu().contiguous() for name, weight in ticket.weights.items()}
    shapes = {name: list(mask.shape) for name, mask in ticket.masks.items()}
    header = json.dumps({**ticket.header, "format": 1, "shapes": shapes})
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    save_file(tensors, aside, metadata={"ticket": header})
    aside.replace(path)


def load_ticket(path: str | Path) -> Ticket:
    """Read a ticket.

    Args:
        path: The file.

    Returns:
        The ticket, its tensors on the CPU.

    Raises:
        ValueError: If the file is not a ticket.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["ticket"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, KeyError) as error:
        raise ValueError(
            f"load_ticket('{path}') is not a ticket: give a file that save_ticket wrote (safetensors with a header)."
        ) from error
    shapes = header.pop("shapes")
    return Ticket(
        {name: unpack_bits(tensors[f"{_MASK}{name}"], torch.Size(shape)).bool() for name, shape in shapes.items()},
        {name.removeprefix(_WEIGHT): tensor for name, tensor in tensors.items() if name.startswith(_WEIGHT)},
        header,
    )
