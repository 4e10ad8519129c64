"""A network that is ready for a file: copied, with plain weights, and small where it has dead units."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_flatten_with_path

from lightning_prune.basics.user_error import UserError
from lightning_prune.deployment.plain_copy import plain_copy, return_plain_values
from lightning_prune.deployment.sample_batches import SampleBatches
from lightning_prune.selection.parameters import plain_name
from lightning_prune.shrinking.example_calls import call_on
from lightning_prune.shrinking.quiet_calls import Call, explained, quiet
from lightning_prune.shrinking.removal import shrink
from lightning_prune.shrinking.shrink_record import ShrinkRecord, held_by, shapes_of
from lightning_prune.shrinking.verification import Outputs, tensors_in


@dataclass
class ReadyNetwork:
    """A network that is ready for a file, and what it computes.

    Args:
        network: A copy of the user's network, in eval mode on the CPU.
        call: Runs it on the example.
        record: What was removed from it, told from the whole network.
        expected: What the network computed before anything was removed, by batch size. None stands for the example as
            it is.
        notes: What the user should know.
    """

    network: nn.Module
    call: Call
    record: ShrinkRecord
    expected: dict[int | None, Outputs] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def samples(self) -> SampleBatches:
        """The inputs of ``forward``. Without a ``forward`` there are none."""
        return SampleBatches(() if self.call.inputs is None else self.call.inputs)

    def returned(self, number: int | None) -> Any:
        """What the network returns for a batch of the example. The network stays as it is.

        Args:
            number: The batch size. None: the example as it is.
        """
        arguments = self.samples.of(number)
        with quiet(self.network, self.call, training=False):
            if self.call.inputs is None:
                return self.call()
            return self.network(**arguments) if isinstance(arguments, dict) else self.network(*arguments)

    def output_names(self) -> list[str]:
        """A name for each tensor that the network returns: its key in a dict, or ``output``."""
        paths = [path for path, _ in tree_flatten_with_path(self.returned(None))[0]]
        keys = [[str(getattr(one, "key", getattr(one, "idx", ""))) for one in path] for path in paths]
        return ["_".join(one if one and not one[0].isdecimal() else ["output", *one]) for one in keys]

    def forget_weights_(self) -> None:
        """Overwrite all numbers, so that only those of a file can give the right outputs."""
        for one in _tensors(self.network).values():
            one.detach().fill_(float("nan") if one.is_floating_point() else 0)

    @property
    def parameters(self) -> tuple[int, int]:
        """How many parameters the whole network has, and how many are left."""
        left = dict(self.network.named_parameters())
        return sum(math.prod(self.record.shapes[plain_name(name)]) for name in left), _count(left.values())

    @property
    def whole_bytes(self) -> int:
        """The bytes of the weights and buffers of the whole network, in the precision of the network."""
        state = {one.data_ptr() or name: (name, one) for name, one in _tensors(self.network).items()}
        return sum(
            math.prod(self.record.shapes.get(plain_name(name), one.shape)) * one.element_size()
            for name, one in state.values()
        )

    @property
    def zeros(self) -> float:
        """The fraction of the weights that are zero, without biases and scales."""
        weights = [one for one in self.network.parameters() if one.dim() > 1]
        return 1 - sum(int(one.count_nonzero()) for one in weights) / max(_count(weights), 1)


def make_ready(
    module: nn.Module, example: Any, batches: Iterable[int] | None, asker: str, weights_only: bool, removes: bool
) -> ReadyNetwork:
    """Make a network ready for a file.

    Args:
        module: The user's network, which stays as it is.
        example: The inputs of ``forward``, or a batch of data.
        batches: The batch sizes on which the file is going to be checked. None: 1 and 7.
        asker: The call that asks, for errors.
        weights_only: Whether the file holds weights only. Then no ``forward`` is needed, and the precision stays.
        removes: Whether dead units are removed.

    Raises:
        ValueError: If the network has no ``forward`` that runs on the example, or not on these batches.
    """
    network = plain_copy(module, graph=not weights_only, asker=asker)
    if not weights_only:
        return_plain_values(network)
    call = call_on(network, example, asker)
    if call.inputs is None and not weights_only:
        raise UserError(
            f"{asker}: `forward` of {type(module).__name__} does not run on the example, and a file holds a forward. "
            "Give its inputs as the example, write `forward(self, inputs)`, or export the network inside the module."
        )
    ready = ReadyNetwork(network, call, held_by(network) or ShrinkRecord(shapes_of(network)))
    sizes = [None] if ready.samples.size is None else [*(batches or (1, 7))]
    ready.expected = {number: _computed(ready, number, asker) for number in sizes}
    if removes:
        _remove_dead(ready, example)
    return ready


def _remove_dead(ready: ReadyNetwork, example: Any) -> None:
    try:
        small = shrink(ready.network, example=example)
    except ValueError as error:  # what cannot be traced is written whole
        ready.notes.append(f"Nothing was removed: {error}")
        return
    ready.record = small.record
    ready.notes.extend(f"Masked, not removed: {name}: {why}." for name, why in small.masked.items())


def _computed(ready: ReadyNetwork, number: int | None, asker: str) -> Outputs:
    try:
        return tensors_in(ready.returned(number))
    except Exception as error:  # forward is the user's
        raise UserError(
            f"{asker}: {type(ready.network).__name__} does not run on a batch of {number}: {explained(error)}. Give "
            "batch=<the one size that it takes>, or make forward take any."
        ) from error


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {name: one for name, one in network.state_dict().items() if isinstance(one, Tensor)}


def _count(tensors: Iterable[Tensor]) -> int:
    return sum(one.numel() for one in tensors)
