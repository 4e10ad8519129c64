"""Gather the evidence that a criterion declares, before each prune: gradients, inputs, earlier weights, rounds."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lightning_prune.basics.random_state import seed_of
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering import synaptic_flow
from lightning_prune.callbacks.gathering.activations.measure import input_grams, input_norms
from lightning_prune.callbacks.gathering.source import OfFit, Source
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.criteria import Criterion, Evidence, needs_of
from lightning_prune.criteria.evidence import FLOWING, MEASURED, REMEMBERED
from lightning_prune.criteria.flow import order_of_death
from lightning_prune.selection.sharding import whole

Found = dict[str, dict[str, Tensor]]
Origin = pl.Trainer | Source


class LivingMasks(Protocol):
    """Masks by the names of weights, None where all of a weight lives."""

    def __getitem__(self, name: str, /) -> Tensor | None: ...


class Gatherer:
    """Gathers the evidence for one criterion.

    Args:
        weights: The prunable weights by name.
        criterion: The criterion.
        seed: Decides, with the cycle, which batches are looked at and what is drawn.
        transposed: The groups of transposed convolutions by the names of their weights.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        criterion: Criterion,
        seed: int,
        transposed: Mapping[str, int] | None = None,
    ) -> None:
        self._transposed = dict(transposed or {})
        self.weights = weights
        self.criterion = criterion
        self.needs = needs_of(criterion)
        self.seed = seed
        self._found: Found = {}
        self._epoch = -1
        self._remembered: Found = {}

    def gather(self, trainer: Origin | None, masks: LivingMasks, cycle: int, budget: int, rehearsal: bool) -> None:
        """Find the evidence that the criterion needs for a prune. All processes have to call this.

        Args:
            trainer: The trainer, or another source. It may be None if nothing has to be measured.
            masks: The mask of each weight, by name. None where all of it lives.
            cycle: The number of the cycle.
            budget: How many weights are to live, at least 1 and at most what lives.
            rehearsal: Whether this call only has to show that the evidence can be found. One batch or round is then
                enough.

        Raises:
            ValueError: If it cannot be found in this run.
        """
        measured = [kind for kind in MEASURED if kind in self.needs.kinds]
        flowing = [kind for kind in FLOWING if kind in self.needs.kinds]
        flows = "survival" in self.needs.kinds
        if not measured and not flowing and not flows:
            return
        if trainer is None:
            raise UserError(
                f"{describe(self.criterion)} needs a Trainer: it looks at the network, not at weights alone."
            )
        source, what = source_of(trainer), str(describe(self.criterion))
        if measured or flowing:
            source.refuse(self.weights, what, [*measured, *flowing])
        if flows:
            synaptic_flow.refuse(dict(source.module.named_parameters()))
        seed = seed_of(self.seed, cycle, "batches")
        with source.without_trace(seed):
            batches = 1 if rehearsal else self.needs.batches
            if measured:
                self._set_batch_norm(source.module)
                self._found |= source.gradients(self.weights, measured, batches, seed)
            if "input_norm" in flowing:
                self._found["input_norm"] = input_norms(source, self.weights, batches, seed, what)
            if "input_gram" in flowing:
                self._found["input_gram"] = input_grams(source, self.weights, self._transposed, batches, seed, what)
            if flows:
                self._found["survival"] = self._survival(source, masks, budget, 1 if rehearsal else None, seed)

    def drop(self) -> None:
        """Free what was gathered for a prune."""
        self._found = {}

    def for_weight(self, cycle: int, name: str, part: slice | None, device: torch.device) -> Evidence:
        """The evidence on one weight.

        Args:
            cycle: The number of the cycle.
            name: The weight.
            part: A slice of the flat weight. None for the whole weight.
            device: Where the weight is.

        Returns:
            The evidence, its tensors of the shape of the weight or the part, on that device.
        """
        generator = torch.Generator().manual_seed(seed_of(self.seed, cycle, name))
        tensors = {kind: found[name] for kind, found in (self._remembered | self._found).items()}
        if part is not None:
            tensors = {kind: tensor.flatten()[part] for kind, tensor in tensors.items()}
        found = {kind: tensor.to(device) for kind, tensor in tensors.items()}
        return Evidence(generator, found, self._transposed.get(name, 0), cycle)

    def begin_fit(self) -> None:
        """Remember the weights at the start of a fit that is not resumed."""
        self._remember("initial")
        self.begin_phase()
        self.begin_epoch(0)

    def begin_phase(self) -> None:
        """Remember the weights at the start of the dense run or of a cycle, which is that of its first epoch, too."""
        self._remember("phase_start")
        self._remember("epoch_start")

    def begin_epoch(self, epoch: int) -> None:
        """Remember the weights at the start of an epoch, at its first call for it.

        Args:
            epoch: The number of the epoch.
        """
        if epoch != self._epoch:
            self._remember("epoch_start")
            self._epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """What has to be saved to go on: the weights of earlier moments that the criterion looks at."""
        return {"epoch": self._epoch, "remembered": self._remembered}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what :meth:`state_dict` gave."""
        self._epoch = state["epoch"]
        self._remembered = {kind: dict(tensors) for kind, tensors in state["remembered"].items()}

    def map_remembered_(self, change: Callable[[str, Tensor], Tensor]) -> None:
        """Change the weights of earlier moments, because the network has changed its sizes.

        Args:
            change: Maps the name of a weight and what it was to what is remembered from now on.
        """
        self._remembered = {
            kind: {name: change(name, tensor) for name, tensor in tensors.items()}
            for kind, tensors in self._remembered.items()
        }

    def _remember(self, kind: str) -> None:
        if kind in REMEMBERED and kind in self.needs.kinds:
            # On the CPU: it lives as long as the run, next to a network that may fill the device.
            self._remembered[kind] = {name: _remembered(w) for name, w in self.weights.items()}

    def _set_batch_norm(self, module: nn.Module) -> None:
        if self.needs.batch_norm == "evaluation":
            for one in module.modules():
                if isinstance(one, nn.modules.batchnorm._BatchNorm):
                    one.training = False  # put back with the other attributes

    def _survival(
        self, source: Source, masks: LivingMasks, budget: int, rounds: int | None, seed: int
    ) -> dict[str, Tensor]:
        module, ones = source.module, source.ones(seed)
        module.eval()  # put back with the other attributes
        living = {name: torch.ones_like(w, dtype=torch.bool) for name, w in self.weights.items()}
        living |= {name: mask.bool() for name in living if (mask := masks[name]) is not None}
        flow = synaptic_flow.flow_of(module, self.weights, ones)
        return order_of_death(flow, living, budget, rounds or self.needs.rounds)


def source_of(origin: Origin) -> Source:
    """Where evidence comes from.

    Args:
        origin: The trainer, or another source.
    """
    return origin if isinstance(origin, Source) else OfFit(origin)


def _remembered(weight: Tensor) -> Tensor:
    return whole(weight).detach().cpu().clone(memory_format=torch.contiguous_format)
