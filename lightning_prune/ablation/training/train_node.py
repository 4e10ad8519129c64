"""Train one node from its own last checkpoint, from its parent's checkpoint, or from the beginning."""

import json
import platform
import time
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from filelock import Timeout
from lightning.pytorch import Trainer

from lightning_prune import __version__
from lightning_prune.ablation.config.callback_objects import make_callbacks
from lightning_prune.ablation.planning.fingerprints import code_fingerprint, refuse_other_code
from lightning_prune.ablation.sharing.dense_run_extras import Passengers
from lightning_prune.ablation.sharing.graft import graft
from lightning_prune.ablation.storage.folders import JOB, RESULT, Store
from lightning_prune.ablation.training.average_copies import average_copies
from lightning_prune.ablation.training.evaluation import evaluate
from lightning_prune.ablation.training.failures import failure
from lightning_prune.ablation.training.job import Job, Outcome
from lightning_prune.ablation.training.kept import Kept
from lightning_prune.ablation.training.node_config import config_of
from lightning_prune.ablation.training.node_measurement import NodeEnd
from lightning_prune.ablation.training.process_state import own_settings
from lightning_prune.basics.file_names import LAST
from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.callbacks.fit.assembly import complete
from lightning_prune.callbacks.resuming.damaged_checkpoints import find_damage
from lightning_prune.lab.runs.quiet import quiet

START = "start.ckpt"


def train(job: Job, kept: Kept | None = None) -> Outcome:
    """Train a node, unless it is finished or another process trains it.

    Nothing of the node stays in the process, except what is kept on purpose.

    Args:
        job: The node, and the settings of its training.
        kept: What this process keeps from node to node of the study. None: nothing.

    Returns:
        The outcome. An error of the run is part of the outcome and is not raised.
    """
    store, node, began, images = Store(job.out), job.node, time.monotonic(), 0
    try:
        with store.lock(node).acquire(blocking=False):
            if store.result(node) is None:
                with own_settings():
                    images = _train(store, job, kept or Kept())
        return Outcome(node.key, images=images, seconds=time.monotonic() - began)
    except Timeout:
        return Outcome(node.key, busy=True)
    except Exception as error:
        return failure(job, error)


def _train(store: Store, job: Job, kept: Kept) -> int:
    """Train the node, publish its result, and return the number of images that were trained."""
    node, images = store.take_up(job.node), 0
    job, work = replace(job, node=node), store.work(node)
    if not (work / RESULT).is_file():  # Else an earlier process died after its result and before the rename.
        write_whole(work / JOB, json.dumps(job.to_dict()))
        result, images = (_average if node.copies else _fit)(store, job, work, kept)
        write_whole(work / RESULT, json.dumps(result, indent=1))
    (work / START).unlink(missing_ok=True)
    store.publish(node)
    return images


@contextmanager
def _made(job: Job, work: Path, kept: Kept) -> Iterator[Any]:
    """The network, the data and the Trainer of the node. Images that were read are lent to it and kept after it."""
    node = job.node
    with quiet():
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        made = kept.parse(config_of(job, work), f"Node {node.name}")
        kept.lend_images(made.datamodule, node.config.get("data"))
        refuse_other_code(node.code, code_fingerprint(node.config))
        yield made
        kept.take_images(made.datamodule, node.config.get("data"))


def _fit(store: Store, job: Job, work: Path, kept: Kept) -> tuple[dict[str, Any], int]:
    """Train and test the node. Return its result, and the number of images that were trained."""
    node, began = job.node, time.monotonic()
    with _made(job, work, kept) as made:
        end = NodeEnd(work, node.last, node.whole, job.metric, job.every, many=node.first < node.last)
        trainer = made.trainer
        riders = [] if node.whole or node.parent is not None else [Passengers(make_callbacks(node.notes.values()))]
        trainer.callbacks = [*trainer.callbacks, *riders, end]
        path = _start(store, job, trainer)
        ready = time.monotonic() - began
        trainer.fit(made.model, datamodule=made.datamodule, ckpt_path=path)
        if not (work / LAST).exists():
            raise RuntimeError("the fit ended before its first epoch did.")
        tested = evaluate(made, end.rows, work, by_epochs=node.at_most)
    rows = [{**row, **tested.get(cycle, {})} for cycle, row in sorted(end.rows.items()) if cycle >= node.first]
    result = {
        "key": node.key,
        "rows": rows,
        "epochs": end.epochs,
        "seconds": end.seconds,
        "seconds_to_start": ready,
        "own_generators": end.drawing,
        "notes": dict(node.notes),
        "tried": node.tried,
        **_versions(trainer),
    }
    return result, end.images


def _average(store: Store, job: Job, work: Path, kept: Kept) -> tuple[dict[str, Any], int]:
    """Average the copies of the node. Return its result, and the number of images that were trained."""
    node, began = job.node, time.monotonic()
    with _made(job, work, kept) as made:
        row, told = average_copies(made, [store.nodes / name for name in node.copies], work, node.greedy, job.metric)
        tested = evaluate(made, {row["cycle"]: row}, work)
    result = {
        "key": node.key,
        "rows": [{**row, **tested.get(row["cycle"], {})}],
        "epochs": 0,
        "seconds": time.monotonic() - began,
        "seconds_to_start": 0.0,
        "own_generators": [],
        "notes": dict(node.notes),
        "tried": None,
        "soup": told,
        **_versions(made.trainer),
    }
    return result, 0


def _versions(trainer: Trainer) -> dict[str, str]:
    return {
        "version": __version__,
        "lightning": lightning.__version__,
        "torch": torch.__version__,
        "hardware": hardware(trainer),
    }


def hardware(trainer: Trainer) -> str:
    """The hardware on which a node is trained, such as ``"cpu x86_64, 1 thread"``."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type} {platform.machine()}, {threads} thread{'s' * (threads != 1)}"


def _start(store: Store, job: Job, trainer: Trainer) -> str | None:
    """The checkpoint to resume from. None: the node begins a run."""
    work = store.work(job.node)
    # A machine that is switched off can leave half a file.
    if (work / LAST).is_file() and _damage(work / LAST) is None:
        return str(work / LAST)
    if job.parent is None:
        return None
    saved = _load(store.nodes / job.parent / LAST)
    complete(trainer)
    dense = job.node.first == 1
    with (work / START).open("wb") as file:  # With a path, torch would not say that the disk is full.
        torch.save(graft(saved, trainer.callbacks, dense), file)  # type: ignore[attr-defined]
    return str(work / START)


def _load(path: Path) -> Mapping[str, Any]:
    damage = _damage(path) if path.is_file() else ""
    if damage is not None:
        what = f"is damaged ({damage})" if damage else "is missing"
        raise UserError(f"{path} {what}. Delete {path.parent}, and run the study again: it is trained again.")
    saved: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return saved


def _damage(path: Path) -> str | None:
    """The damage of a checkpoint, or None. Torch itself would load a changed weight without an error."""
    return find_damage(path) or (None if zipfile.is_zipfile(path) else "it is no checkpoint")
