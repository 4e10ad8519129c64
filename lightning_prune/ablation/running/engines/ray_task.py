"""What a machine of a cluster does with a job: see that it sees the study as it has to, then train."""

import os
import platform
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import torch

from lightning_prune.ablation.training.job import Job, Outcome
from lightning_prune.ablation.training.train_node import train
from lightning_prune.version import __version__


@dataclass(frozen=True)
class Terms:
    """What all machines have to agree on, so that it does not matter which one trains a node.

    Args:
        out: The folder of the nodes.
        logs: The folder of their logs.
        marker: A new file in it.
        here: The folder in which the study was started; paths in a config may be relative to it.
        threads: How many threads a node computes with, at least 1.
        versions: The versions of what the numbers depend on.
    """

    out: str
    logs: str
    marker: str
    here: str
    threads: int
    versions: Mapping[str, str]


class OtherMachine(ValueError):
    """A machine of the cluster cannot train what the others train."""


def versions() -> dict[str, str]:
    """The versions of what the numbers depend on.

    Example:
        >>> sorted(versions())
        ['lightning', 'lightning-prune', 'torch']
    """
    return {"lightning-prune": __version__, "lightning": lightning.__version__, "torch": torch.__version__}


def objection(terms: Terms) -> str | None:
    """Say why this machine must not train a node of the study.

    Args:
        terms: What it has to agree on.

    Returns:
        The reason; None if there is none.

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
        terms: What the machine has to agree on.

    Returns:
        Why this machine must not train it, or None; and what became of the job, as plain values.
    """
    job = Job.from_dict(content)
    if (reason := objection(terms)) is not None:
        return reason, asdict(Outcome(job.node.key))
    if Path(terms.here).is_dir():
        os.chdir(terms.here)
    # The variable that the process was started with is not enough where a library has set its threads meanwhile.
    torch.set_num_threads(terms.threads)
    with log_in(Path(terms.logs)).open("a", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
        return None, asdict(train(job))


def log_in(folder: Path) -> Path:
    """The file that this process prints into.

    Args:
        folder: Where; made if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"ray-{platform.node()}-{os.getpid()}.log"
