"""Refuse differences between the settings of a checkpoint and of a run."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_prune.basics.renamed import with_present_names
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.settings.later_settings import LATER

# The sparsities are compared one by one, and where a run came from does not matter once it is under way.
_MAY_DIFFER = (
    "cycles",
    "sparsity",
    "sparsities",
    "early_stopping",
    "best_checkpoint",
    "dense_run",
    "initial_masks",
    "masks_from",
)
_RECORDED = "recorded"  # short names of the masks of each cycle that another run has found


def refuse_differences(saved: Mapping[str, Any], given: Mapping[str, Any], begun: int) -> None:
    """Refuse to resume a run with other settings than it was begun with. More cycles than before are allowed.

    Args:
        saved: The settings of the checkpoint.
        given: The settings of this run.
        begun: The number of the cycle that the checkpoint is in.

    Raises:
        ValueError: If they differ. The error names each difference.
    """
    # Where nothing is pruned, nothing depends on how long it is trained before.
    free = (*_MAY_DIFFER, "dense", "retrain") if saved["cycles"] == given["cycles"] == 0 else _MAY_DIFFER
    differing = [
        f"  {name}: the checkpoint has {saved.get(name)!r}, this run {given.get(name)!r}"
        for name in saved  # what is not in it, an earlier version did not write
        if name not in (*free, _RECORDED, *LATER) and not _is_same(saved[name], given.get(name))
    ]
    differing += [
        f"  {name}: the checkpoint has {old!r}, this run {new!r}"
        for name, default in LATER.items()
        if (old := saved.get(name, default)) != (new := given.get(name, default))
    ]
    if given["cycles"] < begun:
        differing.append(f"  cycles: the checkpoint is in cycle {begun}, this run has {given['cycles']}")
    common = min(saved["cycles"], given["cycles"])
    if saved["sparsities"][:common] != given["sparsities"][:common]:
        differing.append(f"  sparsity: the checkpoint has {saved['sparsity']}, this run {given['sparsity']}")
    differing += _other_masks(saved, given, common)
    if differing:
        raise UserError(
            "IterativePruning cannot resume: the checkpoint was made with other settings.\n"
            + "\n".join(differing)
            + "\nResume with the settings of the checkpoint, or start a new fit without ckpt_path."
        )


def _other_masks(saved: Mapping[str, Any], given: Mapping[str, Any], common: int) -> list[str]:
    """The message if the masks of another run have changed. The place of their files does not matter."""
    old, new = saved.get(_RECORDED, []), given.get(_RECORDED, [])
    if bool(old) == bool(new) and old[: min(common, len(new))] == new[: min(common, len(old))]:
        return []
    before, now = saved.get("masks_from"), given.get("masks_from")
    same = "; its masks have changed since then" if before == now else ""
    return [f"  masks_from: the checkpoint has {before!r}, this run {now!r}{same}"]


def _is_same(saved: Any, given: Any) -> bool:
    """Whether two settings are the same.

    Earlier versions wrote former names. Their shorter hashes cover less, and cannot be compared.
    """
    if saved == given:
        return True
    saved = with_present_names(saved) if isinstance(saved, str) else saved
    if saved == given or not re.search(r"#[0-9a-f]{8}(?![0-9a-f])", str(saved)):
        return bool(saved == given)
    one, other = (re.sub(r"#[0-9a-f]{8,}", "", str(value)) for value in (saved, given))
    return one == other


def refuse_foreign(ckpt_path: str | Path | None) -> None:
    """Refuse to resume from a checkpoint that holds nothing of this callback.

    Args:
        ckpt_path: The checkpoint. None if the fit is not resumed.

    Raises:
        ValueError: If there is one.
    """
    if ckpt_path is not None:
        raise UserError(
            f"IterativePruning cannot resume from '{ckpt_path}': it holds no masks, because it was made without "
            "IterativePruning or saved with save_weights_only=True. Give a full checkpoint of a pruned run. To start "
            "from the weights in it, load them into the module and prune before the first step: Trainer(max_epochs=0) "
            "with IterativePruning(retrain='15ep', dense_run='160ep'), the length of the dense run; "
            "IterativePruning(initial_masks='zeros') keeps what is dead in it dead."
        )
