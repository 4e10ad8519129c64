"""Where a part runs and how much it may take, and the rows that it yields."""

import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Args:
        measured: What was measured.
        value: The figure, or a word such as "yes".
        goal: What we want of it, in words. Empty if nothing.
        met: Whether it is so. None without a goal.
        note: What else there is to say.
    """

    measured: str
    value: float | str
    goal: str = ""
    met: bool | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def at_most(measured: str, value: float, limit: float, note: str = "") -> Row:
    """A row whose value should not exceed a limit."""
    return Row(measured, value, f"<= {limit:g}", value <= limit, note)


def at_least(measured: str, value: float, limit: float, note: str = "") -> Row:
    """A row whose value should reach a limit."""
    return Row(measured, value, f">= {limit:g}", value >= limit, note)


def holds(measured: str, yes: bool, note: str = "") -> Row:
    """A row of a promise that is kept or not."""
    return Row(measured, "yes" if yes else "NO", "yes", yes, note)


@dataclass(frozen=True)
class Setting:
    """Where a part runs.

    Args:
        device: The device.
        small: Whether sizes are cut, to see on a CPU that a part works.
        out: The folder of the results.
        data: An archive or a folder with CIFAR-10 as images. None: generated images.
        seconds: How long the part may take.
    """

    device: torch.device
    small: bool
    out: Path
    data: Path | None = None
    seconds: float = 120.0
    began: float = field(default_factory=time.monotonic)

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.seconds - (time.monotonic() - self.began)

    @property
    def trainer(self) -> dict[str, Any]:
        """The arguments of a quiet Trainer on this device."""
        return {
            "accelerator": "gpu" if self.on_gpu else "cpu", "devices": 1, "logger": False,
            "enable_progress_bar": False, "enable_model_summary": False,
        }  # fmt: skip


def be_quiet() -> None:
    """Leave the output to the rows."""
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


def wait(device: torch.device) -> None:
    """Wait until the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """Marks moments, and tells the milliseconds between two of them. On a GPU it does not wait for the device.

    Args:
        device: The device whose work is timed.
    """

    def __init__(self, device: torch.device) -> None:
        self._gpu = device.type == "cuda"

    def mark(self) -> Any:
        """This moment: an event on a GPU, a time elsewhere."""
        if not self._gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, first: Any, second: Any) -> float:
        """The milliseconds between two moments. Waits for the second."""
        if not self._gpu:
            return float(1000 * (second - first))
        second.synchronize()
        return float(first.elapsed_time(second))

    def time(self, function: Callable[[], Any]) -> float:
        """The milliseconds of a call."""
        first = self.mark()
        function()
        return self.between(first, self.mark())
