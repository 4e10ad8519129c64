"""Pruning criteria: pure functions that map a weight to scores.

Every criterion has the same signature. It returns a finite tensor of the
weight's shape and does not change the weight. A higher score means "keep". To
add a criterion, write a function with type hints, which YAML configs are
checked against, here or in a file of its own. Declare with ``needs`` what the
function looks at.
"""

import torch
from torch import Tensor

from lightning_prune.criteria.changes import last_epoch_change as last_epoch_change
from lightning_prune.criteria.changes import last_epoch_change_magnitude as last_epoch_change_magnitude
from lightning_prune.criteria.changes import magnitude_increase as magnitude_increase
from lightning_prune.criteria.changes import movement as movement
from lightning_prune.criteria.declared import Criterion as Criterion
from lightning_prune.criteria.declared import Scorer as Scorer
from lightning_prune.criteria.declared import each_entry as each_entry
from lightning_prune.criteria.declared import elementwise as elementwise
from lightning_prune.criteria.declared import is_elementwise as is_elementwise
from lightning_prune.criteria.declared import needs as needs
from lightning_prune.criteria.declared import needs_of as needs_of
from lightning_prune.criteria.declared import of_units as of_units
from lightning_prune.criteria.declared import scores_entries as scores_entries
from lightning_prune.criteria.declared import scores_units as scores_units
from lightning_prune.criteria.declared import solved_by as solved_by
from lightning_prune.criteria.evidence import Evidence as Evidence
from lightning_prune.criteria.evidence import Needs as Needs
from lightning_prune.criteria.filters import Filters as Filters
from lightning_prune.criteria.flow import SynFlow as SynFlow
from lightning_prune.criteria.flow import synflow as synflow
from lightning_prune.criteria.gradients import gradient as gradient
from lightning_prune.criteria.gradients import gradient_magnitude as gradient_magnitude
from lightning_prune.criteria.gradients import grasp as grasp
from lightning_prune.criteria.gradients import snip as snip
from lightning_prune.criteria.gradients import taylor as taylor
from lightning_prune.criteria.in_sequence import InSequence as InSequence
from lightning_prune.criteria.inputs import ria as ria
from lightning_prune.criteria.inputs import wanda as wanda
from lightning_prune.criteria.on_batches import OnBatches as OnBatches
from lightning_prune.criteria.sparse_gpt import sparse_gpt as sparse_gpt
from lightning_prune.criteria.switch import Switch as Switch
from lightning_prune.criteria.units import activation_entropy as activation_entropy
from lightning_prune.criteria.units import batch_norm_scale as batch_norm_scale
from lightning_prune.criteria.units import feature_rank as feature_rank
from lightning_prune.criteria.units import geometric_median as geometric_median
from lightning_prune.criteria.units import l1_norm as l1_norm
from lightning_prune.criteria.units import l2_norm as l2_norm
from lightning_prune.criteria.units import lasso_channels as lasso_channels
from lightning_prune.criteria.units import mean_activation as mean_activation
from lightning_prune.criteria.units import reconstruction_error as reconstruction_error
from lightning_prune.criteria.units import reconstruction_error_forward as reconstruction_error_forward
from lightning_prune.criteria.units import taylor_gate as taylor_gate


@elementwise
def magnitude(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep the weights with the largest absolute value: ``|w|``.

    Reference: Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015,
    https://arxiv.org/abs/1506.02626.

    Args:
        weight: The weight, of any shape.
        evidence: Not used.

    Returns:
        Scores of the weight's shape, at least 0.

    Example:
        >>> magnitude(torch.tensor([1.0, -3.0, 0.0]), Evidence(torch.Generator()))
        tensor([1., 3., 0.])
    """
    return weight.detach().abs()


@each_entry
def random(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep random weights, or random units. Every criterion has to beat this baseline.

    Reference: Liu et al., Rethinking the Value of Network Pruning, 2019, https://arxiv.org/abs/1810.05270.

    Args:
        weight: The weight, of any shape. Only its shape and device are used.
        evidence: Only the generator is used.

    Returns:
        Scores of the weight's shape, uniform in [0, 1).

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> random(torch.ones(2, 2), Evidence(generator)).shape
        torch.Size([2, 2])
    """
    return torch.rand(weight.shape, generator=evidence.generator).to(weight.device)
