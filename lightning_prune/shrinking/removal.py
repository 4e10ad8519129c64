"""Remove dead units from a network, and check that it stays the same function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.basics.checkpoints import read_checkpoint
from lightning_prune.basics.user_error import UserError
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import is_sharded
from lightning_prune.shrinking.attributes import Attributes, resize_
from lightning_prune.shrinking.dead_units import check_alive, check_found, dead_in_weights
from lightning_prune.shrinking.example_calls import call_on
from lightning_prune.shrinking.quiet_calls import Call, explained
from lightning_prune.shrinking.resizes import Resize
from lightning_prune.shrinking.shrink_record import ShrinkRecord, held_by, shapes_of
from lightning_prune.shrinking.slices import Alive, Cut, counts_of, cut_module_, cuts_of, mask_, tensors_of
from lightning_prune.shrinking.small_checkpoints import take_sizes_
from lightning_prune.shrinking.small_file import write_small
from lightning_prune.shrinking.verification import Examination, Verdict, first_at_fault, judge
from lightning_prune.shrinking.whole_states import keep_record
from lightning_prune.structures.find import structures_of
from lightning_prune.structures.groups import FoundStructures, Group


@dataclass(frozen=True)
class Shrunk:
    """A network from which dead units were removed.

    Args:
        module: The small network. It is the object that was given.
        record: What was removed.
        error: The largest difference of the outputs from those of the masked network, relative to the largest output.
        parameters: How many parameters the network had before, and how many it has.
        cuts: What stayed of each tensor this time. The record tells it from the whole network.
    """

    module: nn.Module
    record: ShrinkRecord
    error: float
    parameters: tuple[int, int]
    cuts: Mapping[str, Cut]

    @property
    def masked(self) -> Mapping[str, str]:
        """The groups that are masked and not removed, with the reason."""
        return self.record.masked

    def save(self, path: str | Path) -> None:
        """Write the small network into a file for :func:`load_small`.

        Args:
            path: The file, such as ``"small.safetensors"``. It holds tensors and JSON, and no code.
        """
        write_small(path, self.module, self.record)

    def __str__(self) -> str:
        before, after = self.parameters
        removed = {name: int((alive == 0).sum()) for name, alive in self.record.alive.items()}
        size = f"{type(self.module).__name__}: {before:,} -> {after:,} parameters."
        lines = [
            f"{size} {sum(removed.values())} units of {len(removed)} groups are removed; the outputs differ by "
            f"{self.error:.1e} of the largest."
            if any(removed.values())
            else f"{size} Nothing is removed, because no whole channel, head or neuron is dead. Prune whole units: "
            "IterativePruning(granularity=Structures())."
        ]
        return "\n".join([*lines, *(f"Masked, not removed: {name}: {why}." for name, why in self.masked.items())])


def shrink(
    module: nn.Module,
    checkpoint: str | Path | None = None,
    example: Any = None,
    alive: Alive | None = None,
    resizes: Mapping[type, Resize] | None = None,
    structures: FoundStructures | None = None,
) -> Shrunk:
    """Remove the dead units of a network for good: channels, heads and neurons.

    The module itself becomes small. Its parameters stay the same objects with fewer numbers. Before and after, the
    network runs on the example in eval mode, and in train mode where that draws no random numbers. Groups for which the
    outputs differ, or which no longer run, are found by bisection. They stay masked, and are named with the reason.

    Args:
        module: The network, such as a LightningModule.
        checkpoint: A checkpoint of a Trainer. Its weights are loaded into the module first.
        example: The inputs of ``forward``, or a batch of data that ``forward``, ``validation_step`` or
            ``training_step`` takes. None: the ``example_input_array`` of the module.
        alive: The living units by the names of groups: vectors of the width of the group, 1 where a unit is alive. The
            other units are set to zero and removed. None: a unit is dead if all of its weights are exactly zero, those
            that produce its values and those that read them.
        resizes: Functions for modules of your own, by class. A function gets a module whose layers are small already,
            and sets those attributes that follow from their sizes.
        structures: The groups of the network, if they are known. None: they are found from the example.

    Returns:
        The small network with its record.

    Raises:
        ValueError: If the checkpoint or ``alive`` is of another network, or the network cannot be run on the example.

    Example:
        >>> network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> with torch.no_grad():
        ...     for tensor in (network[0].weight[1], network[0].bias[1], network[2].weight[:, 1]):
        ...         _ = tensor.zero_()
        >>> small = shrink(network, example=torch.rand(5, 4))
        >>> small.module[0].out_features, small.parameters, small.error < 1e-6
        (2, (23, 16), True)
    """
    asker = f"shrink({type(module).__name__}, ...)"
    _refuse_sharded(module, asker)
    before = _size(module)  # of the whole network: a checkpoint of Shrink(at="cycles") makes it small
    if checkpoint is not None:
        load_whole(module, checkpoint, f"shrink(checkpoint='{checkpoint}')")
    call = call_on(module, example, asker)
    found = structures_of(module, example) if structures is None else structures
    tensors = tensors_of(module)
    check_found(found, tensors, asker)
    alive = dead_in_weights(found, tensors) if alive is None else check_alive(found, alive, asker)
    shrunk = remove(module, found.groups, alive, call, resizes)
    return replace(shrunk, parameters=(before, shrunk.parameters[1]))


def remove(
    module: nn.Module,
    groups: Mapping[str, Group],
    alive: Alive,
    call: Call,
    resizes: Mapping[type, Resize] | None = None,
    train: bool = True,
) -> Shrunk:
    """Mask and remove dead units, in place, and check the result.

    Args:
        module: The network.
        groups: Its groups by name.
        alive: The living units of some groups, at least one in each.
        call: Runs the network on an example.
        resizes: The user's functions by class.
        train: Whether to compare in train mode, too.

    Returns:
        The small network with its record.
    """
    alive = {name: one.detach().cpu().to(torch.uint8) for name, one in alive.items() if not bool(one.all())}
    shapes, size = shapes_of(module), _size(module)
    if not alive:
        return Shrunk(module, held_by(module) or ShrinkRecord(shapes), 0.0, (size, size), {})
    first = held_by(module)
    mask_(tensors_of(module), groups.values(), alive)
    examination = Examination.of(module, call, train)
    cutter = _Cutter(module, groups, alive, examination, resizes or {})
    removed, masked = [name for name in groups if name in alive], dict[str, str]()
    verdict, attributes = cutter.cut_(removed)
    if verdict.reason is not None:
        removed, masked = cutter.separate(removed, verdict)
        verdict, attributes = cutter.cut_(removed)
    living = {name: alive[name] for name in removed}
    record = ShrinkRecord(shapes, cuts_of(groups.values(), living), attributes, living, masked)
    kept = record.kept
    record = record if first is None else record.after(first)
    keep_record(module, record)
    return Shrunk(module, record, verdict.error, (size, _size(module)), kept)


@dataclass(frozen=True)
class _Cutter:
    """Cuts some of the groups of a masked network, and looks at what it computes then."""

    module: nn.Module
    groups: Mapping[str, Group]
    alive: Alive
    examination: Examination
    resizes: Mapping[type, Resize]
    reasons: dict[str, str] = field(default_factory=dict, init=False)  # by the last of the groups that were cut

    def cut_(self, names: Sequence[str]) -> tuple[Verdict, Attributes]:
        """Cut groups, and undo it if the network is not the same function then."""
        verdict, attributes, undo = self._cut(names)
        if verdict.reason is not None:
            undo()
        return verdict, attributes

    def separate(self, names: Sequence[str], verdict: Verdict) -> tuple[list[str], dict[str, str]]:
        """Separate the groups that can be cut from those that cannot. The network stays as it is.

        Args:
            names: The groups. Cutting all of them fails.
            verdict: What came of cutting all.

        Returns:
            The groups that can be cut, and the others with their reasons.
        """
        doubtful = {name: reason for name in names if (reason := self.groups[name].obstacle) is not None}
        removed, masked = [name for name in names if name not in doubtful], dict[str, str]()
        verdict = self.judged(removed) if doubtful else verdict
        while verdict.reason is not None and removed:
            # Each test looks at the mode that failed only.
            failing = replace(self, examination=self.examination.in_mode(verdict.training))
            at_fault = first_at_fault(removed, failing.fails)
            masked[at_fault] = failing.reasons.get(at_fault, verdict.reason)
            removed.remove(at_fault)
            verdict = self.judged(removed)
        for name, reason in doubtful.items():  # a function of the user may have overcome the obstacle
            if self.fails([*removed, name]):
                masked[name] = reason
            else:
                removed.append(name)
        return [name for name in names if name not in masked], masked

    def judged(self, names: Sequence[str]) -> Verdict:
        """Cut groups, judge, and undo it."""
        verdict, _, undo = self._cut(names)
        undo()
        if verdict.reason is not None and names:
            self.reasons[names[-1]] = verdict.reason
        return verdict

    def fails(self, names: Sequence[str]) -> bool:
        """Whether cutting groups changes the function. The network stays as it is."""
        return self.judged(names).reason is not None

    def _cut(self, names: Sequence[str]) -> tuple[Verdict, Attributes, Callable[[], None]]:
        living = {name: self.alive[name] for name in names}
        cuts, counts = cuts_of(self.groups.values(), living), counts_of(self.groups.values(), living)
        restore = cut_module_(self.module, cuts)
        try:
            attributes, reset = resize_(self.module, list(cuts), counts, self.resizes)
        except Exception as error:  # a function of the user may raise anything
            return Verdict(explained(error)), {}, restore

        def undo() -> None:
            restore()
            reset()

        return judge(self.module, self.examination), attributes, undo


def _size(module: nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())


def load_whole(module: nn.Module, checkpoint: str | Path, asker: str) -> None:
    """Load the weights of a checkpoint of a Trainer, or of a plain state.

    Args:
        module: The network that the checkpoint is of. A wrapper of ``torch.compile`` makes no difference.
        checkpoint: The file.
        asker: The call that asks, for errors.

    Raises:
        ValueError: If the checkpoint cannot be read, or is of another network.
    """
    if Path(checkpoint).is_dir():
        raise UserError(f"{asker} is a folder of a sharded checkpoint. Give a checkpoint that is one file.")
    saved = read_checkpoint(checkpoint, asker)
    state = saved.get("state_dict", saved)
    take_sizes_(module, saved, asker)
    own = module.state_dict()
    named = {plain_name(name): one for name, one in state.items()} if isinstance(state, Mapping) else {}
    shapes = {plain_name(name): one.shape for name, one in own.items() if isinstance(one, Tensor)}
    wrong = [n for n in dict.fromkeys([*shapes, *named]) if getattr(named.get(n), "shape", None) != shapes.get(n)]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(
            f"{asker} is of another network than this {type(module).__name__}: it lacks, or has another shape of, or "
            f"alone has, {', '.join(wrong[:3])}{more}."
        )
    module.load_state_dict({name: named[plain_name(name)] for name in own})


def _refuse_sharded(module: nn.Module, asker: str) -> None:
    sharded = next((name for name, one in module.named_parameters() if is_sharded(one)), None)
    if sharded is not None:
        raise UserError(
            f"{asker} cannot remove parts of {sharded}, which is split over several devices. Load a checkpoint that is "
            "one file in a single process: shrink(module, checkpoint='last.ckpt', example=batch)."
        )
