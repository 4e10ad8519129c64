"""Hold what was measured of a network, alone or against another one."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning_prune.basics.write_whole import write_whole
from lightning_prune.deployment.profiling.profile_words import in_words
from lightning_prune.deployment.profiling.sizes import Sizes
from lightning_prune.deployment.profiling.timings import LayerTime, Timing

FORMAT = 1


@dataclass(frozen=True)
class Profile:
    """What was measured of a network.

    Args:
        names: What the network and the other one are called.
        sizes: What the network weighs.
        against: What the other one weighs. None if there is none.
        timings: How long batches take.
        layers: Where the time goes in torch, the slowest layer first, for the first batch size and number of threads.
        settings: The rounds, the versions and the machine.
    """

    names: tuple[str, str]
    sizes: Sizes
    against: Sizes | None
    timings: tuple[Timing, ...]
    layers: tuple[LayerTime, ...]
    settings: Mapping[str, Any]

    @property
    def fewer_flops(self) -> float | None:
        """How many times fewer operations the network needs than the other one: the theoretical speed-up."""
        return None if self.against is None else self.against.flops / max(self.sizes.flops, 1)

    @property
    def compression(self) -> float | None:
        """How many times fewer parameters the network has than the other one."""
        return None if self.against is None else self.against.parameters / max(self.sizes.parameters, 1)

    def became_time(self, timing: Timing) -> float | None:
        """How much of the saved operations became saved time: the ratio of times over the ratio of operations.

        Args:
            timing: One of ``timings``.
        """
        fewer, faster = self.fewer_flops, timing.speedup
        return None if fewer is None or faster is None else faster / fewer

    def to_json(self) -> dict[str, Any]:
        """The profile in plain values. Times are in seconds."""
        timings = [
            {**asdict(one), "speedup": one.speedup, "became_time": self.became_time(one)} for one in self.timings
        ]
        return {
            "format": FORMAT,
            "names": list(self.names),
            "sizes": asdict(self.sizes),
            "against": None if self.against is None else asdict(self.against),
            "fewer_flops": self.fewer_flops,
            "compression": self.compression,
            "timings": timings,
            "layers": [asdict(one) for one in self.layers],
            "settings": dict(self.settings),
        }

    def save(self, path: str | Path) -> Path:
        """Write the profile as JSON.

        Args:
            path: The file.
        """
        return write_whole(Path(path), json.dumps(self.to_json(), indent=1))

    def __str__(self) -> str:
        return in_words(self.names, self.sizes, self.against, self.timings, self.layers)
