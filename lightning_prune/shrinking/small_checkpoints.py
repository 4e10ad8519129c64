"""Small networks in checkpoints of a fit: their record, and modules that take their sizes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from lightning_prune.basics.checkpoints import SHRUNK, read_checkpoint, shrunk_in
from lightning_prune.basics.file_formats import refuse_format
from lightning_prune.basics.saved_state import find_mistake
from lightning_prune.basics.user_error import UserError
from lightning_prune.selection.parameters import plain_name
from lightning_prune.shrinking.regrowth import grow_, make_small_, sizes_of
from lightning_prune.shrinking.shrink_record import ShrinkRecord, find_wrong_indices, shapes_of

_FORMAT = 1
_KINDS = {
    "shapes": {str: [int]},
    "kept": {str: {str: Tensor}},
    "attributes": {str: {str: object}},
    "alive": {str: Tensor},
    "masked": {str: str},
}
Net = TypeVar("Net", bound=nn.Module)


def plain_record(record: ShrinkRecord) -> dict[str, Any]:
    """Write a record in plain types and tensors, for a checkpoint."""
    return {
        "format": _FORMAT,
        "shapes": {name: list(shape) for name, shape in record.shapes.items()},
        "kept": {name: {str(dim): one for dim, one in by.items()} for name, by in record.kept.items()},
        "attributes": {name: dict(values) for name, values in record.attributes.items()},
        "alive": dict(record.alive),
        "masked": dict(record.masked),
    }


def record_in(checkpoint: Mapping[str, Any], asker: str) -> ShrinkRecord | None:
    """Find the record of a small network in a checkpoint.

    Args:
        checkpoint: The content of a checkpoint of a Trainer.
        asker: The call that asks, for errors.

    Returns:
        The record. None if the checkpoint is of a whole network.

    Raises:
        ValueError: If the record is damaged, or of a later version.

    Example:
        >>> record = ShrinkRecord({"weight": (3, 2)})
        >>> record_in({"callbacks": {"Shrink": {"shrunk": plain_record(record)}}}, "example") == record
        True
    """
    plain = shrunk_in(checkpoint)
    if plain is None:
        return None
    if isinstance(plain, Mapping):
        refuse_format(plain.get("format"), _FORMAT, asker)
    if wrong := find_mistake(plain, _KINDS, SHRUNK):
        raise UserError(f"{asker} is damaged: in it {wrong}. Give another checkpoint.")
    if other := [dim for by in plain["kept"].values() for dim in by if not dim.isdecimal() or len(dim) > 2]:
        raise UserError(f"{asker} is damaged: {other[0][:40]!r} is no dimension. Give another checkpoint.")
    kept = {name: {int(dim): one.cpu() for dim, one in by.items()} for name, by in plain["kept"].items()}
    shapes = {name: tuple(shape) for name, shape in plain["shapes"].items()}
    alive = {name: one.cpu() for name, one in plain["alive"].items()}
    record = ShrinkRecord(shapes, kept, plain["attributes"], alive, plain["masked"])
    if wrong := find_wrong_indices(record):
        raise UserError(f"{asker} is damaged: {wrong}. Give another checkpoint.")
    return record


def take_sizes_(module: nn.Module, checkpoint: Mapping[str, Any], asker: str) -> ShrinkRecord | None:
    """Let a module take the sizes that its network has in a checkpoint. Its weights are not loaded.

    Args:
        module: The module: whole, or small in another way and able to become whole.
        checkpoint: The content of the checkpoint.
        asker: The call that asks, for errors.

    Returns:
        The record of the small network. None if the checkpoint has none.

    Raises:
        ValueError: If the checkpoint is of another network.
    """
    record = record_in(checkpoint, asker)
    sizes = sizes_of(module)
    if record is not None and sizes is not None and _same(sizes.record, record):
        return record
    if record is not None or not _fits(module, checkpoint.get("state_dict", {})):
        grow_(module)
    if record is not None:
        make_small_(module, record, asker)
    return record


def shrink_like(module: Net, checkpoint: str | Path) -> Net:
    """Make a module small as the network in a checkpoint of a fit with ``Shrink(at="cycles")``, and load its weights.

    Nothing is traced, and nothing is compared. To save the small network in a file of its own, use
    ``shrink(module, checkpoint=...).save(path)``, which does the same and looks for further dead units.

    Args:
        module: A whole network of the same class and arguments as the one that was trained. It becomes small. Its
            precision, device and mode stay.
        checkpoint: The checkpoint, such as ``"last.ckpt"``.

    Returns:
        The module.

    Raises:
        ValueError: If the checkpoint is damaged, or of another network, or has no record of a small network. After this
            error the module has not changed.

    Example:
        >>> from lightning_prune import shrink_like
        >>> try:
        ...     shrink_like(nn.Linear(2, 2), "last.ckpt")
        ... except ValueError as error:
        ...     print(error)
        shrink_like(checkpoint='last.ckpt') cannot read 'last.ckpt': there is no such file.
    """
    asker = f"shrink_like(checkpoint='{checkpoint}')"
    saved = read_checkpoint(checkpoint, asker)
    state = saved.get("state_dict")
    record = record_in(saved, asker)
    if record is None or not isinstance(state, Mapping):
        raise UserError(
            f"{asker} has no record of a small network: no unit was removed yet, or the run had no "
            "Shrink(at='cycles'). Load a whole network with module.load_state_dict, and shrink it with "
            "shrink(module, checkpoint=..., example=batch)."
        )
    small, own = record.small_shapes(), {plain_name(name): name for name in module.state_dict()}
    named = {plain_name(name): one for name, one in state.items()}
    wrong = sorted(named.keys() ^ own.keys()) or [n for n, one in named.items() if tuple(one.shape) != small.get(n)]
    if wrong:
        raise UserError(
            f"{asker} is of another network than this {type(module).__name__}: it lacks, or has another shape of, or "
            f"alone has, {', '.join(wrong[:3])}."
        )
    take_sizes_(module, saved, asker)
    module.load_state_dict({own[name]: one for name, one in named.items()})
    return module


def _same(one: ShrinkRecord, other: ShrinkRecord) -> bool:
    mine, theirs = _places(one), _places(other)
    return one.shapes == other.shapes and mine.keys() == theirs.keys() and all(mine[p].equal(theirs[p]) for p in mine)


def _places(record: ShrinkRecord) -> dict[tuple[str, int], Tensor]:
    return {(name, dim): kept for name, by in record.kept.items() for dim, kept in by.items()}


def _fits(module: nn.Module, state: Mapping[str, Any]) -> bool:
    """Whether a state has the shapes that a module has now."""
    own = shapes_of(module)
    shapes = {plain_name(name): tuple(one.shape) for name, one in state.items() if isinstance(one, Tensor)}
    return all(own.get(name, shape) == shape for name, shape in shapes.items())
