"""Train the dense networks of a study, and write each as the dense run that copies start from."""

from collections.abc import Mapping
from copy import deepcopy
from functools import reduce
from math import gcd
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lightning_prune.ablation.study import Ablation
from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.regimes.study.regimes_config import RegimesConfig
from lightning_prune.regimes.study.temperatures import Temperature, dense_length

KEPT = "checkpoints"  # the folder of ModelCheckpoint beside the log of a node


def dense_ablation(config: RegimesConfig) -> Ablation:
    """The study of the dense runs: an arm for each temperature, and one for all checkpoints of the same run.

    Args:
        config: The study of regimes.
    """
    arms = {arm_of(one): {**one.changes, "pruning": None, "policy": None} for one in config.temperatures}
    every = reduce(gcd, [one.epoch for one in config.temperatures if one.epoch is not None], 0)
    base = dict(config.base)
    if every:
        trainer = dict(base.get("trainer") or {})
        base["trainer"] = {**trainer, "callbacks": [*(trainer.get("callbacks") or []), _keeper(every)]}
    return Ablation.from_config(
        {"name": f"{config.name}: dense", "base": base, "arms": arms, "seeds": list(config.seeds),
         **({"metric": config.metric} if config.metric else {})}
    )  # fmt: skip


def arm_of(temperature: Temperature) -> str:
    """The arm that trains the dense network of a temperature."""
    return temperature.name if temperature.changes else "dense run"


def write_starts(config: RegimesConfig, dense: pd.DataFrame, folder: Path, out: Path) -> dict[tuple[str, int], Path]:
    """Write the dense network of each temperature and seed, without what else the dense run left.

    The optimizer of the retraining starts fresh, with the settings of the base, also if the dense run had others.

    Args:
        config: The study of regimes.
        dense: The table of the dense runs.
        folder: The folder that the paths of the table are relative to.
        out: Where the files go. Files that exist stay as they are.

    Returns:
        The files by temperature and seed.
    """
    starts: dict[tuple[str, int], Path] = {}
    for temperature in config.temperatures:
        rows = dense[(dense["arm"] == arm_of(temperature)) & (dense["cycle"] == 0)]
        for seed, checkpoint, key in zip(rows["seed"], rows["checkpoint"], rows["node"], strict=True):
            at = "end" if temperature.epoch is None else f"epoch={temperature.epoch}"
            path = out / f"{key}-{at}.ckpt"
            if not path.is_file():
                _write(path, folder / checkpoint, temperature.epoch, dense_length(config.base))
            starts[temperature.name, int(seed)] = path
    return starts


def _keeper(every: int) -> dict[str, Any]:
    arguments = {"every_n_epochs": every, "save_top_k": -1, "save_weights_only": True, "filename": "{epoch}"}
    return {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": arguments}


def _write(path: Path, checkpoint: Path, epoch: int | None, length: int) -> None:
    saved: Mapping[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if epoch is not None:
        kept = torch.load(_kept(checkpoint.parent / KEPT, epoch), map_location="cpu", weights_only=True)
        saved = {**saved, "state_dict": kept["state_dict"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    start = as_dense_run(saved, length)
    write_whole(path, lambda aside: torch.save(start, aside))


def _kept(folder: Path, epoch: int) -> Path:
    found = sorted(folder.glob(f"epoch={epoch - 1}.ckpt")) or sorted(folder.glob(f"epoch={epoch - 1}-v*.ckpt"))
    if not found:
        raise UserError(
            f"{folder} has no checkpoint after {epoch} epochs. Delete {folder.parent}, and run the study again."
        )
    return found[-1]


def as_dense_run(saved: Mapping[str, Any], length: int) -> dict[str, Any]:
    """Keep the network of the checkpoint of a dense run, and drop what a retraining would take on.

    Args:
        saved: The last checkpoint of a dense run.
        length: The length in epochs that the dense run is said to have, for schedules that start it again.
    """
    loops = deepcopy(saved["loops"])
    fit = loops["fit_loop"]
    fit["epoch_progress"]["current"] = dict.fromkeys(fit["epoch_progress"]["current"], length)
    fit["epoch_loop.batch_progress"]["is_last_batch"] = True
    return {**saved, "loops": loops, "epoch": length, "callbacks": {}, "optimizer_states": [], "lr_schedulers": []}
