"""A dense run that came before this fit: its length, and what its checkpoint hands over to the cycles."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from lightning_prune.basics.checkpoints import read_checkpoint
from lightning_prune.basics.saved_state import refuse_mangled
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.fit.dense_length import length_of
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.policies.dense_rates import rehearse_rates
from lightning_prune.callbacks.resuming.exact_resume import ExactResume
from lightning_prune.callbacks.starting_points.weight_rewind import WeightRewind
from lightning_prune.callbacks.timing.limits import set_limits
from lightning_prune.schedules.durations import Duration, parse_duration
from lightning_prune.selection.sharding import is_sharded


@dataclass
class DenseRun:
    """A dense run that is over, or none.

    The file is read when the fit starts, and is not kept. Later changes of the file do not matter.

    Args:
        given: The argument of the user. None if no dense run came before the fit.
        length: The length of the dense run. None if there is no dense run, or if its file is gone. A resumed fit then
            says the length.
        path: The checkpoint of the dense run. None if only the length is known.
    """

    given: str | None = None
    length: Duration | None = None
    path: Path | None = None
    _trainer: "pl.Trainer | None" = field(default=None, repr=False)  # while its limits are those of the dense run

    def lengthen(self, trainer: "pl.Trainer", undo: ExitStack) -> None:
        """Let ``configure_optimizers`` see the length of the dense run, which its schedules are made for.

        Args:
            trainer: The trainer.
            undo: What undoes it if the fit fails.

        Raises:
            ValueError: If this fit has a dense run of its own.
        """
        if self.given is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if trainer.max_epochs != 0 or trainer.max_steps != -1:
            raise UserError(
                f"IterativePruning(dense_run={self.given!r}) says that the dense run is over, but "
                f"Trainer(max_epochs={trainer.max_epochs}, max_steps={trainer.max_steps}) would train one. Give "
                "Trainer(max_epochs=0)."
            )
        undo.callback(self.shorten, trainer)
        self._trainer = trainer
        self._show()

    def shorten(self, trainer: "pl.Trainer") -> None:
        """Undo :meth:`lengthen`."""
        self._trainer = None
        if self.given is not None and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            set_limits(trainer, 0, -1)

    def learn_length(self, state: Mapping[str, Any]) -> None:
        """Take the length from the checkpoint of a fit that resumes, where the file is gone: nothing else is needed.

        Args:
            state: The state of ``IterativePruning``.
        """
        if self.given is not None and self.length is None and state.get("settings"):
            self.length = parse_duration(state["settings"]["dense"], "dense_run")
            self._show()

    def refuse_gone(self) -> None:
        """Refuse a fit that does not resume and whose dense run is neither a length nor a file.

        Raises:
            ValueError: If so.
        """
        if self.given is not None and self.length is None:
            raise UserError(_neither(self.given))

    def hand_over(self, trainer: "pl.Trainer") -> dict[str, Any]:
        """Give the network and the callbacks what the dense run left. Called before the first step.

        Args:
            trainer: The trainer, in ``on_train_start``.

        Returns:
            The states of the callbacks of the dense run, by their keys. Empty without its checkpoint.

        Raises:
            ValueError: If a callback needs what the dense run did not keep, or its file is gone or has changed.
        """
        if self.given is None:
            return {}
        checkpoint = None if self.path is None else _read(self.path, self.given)
        if checkpoint is not None and length_of(checkpoint, self.given) != self.length:
            raise UserError(
                f"IterativePruning(dense_run={self.given!r}) is another file than when the callback was made: the "
                f"dense run in it had {self.length} then. Do not write to it before the fit has started."
            )
        saved = {} if checkpoint is None else dict(checkpoint["callbacks"])
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            self._hand_to(callback, trainer, saved)
        if checkpoint is not None:
            _load(trainer, checkpoint)
        return saved

    def _show(self) -> None:
        trainer = self._trainer
        if trainer is None:
            return
        length = self.length or Duration(1, "ep")  # schedules refuse to be made for nothing
        in_epochs = length.unit == "ep"
        set_limits(trainer, length.amount if in_epochs else -1, -1 if in_epochs else length.amount)

    def _hand_to(self, callback: Callback, trainer: "pl.Trainer", saved: Mapping[str, Any]) -> None:
        if isinstance(callback, LearningRatePolicy):
            tape = next((state["tape"] for state in saved.values() if "tape" in state), None)
            if tape is None:
                callback.tape = rehearse_rates(trainer, self.length or Duration(0, "ep"))
            else:
                callback.tape.load_state_dict(tape)
        elif isinstance(callback, WeightRewind):
            state = saved.get(callback.state_key)
            if state is None or callback.lacks(state):
                raise UserError(
                    f"{callback.written} needs the weights of that point, and "
                    f"IterativePruning(dense_run={self.given!r}) does not hold them. Give the checkpoint of a dense "
                    f"run that was made with IterativePruning(cycles=0) and {callback.written}."
                )
            callback.load_state_dict(state)
        elif isinstance(callback, ExactResume) and callback.state_key in saved:
            callback.load_state_dict(saved[callback.state_key])


def read_dense_run(given: str | int | Path | None) -> DenseRun:
    """Read what ``IterativePruning(dense_run=...)`` was given.

    Args:
        given: A length, such as ``"160ep"``, or the path of a checkpoint. None for no dense run before the fit.

    Returns:
        The dense run. If the file no longer exists, the length is unknown. Only a resumed fit can work without the
        length. Any other fit is refused when it starts.

    Raises:
        ValueError: If it is neither, or the checkpoint is not one of a dense run that is over.

    Example:
        >>> read_dense_run("160ep").length
        Duration(amount=160, unit='ep')
    """
    if given is None:
        return DenseRun()
    path = Path(str(given))
    if path.exists():
        return DenseRun(str(given), length_of(_read(path, str(given)), str(given)), path)
    try:
        return DenseRun(str(given), parse_duration(given if isinstance(given, int) else str(given), "dense_run"))
    except ValueError:
        if path.suffix and path.suffix[1:].isidentifier():
            return DenseRun(str(given))
        raise UserError(_neither(str(given))) from None


def _neither(given: str) -> str:
    return (
        f"IterativePruning(dense_run={given!r}) is neither a length, such as '160ep', nor a file: give the length of "
        "the dense run, or the path of its last checkpoint."
    )


def _read(path: Path, given: str) -> dict[str, Any]:
    asker = f"IterativePruning(dense_run={given!r})"
    checkpoint = read_checkpoint(path, asker)
    if "callbacks" not in checkpoint or "optimizer_states" not in checkpoint:
        raise UserError(
            f"{asker} holds weights only (save_weights_only=True), or is no Lightning checkpoint. Load its weights "
            "into the module, and give the length of the dense run instead, for instance dense_run='160ep'."
        )
    refuse_mangled(checkpoint, f"{asker} cannot use '{path}'")
    return checkpoint


def _load(trainer: "pl.Trainer", checkpoint: dict[str, Any]) -> None:
    """Weights, buffers, optimizers and the scale of gradients, as Lightning restores them."""
    module = trainer.lightning_module
    if any(is_sharded(parameter) for parameter in module.parameters()):
        raise UserError(
            "IterativePruning(dense_run=<checkpoint>) cannot load into sharded weights. Load them in configure_model, "
            "and give the length of the dense run instead, for instance dense_run='160ep'."
        )
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"])
    trainer.strategy.load_optimizer_state_dict(checkpoint)
    precision = trainer.precision_plugin
    if scale := checkpoint.get(type(precision).__qualname__):
        precision.load_state_dict(scale)
