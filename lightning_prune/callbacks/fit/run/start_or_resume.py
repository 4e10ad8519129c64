"""Start a fit, or go on with one from a checkpoint."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lightning_prune.callbacks.fit.dense_run import DenseRun
from lightning_prune.callbacks.fit.run.parts_of_fit import PartsOfFit
from lightning_prune.callbacks.masking.initial_masks import initial_masks, refuse_regrowth
from lightning_prune.callbacks.policies.sleeping_schedulers import put_to_sleep
from lightning_prune.callbacks.resuming.exact_resume import settle
from lightning_prune.callbacks.settings.refused_differences import refuse_differences
from lightning_prune.callbacks.timing.step_counts import has_length, steps_per_epoch


def start_fit(fit: PartsOfFit, trainer: "pl.Trainer", before: DenseRun, masks: str | Path | None) -> None:
    """Begin a fit that is not resumed.

    Args:
        fit: The parts of the fit.
        trainer: The trainer.
        before: The dense run that came before it, or none.
        masks: The source of the first masks. None if all weights are alive.

    Raises:
        ValueError: If it is already known that a cycle would fail.
    """
    saved = before.hand_over(trainer)  # first: the masks may be those of the weights that it brings
    if before.given is not None:
        fit.trained.take_over(saved)
    fit.leave_untrained(trainer)
    sparsities = [fit.scheduled(cycle) for cycle in range(1, fit.timeline.cycles + 1)]
    if masks is not None:
        fit.pruner.load(initial_masks(masks, fit.pruner.covered), exact=masks != "zeros")
        fit.hold_agreed(trainer)
        if sparsities and fit.pruner.exceeds(sparsities[0]):
            refuse_regrowth(masks, fit.pruner.tally().sparsity, sparsities[0])
    fit.pruner.gatherer.begin_fit()  # after the masks: it remembers the weights as they are trained
    initial = fit.scheduled(0) if fit.timeline.inside else 0.0
    fit.to_rehearse = [initial, *sparsities] if initial else sparsities
    fit.at.begin(trainer)


def resume_fit(fit: PartsOfFit, trainer: "pl.Trainer", saved: dict[str, Any]) -> None:
    """Go on where ``state_dict`` of the fit was taken.

    Args:
        fit: The parts of the fit.
        trainer: The trainer.
        saved: The state.

    If the state holds no settings, other code has compared them. If the state holds no masks, no weight is dead.

    Raises:
        ValueError: If the run was begun with other settings.
    """
    fit.at.load(saved["position"])
    fit.at.rescale(fit.timeline, steps_per_epoch(trainer) if has_length(trainer) else None)
    begun = fit.at.cycle.index if fit.at.cycle else 0
    if saved["settings"] is not None:
        refuse_differences(saved["settings"], fit.record.settings, begun)
    fit.record.cycles = list(saved["cycles"])
    if "trained" in saved:
        fit.trained.load_state_dict(saved["trained"])
    fit.leave_untrained(trainer, masked=saved["masks"] or ())  # before the masks, which are of what is left
    if saved["masks"] is not None:
        fit.pruner.load_state_dict(saved)
        fit.hold_agreed(trainer)
    fit.pruner.gatherer.load_state_dict(saved.get("evidence", {"epoch": -1, "remembered": {}}))
    if fit.ending.is_retraining:
        put_to_sleep(trainer)  # or a plateau schedule would make up for a step that it never made
    fit.ending.load(trainer, saved.get("stops", {"decided": False, "ended": False}))
    settle(trainer, fit.ending.why_over(trainer))  # last: it asks what the lines above have loaded
