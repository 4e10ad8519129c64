"""Find the number of workers that train most images a second: 1, 2, 4, ... are tried on the first nodes of a study."""

import json
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from lightning_prune.ablation.storage.files import read_json
from lightning_prune.basics.write_whole import write_whole

WORTH = 1.05  # Twice as many workers have to train at least so many times as many images. Else no more are tried.
FILE = "workers.json"


@dataclass
class Trial:
    """The numbers of workers that were tried, and the images that they trained in a second together.

    Args:
        most: The largest number to try, at least 1.
        device: The device that was measured.
        speeds: Images a second by the number of workers.

    Example:
        >>> trial = Trial(most=8)
        >>> for speed in (100.0, 190.0, 195.0):
        ...     trial.note(trial.level, speed)
        >>> trial.is_over, trial.level  # twice as many as 2 are not worth it, but 4 train most
        (True, 4)
    """

    most: int
    device: str = "cpu"
    speeds: dict[int, float] = field(default_factory=dict)

    @property
    def level(self) -> int:
        """The number of workers to use now: the next one to try, or the best one at the end."""
        return self._next or max(self.speeds, key=lambda level: self.speeds[level])

    @property
    def is_over(self) -> bool:
        """Whether no larger number has to be tried."""
        return self._next is None

    def note(self, level: int, speed: float) -> None:
        """Note the images a second of a number of workers. 0 if they have no room beside each other."""
        self.speeds[level] = speed

    def words(self) -> str:
        """Say what was tried.

        Example:
            >>> Trial(2, "cpu", {1: 1234.0, 2: 2000.5}).words()
            'Workers: 2 at once. Images a second: 1,234 with 1, 2,000 with 2 (cpu).'
        """
        tried = ", ".join(f"{speed:,.0f} with {level}" if speed else f"no room for {level}"
                          for level, speed in sorted(self.speeds.items()))  # fmt: skip
        now = f"{self.level} at once" if self.is_over else f"{self.level} are tried"
        return f"Workers: {now}." + (f" Images a second: {tried} ({self.device})." if tried else "")

    @property
    def _next(self) -> int | None:
        if not self.speeds:
            return 1
        last = max(self.speeds)
        best = max((speed for level, speed in self.speeds.items() if level < last), default=0.0)
        return min(2 * last, self.most) if last < self.most and self.speeds[last] > WORTH * best else None


def read_trial(out: Path, most: int, device: str) -> Trial:
    """Read what an earlier process of the study has tried. A trial on another device does not count.

    Args:
        out: The folder of the study.
        most: The largest number to try, at least 1.
        device: The device of this process.
    """
    try:
        content = read_json(out / FILE)
        if (content["most"], content["device"]) == (most, device):
            speeds = {int(level): float(speed) for level, speed in content["tried"].items()}
            if all(1 <= level <= most and isfinite(speed) for level, speed in speeds.items()):
                return Trial(most, device, speeds)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # There is none, or it is damaged.
        pass
    return Trial(most, device)


def write_trial(out: Path, trial: Trial) -> None:
    """Write what was tried, for a study that is run again.

    Args:
        out: The folder of the study.
        trial: The trial.
    """
    content = {"device": trial.device, "most": trial.most, "tried": trial.speeds, "chosen": trial.level}
    write_whole(out / FILE, json.dumps(content, indent=1))
