"""Read the weights with which the cycles of a recorded run ended."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_prune.basics.checkpoints import read_checkpoint
from lightning_prune.basics.user_error import UserError
from lightning_prune.selection.parameters import plain_name


class RecordedWeights:
    """The weights of a run that was recorded with ``CycleCheckpoint()``.

    Args:
        run: The folder of the run, which is searched together with the folders in it.
        owner: The class that asks, for errors.
    """

    def __init__(self, run: str | Path, owner: str) -> None:
        self.run = run
        self._said = f"{owner}(signs_from={str(run)!r})"
        self._last: dict[int, Path] = {}

    def refuse_missing(self, cycles: int) -> None:
        """Look for the last checkpoint of every cycle.

        Args:
            cycles: How many cycles there are.

        Raises:
            ValueError: If there is no such folder, or a cycle has no checkpoint in it.
        """
        if not Path(self.run).exists():
            raise UserError(f"{self._said}: there is no such folder. Give that of a run with CycleCheckpoint().")
        steps: dict[int, int] = {}
        for path, cycle, step in self._checkpoints():
            if step > steps.get(cycle, -1):
                steps[cycle], self._last[cycle] = step, path
        if missing := [str(cycle) for cycle in range(1, cycles + 1) if cycle not in self._last]:
            raise UserError(
                f"{self._said} has no checkpoint of cycle {', '.join(missing)}; it has those of "
                f"{', '.join(map(str, sorted(self._last))) or 'none'}. Record the run with CycleCheckpoint() beside "
                "its IterativePruning, or ask for fewer cycles: IterativePruning(cycles=...)."
            )

    def read(self, cycle: int, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Read the weights with which a cycle ended.

        Args:
            cycle: The number of the cycle.
            like: The weights that are wanted, by name.

        Raises:
            ValueError: If a weight is missing, or has another shape.
        """
        path = self._last[cycle]
        saved = {plain_name(name): one for name, one in self._load(path)["state_dict"].items()}
        wrong = [name for name, one in like.items() if name not in saved or saved[name].shape != one.shape]
        if wrong:
            raise UserError(
                f"{self._said} is of another network: '{path}' lacks {', '.join(wrong[:8])}, or has it in another "
                "shape. Give the record of this network."
            )
        return {name: saved[name] for name in like}

    def _checkpoints(self) -> Iterator[tuple[Path, int, int]]:
        """Every checkpoint with the number of its cycle and of its step."""
        place = Path(self.run)
        for path in sorted(place.rglob("*.ckpt") if place.is_dir() else [place]):
            saved = self._load(path)
            for state in saved.get("callbacks", {}).values():
                if isinstance(state, Mapping) and "position" in state and state["position"]["cycle"]:
                    yield path, int(state["position"]["cycle"]["index"]), int(saved["global_step"])

    def _load(self, path: Path) -> dict[str, Any]:
        return read_checkpoint(path, self._said)
