"""Tickets: one file with the masks of a pruned network and the weights of its rewind point, to train it again.

A ticket is a safetensors file. It holds the masks at one bit per weight, the
weights and buffers of the rewind point if there is one, and a JSON header with
figures and configuration. A ticket holds no code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.basics.checkpoints import read_checkpoint, whole_shapes
from lightning_prune.basics.file_formats import refuse_format
from lightning_prune.basics.saved_state import find_mistake, refuse_mangled
from lightning_prune.basics.user_error import UserError
from lightning_prune.masks.packing import pack_bits, unpack_bits
from lightning_prune.masks.sealed_file import read_sealed, write_sealed
from lightning_prune.selection.parameters import plain_name

_MASK, _WEIGHT = "masks/", "weights/"
_FORMAT = 1
_NUMBER = (int, float)
_KINDS = {"cycle": int, "sparsity": _NUMBER, "alive": {str: int}, "cycles": [{"cycle": int, "sparsity": _NUMBER}]}


@dataclass(frozen=True, repr=False)
class Ticket:
    """The masks of a pruned network, and the weights to start from.

    Args:
        masks: Boolean tensors by the names of the weights, in the weights' shapes, true where alive. Weights without a
            mask are fully alive.
        weights: Parameters and buffers of the rewind point by name. Empty if the run had no rewind point.
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

    def __repr__(self) -> str:
        dead = sum(mask.numel() - int(torch.count_nonzero(mask)) for mask in self.masks.values())
        start = "a rewind point" if self.weights else "no rewind point"
        cycle = self.header.get("cycle", "?")
        return f"Ticket(cycle {cycle}: {dead:,} dead weights in {len(self.masks)} tensors, {start})"

    def apply_(self, module: nn.Module) -> None:
        """Set a network to the weights of the rewind point, and its dead weights to zero.

        Args:
            module: The network from which the ticket was made, or a new network like it.

        Raises:
            ValueError: If the network has other names or shapes. After this error the network has not changed.
        """
        tensors = {plain_name(name): tensor for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
        wrong = sorted(
            name
            for name, tensor in [*self.masks.items(), *self.weights.items()]
            if name not in tensors or tensors[name].shape != tensor.shape
        )
        if wrong:
            raise UserError(
                f"The ticket is of another network than this {type(module).__name__}: it has no, or another shape of, "
                f"{', '.join(dict.fromkeys(wrong))}."
            )
        with torch.no_grad():
            for name, weight in self.weights.items():
                tensors[name].copy_(weight)
            for name, mask in self.masks.items():
                tensors[name].mul_(mask.to(tensors[name].device))


def save_ticket(path: str | Path, checkpoint: str | Path) -> None:
    """Make a ticket from a checkpoint of a pruned run. This works on any machine and long after the run.

    Args:
        path: The file to write, such as ``"ticket.safetensors"``.
        checkpoint: A full checkpoint of a run with ``IterativePruning``.

    Raises:
        ValueError: If the checkpoint does not come from such a run.
    """
    asker = f"save_ticket(checkpoint='{checkpoint}')"
    saved = read_checkpoint(checkpoint, asker)
    refuse_mangled(saved, asker)
    states = {name: state for name, state in saved.get("callbacks", {}).items() if isinstance(state, Mapping)}
    if not any({"masks", "position"} <= state.keys() for state in states.values()):
        raise UserError(
            f"save_ticket(checkpoint='{checkpoint}') holds no masks, because it was made without IterativePruning or "
            "saved with save_weights_only=True. Give a full checkpoint of a pruned run."
        )
    shapes = {plain_name(name): shape for name, shape in whole_shapes(saved).items()}
    try:
        ticket = ticket_of(states, shapes)
    except (KeyError, ValueError) as error:
        raise UserError(f"{asker} holds a mask that does not fit its weights ({error}). Give another one.") from error
    write_ticket(path, ticket)


def ticket_of(states: Mapping[str, Mapping[str, Any]], shapes: Mapping[str, torch.Size]) -> Ticket:
    """Make a ticket from the states of the callbacks of a run.

    Args:
        states: The states by the callbacks' names, as in a checkpoint.
        shapes: The shapes of the weights by name.
    """
    run = next(state for state in states.values() if {"masks", "position"} <= state.keys())
    empty: Mapping[str, Any] = {"to": None, "snapshot": {}}
    rewind = next((state for state in states.values() if {"to", "snapshot"} <= state.keys()), empty)
    masks = {name: unpack_bits(bits, shapes[name]).bool() for name, bits in (run["masks"] or {}).items()}
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
    """Write a ticket. The file is written under another name and then renamed, so it is never half-written.

    Args:
        path: The file to write.
        ticket: The ticket.

    Raises:
        ValueError: If a weight of the rewind point is NaN.
    """
    path = Path(path)
    _refuse_nan(f"The ticket for '{path}'", ticket.weights)
    tensors = {f"{_MASK}{name}": pack_bits(mask.to(torch.uint8)) for name, mask in ticket.masks.items()}
    tensors |= {f"{_WEIGHT}{name}": weight.detach().cpu().contiguous() for name, weight in ticket.weights.items()}
    shapes = {name: list(mask.shape) for name, mask in ticket.masks.items()}
    write_sealed(path, "ticket", {**ticket.header, "format": _FORMAT, "shapes": shapes}, tensors)


def load_ticket(path: str | Path) -> Ticket:
    """Read a ticket.

    Args:
        path: The file.

    Returns:
        The ticket, with its tensors on the CPU.

    Raises:
        ValueError: If the file is not a ticket, is damaged, or has a format that this version does not know.
    """
    said = f"load_ticket('{path}')"
    refusal = f"{said} is not a ticket: give a file that save_ticket wrote (safetensors with a header)."
    found = read_sealed(path, "ticket", said, "a ticket", refusal)
    if found.is_whole is False:  # older tickets have no checksum
        raise UserError(f"{said} is damaged: its content has changed since it was written. Make the ticket again.")
    header = found.header
    refuse_format(header.get("format"), _FORMAT, said)
    kinds = {"shapes": {str: [int]}, **{name: kind for name, kind in _KINDS.items() if name in header}}
    if wrong := find_mistake(header, kinds, ""):
        raise UserError(f"{said} is damaged: in its header {wrong}. Make the ticket again.")
    return _ticket(said, header, found.tensors)


def _ticket(said: str, header: dict[str, Any], tensors: Mapping[str, Tensor]) -> Ticket:
    shapes = header.pop("shapes")
    missing = sorted({f"{_MASK}{name}" for name in shapes} ^ {name for name in tensors if name.startswith(_MASK)})
    if missing:
        raise UserError(f"{said} is damaged: header and masks disagree about {missing[0]!r}. Make the ticket again.")
    try:
        masks = {name: unpack_bits(tensors[f"{_MASK}{name}"], torch.Size(shape)) for name, shape in shapes.items()}
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{said} is damaged: {error}. Make the ticket again.") from error
    weights = {name.removeprefix(_WEIGHT): tensor for name, tensor in tensors.items() if name.startswith(_WEIGHT)}
    _refuse_nan(said, weights)
    return Ticket({name: mask.bool() for name, mask in masks.items()}, weights, header)


def _refuse_nan(said: str, weights: Mapping[str, Tensor]) -> None:
    found = [name for name, weight in weights.items() if bool(weight.isnan().any())]
    if found:
        raise UserError(
            f"{said} has NaN in the weights of its rewind point: {', '.join(found[:8])}. Nothing can be trained from "
            "them: make the ticket of a run that had not diverged."
        )
