"""What an engine is given to train: plain values, which any process on any machine can be sent."""

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
        parent: The folder name of its parent; None if it starts the run.
        metric: The logged value that the best epoch is chosen by; None to choose.
        every: At most so many seconds of work are lost when it is interrupted; 0 saves after every epoch.
    """

    out: str
    node: Node
    parent: str | None = None
    metric: str | None = None
    every: float = 30.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> "Job":
        """Take what :meth:`to_dict` gave."""
        return Job(**{**content, "node": Node(**content["node"])})


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Args:
        key: The key of its node.
        error: Why it failed; None if it did not.
        busy: Whether another process is training the node.
        fatal: Whether every other job would fail, too: the disk is full.
    """

    key: str
    error: str | None = None
    busy: bool = False
    fatal: bool = False
    details: str = field(default="", compare=False)
