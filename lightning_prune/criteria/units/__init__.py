"""Criteria that score whole units, such as filters and channels, and not single weights.

Every criterion has the same signature, ``(units, evidence) -> scores``. ``units`` is a matrix with one row for each
unit: the weights that compute it. The result has one finite score for each unit. A higher score means "keep". A group
whose units are computed by several weights is scored by the mean over these weights.
"""

from lightning_prune.criteria.units.gates import batch_norm_scale as batch_norm_scale
from lightning_prune.criteria.units.gates import taylor_gate as taylor_gate
from lightning_prune.criteria.units.unit_activations import activation_entropy as activation_entropy
from lightning_prune.criteria.units.unit_activations import feature_rank as feature_rank
from lightning_prune.criteria.units.unit_activations import mean_activation as mean_activation
from lightning_prune.criteria.units.unit_contributions import lasso_channels as lasso_channels
from lightning_prune.criteria.units.unit_contributions import reconstruction_error as reconstruction_error
from lightning_prune.criteria.units.unit_contributions import (
    reconstruction_error_forward as reconstruction_error_forward,
)
from lightning_prune.criteria.units.unit_norms import geometric_median as geometric_median
from lightning_prune.criteria.units.unit_norms import l1_norm as l1_norm
from lightning_prune.criteria.units.unit_norms import l2_norm as l2_norm
