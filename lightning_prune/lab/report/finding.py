"""Find the folder of a run from a typed path, and short names for several runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lightning_prune.basics.file_names import METRICS
from lightning_prune.basics.user_error import NothingThere


def find_run(path: Path) -> Path:
    """Find the folder with metrics.csv: the path itself, or the newest of its ``version_*`` folders.

    Raises:
        FileNotFoundError: If there is no such folder. The message says what was found instead.
    """
    if not path.is_dir():
        what = "is a file" if path.is_file() else "does not exist"
        raise NothingThere(f"`report {path}`: {path} {what}. Give the folder of a run, the one with {METRICS}.")
    if (path / METRICS).is_file():
        return path
    versions = _versions(path)
    if not versions:
        _refuse(path)
    return max(versions, key=lambda folder: (folder / METRICS).stat().st_mtime)


def runs_below(path: Path) -> list[Path]:
    """List the runs in the two levels below a folder. The versions of a run count as one."""
    below = [folder for pattern in ("*", "*/*") for folder in sorted(path.glob(pattern)) if folder.is_dir()]
    versions = {version.parent for folder in below for version in _versions(folder)}
    alone = {folder for folder in below if (folder / METRICS).is_file() and folder.parent not in versions}
    return sorted(versions | alone)


def short_names(folders: Sequence[Path]) -> list[str]:
    """Name every folder by the last parts of its path, with as many parts as tell the folders apart.

    A ``version_*`` alone says nothing. If the parents of the folders differ, the parents are named instead.

    Example:
        >>> short_names([Path("runs/silo/version_0"), Path("runs/clr/version_3")])
        ['silo', 'clr']
        >>> short_names([Path("runs/silo/version_0"), Path("runs/silo/version_1")])
        ['silo/version_0', 'silo/version_1']
    """
    full = [folder.resolve() for folder in folders]
    spoken = [path.parent if path.name.startswith("version_") else path for path in full]
    paths, shallowest = (spoken, 1) if len(set(spoken)) == len(full) else (full, 2)
    for depth in range(shallowest, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _versions(path: Path) -> list[Path]:
    return [folder for folder in path.glob("version_*") if (folder / METRICS).is_file()]


def _refuse(path: Path) -> NoReturn:
    runs = [str(run) for run in runs_below(path)]
    if runs:
        raise NothingThere(
            f"`report {path}`: {path} is not a run but holds {len(runs)}:\n  " + "\n  ".join(runs) + "\n"
            f"Report {'it' if len(runs) == 1 else 'and compare them'} with\n  lightning-prune report {' '.join(runs)}"
        )
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
    raise NothingThere(
        f"`report {path}`: there is no {METRICS} in {path} nor in a version_* folder of it; found {found}. "
        "Give the folder of a run that logged with a CSVLogger."
    )
