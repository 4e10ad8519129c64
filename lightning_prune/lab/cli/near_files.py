"""A file that is not there, and the one that was probably meant."""

from pathlib import Path

from lightning_prune.basics.nearest import nearest


def did_you_mean(path: Path) -> str:
    """Say which file has nearly the path of one that does not exist.

    Args:
        path: The path that does not exist.

    Returns:
        A sentence with a blank before it; empty if nothing is near.

    Example:
        >>> did_you_mean(Path("gone") / "lr_rewind.yaml")
        ''
    """
    found = _nearest(path)
    return f" Did you mean `{found}`?" if found is not None and found.is_file() else ""


def _nearest(path: Path) -> Path | None:
    """The path itself if it exists, or else what is most like it, folder by folder."""
    if path.exists() or path.parent == path:
        return path if path.exists() else None
    parent = _nearest(path.parent)
    if parent is None or not parent.is_dir():
        return None
    names = [one.name for one in parent.iterdir() if one.suffix == path.suffix]
    found = nearest(path.name, names, least=0.7)
    return parent / found if found is not None else None
