"""Choose the place of a study's nodes: its own folder, or a store that it shares with other studies."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_prune.ablation.storage.files import read_json, see_writable
from lightning_prune.basics.file_names import STUDY
from lightning_prune.basics.user_error import UserError

WRITE_ANEW = (
    "Run the command of the study again with --force (force=True), and with its --store (store=...) if it had one. The "
    "file is then written again, and what is finished is not trained again."
)


def store_of(out: Path, facts: Mapping[str, Any]) -> Path:
    """Find the nodes of a study that was written.

    Args:
        out: The folder of the study.
        facts: The study.json of the study. Its ``store`` is relative to the folder, so that both can be moved together.

    Example:
        >>> store_of(Path("runs/one"), {"store": "../nodes"}).as_posix(), store_of(Path("runs/one"), {}).as_posix()
        ('runs/one/../nodes', 'runs/one')
    """
    return out / str(facts.get("store", ""))


def seen_from(out: Path, store: Path) -> str:
    """The path from the folder of a study to its store, ``"."`` if they are the same. Links are followed.

    Args:
        out: The folder of the study.
        store: The folder of its nodes.

    Example:
        >>> seen_from(Path("runs/one"), Path("runs/nodes")), seen_from(Path("runs/one"), Path("runs/one"))
        ('../nodes', '.')
    """
    return os.path.relpath(store.resolve(), out.resolve())


def recorded_store(out: Path) -> Path | None:
    """Find the store that the study in a folder has used so far.

    Args:
        out: The folder of the study.

    Returns:
        The store, or the folder itself if the study shares no store. None if there is no study, or its record cannot
        be read.
    """
    try:
        facts = read_json(out / STUDY)
    except (OSError, ValueError):
        return None
    if not isinstance(facts, Mapping):
        return None
    return store_of(out, facts).resolve() if "store" in facts else out


def choose_store(out: Path, given: str | Path | None, force: bool) -> Path:
    """Choose the folder for the nodes of a study, before anything is written.

    Args:
        out: The folder of the study.
        given: The store that the user gave. None: the store of the last time, or the study's own folder.
        force: Whether the store may differ from the store of the last time.

    Raises:
        ValueError: If the study has used another store so far, or its store is gone. If the given store may not be
            written, or is the folder of a study that keeps its nodes elsewhere.
    """
    recorded = recorded_store(out)
    if given is None:
        store = recorded or out
        if not store.is_dir() and store != out and not force:
            raise UserError(
                f"{out} keeps its nodes in {store}, which is not there. Put it back (the path is relative to {out}), "
                "or give another store (store=..., or --store) and force=True (--force): what is not in the folder "
                "that you give is trained again."
            )
        return store
    store = Path(given)
    _refuse_another(out, store, None if force else recorded)
    if _same(store, out):
        return out
    see_writable(store, "store")
    elsewhere = recorded_store(store)
    if elsewhere is not None and not _same(elsewhere, store):
        raise UserError(
            f"`store={store}` (--store) is the folder of a study that keeps its nodes in {elsewhere}. Give that one."
        )
    return store


def _refuse_another(out: Path, store: Path, recorded: Path | None) -> None:
    if recorded is not None and not _same(recorded, store):
        raise UserError(
            f"`store={store}` (--store): the study in {out} keeps its nodes in {recorded}. Leave `store` out to go on "
            f"with them, or give force=True (--force) to go on in {store}: what is not finished there is trained again."
        )


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
