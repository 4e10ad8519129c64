"""Name a node of the tree, which is a stretch of a run, by the hash of everything that determines it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning_prune.ablation.sharing.pattern_order import with_pattern_order


@dataclass(frozen=True)
class Node:
    """The dense run of a seed, or one or more cycles that go on from the network of a parent.

    Args:
        key: The hash of everything that determines the weights at the end of the node.
        parent: The key of the node from which this one goes on. None if this node starts the run.
        seed: The seed of the run.
        first: The first cycle in the node. 0 is the dense run.
        last: The last cycle in the node.
        whole: Whether the run ends with this node.
        epochs: The planned number of epochs. None if the number is known only during the training.
        config: The config of ``lightning-prune fit`` that trains the node.
        notes: The starting points and criteria of the arms that need something of this node, by description.
        tried: The values that a search tries in the node. None without a search.
        code: The fingerprint of the code with which the study was planned.
        masks: The files with the masks of another arm that this node takes, cycle by cycle, relative to the folder of
            the nodes.
        copies: The folder names of the nodes whose networks this node averages. Empty for a node that is trained.
        greedy: Whether a copy is left out if the mean with it is worse by validation.
        at_most: Whether the fit may leave out epochs. ``epochs`` is then the largest number.
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
    copies: Sequence[str] = field(default=(), hash=False)
    greedy: bool = field(default=False, hash=False)
    at_most: bool = field(default=False, hash=False)

    @property
    def name(self) -> str:
        """The name of the node's folder.

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
        content: Mappings, lists, strings, numbers. The order of keys does not matter, unless they are patterns
            of which the first that matches counts. See :func:`with_pattern_order`.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> key_of({"a": 1, "b": [0.1]}) == key_of({"b": [0.1], "a": 1}) != key_of({"a": 2, "b": [0.1]})
        True
    """
    text = json.dumps(with_pattern_order(content), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
