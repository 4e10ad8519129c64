"""Prune a network at once, by the same criteria and allocations as in a fit, and load masks into a network."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_prune import allocation as allocations
from lightning_prune import criteria
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.fit.finite import count_not_finite
from lightning_prune.callbacks.fit.fixed_sparsity import refuse_choices
from lightning_prune.callbacks.fit.guesses import refuse_guess
from lightning_prune.callbacks.fit.notices import say_what_does_not_fit
from lightning_prune.callbacks.fit.pruning_arguments import check_units
from lightning_prune.callbacks.fit.selected import refuse_other_filters
from lightning_prune.callbacks.masking.initial_masks import initial_masks as read_masks
from lightning_prune.callbacks.masking.initial_masks import refuse_missing
from lightning_prune.callbacks.masking.make_pruner import Method, make_pruner
from lightning_prune.callbacks.masking.pruner import Pruner, warn_of_emptied
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.callbacks.without_trainer.network_masks import (
    NetworkMasks,
    mask_for,
    masks_in,
    refuse_other_network,
)
from lightning_prune.callbacks.without_trainer.own_loss import Loss, OwnLoss
from lightning_prune.criteria.evidence import REMEMBERED
from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.divisible import divisible
from lightning_prune.granularity.latency import Latency
from lightning_prune.granularity.n_of_m import NofM
from lightning_prune.granularity.quantities import Quantity
from lightning_prune.granularity.single_weights import Weights
from lightning_prune.masks.packing import pack_bits
from lightning_prune.masks.ticket import Ticket, load_ticket
from lightning_prune.selection.coverage import told_of
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.prunable import Prunable, Selected, Selection
from lightning_prune.selection.sharding import placed

_KNOWN: WeakKeyDictionary[nn.Module, NetworkMasks] = WeakKeyDictionary()


def prune(
    module: nn.Module,
    sparsity: float,
    allocation: allocations.Allocation = allocations.globally,
    prunable: Selection | Callable[[nn.Module], Selected] = Prunable(),
    criterion: criteria.Criterion = criteria.magnitude,
    batches: Iterable[Any] | None = None,
    loss: Loss | None = None,
    seed: int = 0,
    initial_masks: str | Path | None = None,
    granularity: Granularity = Weights(),
    measure: Quantity = "weights",
    blocks: str | list[str] | None = None,
) -> NetworkMasks:
    """Set the weights of a network that matter least to zero, in place, without a Trainer.

    Exactly ``round((1 - sparsity) * size)`` of the ``size`` prunable weights live afterwards. A second call for the
    same network goes on from the masks of the first: dead weights stay dead, and optimizers that were held stay held.
    To train the network on, hold its optimizer: ``masks.hold(optimizer)``.

    Args:
        module: The network: an ``nn.Module``, the ``LightningModule`` that holds it, or what ``Fabric.setup`` returned.
        sparsity: The fraction of the prunable weights that is to be dead, in [0, 1).
        allocation: How many weights each tensor keeps.
        prunable: Selects the weights that may be pruned.
        criterion: How much each weight matters. Criteria that look at weights of an earlier moment of a fit
            (``movement`` and its like) are refused.
        batches: Batches for criteria that take gradients, such as a data loader. The first ones are used, as many as
            the criterion asks for. For ``synflow`` a batch tells the shape of the input.
        loss: The loss for criteria that take gradients: a function of the network and a batch, on the network's device.
            The network is used in the mode in which it is, and is left as it was.
        seed: Decides, with the number of the call, what is drawn.
        initial_masks: The weights of a network that are dead before the first call. ``"zeros"``: the prunable weights
            that are zero. A path: the dead weights of the ticket in this file. None: those of an earlier call, or none.
        granularity: The units in which weights live and die: ``Weights()``, ``Filters()``, ``Blocks(...)``, ... For
            ``Structures()`` the network runs once: on its ``example_input_array``, or on the first of ``batches``. The
            masks then include biases and norms, and ``size`` counts them. ``NofM(2, 4)`` takes ``sparsity=0.5`` only.
        measure: What ``sparsity`` is a fraction of: ``"weights"``, ``"units"``, or ``"flops"`` with ``Structures()``.
        blocks: Prune block after block, with inputs from the blocks that are pruned already: the patterns of
            ``InSequence``, such as ``"model.layers.*"``. None: all at once, unless the criterion says otherwise.

    Returns:
        The masks, the same object at each call for the same network.

    Raises:
        ValueError: If an argument is out of range or does not fit the network. The network has not changed then.

    Example:
        >>> import torch
        >>> generator = torch.manual_seed(0)
        >>> network = nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 2))
        >>> masks = prune(network, sparsity=0.8)
        >>> masks.alive, masks.size, int((network[0].weight != 0).sum() + (network[2].weight != 0).sum())
        (20, 100, 20)
        >>> prune(network, sparsity=0.82) is masks
        True
    """
    with _said_of_prune():
        criterion = criterion if blocks is None else criteria.InSequence(criterion, blocks)
        _refuse_arguments(sparsity, allocation=allocation, prunable=prunable, criterion=criterion)
        check_units(granularity, measure, None, criterion)
        _refuse_measures(granularity, measure)
        module = unwrapped(module)
        selected = prunable(module)
        if not isinstance(selected, Selected):
            raise UserError(
                f"prune(prunable={describe(prunable)}) returned a {type(selected).__name__}: give "
                "lightning_prune.Prunable(include=[...], exclude=[...]), with names of layers."
            )
        refuse_choices(granularity, measure, allocation)
        if isinstance(granularity, NofM):
            granularity.number_at(sparsity)
        selected = divisible(granularity, module, selected)
        say_what_does_not_fit("prune", granularity, selected)
        refuse_other_filters(module, selected, criterion, allocation)
        _refuse_diverged(selected.weights)
        masks = _KNOWN.get(module) or NetworkMasks({})
        source = OwnLoss(module, batches, loss)
        method = Method(criterion, allocation, granularity, measure, seed)
        found = source.structures() if granularity.needs_groups else None
        pruner = make_pruner(method, module, selected.weights, found)
        pruner.load(_before(masks, pruner.covered, initial_masks), exact=False)
        _refuse_regrowth(sparsity, pruner)
        before = dict(pruner.masks.living)
        pruner.shrink_(masks.prunes + 1, sparsity, source)
        warn_of_emptied(f"prune(sparsity={sparsity})", before, pruner.masks.living)
        if told := told_of(module, selected):
            rank_zero_warn(told.replace("IterativePruning", "prune"))
    masks.prunes += 1
    covered = pruner.covered
    bits = {name: mask.to(covered[name].device, torch.uint8) for name, mask in pruner.whole_masks().items()}
    masks.take_(covered, {name: placed(mask, covered[name]) for name, mask in bits.items()})
    _KNOWN[module] = masks
    return masks


def load_masks(module: nn.Module, source: Mapping[str, Any] | Ticket | str | Path) -> NetworkMasks:
    """Give a network the masks of another process, and set its dead weights to zero.

    Args:
        module: The network, of the same names and shapes.
        source: The ``state_dict()`` of masks, a ticket, or the path of a ticket.

    Returns:
        The masks, from which :func:`prune` goes on. Hold the optimizer by them again: ``masks.hold(optimizer)``.

    Raises:
        ValueError: If the masks are of another network, or ``source`` is neither of these. The network has not changed
            then.

    Example:
        >>> first, second = nn.Linear(4, 5), nn.Linear(4, 5)
        >>> masks = load_masks(second, prune(first, sparsity=0.8).state_dict())
        >>> masks.alive, int((second.weight != 0).sum())
        (4, 4)
    """
    module = unwrapped(module)
    weights: dict[str, Tensor] = {plain_name(name): weight for name, weight in module.named_parameters()}
    if isinstance(source, str | Path):
        source = load_ticket(source)
    if isinstance(source, Ticket):
        prunes = int(source.header.get("cycle", 1))
        refuse_other_network({name: mask.shape for name, mask in source.masks.items()}, weights)
        bits = {name: pack_bits(mask.byte()) for name, mask in source.masks.items()}
        chosen = {name: weights[name] for name in {**source.header.get("alive", {}), **bits} if name in weights}
        found = {name: mask_for(weights[name], packed) for name, packed in bits.items()}
    else:
        chosen, found = masks_in(source, weights)
        prunes = int(source["prunes"])
    masks = _KNOWN.get(module) or NetworkMasks({})
    masks.prunes = prunes
    masks.take_(chosen, found)
    _KNOWN[module] = masks
    return masks


def unwrapped(module: nn.Module) -> nn.Module:
    """The network in the module that ``Fabric.setup`` returned, under whose names its masks are kept.

    Args:
        module: Any module. Others are returned as they are.

    Example:
        >>> from lightning.fabric import Fabric
        >>> network = nn.Linear(2, 2)
        >>> unwrapped(Fabric(accelerator="cpu").setup(network)) is unwrapped(network) is network
        True
    """
    # By its name: `lightning` and `lightning_fabric` have a class each.
    return module.module if type(module).__name__ == "_FabricModule" else module  # type: ignore[return-value]


@contextmanager
def _said_of_prune() -> Iterator[None]:
    """Errors of functions that are shared with a fit name ``IterativePruning``."""
    try:
        yield
    except ValueError as error:
        if "IterativePruning" not in str(error):
            raise
        raise UserError(str(error).replace("IterativePruning", "prune")) from error


def _refuse_arguments(sparsity: float, **functions: object) -> None:
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float) or not 0 <= sparsity < 1:
        final = getattr(sparsity, "final", None)
        meant = f"{final if final is not None else 0.8}"
        if isinstance(sparsity, int | float) and 1 < sparsity < 100:
            meant = f"{sparsity / 100:g}"
        raise UserError(
            f"prune(sparsity={sparsity!r}) must be a number in [0, 1), the fraction to remove: sparsity={meant}."
        )
    for name, function in functions.items():
        refuse_guess(name, function)
    criterion: Any = functions["criterion"]
    if "squared_gate_gradient" in criteria.needs_of(criterion).kinds:
        raise UserError(
            f"prune(criterion={describe(criterion)}) takes gradients of gates in a fit: prune in a Trainer, or give "
            "another criterion, such as lightning_prune.magnitude."
        )
    if earlier := [kind for kind in criteria.needs_of(criterion).kinds if kind in REMEMBERED]:
        raise UserError(
            f"prune(criterion={describe(criterion)}) looks at the weights of an earlier moment ({', '.join(earlier)}), "
            "which nobody remembers without a fit: prune in a Trainer, or give another criterion, such as "
            "lightning_prune.magnitude."
        )


def _refuse_diverged(weights: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        if count := count_not_finite(weight):
            raise UserError(f"prune: {count} weights of {name!r} are NaN or infinite, so their size says nothing.")


def _before(masks: NetworkMasks, weights: Mapping[str, Tensor], given: str | Path | None) -> dict[str, Tensor]:
    """The packed masks from which a prune goes on."""
    if given is not None and len(masks):
        raise UserError(
            f"prune(initial_masks={str(given)!r}) is for the first call, and this network has masks already: leave it "
            "out, or load the masks with lightning_prune.load_masks(module, path)."
        )
    if given is not None:
        refuse_missing(given)
        return read_masks(given, weights)
    return {name: bits for name, bits in masks.packed().items() if name in weights}


def _refuse_measures(granularity: Granularity, measure: Quantity) -> None:
    if measure == "latency" or isinstance(measure, Latency):
        raise UserError(
            f"prune(measure={measure!r}) measures nothing without a fit: give measure='flops', or "
            "IterativePruning(cycles=1, retrain='0ep') in a Trainer."
        )
    if measure == "flops" and not granularity.needs_groups:
        raise UserError(
            f"prune(measure='flops', granularity={granularity!r}) cannot count the operations of a training step "
            "without a fit: give granularity=Structures(), or prune in a Trainer."
        )


def _refuse_regrowth(sparsity: float, pruner: Pruner) -> None:
    masks = pruner.masks
    if pruner.exceeds(sparsity):
        raise UserError(
            f"prune(sparsity={sparsity}) would bring weights back: {masks.sparsity:.4g} of the prunable weights are "
            "dead already, and dead weights stay dead. Give a higher sparsity, or begin with fresh weights and "
            "lightning_prune.forget_masks(module)."
        )


def forget_masks(module: nn.Module) -> None:
    """Forget the masks of a network and let its optimizers go. The next :func:`prune` begins anew.

    Args:
        module: The network. A network without masks is left as it is.
    """
    masks = _KNOWN.pop(unwrapped(module), None)
    if masks is not None:
        masks.release()
