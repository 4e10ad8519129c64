"""The flow through a module for SynFlow: its output for ones, with absolute values for weights and buffers."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.func import functional_call

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.gathering.training_batches import draw
from lightning_prune.selection.sharding import is_sharded

_HINT = "set example_input_array in the module, or give another criterion, such as lightning_prune.magnitude"


def flow_of(module: nn.Module, weights: Mapping[str, Tensor], ones: Tensor) -> Callable[[Mapping[str, Tensor]], Any]:
    """Make the function that scores the weights by the flow through them, for masks.

    ``R`` is the sum of the outputs, the score ``|dR/dw * w|``. It is computed in float64, because the sum grows with
    the product of the widths. The module must be in evaluation mode, and is not changed.

    Args:
        module: The network, called with one input.
        weights: The weights to score, by any names. They are parameters of the module.
        ones: The input, all ones. It is converted to float64.

    Returns:
        A function from masks to scores, both by the names of ``weights``.

    Example:
        >>> chain = nn.Linear(2, 1, bias=False)
        >>> _ = torch.nn.init.constant_(chain.weight, -3.0)
        >>> flow_of(chain, {"w": chain.weight}, torch.ones(1, 2))({"w": torch.tensor([[True, False]])})
        {'w': tensor([[3., 0.]], dtype=torch.float64)}
    """
    names = {id(weight): name for name, weight in weights.items()}
    state = {name: _positive(tensor) for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
    own = {names[id(p)]: name for name, p in module.named_parameters() if id(p) in names}

    def flow(living: Mapping[str, Tensor]) -> dict[str, Tensor]:
        masked = {name: (state[own[name]] * living[name]).requires_grad_() for name in weights}
        output = functional_call(module, {**state, **{own[name]: masked[name] for name in weights}}, (ones.double(),))
        total = torch.stack([one.sum() for one in _tensors(output)]).sum()
        slopes = torch.autograd.grad(total, list(masked.values()), allow_unused=True, materialize_grads=True)
        scores = {name: (slope * masked[name]).detach().abs() for name, slope in zip(weights, slopes, strict=True)}
        if not all(score.isfinite().all() for score in scores.values()):
            raise UserError(f"SynFlow's flow through {type(module).__name__} overflows even in float64: {_HINT}.")
        return scores

    return flow


def ones_for(trainer: "pl.Trainer", seed: int) -> Tensor:
    """The input of SynFlow: ones in the shape of one example.

    Args:
        trainer: The trainer, in a fit. The module's ``example_input_array`` tells the shape, or else a batch.
        seed: Decides which batch.

    Returns:
        A tensor of the shape of one example, with a batch dimension of 1, where the module is.

    Raises:
        ValueError: If the module has no ``forward``, or its input is no tensor of floating-point numbers.
    """
    module = trainer.lightning_module
    if type(module).forward in [cls.forward for cls in everywhere(pl.LightningModule)]:
        raise UserError(
            f"SynFlow puts ones into {type(module).__name__}, which has no forward: write one that goes through the "
            "network, or give another criterion, such as lightning_prune.magnitude."
        )
    example = module.example_input_array
    if example is None:
        example = _transferred(trainer, draw(trainer, 1, seed)[0])
    if isinstance(example, list | tuple) and example:
        example = example[0]
    if not isinstance(example, Tensor) or not example.is_floating_point() or not example.dim():
        raise UserError(
            f"SynFlow puts ones into {type(module).__name__}, whose input must be one tensor of floating-point "
            f"numbers: {_HINT}."
        )
    return torch.ones((1, *example.shape[1:]), device=module.device)


def _transferred(trainer: "pl.Trainer", batch: Any) -> Any:
    """A batch as the module gets it: images may be bytes until then."""
    batch = trainer.lightning_module._on_before_batch_transfer(trainer.precision_plugin.convert_input(batch))
    return trainer.lightning_module._apply_batch_transfer_handler(batch, device=trainer.strategy.root_device)


def refuse(parameters: Mapping[str, Tensor]) -> None:
    """Refuse weights that lie on several devices in parts, and complex ones, whose flow may cancel.

    Args:
        parameters: All parameters of the module by name.

    Raises:
        ValueError: If there is one.
    """
    if named := next((name for name, parameter in parameters.items() if parameter.is_complex()), None):
        raise UserError(
            f"SynFlow puts ones through the absolute values of real weights, and {named!r} is complex: give another "
            "criterion, such as lightning_prune.magnitude."
        )
    if any(map(is_sharded, parameters.values())):
        raise UserError(
            "SynFlow needs whole weights, and these are sharded: train with DDP, or give another criterion, such as "
            "lightning_prune.magnitude."
        )


def _positive(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor.double().abs() if tensor.is_floating_point() else tensor.clone()


def _tensors(output: Any) -> list[Tensor]:
    """The tensors of an output that is one, or a collection of them."""
    leaves = torch.utils._pytree.tree_leaves(output)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
