"""Build any classifier of torchvision by name, with untrained weights and any number of classes."""

from difflib import get_close_matches
from typing import cast

from torch import nn
from torchvision import models

from lightning_prune.basics.checks import require_positive
from lightning_prune.basics.user_error import UserError


def torchvision_network(name: str, classes: int = 10, **kwargs: bool | int | float | str) -> nn.Module:
    """Build the torchvision classifier called ``name`` with untrained weights.

    Args:
        name: Name from ``torchvision.models.list_models(module=torchvision.models)``.
        classes: Number of classes, at least 1.
        **kwargs: Further arguments of the network. In YAML they are given as ``dict_kwargs``.

    Returns:
        The network, which maps images ``[N, 3, H, W]`` to class scores ``[N, classes]``.

    Raises:
        ValueError: If there is no such classifier, or ``classes`` is below 1.

    Example:
        >>> torchvision_network("resnet18", classes=7).fc
        Linear(in_features=512, out_features=7, bias=True)
        >>> torchvision_network("resnet17")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lightning_prune.UserError: torchvision_network(name='resnet17'): no such classifier. Did you mean resnet18, ...?
    """
    require_positive("torchvision_network", classes=classes)
    names = models.list_models(module=models)
    if name.lower() not in names:
        close = get_close_matches(name.lower(), names)
        advice = f"Did you mean {', '.join(close)}?" if close else f"Choose one of {', '.join(names)}."
        raise UserError(f"torchvision_network(name={name!r}): no such classifier. {advice}")
    return cast(nn.Module, models.get_model(name, weights=None, num_classes=classes, **kwargs))
