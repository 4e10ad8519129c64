"""What a criterion of whole units is called with."""

from collections.abc import Callable, Mapping

from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.criteria import Criterion, Evidence, needs_of
from lightning_prune.criteria.evidence import OF_UNITS
from lightning_prune.criteria.scores import as_floating, check_finite
from lightning_prune.granularity.base import Masks, Units
from lightning_prune.selection.sharding import whole


def score_units(
    criterion: Criterion,
    units: Units,
    group: str,
    masks: Masks,
    weights: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    of_units: Mapping[str, Mapping[str, Tensor]],
    gatherer: Gatherer,
    cycle: int,
    said: str,
) -> Tensor:
    """Score the units of a group by a criterion of whole units: the mean over the weights that compute them.

    Args:
        criterion: The criterion.
        units: The units.
        group: The name of the group.
        masks: The masks of all groups.
        weights: The weights that compute units, by name.
        tensors: All parameters that units lie in, by name.
        of_units: What was gathered on the units: a matrix with one row for each unit, by kind and group.
        gatherer: What has gathered evidence on weights.
        cycle: The number of the cycle.
        said: The name of the criterion, for errors.

    Returns:
        One score for each unit.

    Raises:
        ValueError: If the scores are not finite, or of another shape.
    """
    kinds, scores = needs_of(criterion).kinds, []
    rows = units.rows(group, lambda name: whole(weights[name]).detach(), 0.0, masks)
    of_weights = [kind for kind in kinds if kind not in OF_UNITS]
    gathered = {kind: units.rows(group, _of(gatherer, cycle, kind, weights), 0.0, masks) for kind in of_weights}
    for place, (name, matrix) in enumerate(zip(units.weights[group], rows, strict=True)):
        generator = gatherer.for_weight(cycle, name, None, matrix.device).generator
        found = {kind: matrices[place] for kind, matrices in gathered.items()}
        if "scale" in kinds:
            found["scale"] = units.scales(group, lambda one: tensors[one].detach())
        found |= {kind: of_units[kind][group].to(matrix.device) for kind in of_units if kind in kinds}
        score = as_floating(group, criterion(matrix, Evidence(generator, found, cycle=cycle)), said)
        if score.shape != (len(matrix),):
            raise UserError(
                f"{said} gave scores of shape {tuple(score.shape)} for the {len(matrix)} units of {group!r}: a "
                "criterion of units returns one score for each row."
            )
        check_finite(group, score, said)
        scores.append(score)
    return sum(scores[1:], scores[0]) / len(scores)


def _of(gatherer: Gatherer, cycle: int, kind: str, weights: Mapping[str, Tensor]) -> Callable[[str], Tensor]:
    return lambda name: gatherer.for_weight(cycle, name, None, weights[name].device).found[kind]
