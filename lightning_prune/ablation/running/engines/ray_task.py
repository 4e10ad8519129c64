"""Run a job on a machine of a cluster. First check that the machine sees the same study and the same versions."""

import os
import platform
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning
import torch

from lightning_prune import __version__
from lightning_prune.ablation.training.job import Job, Outcome
from lightning_prune.ablation.training.kept import Kept
from lightning_prune.ablation.training.train_node import train
from lightning_prune.basics.user_error import UserError


@dataclass(frozen=True)
class Terms:
    """The terms on which all machines have to agree, so that every machine trains a node to the same result.

    Args:
        out: The folder of the nodes.
        logs: The folder for the logs.
        marker: A new file in the folder of the nodes.
        here: The folder in which the study was started. Paths in a config may be relative to it.
        threads: The number of threads with which a node computes, at least 1.
        versions: The versions of the libraries on which the numbers depend.
    """

    out: str
    logs: str
    marker: str
    here: str
    threads: int
    versions: Mapping[str, str]


class OtherMachine(UserError):
    """Raised when a machine of the cluster cannot train a node as the other machines do."""


def versions() -> dict[str, str]:
    """The versions of the libraries on which the numbers depend.

    Example:
        >>> sorted(versions())
        ['lightning', 'lightning-prune', 'torch']
    """
    return {"lightning-prune": __version__, "lightning": lightning.__version__, "torch": torch.__version__}


def objection(terms: Terms) -> str | None:
    """Say why this machine must not train a node of the study.

    Args:
        terms: The terms of the study.

    Returns:
        The reason. None if the machine may train.

    Example:
        >>> objection(Terms("/nowhere", "logs", "/nowhere/marker", ".", 1, versions())).partition("does not")[1:]
        ('does not', ' see the nodes of the study (/nowhere): put it on a file system that all machines share.')
    """
    machine = f"The machine {platform.node()!r}"
    if not Path(terms.marker).is_file():
        return (
            f"{machine} does not see the nodes of the study ({terms.out}): put it on a file system that all "
            "machines share."
        )
    own = versions()
    for name, version in terms.versions.items():
        if own[name] != version:
            return (
                f"{machine} has {name} {own[name]}, and the study was started with {version}: its numbers could "
                "differ. Install the same version on every machine."
            )
    return None


def train_there(content: Mapping[str, Any], terms: Terms) -> tuple[str | None, dict[str, Any]]:
    """Train a node in a process of a cluster.

    Args:
        content: The job, as plain values.
        terms: The terms of the study.

    Returns:
        The reason why this machine must not train the node, or None. Then the outcome of the job, as plain values.
    """
    job = Job.from_dict(content)
    if (reason := objection(terms)) is not None:
        return reason, asdict(Outcome(job.node.key))
    if Path(terms.here).is_dir():
        os.chdir(terms.here)
    # The environment variable is not enough, because a library may have set the threads since the process started.
    torch.set_num_threads(terms.threads)
    with log_in(Path(terms.logs)).open("a", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
        return None, asdict(train(job, _kept_for(terms.marker)))


@lru_cache(maxsize=1)
def _kept_for(study: str) -> Kept:
    """What this process keeps while it trains nodes of one study, whose marker is given."""
    return Kept()


def log_in(folder: Path) -> Path:
    """The file for the output of this process.

    Args:
        folder: The folder of the file. It is made if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"ray-{platform.node()}-{os.getpid()}.log"
