"""What lies under the kernel of a convolution at each of its positions."""

from collections.abc import Sequence

import torch
from torch import Tensor


def windows(
    images: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """View images as what lies under a kernel.

    Args:
        images: Samples, channels, and any number of dimensions.
        kernel: The size of the kernel in each dimension. So are the others.
        stride: The steps between positions.
        padding: The zeros on both sides.
        dilation: The steps within the kernel.

    Returns:
        Samples, channels, the positions in each dimension, and the places of the kernel in each dimension.

    Example:
        >>> windows(torch.arange(5.0).view(1, 1, 5), [2], [2], [0], [2]).tolist()
        [[[[0.0, 2.0], [2.0, 4.0]]]]
    """
    sides = [side for amount in reversed(padding) for side in (amount, amount)]
    seen = torch.nn.functional.pad(images, sides) if any(sides) else images
    for place, size in enumerate(kernel):
        seen = seen.unfold(2 + place, (size - 1) * dilation[place] + 1, stride[place])
    for place, step in enumerate(dilation):
        seen = seen.movedim(place - len(kernel), -1)[..., ::step].movedim(-1, place - len(kernel))
    return seen
