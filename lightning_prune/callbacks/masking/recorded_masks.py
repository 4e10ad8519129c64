"""Read the masks of another run from its checkpoints or tickets, check them, and shuffle them on request."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from lightning_prune.basics.checkpoints import find_damage, whole_shapes
from lightning_prune.basics.saved_state import refuse_mangled
from lightning_prune.basics.user_error import UserError
from lightning_prune.masks.chain import Chain
from lightning_prune.masks.shuffling import SHUFFLES
from lightning_prune.masks.ticket import Ticket, load_ticket, ticket_of
from lightning_prune.selection.parameters import plain_name

CHECKPOINT, TICKET = ".ckpt", ".safetensors"


class MaskSource(ABC):
    """Base class of sources of masks other than a criterion, for ``IterativePruning(masks_from=...)``.

    Example:
        >>> class Columns(MaskSource):
        ...     def __call__(self, shapes, cycles, seed):
        ...         masks = {name: torch.arange(shape[1]) % 2 == 0 for name, shape in shapes.items()}
        ...         masks = {name: mask.expand(shapes[name]) for name, mask in masks.items()}
        ...         return Chain.of([masks] * cycles, shapes, [0.5] * cycles)
        >>> Columns()({"weight": torch.Size([3, 4])}, cycles=1, seed=0).alive(1)
        {'weight': 6}
    """

    @abstractmethod
    def __call__(self, shapes: Mapping[str, torch.Size], cycles: int, seed: int) -> Chain:
        """Give the masks. Called once in a fit, before its first batch, on every process.

        Args:
            shapes: The shapes of the prunable weights by name.
            cycles: How many cycles the run has, at least 1.
            seed: The seed of random masks, which have to depend on nothing else.

        Returns:
            The masks of cycles 1, 2, ... of all prunable weights.

        Raises:
            ValueError: If there are none for this network or these cycles.
        """


@dataclass(frozen=True)
class Recorded(MaskSource):
    """Give cycle ``n`` the masks of cycle ``n`` of a recorded run, or the same masks shuffled.

    A run is recorded by ``CycleCheckpoint()`` beside its ``IterativePruning``, which keeps a checkpoint of every cycle.
    Other checkpoints and tickets can be used, too: the cycle of a file is read from its content, not from its name.
    Files without masks are skipped.

    The shuffled masks are the random controls of lottery tickets. They keep the number of living weights of every
    cycle, and dead weights stay dead, since one order serves all cycles. ``IterativePruning(seed=...)`` decides this
    order.

    Reference: Frankle & Carbin, The Lottery Ticket Hypothesis, 2019, https://arxiv.org/abs/1803.03635. The controls
    follow the branches ``randomly_reinitialize`` and ``randomly_prune`` of
    https://github.com/facebookresearch/open_lth.

    Args:
        run: The folder of the run, which is searched together with the folders in it. Or a file, or a list of folders
            and files.
        shuffle: ``"layerwise"`` shuffles the masks within every tensor. ``"globally"`` shuffles them over all tensors
            together. ``"even"`` puts the living weights at random places, with the same sparsity in every tensor. None:
            the masks stay as they are.

    Raises:
        ValueError: If ``shuffle`` is unknown. When the fit starts, if the files do not hold the masks of every cycle of
            one run with this network, or if a file is damaged.

    Example:
        >>> from lightning_prune import IterativePruning
        >>> pruning = IterativePruning(cycles=16, retrain="30ep", masks_from=Recorded("runs/ticket", shuffle="even"))
    """

    run: list[str] | str | Path  # in this order: jsonargparse would write a list as the text of a path
    shuffle: Literal["layerwise", "globally", "even"] | None = None

    def __post_init__(self) -> None:
        if self.shuffle is not None and self.shuffle not in SHUFFLES:
            raise UserError(f"Recorded(shuffle={self.shuffle!r}) is unknown: give {', '.join(map(repr, SHUFFLES))}.")

    def __call__(self, shapes: Mapping[str, torch.Size], cycles: int, seed: int) -> Chain:
        tickets = self.read(cycles)
        for ticket in tickets:
            self._refuse_another_network(ticket, shapes)
        try:
            chain = Chain.of([one.masks for one in tickets], shapes, [_sparsity(one) for one in tickets])
        except ValueError as error:
            raise UserError(f"{self._said}: {error}. They are not of one run: give the folder of one.") from error
        if self.shuffle is None:
            return chain
        return Chain(SHUFFLES[self.shuffle](chain.deaths, seed), chain.sparsities)

    def read(self, cycles: int) -> list[Ticket]:
        """Read the masks of cycles 1, 2, ..., as they were recorded.

        Args:
            cycles: How many.

        Raises:
            ValueError: If some are missing, are there twice and not the same, or a file is damaged.
        """
        found = self._by_cycle()
        if missing := [cycle for cycle in range(1, cycles + 1) if cycle not in found]:
            raise UserError(
                f"{self._said} has no masks of cycle {', '.join(map(str, missing))}; it has those of "
                f"{', '.join(map(str, sorted(found))) or 'none'}. Record the run with CycleCheckpoint() beside its "
                f"IterativePruning, or ask for fewer cycles: IterativePruning(cycles=...)."
            )
        return [found[cycle][1] for cycle in range(1, cycles + 1)]

    @property
    def _said(self) -> str:
        several = isinstance(self.run, list) and len(self.run) > 1
        run = f"[{str(self.run[0])!r}, ...]" if several else repr(str(self.run))  # type: ignore[index]
        return f"IterativePruning(masks_from={run})"

    def _by_cycle(self) -> dict[int, tuple[Path, Ticket]]:
        """The masks of each cycle, and a file that holds them."""
        found: dict[int, tuple[Path, Ticket]] = {}
        for path in self._files():
            ticket = self._read(path)
            if ticket is None:
                continue
            cycle = int(ticket.header["cycle"])
            other = found.setdefault(cycle, (path, ticket))
            if not _same(other[1], ticket):
                raise UserError(
                    f"{self._said} holds other masks of cycle {cycle} in '{path}' than in '{other[0]}': they are of "
                    "different runs, or one was saved while it was pruned. Give the folder of one run, such as "
                    f"'{path.parent}', or leave one of them out."
                )
        return found

    def _files(self) -> list[Path]:
        given = self.run if isinstance(self.run, list) else [self.run]
        found: list[Path] = []
        for place in map(Path, given):
            if not place.exists():
                raise UserError(
                    f"{self._said}: there is no '{place}'. Give the folder of a run that was recorded with "
                    "CycleCheckpoint(), a checkpoint or a ticket, or a list of these."
                )
            within = place.rglob("*") if place.is_dir() else [place]
            found += sorted(path for path in within if path.suffix in (CHECKPOINT, TICKET) and path.is_file())
        return list(dict.fromkeys(found))

    def _read(self, path: Path) -> Ticket | None:
        """Read the masks of a file. Return None if the file belongs to no cycle, or holds no masks."""
        if path.suffix == TICKET:
            return self._of_ticket(path)
        if (damage := find_damage(path)) is not None:
            raise UserError(f"{self._said}: '{path}' is damaged ({damage}). Put it right or delete it.")
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # a file that is not a checkpoint can raise any error
            raise UserError(f"{self._said}: '{path}' cannot be read as a checkpoint. Leave it out.") from error
        if not _has_masks(saved):
            return None
        refuse_mangled(saved, f"{self._said}: '{path}'")
        try:
            return _of_cycle(saved)
        except (KeyError, ValueError) as error:
            raise UserError(f"{self._said}: '{path}' has a mask that does not fit its weights ({error}).") from error

    def _of_ticket(self, path: Path) -> Ticket | None:
        try:
            found = load_ticket(path)
        except ValueError:
            return None  # other programs keep other things in files of this format
        if not found.header.get("cycle"):
            return None
        if missing := [name for name in ("alive", "sparsity", "cycles") if name not in found.header]:
            raise UserError(f"{self._said}: '{path}' is a ticket without `{missing[0]}`. Leave it out.")
        return Ticket(found.masks, {}, found.header)

    def _refuse_another_network(self, ticket: Ticket, shapes: Mapping[str, torch.Size]) -> None:
        wrong = {name for name, mask in ticket.masks.items() if shapes.get(name) != mask.shape}
        wrong |= set(ticket.header["alive"]) ^ set(shapes)
        if wrong:
            raise UserError(
                f"{self._said} is of another network: {', '.join(sorted(wrong))} is prunable in one of the two only, "
                "or has another shape there. Give the record of this network, and the same prunable=... as it has."
            )


def _has_masks(saved: object) -> bool:
    states = saved.get("callbacks") if isinstance(saved, Mapping) else None
    return isinstance(states, Mapping) and any(isinstance(one, Mapping) and "masks" in one for one in states.values())


def _of_cycle(saved: Mapping[str, Any]) -> Ticket | None:
    """The masks in a checkpoint, copied: it is mapped into memory, and may be overwritten."""
    states: Mapping[str, Any] = saved.get("callbacks", {})
    run = next((state for state in states.values() if isinstance(state, Mapping) and "masks" in state), None)
    if run is None or not run["position"]["cycle"] or run["masks"] is None:
        return None
    shapes = {plain_name(name): shape for name, shape in whole_shapes(saved).items()}
    found = ticket_of({"run": run}, shapes)
    return Ticket(found.masks, {}, found.header)


def _sparsity(ticket: Ticket) -> float:
    """What the schedule of the recorded run asked for."""
    cycle = ticket.header["cycle"]
    asked = (float(one["sparsity"]) for one in ticket.header["cycles"] if one["cycle"] == cycle)
    return next(asked, float(ticket.header["sparsity"]))


def _same(one: Ticket, other: Ticket) -> bool:
    return one.masks.keys() == other.masks.keys() and all(
        torch.equal(mask, other.masks[name]) for name, mask in one.masks.items()
    )
