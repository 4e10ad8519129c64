"""Find the trained parameters of a fit: only parameters with an optimizer and a gradient are pruned."""

from collections.abc import Container, Iterable, Mapping
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_prune.basics.user_error import UserError
from lightning_prune.masks.optimizer_state import owned_by
from lightning_prune.selection.parameters import identity, owned_parameters
from lightning_prune.selection.prunable import Selected, Skipped

UNHELD = "in no optimizer when training started, so nobody trains it"
WITHOUT_GRADIENT = "no gradient came to it in the dense run, so nobody trains it"


class Trained:
    """Watches which parameters of a module are trained.

    The module may itself write a copy of a network, such as a target network. The copy is as sparse as its original.
    With masks of its own, the copy would differ from its original.

    Args:
        module: The module, when training starts.
        optimizers: The optimizers of the fit.
        later: Parameters that an optimizer is going to hold within the dense run.

    Example:
        >>> module = nn.ModuleDict({"net": nn.Linear(2, 2), "target": nn.Linear(2, 2)})
        >>> trained = Trained(module, [torch.optim.SGD(module["net"].parameters(), lr=0.1)])
        >>> trained.reasons(["net.weight", "target.weight"])
        {'target.weight': 'in no optimizer when training started, so nobody trains it'}
    """

    def __init__(self, module: nn.Module, optimizers: Iterable[Optimizer], later: Iterable[Tensor] = ()) -> None:
        held = {identity(one) for optimizer in optimizers for one in owned_by(optimizer)} | {*map(identity, later)}
        objects: dict[object, list[Tensor]] = {}
        for parameter in module.parameters():  # two that lie in the same memory have a gradient each
            objects.setdefault(identity(parameter), []).append(parameter)
        named = {one.name: identity(one.parameter) for one in owned_parameters(module)}
        self._unheld = {name for name, key in named.items() if key not in held}
        self._waiting = {name: objects[key] for name, key in named.items() if key in held}
        self._over = False

    def note(self) -> None:
        """Note which parameters have a gradient by now. Called after a step of the dense run."""
        if self._waiting and not self._over:
            self._waiting = {
                name: them for name, them in self._waiting.items() if all(one.grad is None for one in them)
            }

    def end_dense_run(self, processes: int = 1) -> None:
        """Count each parameter that has had no gradient so far as not trained.

        Args:
            processes: How many processes train. A gradient on one of them is enough.
        """
        if processes > 1:
            others: list[list[str]] = [[] for _ in range(processes)]
            torch.distributed.all_gather_object(others, list(self._waiting))
            self._await(set(self._waiting).intersection(*others))
        self._over = True

    def reasons(self, names: Iterable[str], masked: Container[str] = ()) -> dict[str, str]:
        """Why some of the selected weights are not to be pruned.

        Args:
            names: The names of the selected weights.
            masked: Those that were masked already, which stay so.

        Returns:
            The reason for each of them that nobody trains. Where no gradient was seen at all, as by an optimizer that
            steps within the backward pass, the lack of one says nothing.
        """
        found = {name: UNHELD for name in names if name in self._unheld and name not in masked}
        held = [name for name in names if name not in self._unheld]
        if self._over and not all(name in self._waiting for name in held):
            found |= {name: WITHOUT_GRADIENT for name in held if name in self._waiting and name not in masked}
        return found

    def take_over(self, saved: Mapping[str, Any]) -> None:
        """Take what the callbacks of a dense run tell of gradients."""
        waiting = next((state["trained"]["waiting"] for state in saved.values() if "trained" in state), ())
        self._await(waiting)

    def state_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {"unheld": sorted(self._unheld), "waiting": list(self._waiting), "over": self._over}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what :meth:`state_dict` gave."""
        self._unheld, self._over = set(state["unheld"]), state["over"]
        self._await(state["waiting"])

    def _await(self, names: Iterable[str]) -> None:
        kept = set(names)
        self._waiting = {name: them for name, them in self._waiting.items() if name in kept}


def leave_out(selected: Selected, reasons: Mapping[str, str], module: str) -> Selected:
    """Leave weights out of a selection.

    Args:
        selected: What was selected.
        reasons: Why some of it is left out.
        module: The name of the module's class, for the error.

    Returns:
        The rest, and why the others are not in it.

    Raises:
        ValueError: If nothing is left.
    """
    rest = {name: weight for name, weight in selected.weights.items() if name not in reasons}
    if not rest:
        listed = ", ".join(f"{name} ({reason})" for name, reason in list(reasons.items())[:8])
        raise UserError(
            f"{module} has nothing to prune that is trained: {listed}. Give the optimizers of configure_optimizers the "
            "weights that are to be pruned, or select others: IterativePruning(prunable=...)."
        )
    left = [Skipped(name, selected.weights[name].numel(), reason) for name, reason in reasons.items()]
    return Selected(rest, (*selected.skipped, *left))


def warn_of_untrained(reasons: Mapping[str, str]) -> None:
    """Say which weights stay dense although they were selected, because no gradient came to them."""
    names = [name for name, reason in reasons.items() if reason == WITHOUT_GRADIENT]
    if names:
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        rank_zero_warn(
            f"IterativePruning leaves {', '.join(names[:8])}{more} dense: no gradient came to them in the dense run, "
            "so their size says nothing. If they are trained later, train the dense network for longer."
        )
