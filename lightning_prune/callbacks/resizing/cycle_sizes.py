"""Let a network be whole while a cycle begins, and small while it is trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lightning_prune.basics.checkpoints import SHRUNK
from lightning_prune.callbacks.compat.weight_averaging import averages_of
from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.callbacks.gathering.structures_in_fit import example_of
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.callbacks.resizing.on_all_processes import shrink_on_all
from lightning_prune.callbacks.resizing.refused import refuse_live_graphs
from lightning_prune.callbacks.resizing.wrapped import compile_again, unwrap_
from lightning_prune.selection.parameters import plain_name
from lightning_prune.shrinking.attributes import attributes_of
from lightning_prune.shrinking.dead_units import dead_in_weights
from lightning_prune.shrinking.regrowth import (
    grow_,
    grow_optimizer_,
    grown,
    make_small_,
    note_sizes,
    settle_small,
    sizes_of,
)
from lightning_prune.shrinking.removal import Shrunk, shrink
from lightning_prune.shrinking.resizes import Resize
from lightning_prune.shrinking.shrink_record import ShrinkRecord, forget, held_by, shapes_of
from lightning_prune.shrinking.slices import cut_optimizer_, tensors_of
from lightning_prune.shrinking.small_checkpoints import plain_record
from lightning_prune.structures.find import structures_of
from lightning_prune.structures.groups import FoundStructures


@dataclass
class CycleSizes:
    """The sizes of a network in a fit whose cycles train smaller and smaller networks.

    A cycle begins with the whole network, with zeros in all that is dead. So scores, budgets, starting points and
    callbacks see the same as in the masked run, in the numbering of the whole network. Before the first batch of the
    cycle everything becomes small: parameters, gradients and buffers, states of optimizers, averages and masks.

    Args:
        asker: The callback as it is written, for errors.
        resizes: The user's functions by class.
        module: The module of the fit. None before the fit is set up.
        error: The largest difference that the removals have made, relative to the largest output.
    """

    asker: str
    resizes: Mapping[type, Resize] | None = None
    module: nn.Module | None = None
    error: float = 0.0
    _structures: FoundStructures | None = None
    _said: set[str] = field(default_factory=set)
    _wrap: Callable[[], None] | None = None

    def grow_(self, trainer: "pl.Trainer", gatherer: Gatherer) -> None:
        """Make everything whole, before a cycle begins.

        Args:
            trainer: The trainer.
            gatherer: What remembers weights for the criterion.
        """
        module = trainer.lightning_module
        self._wrap = unwrap_(trainer)
        sizes = sizes_of(module)
        if sizes is None:
            return
        record, tensors = sizes.record, tensors_of(module)
        whole = {tensors[name]: (torch.Size(record.shapes[name]), by) for name, by in record.kept.items()}
        for optimizer in trainer.optimizers:
            grow_optimizer_(optimizer, whole)
        for average in averages_of(trainer):
            note_sizes(_inner(average), sizes)
            grow_(_inner(average))
        grow_(module)

        def grow(name: str, tensor: Tensor) -> Tensor:
            is_small = name in record.kept and tuple(tensor.shape) != record.shapes[name]
            return grown(tensor, record.shapes[name], record.kept[name]) if is_small else tensor

        gatherer.map_remembered_(grow)
        refuse_live_graphs(module, self.asker)

    def shrink_(self, trainer: "pl.Trainer", masks: Mapping[str, Tensor], hold: Hold) -> None:
        """Make everything small, after a cycle has begun.

        Args:
            trainer: The trainer.
            masks: The masks of the whole network, by name.
            hold: What keeps dead weights at zero. It goes on with what is left of the masks.
        """
        module = trainer.lightning_module
        tensors = tensors_of(module)
        parameters: dict[str, Tensor] = {name: one for name, one in tensors.items() if isinstance(one, nn.Parameter)}
        shapes = {one: one.shape for one in parameters.values()}
        before, first = attributes_of(module), held_by(module)
        forget(module)  # the record is to be told from the network of this fit
        example = example_of(module)
        shrunk = shrink_on_all(trainer, lambda: self._shrink(module, example, masks), self.asker)
        record, self.error = shrunk.record, max(self.error, shrunk.error)
        forget(module)
        if record.kept:
            settle_small(module, record, before, first)
        cuts = {parameters[name]: by for name, by in record.kept.items() if name in parameters}
        for optimizer in trainer.optimizers:
            cut_optimizer_(optimizer, cuts, shapes)
        for average in averages_of(trainer) if record.kept else ():
            make_small_(_inner(average), record, self.asker)
        hold.cut_(record.kept)
        refuse_live_graphs(module, self.asker)
        self._tell(module, shrunk)
        if self._wrap is not None:
            self._wrap()
            self._wrap = None

    def finished(self, module: nn.Module) -> Shrunk:
        """The small network when the fit is over."""
        small = sum(one.numel() for one in module.parameters())
        record = held_by(module) or ShrinkRecord(shapes_of(module))
        names = {plain_name(name) for name, _ in module.named_parameters()}
        whole = sum(prod(shape) for name, shape in record.shapes.items() if name in names)
        sizes = sizes_of(module)
        return Shrunk(module, record, self.error, (whole, small), {} if sizes is None else sizes.record.kept)

    def state_dict(self) -> dict[str, Any]:
        """What was removed, in plain types and tensors. Empty while the network is whole."""
        sizes = None if self.module is None else sizes_of(self.module)
        return {} if sizes is None else {SHRUNK: plain_record(sizes.record), "error": self.error}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what :meth:`state_dict` gave. The module has taken its sizes from it before."""
        self.error = float(state.get("error", 0.0))

    def _shrink(self, module: "pl.LightningModule", example: Any, masks: Mapping[str, Tensor]) -> Shrunk:
        if self._structures is None:
            self._structures = structures_of(module, example)
        ones = {name: torch.ones(()).expand(shape) for name, shape in self._structures.shapes.items()}
        alive = dead_in_weights(self._structures, {**ones, **masks})
        return shrink(module, example=example, alive=alive, resizes=self.resizes, structures=self._structures)

    def _tell(self, module: nn.Module, shrunk: Shrunk) -> None:
        compile_again(module, say="compile" not in self._said)
        rank_zero_info(str(shrunk).splitlines()[0])
        new = {name: reason for name, reason in shrunk.masked.items() if name not in self._said}
        if new:
            listed = "; ".join(f"{name} ({reason})" for name, reason in new.items())
            rank_zero_warn(f"{self.asker} keeps groups masked, because removing them would not be exact: {listed}.")
        self._said |= {"compile", *new}


def _inner(average: AveragedModel) -> nn.Module:
    return average.module
