"""Resolve a config: parse it, fill in every default, and find what a study needs to know about its run."""

import sys
import tempfile
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.model_helpers import is_overridden

from lightning_prune.ablation.config.arm_changes import Config
from lightning_prune.ablation.config.callback_objects import clock_in
from lightning_prune.ablation.config.loaders_of_module import has_loader, owner_of_loaders
from lightning_prune.ablation.config.parser_errors import named_errors
from lightning_prune.ablation.planning.fingerprints import code_fingerprint, data_content, file_fingerprints, prepare
from lightning_prune.ablation.sharing.stretches import Stretch, leaves_out_cycles, pruning_of, stretches_of
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleCallback, Kind, find_clock, kind_of
from lightning_prune.callbacks.fit.assembly import default_policy, refuse_rivals
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.policies import LRRewind
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.cli.sections import with_list
from lightning_prune.lab.runs.quiet import quiet

RUN = ("trainer", "model", "data", "seed_everything")


@dataclass(frozen=True)
class Resolved:
    """A config with all that a study needs to know about its run.

    Args:
        config: The config of one seed, with every default.
        stretches: The parts of the run.
        callbacks: The callbacks of the run.
        code: The fingerprint of the code that the run uses.
        data_settings: The config of the data module, without the arguments that only say where the data lie.
        data: The fingerprint of the data.
        shapes: The shapes of the weights that the run prunes, by name. Empty if they are not known yet.
        unvalidated: The reason why the run validates nothing. Empty if it has a validation.
    """

    config: Config
    stretches: tuple[Stretch, ...]
    callbacks: tuple[Callback, ...]
    code: Mapping[str, str]
    data_settings: Any
    data: Any
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unvalidated: str = ""

    @property
    def clock(self) -> IterativePruning | None:
        """The ``IterativePruning`` of the run."""
        return pruning_of(self.callbacks)

    @property
    def entries(self) -> list[Config]:
        """The callbacks as entries of the config."""
        return list(self.config["trainer"].get("callbacks") or [])


def resolve(config: Mapping[str, Any], owner: str) -> Resolved:
    """Parse a config as ``lightning-prune fit`` does. Make its objects once, to check that they can be made.

    Args:
        config: The config.
        owner: The arm's name for errors.

    Raises:
        ValueError: If the config cannot be parsed, or its lengths do not fit together.
    """
    return resolve_whole(config, owner, {})[0]


def resolve_whole(config: Mapping[str, Any], owner: str, seen: dict[str, Any]) -> tuple[Resolved, CommandLine]:
    """Parse a config as :func:`resolve` does, and return also the objects that were made.

    Args:
        config: The config.
        owner: The arm's name for errors.
        seen: Fingerprints of data that was looked at a moment ago, by its config. New ones are added. A folder of many
            images takes a second each time.

    Raises:
        ValueError: If the config cannot be parsed, or its lengths do not fit together.
    """
    made = parse(config, owner)
    trainer = made.trainer
    if trainer.world_size > 1:
        raise UserError(
            f"{owner}: Trainer(devices=...) has {trainer.world_size} devices. A study trains each node on one. Give "
            "devices: 1, and train several nodes at once with `workers`."
        )
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    stretches = divided(trainer, callbacks, owner)
    if (policy := missing_policy(callbacks)) is not None:
        made = parse(_with_callback(config, policy), owner)
    whole = with_list(yaml.safe_load(made.parser.dump(made.config, skip_validation=True)))
    content = {key: whole[key] for key in RUN if key in whole}
    given = [one for one in made.trainer.callbacks if _is_given(one, content)]  # type: ignore[attr-defined]
    if made.datamodule is not None:
        prepare(made.datamodule, content.get("data"), owner)
    return described(content, made, given, stretches, seen), made


def divided(trainer: Trainer, callbacks: list[Callback], owner: str) -> list[Stretch]:
    """Divide a run into stretches, after a check that its callbacks fit together.

    Args:
        trainer: The trainer.
        callbacks: All callbacks of the run. The trainer has them, too.
        owner: The arm's name for errors.

    Raises:
        ValueError: If two callbacks do the same, or lengths do not fit together.
    """
    try:
        refuse_rivals(callbacks)
        for one in callbacks:
            if isinstance(one, CycleCallback):
                find_clock(trainer, one)
        stretches = stretches_of(trainer, callbacks)
        _refuse_steps(callbacks, stretches)
        return stretches
    except ValueError as error:
        raise UserError(f"{owner}: {error}") from error


def _refuse_steps(callbacks: list[Callback], stretches: list[Stretch]) -> None:
    """Refuse what the fit would refuse, before the dense run is trained."""
    leaving = [one for one in callbacks if leaves_out_cycles(one)]
    if leaving and len(stretches) > 1 and stretches[1].epochs is None:
        name = type(leaving[0]).__name__
        raise UserError(
            f"{name} leaves out the epochs of cycles, and these cycles go by steps. Give IterativePruning(retrain=...) "
            "in epochs."
        )


def described(
    content: Config, made: CommandLine, given: list[Callback], stretches: list[Stretch], seen: dict[str, Any]
) -> Resolved:
    """Find what a study needs to know of a run.

    Args:
        content: The config with every default.
        made: The objects of the run.
        given: The user's callbacks.
        stretches: The parts of the run.
        seen: Fingerprints of data by its config. New ones are added.
    """
    clock = clock_in(content["trainer"].get("callbacks") or [])
    followed = [] if clock is None else [_without_record(clock)]
    # Only the files of the model and the clock count. The files of other callbacks are mostly files that they write.
    files = file_fingerprints([content.get("model"), followed])
    key = repr(content.get("data"))
    if key not in seen:
        seen[key] = data_content(made.datamodule, content.get("data"))
    settings, fingerprint = seen[key]
    data = {"data": fingerprint, "files": files}
    code, shapes = code_fingerprint(content), _shapes(made, given)
    return Resolved(content, tuple(stretches), tuple(given), code, settings, data, shapes, why_unvalidated(made))


def why_unvalidated(made: CommandLine) -> str:
    """The reason why a run validates nothing. Empty if it has a validation.

    Args:
        made: The objects of the run.
    """
    if not is_overridden("validation_step", made.model):
        return f"{type(made.model).__name__} has no `validation_step`"
    if not has_loader(made.model, made.datamodule, "val_dataloader"):
        return f"{type(owner_of_loaders(made.model, made.datamodule)).__name__} has no `val_dataloader`"
    return "it has `limit_val_batches: 0`" if made.trainer.limit_val_batches == 0 else ""


def _without_record(clock: Config) -> Config:
    """Copy a clock without the files of the run that it follows. These files have no part in the dense run."""
    arguments = {key: value for key, value in (clock.get("init_args") or {}).items() if key != "masks_from"}
    return {**clock, "init_args": arguments}


def _shapes(made: CommandLine, callbacks: list[Callback]) -> dict[str, tuple[int, ...]]:
    clock = pruning_of(callbacks)
    try:
        return {} if clock is None else {name: tuple(w.shape) for name, w in clock.prunable(made.model).weights.items()}
    except (RuntimeError, ValueError):  # The network is made when the fit starts.
        return {}


def missing_policy(callbacks: list[Callback]) -> Config | None:
    """Write the default policy of a run without a policy as a config does. The run then equals one that names it.

    Args:
        callbacks: The callbacks of the run.
    """
    clock = pruning_of(callbacks)
    if clock is None or clock.during is not None or Kind.LEARNING_RATE in map(kind_of, callbacks):
        return None
    policy = default_policy(callbacks)
    arguments = {"to": policy.to} if isinstance(policy, LRRewind) else {}
    return {"class_path": f"lightning_prune.{type(policy).__name__}", "init_args": arguments}


def parse(config: Mapping[str, Any], owner: str) -> CommandLine:
    """Make trainer, model and data from a config.

    Args:
        config: The config.
        owner: The arm's name for errors.

    Raises:
        ValueError: If the config cannot be parsed.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # For class paths such as `mine.Net`, with a mine.py in the current folder.
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder, "config.yaml")
        path.write_text(yaml.safe_dump(dict(config), sort_keys=False))
        with named_errors(owner):
            return CommandLine([f"--config={path}"], run=False)


def _with_callback(config: Mapping[str, Any], callback: Config) -> Config:
    trainer = config["trainer"]
    return {**config, "trainer": {**trainer, "callbacks": [*(trainer.get("callbacks") or []), callback]}}


def with_seed(config: Mapping[str, Any], seed: int) -> Config:
    """Give a config another seed. Callbacks that draw random numbers in cycles get it too, unless they have a seed.

    ``IterativePruning``, ``Reinitialize`` and similar callbacks draw from seeds of their own. Without this function, a
    control would start from the same weights in every run, and its runs would seem to agree.

    Args:
        config: A config of ``lightning-prune fit``. Its callbacks are a list, written in full.
        seed: The seed.
    """
    changed = deepcopy(dict(config))
    changed["seed_everything"] = seed
    for one in changed["trainer"]["callbacks"]:
        if draws_in_cycles(class_at(one["class_path"])):
            one.setdefault("init_args", {}).setdefault("seed", seed)
    return changed


def draws_in_cycles(owner: Any) -> bool:
    """Whether a class takes a seed, and counts the cycles or says how the cycles are trained.

    Example:
        >>> from lightning_prune import LRRewind, Reinitialize
        >>> draws_in_cycles(Reinitialize), draws_in_cycles(LRRewind)
        (True, False)
    """
    return kind_of(owner) is not None and "seed" in signature(owner).parameters


def _is_given(callback: Callback, content: Mapping[str, Any]) -> bool:
    paths = [one["class_path"] for one in content["trainer"].get("callbacks") or []]
    return kind_of(callback) is not None or any(class_at(path) is type(callback) for path in paths)
