"""Describe a node to train, and its outcome, as plain values that can be sent to any process on any machine."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lightning_prune.ablation.sharing.node import Node


@dataclass(frozen=True)
class Job:
    """A node, and how it is to be trained.

    Args:
        out: The folder of the nodes.
        node: The node.
        parent: The folder name of its parent. None if the node starts the run.
        metric: The logged value that chooses the best epoch. None: the validation accuracy or loss.
        every: The seconds between savings. An interruption loses at most so many seconds of work. 0 saves after every
            epoch.
    """

    out: str
    node: Node
    parent: str | None = None
    metric: str | None = None
    every: float = 30.0

    def to_dict(self) -> dict[str, Any]:
        """Turn the job into plain values."""
        return asdict(self)

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> "Job":
        """Make a job from the values of :meth:`to_dict`."""
        return Job(**{**content, "node": Node(**content["node"])})


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Args:
        key: The key of its node.
        error: The reason of a failure. None if the job did not fail.
        busy: Whether another process is training the node.
        fatal: Whether every other job would fail as well, because the disk is full.
        images: The number of images that this process has trained.
        seconds: The time that this process took for them, with the start and the test of the node.
    """

    key: str
    error: str | None = None
    busy: bool = False
    fatal: bool = False
    images: int = field(default=0, compare=False)
    seconds: float = field(default=0.0, compare=False)
    details: str = field(default="", compare=False)
