"""Build any classifier of timm by name, with untrained weights, for any number of classes and size of images."""

from difflib import get_close_matches
from typing import Any

from torch import nn

from lightning_prune.basics.checks import require_positive
from lightning_prune.basics.extras import needs_extra
from lightning_prune.basics.user_error import UserError


def timm_network(name: str, classes: int = 10, **kwargs: Any) -> nn.Module:
    """Build the timm classifier called ``name`` with untrained weights.

    Args:
        name: A name from ``timm.list_models()``.
        classes: Number of classes, at least 1.
        **kwargs: Further arguments of the network, such as ``img_size`` and ``patch_size`` of a vision transformer. In
            YAML they are given as ``dict_kwargs``.

    Returns:
        The network, which maps images ``[N, 3, H, W]`` to class scores ``[N, classes]``.

    Raises:
        ModuleNotFoundError: If timm is not installed.
        UserError: If there is no such classifier, or ``classes`` is below 1.

    Example:
        >>> timm_network("vit_tiny_patch16_224", classes=7, img_size=32, patch_size=4).head
        Linear(in_features=192, out_features=7, bias=True)
        >>> timm_network("vit_tiny_patch15_224")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lightning_prune.UserError: timm_network(name='vit_tiny_patch15_224'): no such classifier. Did you mean vit_...?
    """
    require_positive("timm_network", classes=classes)
    with needs_extra("timm_network", "timm"):
        import timm

    if not timm.is_model(name):
        names = timm.list_models()
        close = get_close_matches(name.lower(), names)
        advice = f"Did you mean {', '.join(close)}?" if close else "timm.list_models() lists them."
        raise UserError(f"timm_network(name={name!r}): no such classifier. {advice}")
    return timm.create_model(name, pretrained=False, num_classes=classes, **kwargs)
