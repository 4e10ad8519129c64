"""Guess the file that was meant by a path that does not exist."""

from pathlib import Path

from lightning_prune.basics.nearest import nearest


def did_you_mean(path: Path) -> str:
    """Name the file whose path is nearest to a path that does not exist.

    Args:
        path: The path that does not exist.

    Returns:
        A sentence with a space before it. Empty if no file is near.

    Example:
        >>> did_you_mean(Path("gone") / "lr_rewind.yaml")
        ''
    """
    found = _nearest(path)
    return f" Did you mean `{found}`?" if found is not None and found.is_file() else ""


def _nearest(path: Path) -> Path | None:
    """The path itself if it exists, or else the most similar path, folder by folder."""
    if path.exists() or path.parent == path:
        return path if path.exists() else None
    parent = _nearest(path.parent)
    if parent is None or not parent.is_dir():
        return None
    names = [one.name for one in parent.iterdir() if one.suffix == path.suffix]
    found = nearest(path.name, names, least=0.7)
    return parent / found if found is not None else None
