"""A dense run that came before this fit: its length, and what its checkpoint hands over to the cycles."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from lightning_prune.callbacks.exact_resume import ExactResume
from lightning_prune.callbacks.policy import LearningRatePolicy
from lightning_prune.callbacks.rehearsal import rehearse_rates
from lightning_prune.callbacks.weight_rewind import WeightRewind
from lightning_prune.durations import Duration, parse_duration
from lightning_prune.sharding import is_sharded


@dataclass(frozen=True)
class DenseRun:
    """A dense run that is over.

    Args:
        given: What the user gave, for errors.
        length: How long it was.
        checkpoint: Its checkpoint; None if only the length is known.
    """

    given: str
    length: Duration
    checkpoint: Mapping[str, Any] | None = None

    def lengthen(self, trainer: "pl.Trainer") -> None:
        """Let ``configure_optimizers`` see the length of the dense run, which its schedules are made for.

        Raises:
            ValueError: If this fit has a dense run of its own.
        """
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if trainer.max_epochs != 0 or trainer.max_steps != -1:
            raise ValueError(
                f"IterativePruning(dense_run={self.given!r}) says that the dense run is over, but "
                f"Trainer(max_epochs={trainer.max_epochs}, max_steps={trainer.max_steps}) would train one. Give "
                "Trainer(max_epochs=0)."
            )
        in_epochs = self.length.unit == "ep"
        trainer.fit_loop.max_epochs = self.length.amount if in_epochs else -1
        trainer.fit_loop.epoch_loop.max_steps = -1 if in_epochs else self.length.amount

    def shorten(self, trainer: "pl.Trainer") -> None:
        """Undo :meth:`lengthen`."""
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.fit_loop.max_epochs, trainer.fit_loop.epoch_loop.max_steps = 0, -1

    def hand_over(self, trainer: "pl.Trainer") -> None:
        """Give the network and the callbacks what the dense run left; before the first step.

        Args:
            trainer: The trainer, in ``on_train_start``.

        Raises:
            ValueError: If a callback needs what the dense run did not keep.
        """
        saved = {} if self.checkpoint is None else dict(self.checkpoint["callbacks"])
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            self._hand_to(callback, trainer, saved)
        if self.checkpoint is not None:
            _load(trainer, dict(self.checkpoint))

    def _hand_to(self, callback: Callback, trainer: "pl.Trainer", saved: Mapping[str, Any]) -> None:
        if isinstance(callback, LearningRatePolicy):
            tape = next((state["tape"] for state in saved.values() if "tape" in state), None)
            if tape is None:
                callback.tape = rehearse_rates(trainer, self.length)
            else:
                callback.tape.load_state_dict(tape)
        elif isinstance(callback, WeightRewind):
            state = saved.get(callback.state_key)
            if state is None or state["to"] != str(callback.rewind_point) or not state["snapshot"]:
                raise ValueError(
                    f"WeightRewind(to={callback.to!r}) needs the weights of that point, and "
                    f"IterativePruning(dense_run={self.given!r}) does not hold them. Give the checkpoint of a dense "
                    f"run that was made with IterativePruning(cycles=0) and WeightRewind(to={callback.to!r})."
                )
            callback.load_state_dict(state)
        elif isinstance(callback, ExactResume) and callback.state_key in saved:
            callback.load_state_dict(saved[callback.state_key])


def read_dense_run(given: str | int | Path) -> DenseRun:
    """Read what ``IterativePruning(dense_run=...)`` was given.

    Args:
        given: A length, such as ``"160ep"``, or the path of a checkpoint.

    Returns:
        The dense run.

    Raises:
        ValueError: If it is neither, or the checkpoint is not one of a dense run.

    Example:
        >>> read_dense_run("160ep").length
        Duration(amount=160, unit='ep')
    """
    path = Path(str(given))
    if not path.is_file():
        try:
            return DenseRun(str(given), parse_duration(given if isinstance(given, int) else str(given), "dense_run"))
        except ValueError:
            raise ValueError(
                f"IterativePruning(dense_run={str(given)!r}) is neither a length, such as '160ep', nor a file: give "
                "the length of the dense run, or the path of its last checkpoint."
            ) from None
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if "callbacks" not in checkpoint or "optimizer_states" not in checkpoint:
        raise ValueError(
            f"IterativePruning(dense_run={str(given)!r}) holds weights only (save_weights_only=True), or is no "
            "Lightning checkpoint. Load its weights into the module, and give the length of the dense run instead, "
            "for instance dense_run='160ep'."
        )
    position = next((state["position"] for state in checkpoint["callbacks"].values() if "position" in state), None)
    if position is not None and position["cycle"] is not None:
        raise ValueError(
            f"IterativePruning(dense_run={str(given)!r}) is a checkpoint of cycle {position['cycle']['index']}, whose "
            "network is pruned. Give the last checkpoint of the dense run; to go on with this one, give it as "
            "trainer.fit(..., ckpt_path=...)."
        )
    done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    return DenseRun(str(given), Duration(int(done), "ep"), checkpoint)


def _load(trainer: "pl.Trainer", checkpoint: dict[str, Any]) -> None:
    """Weights, buffers, optimizers and the scale of gradients, as Lightning restores them."""
    module = trainer.lightning_module
    if any(is_sharded(parameter) for parameter in module.parameters()):
        raise ValueError(
            "IterativePruning(dense_run=<checkpoint>) cannot load into sharded weights. Load them in configure_model, "
            "and give the length of the dense run instead, for instance dense_run='160ep'."
        )
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"])
    trainer.strategy.load_optimizer_state_dict(checkpoint)
    precision = trainer.precision_plugin
    if scale := checkpoint.get(type(precision).__qualname__):
        precision.load_state_dict(scale)
