"""A node of the tree: a stretch of a run, named by the hash of all that determines it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Node:
    """The dense run of a seed, or a cycle that follows what its parent trained.

    Args:
        key: The hash of everything that determines the weights at its end.
        parent: The key of the node that it goes on from; None if it starts the run.
        seed: The seed of the run.
        first: The first cycle in it; 0 is the dense run.
        last: The last cycle in it.
        whole: Whether the run is over with it.
        epochs: How many epochs it is planned to have; None if that is known only while it trains.
        config: The config of ``lightning-prune fit`` that trains it.
        notes: What the arms need to know about this stretch: their starting points and criteria, by description.
        tried: The values that a search tries in it.
        code: The code that the study was planned with.
        masks: Where the masks of another arm lie that it takes, in the folder of the nodes, cycle by cycle.
    """

    key: str
    parent: str | None
    seed: int
    first: int
    last: int
    whole: bool
    epochs: int | None
    config: Mapping[str, Any] = field(hash=False)
    notes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    tried: Mapping[str, Any] | None = field(default=None, hash=False)
    code: Mapping[str, str] = field(default_factory=dict, hash=False)
    masks: Sequence[str] = field(default=(), hash=False)

    @property
    def name(self) -> str:
        """The name of its folder.

        Example:
            >>> Node("0123456789abcdef", None, seed=3, first=0, last=0, whole=False, epochs=1, config={}).name
            'seed=3-dense-0123456789ab'
            >>> Node("0123456789abcdef", "fe", seed=3, first=1, last=2, whole=True, epochs=1, config={}).name
            'seed=3-cycle=01-02-0123456789ab'
        """
        cycles = f"{self.first:02d}" + (f"-{self.last:02d}" if self.last != self.first else "")
        part = "dense" if self.last == 0 else f"cycle={cycles}"
        return f"seed={self.seed}-{part}-{self.key[:12]}"


def key_of(content: Any) -> str:
    """Hash plain values.

    Args:
        content: Mappings, lists, strings, numbers; the order of keys does not matter.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> key_of({"a": 1, "b": [0.1]}) == key_of({"b": [0.1], "a": 1}) != key_of({"a": 2, "b": [0.1]})
        True
    """
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
