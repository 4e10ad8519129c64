"""Keep the nodes in a folder, and record which of them are finished, or are being trained by a process."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from lightning_prune.ablation.sharing.node import Node
from lightning_prune.ablation.storage.files import read_json
from lightning_prune.ablation.storage.notes import harmless_notes
from lightning_prune.basics.user_error import UserError

RESULT = "result.json"
JOB = "job.json"
# The keys of a result that studies and tables read.
WHOLE = {"rows", "epochs", "seconds", "notes", "version", "lightning", "torch", "hardware"}
ROW = {"cycle", "epochs", "metric", "val_last", "val_best"}


class Store:
    """Keep nodes as folders: ``running/<name>`` during the training, ``nodes/<name>`` when the node is finished.

    Args:
        root: The folder of the study, or a folder that several studies share.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.nodes = self.root / "nodes"
        self.running = self.root / "running"
        self.locks = self.root / "locks"

    def folder(self, node: Node) -> Path:
        """The folder of a finished node."""
        return self.nodes / node.name

    def work(self, node: Node) -> Path:
        """The folder of a node during its training."""
        return self.running / node.name

    def lock(self, node: Node) -> FileLock:
        """The lock of a node. Its holder trains the node. The system releases it when the process dies."""
        self.locks.mkdir(parents=True, exist_ok=True)
        return FileLock(self.locks / f"{node.name}.lock")

    def result(self, node: Node) -> Mapping[str, Any] | None:
        """The result of a node, if the node is finished and has kept everything that its arms need. Else None."""
        path = self.folder(node) / RESULT
        result = read_result(path) if path.is_file() else None
        return result if result is not None and set(node.notes) <= set(result["notes"]) else None

    def holds(self, files: Iterable[str]) -> bool:
        """Whether files exist and belong to finished nodes.

        Args:
            files: Their paths, relative to the folder of the nodes.
        """
        return all((self.nodes / file).is_file() and (self.nodes / file).with_name(RESULT).is_file() for file in files)

    def with_old_notes(self, node: Node) -> Node:
        """Add to a node the notes of its earlier training, so that it again keeps what other arms need.

        Args:
            node: The node. The caller must hold its lock.
        """
        path = self.folder(node) / RESULT
        kept = harmless_notes(read_result(path)["notes"]) if path.is_file() else {}
        return replace(node, notes={**kept, **node.notes})

    def take_up(self, node: Node) -> Node:
        """Prepare the work folder. Keep the files of an interrupted training of the same node, and drop all others.

        Args:
            node: The node. The caller must hold its lock.

        Returns:
            The node, with the notes that are being kept in that folder.
        """
        node, work = self.with_old_notes(node), self.work(node)
        left = _saved_notes(work / JOB)
        if left is None or not set(node.notes) <= set(left):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True, exist_ok=True)
            return node
        for path in work.glob("*.new"):  # Left by a process that died while it wrote.
            path.unlink()
        return replace(node, notes={**harmless_notes(left), **node.notes})

    def publish(self, node: Node) -> None:
        """Move a finished node to its place."""
        self.nodes.mkdir(parents=True, exist_ok=True)
        work, folder = self.work(node), self.folder(node)
        if not folder.exists():
            work.replace(folder)
            return
        # The place holds an earlier training of the node, which had not kept all that is needed. Another study may be
        # going on from it, so no file may be missing at any moment. The node counts as trained again only when the
        # last file is in its place.
        last = {work / RESULT: 1, work / JOB: 2}
        for path in sorted(_files_below(work), key=lambda one: last.get(one, 0)):
            place = folder / path.relative_to(work)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
        shutil.rmtree(work)


def _files_below(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_symlink() or not one.is_dir()]


def _saved_notes(path: Path) -> Mapping[str, Any] | None:
    """The notes that are being kept in a work folder. None if its job cannot be read."""
    try:
        notes = read_json(path)["node"]["notes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return notes if isinstance(notes, Mapping) else None


def read_result(path: Path) -> Mapping[str, Any]:
    """Read the result of a node.

    Args:
        path: The result.json of the node.

    Raises:
        ValueError: If the file is damaged, or is not a result. The message says what to delete.
    """
    result = read_json(path)
    rows = result.get("rows") if isinstance(result, Mapping) else None
    whole = isinstance(rows, list) and all(isinstance(row, Mapping) and row.keys() >= ROW for row in rows)
    if not (whole and rows and result.keys() >= WHOLE and isinstance(result["notes"], Mapping)):
        raise UserError(
            f"{path} is not what a node leaves behind. Delete {path.parent}, and run the study again. The node is then "
            "trained again."
        )
    return result  # type: ignore[no-any-return]
