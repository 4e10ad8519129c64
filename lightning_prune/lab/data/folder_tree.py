"""List the images of a folder tree ``root/train/<class>/...``, with clear errors for missing parts."""

from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from lightning_prune.basics.user_error import NothingThere, UserError

LabelledFiles = list[tuple[Path, int]]

LAYOUT = "The layout is <root>/train/<class>/<image> and <root>/test/<class>/<image>, and <root>/val/... if you like"


def class_names(root: Path) -> tuple[str, ...]:
    """List the classes: the folders in ``root/train``, in alphabetical order.

    Args:
        root: The folder that has ``train`` in it.

    Returns:
        At least one name. The index of a name is its label.

    Raises:
        FileNotFoundError: If there is no folder ``root/train``, or this folder has no folders in it.

    Example:
        >>> class_names(Path("/nowhere"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lightning_prune.basics.user_error.NothingThere: ImageFolders(root='/nowhere') has no classes: ...
    """
    train = root / "train"
    names = tuple(sorted(entry.name for entry in train.iterdir() if entry.is_dir())) if train.is_dir() else ()
    if not names:
        raise missing(root, f"has no classes: {whereabouts(train if train.is_dir() else root)}")
    return names


def labelled_files(root: Path, part: str, classes: tuple[str, ...]) -> LabelledFiles:
    """List the images of one part in a fixed order, each with its label.

    Args:
        root: The folder that has ``train`` in it.
        part: ``"train"``, ``"val"`` or ``"test"``.
        classes: The names of the classes.

    Returns:
        Path and label of every image, at least one.

    Raises:
        FileNotFoundError: If there is no such part or the part has no image. For ``train``, also if a class has no
            image.
        ValueError: If the part has a class that is not in ``classes``.

    Example:
        >>> labelled_files(Path("/nowhere"), "test", ("cat", "dog"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lightning_prune.basics.user_error.NothingThere: ImageFolders(root='/nowhere') has no images in test/: ...
    """
    folder = root / part
    if folder.is_dir():
        unknown = sorted({entry.name for entry in folder.iterdir() if entry.is_dir()} - set(classes))
        if unknown:
            raise UserError(
                f"ImageFolders(root={str(root)!r}) has classes in {part}/ that train/ does not have: "
                f"{', '.join(unknown)}. Add them to train/ or remove them."
            )
    files = [(path, label) for label, name in enumerate(classes) for path in images_below(folder / name)]
    if not files:
        raise missing(root, f"has no images in {part}/: {whereabouts(folder)}")
    present = {label for _, label in files}
    empty = [name for label, name in enumerate(classes) if label not in present]
    if empty and part == "train":
        raise missing(root, f"has no images in train/{empty[0]}/: {whereabouts(folder / empty[0])}")
    return files


def images_below(folder: Path) -> list[Path]:
    """List the images in a folder and in all folders below it, in alphabetical order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMG_EXTENSIONS)


def whereabouts(folder: Path) -> str:
    """Describe the content of a folder in which something is missing."""
    if not folder.is_dir():
        return "the folder does not exist"
    found = sorted(entry.name for entry in folder.iterdir())
    return f"the folder {folder.name}/ has {', '.join(found[:8]) or 'nothing'} in it"


def missing(root: Path, what: str) -> NothingThere:
    """Word the error about a tree in which something is missing."""
    return NothingThere(f"ImageFolders(root={str(root)!r}) {what}. {LAYOUT}.")
