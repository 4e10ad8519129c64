"""Let no node change the settings that a process has for all of its computing, such as the default dtype."""

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module as modules

CUDNN = ("enabled", "benchmark", "deterministic")
HOOKS = [name for name, one in vars(modules).items() if name.startswith("_global") and isinstance(one, dict)]


@contextmanager
def own_settings() -> Iterator[None]:
    """Restore, at the end of the block, every setting of the process as it was at the beginning.

    These are random states, the default dtype and device, the number of threads, deterministic and anomaly modes,
    settings of cuDNN, hooks for all modules, filters of warnings, environment variables, the import path and the
    current folder.
    """
    with warnings.catch_warnings():
        undo = [keep() for keep in KEEPERS]
        try:
            yield
        finally:
            for restore in undo:
                restore()


def _setting(read: Callable[[], Any], write: Callable[[Any], Any]) -> Callable[[], Callable[[], None]]:
    """Make a function that reads a setting, and returns the function that restores it."""

    def keep() -> Callable[[], None]:
        before = read()

        def restore() -> None:
            if read() != before:
                write(before)

        return restore

    return keep


def _random_states() -> Callable[[], None]:
    own, torchs = random.getstate(), torch.get_rng_state()
    numbers = np.random.get_state()  # noqa: NPY002  # a user may draw from it
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]

    def restore() -> None:
        random.setstate(own)
        np.random.set_state(numbers)  # noqa: NPY002
        torch.set_rng_state(torchs)
        if cards is not None:
            torch.cuda.set_rng_state_all(cards)

    return restore


def _write_dict(place: Any, content: dict[Any, Any]) -> None:
    place.clear()
    place.update(content)


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


def _default_device() -> str:
    return str(torch.get_default_device())


def _attribute(owner: Any, name: str) -> Callable[[], Callable[[], None]]:
    return _setting(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _contents(place: dict[Any, Any]) -> Callable[[], Callable[[], None]]:
    return _setting(lambda: dict(place), lambda content: _write_dict(place, content))


KEEPERS: list[Callable[[], Callable[[], None]]] = [
    _setting(lambda: dict(os.environ), lambda content: _write_dict(os.environ, content)),
    _setting(os.getcwd, os.chdir),
    _setting(lambda: list(sys.path), lambda paths: sys.path.__setitem__(slice(None), paths)),
    _setting(torch.get_default_dtype, torch.set_default_dtype),
    _setting(_default_device, lambda device: torch.set_default_device(None if device == "cpu" else device)),
    _setting(torch.get_num_threads, torch.set_num_threads),
    _setting(torch.is_grad_enabled, torch.set_grad_enabled),
    _setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    _setting(_determinism, lambda both: torch.use_deterministic_algorithms(both[0], warn_only=both[1])),
    _setting(_anomaly, lambda both: torch.autograd.set_detect_anomaly(both[0], check_nan=both[1])),
    *(_attribute(torch.backends.cudnn, name) for name in CUDNN),
    *(_contents(getattr(modules, name)) for name in HOOKS),
    _random_states,
]
