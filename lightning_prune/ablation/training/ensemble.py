"""Measure the ensemble of several copies of a network: the metric of their averaged predictions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.func import functional_call

State = Mapping[str, Tensor]


class JointForward:
    """The forward of several copies of a module: the logarithm of the mean of their softmax outputs.

    The module needs a ``forward`` that returns logits, (batch, classes, ...), and its steps have to call it, as in
    ``self(images)``. The steps then measure the ensemble as they measure one network: its softmax outputs are the
    means.

    Args:
        module: The module. Its own forward comes back with :meth:`remove`.
        states: The parameters and buffers of the copies, by name.

    Attributes:
        called: How often the steps have called the forward.
        unfit: The first reason why what the copies return cannot be averaged. Empty if there is none.

    Example:
        >>> class Net(LightningModule):
        ...     def forward(self, logits):
        ...         return logits
        >>> joint = JointForward(module := Net(), [{}, {}])
        >>> module(torch.tensor([[0.0, 0.0]])).exp()
        tensor([[0.5000, 0.5000]])
        >>> joint.remove()
    """

    def __init__(self, module: LightningModule, states: Sequence[State]) -> None:
        named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self.module = module
        self.states = [{name: one for name, one in state.items() if name in named} for state in states]
        self.called = 0
        self.unfit = ""
        vars(module)["forward"] = self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.called += 1
        self.remove()  # the copies are called by the module's own forward
        device = self.module.device
        self.states = [{name: one.to(device) for name, one in state.items()} for state in self.states]
        try:
            found = [functional_call(self.module, state, arguments, options) for state in self.states]
        finally:
            vars(self.module)["forward"] = self
        self.unfit = self.unfit or why_no_logits(found[0])
        return found[0] if self.unfit else mean_of_softmax(found)

    def remove(self) -> None:
        """Give the module its own forward back."""
        vars(self.module).pop("forward", None)


def why_no_logits(output: Any) -> str:
    """The reason why an output cannot be logits. Empty if it can.

    Args:
        output: What a forward returns.

    Example:
        >>> why_no_logits(torch.zeros(3, 10)), why_no_logits(torch.zeros(3, 1))
        ('', 'it returns a tensor of shape (3, 1)')
    """
    if not isinstance(output, Tensor):
        return f"it returns {type(output).__name__}"
    if not output.is_floating_point() or output.dim() < 2 or output.shape[1] < 2:
        return f"it returns a tensor of shape {tuple(output.shape)}"
    sums = output.float().sum(1)
    if bool((output >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        return "it returns probabilities"
    return ""


def why_no_labels(batch: Any) -> str:
    """The reason why a batch is not (inputs, labels of classes). Empty if it is.

    Args:
        batch: A batch of a loader.

    Example:
        >>> why_no_labels([torch.zeros(2, 3), torch.tensor([1, 0])]), why_no_labels([torch.zeros(2), torch.zeros(2)])
        ('', 'the second part of its batches is no tensor of whole numbers')
    """
    if not isinstance(batch, list | tuple) or len(batch) != 2:
        return "its batches are not (inputs, labels)"
    labels = batch[1]
    whole = isinstance(labels, Tensor) and not labels.is_floating_point() and labels.dtype != torch.bool
    return "" if whole else "the second part of its batches is no tensor of whole numbers"


def mean_of_softmax(logits: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of softmax outputs, which are logits again.

    Args:
        logits: The outputs of the copies, each of shape (batch, classes, ...).

    Returns:
        A tensor of the same shape and dtype.

    Example:
        >>> mean_of_softmax([torch.tensor([[0.0, 50.0]]), torch.tensor([[50.0, 0.0]])]).exp()
        tensor([[0.5000, 0.5000]])
    """
    shares = torch.stack([one.softmax(1) for one in logits]).mean(0)
    return shares.clamp(min=torch.finfo(shares.dtype).tiny).log()


def measured_ensemble(
    module: LightningModule,
    states: Sequence[State],
    batch: Any,
    validate: Callable[[], float | None],
    test: Callable[[], float | None],
) -> dict[str, Any]:
    """Measure the ensemble of copies, if the predictions of the module can be averaged.

    Args:
        module: The module.
        states: The parameters and buffers of the copies, by name.
        batch: A batch of its data.
        validate: Validates the module, and returns the metric.
        test: Tests the module, and returns the metric.

    Returns:
        ``{"ensemble": ..., "ensemble_test": ...}`` with the two metrics. The second is None if nothing is tested, or if
        the test does not call the forward. Or ``{"no_ensemble": reason}``.
    """
    name = type(module).__name__
    if reason := why_no_labels(batch):
        return {"no_ensemble": f"the predictions of {name} cannot be averaged: {reason}"}
    joint = JointForward(module, states)
    try:
        validated = validate()
        before, tested = joint.called, test()
    finally:
        joint.remove()
    if joint.unfit:
        return {"no_ensemble": f"the forward of {name} has to return logits, (batch, classes, ...), and {joint.unfit}"}
    if not before:
        return {"no_ensemble": f"the validation of {name} does not call its forward, as in self(inputs)"}
    return {"ensemble": validated, "ensemble_test": tested if joint.called > before else None}
