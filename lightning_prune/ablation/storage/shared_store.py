"""Where a study keeps its nodes: in its own folder, or in a store that it shares with other studies."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_prune.ablation.storage.files import read_json, see_writable
from lightning_prune.basics.file_names import STUDY

WRITE_ANEW = (
    "Run the command of the study again with --force, and with its --store if it had one: the file is written anew, "
    "and what is finished is not trained again."
)


def store_of(out: Path, facts: Mapping[str, Any]) -> Path:
    """Find the nodes of a study that was written.

    Args:
        out: The folder of the study.
        facts: Its study.json, whose ``store`` is relative to the folder, so that both can be moved together.

    Example:
        >>> store_of(Path("runs/one"), {"store": "../nodes"}).as_posix(), store_of(Path("runs/one"), {}).as_posix()
        ('runs/one/../nodes', 'runs/one')
    """
    return out / str(facts.get("store", ""))


def seen_from(out: Path, store: Path) -> str:
    """The path from the folder of a study to its store, ``"."`` if they are one; links are followed.

    Args:
        out: The folder of the study.
        store: The folder of its nodes.

    Example:
        >>> seen_from(Path("runs/one"), Path("runs/nodes")), seen_from(Path("runs/one"), Path("runs/one"))
        ('../nodes', '.')
    """
    return os.path.relpath(store.resolve(), out.resolve())


def recorded_store(out: Path) -> Path | None:
    """The store that the study in a folder has used so far, the folder itself if it shares none.

    Args:
        out: The folder of the study.

    Returns:
        The store; None where there is no study, or its record cannot be read.
    """
    try:
        facts = read_json(out / STUDY)
    except (OSError, ValueError):
        return None
    if not isinstance(facts, Mapping):
        return None
    return store_of(out, facts).resolve() if "store" in facts else out


def choose_store(out: Path, given: str | Path | None, force: bool) -> Path:
    """Choose where the nodes of a study go, before anything is written.

    Args:
        out: The folder of the study.
        given: The store that was asked for; None for the one of the last time, or the study's own folder.
        force: Whether another store than the last time may be used.

    Raises:
        ValueError: If the study has used another store so far, or that is gone; if the one that was asked for may not
            be written, or is the folder of a study that keeps its nodes elsewhere.
    """
    recorded = recorded_store(out)
    if given is None:
        store = recorded or out
        if not store.is_dir() and store != out and not force:
            raise ValueError(
                f"{out} keeps its nodes in {store}, which is not there. Put it back (the path is relative to {out}), "
                "or give --store and --force: what is not in the folder that you give is trained anew."
            )
        return store
    store = Path(given)
    _refuse_another(out, store, None if force else recorded)
    if _same(store, out):
        return out
    see_writable(store, "--store")
    elsewhere = recorded_store(store)
    if elsewhere is not None and not _same(elsewhere, store):
        raise ValueError(
            f"`--store {store}` is the folder of a study that keeps its nodes in {elsewhere}. Give that one."
        )
    return store


def _refuse_another(out: Path, store: Path, recorded: Path | None) -> None:
    if recorded is not None and not _same(recorded, store):
        raise ValueError(
            f"`--store {store}`: the study in {out} keeps its nodes in {recorded}. Leave --store out to go on with "
            f"them, or give --force to go on in {store}: what is not finished there is trained anew."
        )


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
