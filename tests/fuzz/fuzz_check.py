"""Train a case, resume it from somewhere, and say what is not as it should be.

Repeat one: ``.venv/bin/python tests/fuzz/fuzz_check.py SEED``, or ``uSEED`` for one with larger units than weights.
"""

import logging
import random
import sys
import tempfile
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from fuzz_cases import Case, draw, draw_units
from fuzz_parts import STARTS, Data, Module, make_trainer, others_of, pruning_of
from fuzz_watch import Save, Watch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_prune import IterativePruning

REFUSED = "refused"


def check(case: Case, folder: Path, seed: int = 0) -> tuple[str, list[str]]:
    """Train a case whole, without pruning, and resumed.

    Returns:
        What became of it: the moment it was resumed from, or that it was refused; and what is wrong.
    """
    with _quiet():
        try:
            dense_run = _dense_run(case, folder)
            watch = Watch(case)
            save = Save(folder, case, watch, seed)
            whole = _fit(case, [*pruning_of(case, dense_run), *others_of(case), watch, save], dense_run)
        except (ValueError, RuntimeError, MisconfigurationException) as error:
            return REFUSED, [] if _is_sentence(error) else [_told(error)]
        except Exception as error:
            return "whole", [_told(error)]
        wrong = [*watch.wrong, *_counts(case, whole, watch)]
        expected = _everything(whole)
        if dense_run is None:
            wrong += _against_plain(case, watch)
        if save.kept:
            wrong += _resumed(case, save, dense_run, expected)
    return save.kept.get("moment", "never"), wrong


def _fit(case: Case, callbacks: list[Any], dense_run: str | None = None, ckpt_path: Any = None) -> pl.Trainer:
    module, data = Module(case), Data(case)
    trainer = make_trainer(case, callbacks, dense_run is not None)
    _seed(1 if ckpt_path is None else 99)
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
    return trainer


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def _dense_run(case: Case, folder: Path) -> str | None:
    """What a case is given of a dense run of another fit, trained first where it is a file."""
    if case.dense_run != "file":
        return None if case.dense_run is None else f"{case.epochs}ep"
    alone = replace(case, cycles=0, dense_run=None, patience=None, average=None, beside=())
    path = folder / "dense.ckpt"
    _fit(alone, [IterativePruning(cycles=0), *STARTS[case.start](), *others_of(alone)]).save_checkpoint(path)
    return str(path)


def _counts(case: Case, trainer: pl.Trainer, watch: Watch) -> list[str]:
    wrong = []
    if watch.cycles != list(range(1, len(watch.cycles) + 1)):
        wrong.append(f"cycles were announced as {watch.cycles}")
    if case.patience is None and len(watch.cycles) != case.cycles:
        wrong.append(f"{len(watch.cycles)} cycles of {case.cycles}")
    given = 0 if case.dense_run else -1 if case.epochs is None else case.epochs
    if trainer.max_epochs != given:
        wrong.append(f"max_epochs={trainer.max_epochs} after the fit")
    return wrong


def _against_plain(case: Case, watch: Watch) -> list[str]:
    """The dense phase against the fit without our callbacks."""
    plain = Watch(case)
    try:
        _fit(case, [*others_of(case), plain])
    except Exception as error:
        return [f"without our callbacks: {_told(error)}"]
    wrong, steps = [], len(watch.dense)
    if plain.dense[: steps if case.during else None] != watch.dense:
        wrong.append(f"the dense phase has {steps} steps, without our callbacks {len(plain.dense)}, or other weights")
    rates = min(len(plain.rates), steps if case.during else len(watch.rates))  # a prune changes what is validated
    if plain.rates[:rates] != watch.rates[:rates]:
        wrong.append("the rates of the dense phase differ")
    if not case.during and not _same(plain.validations, watch.validations[: len(plain.validations)]):
        wrong.append(f"validations of the dense phase: {watch.validations}, without our callbacks {plain.validations}")
    return wrong


def _resumed(case: Case, save: Save, dense_run: str | None, expected: dict[str, Any]) -> list[str]:
    whole, kept = save.watch, save.kept
    where = f"resumed from {kept['moment']}, epoch {kept['epoch']}, step {kept['step']}"
    watch = Watch(case)
    try:
        trainer = _fit(case, [*pruning_of(case, dense_run), *others_of(case), watch], dense_run, save.path)
    except Exception as error:
        return [f"{where}: {_told(error)}"]
    wrong, found = list(watch.wrong), _everything(trainer)
    if not watch.rates and not watch.validations:  # it looked for a batch that never came
        found["IterativePruning"]["position"] = expected["IterativePruning"]["position"]
    wrong += [difference for part in expected if (difference := _difference(expected[part], found[part], part))]
    if watch.rates != whole.rates[kept["rates"] :]:
        wrong.append(f"{len(watch.rates)} steps were left, not {len(whole.rates) - kept['rates']}, or of other rates")
    if not _same(watch.validations, whole.validations[kept["validations"] :]):
        wrong.append(f"validations {watch.validations}, not {whole.validations[kept['validations'] :]}")
    if kept["cycles"] + watch.cycles != whole.cycles:
        wrong.append(f"cycles {kept['cycles']} before and {watch.cycles} after")
    return [f"{where}: {one}" for one in wrong]


def _everything(trainer: pl.Trainer) -> dict[str, Any]:
    """What a fit leaves, but for how long its parts took."""
    trainer.strategy.connect(trainer.lightning_module)
    saved = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    parts = ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "global_step", "epoch")
    content = {name: saved[name] for name in parts if name in saved} | saved["callbacks"]
    content["ExactResume"]["metrics"].pop("pruning/seconds", None)
    for cycle in content["IterativePruning"]["cycles"]:
        del cycle["seconds"]
    return content


def _difference(one: Any, other: Any, where: str) -> str:
    """Where two structures differ first; empty if they are the same, bit for bit."""
    if isinstance(one, torch.Tensor):
        same = isinstance(other, torch.Tensor) and one.dtype == other.dtype and one.shape == other.shape
        if same and torch.equal(one.nan_to_num(7e7), other.nan_to_num(7e7)):
            return ""
        return f"{where}: {float((one.double() - other.double()).abs().max()) if same and one.numel() else other}"
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return next((found for key in one if (found := _difference(one[key], other[key], f"{where}/{key}"))), "")
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next((found for i, (a, b) in pairs if (found := _difference(a, b, f"{where}/{i}"))), "")
    plain = one == other or (one != one and other != other) or callable(one)
    return "" if plain else f"{where}: {str(one)[:60]}, resumed {str(other)[:60]}"


def _same(one: list[float | None], other: list[float | None]) -> bool:
    return len(one) == len(other) and all(a == b or (a != a and b != b) for a, b in zip(one, other, strict=True))


def _is_sentence(error: Exception) -> bool:
    """Whether it is one of ours or Lightning's: what is refused says why."""
    frames = [Path(frame.filename).parts for frame in traceback.extract_tb(error.__traceback__)]
    return isinstance(error, MisconfigurationException) or "lightning_prune" in frames[-1]


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
    return f"{type(error).__name__}: {str(error)[:300]} ({', '.join(places)})"


@contextmanager
def _quiet() -> Any:
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch.utilities.rank_zero", "fabric", "pytorch")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def main(seeds: list[str]) -> None:
    for given in seeds:
        seed = int(given.removeprefix("u"))
        case = draw_units(seed) if given.startswith("u") else draw(seed)
        with tempfile.TemporaryDirectory() as folder:
            became, wrong = check(case, Path(folder), seed)
        sys.stdout.write(f"{given}: {case}\n{became}: {wrong or 'as it should be'}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
