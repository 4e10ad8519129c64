"""Files that an attacker could give: each leaves a mark if anything in it runs."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Touch:
    """An object whose pickle runs a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def _plain(path: Path, mark: Path, content: dict[str, Any]) -> None:
    path.write_bytes(pickle.dumps(Touch(mark)))


def _legacy(path: Path, mark: Path, content: dict[str, Any]) -> None:
    torch.save({**content, "x": Touch(mark)}, path, _use_new_zipfile_serialization=False)


def _beside(path: Path, mark: Path, content: dict[str, Any]) -> None:
    torch.save({**content, "x": Touch(mark)}, path)


def _hyperparameter(path: Path, mark: Path, content: dict[str, Any]) -> None:
    torch.save({**content, "hyper_parameters": {"x": Touch(mark)}}, path)


def _weight(path: Path, mark: Path, content: dict[str, Any]) -> None:
    torch.save({**content, "state_dict": {**content.get("state_dict", {}), "w": Touch(mark)}}, path)


def _escaping(path: Path, mark: Path, content: dict[str, Any]) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Touch(mark)))
        file.writestr("archive/version", "3")
        file.writestr(f"../../../../../../..{mark}", "written by the archive")


# Write a file, given its path, the mark, and a checkpoint of a run.
PICKLES: dict[str, Callable[[Path, Path, dict[str, Any]], None]] = {
    "a plain pickle": _plain,
    "the legacy format": _legacy,
    "beside the weights": _beside,
    "a hyperparameter": _hyperparameter,
    "among the weights": _weight,
    "a path out of the zip": _escaping,
}
