"""Make the config of a node from the config of its arm."""

from collections.abc import Mapping
from copy import deepcopy
from inspect import signature
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Checkpoint

from lightning_prune.ablation.config.arm_changes import Config
from lightning_prune.ablation.config.callback_objects import CLOCK, clock_in, kind_in
from lightning_prune.ablation.planning.followed_arms import pointed
from lightning_prune.ablation.storage.folders import Store
from lightning_prune.ablation.training.job import Job
from lightning_prune.basics.dotted_paths import class_at


def config_of(job: Job, work: Path) -> Config:
    """Make the config of a node from the config of its arm.

    The node logs into its own folder. A dense run has none of the settings that concern the cycles.

    Args:
        job: The node.
        work: The folder of the node.
    """
    config = deepcopy(dict(job.node.config))
    if job.node.masks:
        nodes = Store(job.out).nodes
        config = pointed(config, [str(nodes / file) for file in job.node.masks], job.node.last)
    trainer = config["trainer"]
    classes = [class_at(one["class_path"]) for one in trainer.get("callbacks") or []]
    saves = any(isinstance(one, type) and issubclass(one, Checkpoint) for one in classes)
    trainer |= {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": saves}
    trainer["logger"] = [_own_log(work), *(_placed(one, work) for one in _loggers(trainer.get("logger")))]
    trainer.pop("default_root_dir", None)
    if job.node.last == 0 and not job.node.whole:
        trainer["callbacks"] = neutral(trainer["callbacks"])
    return config


def neutral(callbacks: list[Config]) -> list[Config]:
    """Make the callbacks of a dense run that belongs to no arm. Its clock has one cycle, which never begins.

    Args:
        callbacks: The callbacks of an arm.

    Example:
        >>> callbacks = [{"class_path": f"lightning_prune.{name}"} for name in ("LRRewind", "IterativePruning")]
        >>> neutral(callbacks)
        [{'class_path': 'lightning_prune.IterativePruning', 'init_args': {'cycles': 1, 'retrain': '1ep'}}]
    """
    arguments = (clock_in(callbacks) or {}).get("init_args") or {}
    kept = {name: arguments[name] for name in ("prunable", "early_stopping") if name in arguments}
    others = [one for one in callbacks if kind_in(one) is None]
    return [{"class_path": CLOCK, "init_args": {**kept, "cycles": 1, "retrain": "1ep"}}, *others]


def _own_log(work: Path) -> Config:
    arguments = {"save_dir": str(work.parent), "name": "", "version": work.name}
    return {"class_path": "lightning_prune.lab.runs.run_folder.RunLogger", "init_args": arguments}


def _loggers(given: Any) -> list[Config]:
    listed = given if isinstance(given, list) else [given]
    own = ("RunLogger", "CSVLogger")
    entries = [one for one in listed if isinstance(one, Mapping) and "class_path" in one]
    return [dict(one) for one in entries if not str(one["class_path"]).endswith(own)]


def _placed(logger: Config, work: Path) -> Config:
    """Let the user's own logger write into the node's folder, as far as its arguments allow it."""
    known = signature(class_at(logger["class_path"])).parameters
    places = {"save_dir": str(work.parent), "name": "", "version": work.name, "run_name": work.name}
    if "project" in known:  # The logger is a service, which shows the name and makes no folder of it.
        places["name"] = work.name
    arguments = {name: value for name, value in places.items() if name in known}
    return {**logger, "init_args": {**(logger.get("init_args") or {}), **arguments}}
