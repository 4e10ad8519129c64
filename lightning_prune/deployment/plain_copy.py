"""Copy a network for a file: in eval mode, on the CPU, with plain weights."""

import copy
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.utils._pytree import tree_leaves

from lightning_prune.basics.user_error import UserError
from lightning_prune.selection.sharding import is_sharded


def plain_copy(module: nn.Module, graph: bool, asker: str) -> nn.Module:
    """Copy a network. The network itself stays as it is.

    Masks of ``torch.nn.utils.prune`` are applied for good. A network that ``torch.compile`` wraps comes out of it.

    Args:
        module: The network, on any device, in any mode and precision.
        graph: Whether the file holds a graph. Then computed weights become plain, and all numbers float32. A file of
            weights alone keeps what the user's class has.
        asker: The call that asks, for errors.

    Raises:
        ValueError: If the weights are split over several devices, or the network cannot be copied.

    Example:
        >>> layer = prune.l1_unstructured(nn.Linear(2, 1, bias=False), "weight", amount=1)
        >>> list(plain_copy(layer.double(), True, "export(...)").named_parameters())[0][1].dtype
        torch.float32
    """
    sharded = next((name for name, one in module.named_parameters() if is_sharded(one)), None)
    if sharded is not None:
        raise UserError(
            f"{asker} cannot write {sharded}, which is split over several devices. Load a checkpoint that is one file "
            "in a single process first."
        )
    # Weights that a hook has computed have a graph, and torch copies no tensor with a graph.
    computed = [one for layer in module.modules() for one in vars(layer).values() if _has_graph(one)]
    try:
        copied = copy.deepcopy(module, {id(one): one.detach().clone() for one in computed})
    except Exception as error:  # an attribute of the user may refuse to be copied in any way
        raise UserError(
            f"{asker} cannot copy {type(module).__name__}: {type(error).__name__}: {error}. Give the network inside."
        ) from error
    copied = _uncompiled(copied)
    _burn_in(copied, graph)
    copied = copied.cpu().eval().requires_grad_(False)
    return copied.float() if graph else copied


def return_plain_values(module: nn.Module) -> None:
    """Let a copied network return tensors, tuples, lists and dicts: what a machine without the user's classes knows.

    Args:
        module: The copy. Its ``forward`` keeps its arguments. Mappings such as the outputs of transformers become dicts
            without what is no tensor.
    """
    module.__dict__["forward"] = _plainly(module.forward)


def _plainly(forward: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(forward)
    def plain_forward(*args: Any, **kwargs: Any) -> Any:
        outputs = forward(*args, **kwargs)
        if not isinstance(outputs, Mapping):
            return outputs
        return {str(name): one for name, one in outputs.items() if _is_tensors(one)}

    return plain_forward


def _is_tensors(value: Any) -> bool:
    leaves = tree_leaves(value)
    return bool(leaves) and all(isinstance(one, Tensor) for one in leaves)


def _has_graph(value: Any) -> bool:
    return isinstance(value, Tensor) and value.grad_fn is not None


def _uncompiled(module: nn.Module) -> nn.Module:
    for layer in list(module.modules()):
        for name, child in layer.named_children():
            if hasattr(child, "_orig_mod") and name != "_orig_mod":
                setattr(layer, name, child._orig_mod)
    inside = getattr(module, "_orig_mod", module)
    return inside if isinstance(inside, nn.Module) else module


@torch.no_grad()
def _burn_in(module: nn.Module, graph: bool) -> None:
    """Make computed weights plain ones. For a file without a graph, those that a mask computes."""
    for layer in list(module.modules()):
        if graph and parametrize.is_parametrized(layer):
            _own_class(layer)
            for name in list(layer.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(layer, name, leave_parametrized=True)
        for hook in list(layer._forward_pre_hooks.values()):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(layer, hook._tensor_name)  # type: ignore[no-untyped-call]


def _own_class(layer: nn.Module) -> None:
    """Give a copied layer its own class, from which torch deletes the weight. The user's layer keeps the other one."""
    shared = type(layer)
    content = {name: one for name, one in vars(shared).items() if name not in ("__dict__", "__weakref__")}
    layer.__class__ = type(shared.__name__, shared.__bases__, content)
