"""Statistics of what flows out of units: means, the values of samples, and ranks of maps."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError


class Statistics:
    """Adds up what flows out of the units of groups.

    Args:
        widths: The number of units of each group, by name.
        kinds: What to measure: ``output_mean``, ``output_samples``, ``output_rank``.
    """

    def __init__(self, widths: dict[str, int], kinds: Sequence[str]) -> None:
        self._widths, self._kinds = widths, kinds
        self._sums: dict[tuple[str, str], Tensor] = {}
        self._samples: dict[str, list[Tensor]] = {group: [] for group in widths}

    def saw(self, group: str, values: Tensor, units: Tensor) -> None:
        """Take values.

        Args:
            group: The name of the group.
            values: The values, with samples first and outputs second.
            units: The unit of each output. -1 where it belongs to none.
        """
        values = values.abs() if values.is_complex() else values
        values, width = values.to(torch.promote_types(values.dtype, torch.float32)), self._widths[group]
        if "output_mean" in self._kinds:
            self._add("output_mean", group, by_unit(_over_positions(values.abs()), units, width))
        if "output_rank" in self._kinds:
            self._add("output_rank", group, by_unit(ranks(values), units, width))
        if "output_samples" in self._kinds:
            self._samples[group].append(by_unit(_over_positions(values), units, width).t().cpu())

    def found(
        self, device: torch.device, summed: Callable[[Tensor], Tensor], joined: Callable[[Tensor], Tensor]
    ) -> dict[str, dict[str, Tensor]]:
        """What was measured.

        Args:
            device: Where the processes exchange tensors.
            summed: Adds up the tensors of all processes.
            joined: Puts the columns of all processes side by side.

        Returns:
            A matrix with one row for each unit, by kind and group.

        Raises:
            ValueError: If nothing was seen of a group.
        """
        result: dict[str, dict[str, Tensor]] = {kind: {} for kind in self._kinds}
        for group, width in self._widths.items():
            for kind in self._kinds:
                if kind == "output_samples":
                    matrix = joined(torch.cat([torch.zeros(width, 0), *self._samples[group]], 1).to(device))
                    _refuse_unseen(group, matrix.shape[1])
                else:
                    empty = torch.zeros(width + 1, device=device)
                    total = summed(self._sums.get((kind, group), empty).to(device))
                    _refuse_unseen(group, float(total[-1]))
                    matrix = (total[:-1] / total[-1])[:, None]
                result[kind][group] = matrix
        return result

    def _add(self, kind: str, group: str, samples: Tensor) -> None:
        """Add up samples, and count them in the last place."""
        one = torch.cat([samples.sum(0), samples.new_tensor([len(samples)])])
        before = self._sums.get((kind, group))
        self._sums[kind, group] = one if before is None else before + one


def by_unit(outputs: Tensor, units: Tensor, width: int) -> Tensor:
    """Average over the outputs of each unit.

    Args:
        outputs: One row for each sample, one column for each output.
        units: The unit of each output. -1 where it belongs to none.
        width: The number of units.

    Returns:
        One row for each sample, one column for each unit.

    Example:
        >>> by_unit(torch.tensor([[1.0, 3.0, 5.0]]), torch.tensor([0, 0, 1]), 2)
        tensor([[2., 5.]])
    """
    some = units >= 0
    sums = outputs.new_zeros(len(outputs), width).index_add_(1, units[some], outputs[:, some])
    return sums / torch.bincount(units[some], minlength=width).clamp(min=1)


def ranks(values: Tensor) -> Tensor:
    """The rank of each map.

    Args:
        values: Samples, channels and the positions of a map. Dimensions beyond two count as height. With one dimension
            or none, a map is a row.

    Returns:
        One row for each sample, one column for each channel.

    Example:
        >>> ranks(torch.eye(3).view(1, 1, 3, 3)), ranks(torch.tensor([[0.0, 2.0]]))
        (tensor([[3.]]), tensor([[0., 1.]]))
    """
    if values.dim() < 4:
        return (values.flatten(2) != 0).any(2).to(values.dtype) if values.dim() == 3 else (values != 0).to(values.dtype)
    found: Tensor = torch.linalg.matrix_rank(values.flatten(2, -2))
    return found.to(values.dtype)


def _over_positions(values: Tensor) -> Tensor:
    return values.flatten(2).mean(2) if values.dim() > 2 else values


def _refuse_unseen(group: str, seen: float) -> None:
    if not seen:
        raise UserError(
            f"The criterion looks at what flows out of units, and nothing was seen of {group!r}: no convolution or "
            "linear layer that makes its values ran in the batches. Leave it out: Structures(exclude=["
            f"{group!r}]), or give a criterion of the weights alone, such as l1_norm."
        )
