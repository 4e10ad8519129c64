"""Find a config by its path, or by its name among the configs that come with the package."""

from pathlib import Path

from lightning_prune.basics.nearest import nearest
from lightning_prune.basics.user_error import NothingThere

FILES = (".yaml", ".yml", ".json")
_PACKAGE = Path(__file__).parents[1]


def shipped_folder() -> Path:
    """The folder of the configs that come with the package: in an installed package, or beside it in a checkout."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def shipped_names() -> list[str]:
    """List the names of the configs that come with the package, in alphabetical order.

    Example:
        >>> "digits/lr_rewind" in shipped_names()
        True
    """
    folder = shipped_folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def shipped_file(name: str) -> Path | None:
    """Find a config that comes with the package.

    Args:
        name: Its name, such as ``digits/lr_rewind``. The end ``.yaml`` and ``configs/`` before the name are allowed.

    Returns:
        Its file. None if there is no such config.

    Example:
        >>> shipped_file("digits/lr_rewind") == shipped_file("configs/digits/lr_rewind.yaml")
        True
        >>> shipped_file("../pyproject") is None
        True
    """
    plain = _plain(name)
    return shipped_folder() / f"{plain}.yaml" if plain in shipped_names() else None


def config_file(given: str | Path) -> Path | None:
    """Find a config by its path, or by its name. A file that exists goes first.

    Args:
        given: A path, or the name of a config that comes with the package.

    Returns:
        The file, relative to the working directory if the file is below it. None if there is no such file.
    """
    if is_file(Path(given)):
        return Path(given)
    found = shipped_file(str(given))
    return found.relative_to(Path.cwd()) if found is not None and found.is_relative_to(Path.cwd()) else found


def config_name(path: Path) -> str:
    """The name of a config: the name under which it comes with the package, or else its file's name.

    Example:
        >>> config_name(Path("mine/wide.yaml"))
        'wide'
        >>> config_name(shipped_folder() / "digits" / "silo.yaml")
        'digits/silo'
    """
    below, folder = path.resolve(), shipped_folder().resolve()
    return below.relative_to(folder).with_suffix("").as_posix() if below.is_relative_to(folder) else path.stem


def require_config(owner: str, given: str | Path) -> Path:
    """Find a config, or refuse the path.

    Args:
        owner: The argument that names the config, for the error.
        given: A path, or the name of a config that comes with the package.

    Raises:
        FileNotFoundError: If there is no such file. The message names the files and configs with a similar name.
    """
    found = config_file(given)
    if found is not None:
        return found
    if Path(given).is_dir():
        raise NothingThere(f"{owner} is a folder, not a YAML file. Give the path of a YAML file.")
    raise NothingThere(
        f"{owner} does not exist.{did_you_mean(Path(given))} Give the path of a YAML file, or a name that "
        "`lightning-prune configs` lists."
    )


def did_you_mean(path: Path) -> str:
    """Name the file or the config whose name is nearest to a path that does not exist.

    Args:
        path: The path that does not exist.

    Returns:
        A sentence with a space before it. Empty if nothing is near.

    Example:
        >>> did_you_mean(Path("digits/lr_rewnd"))
        ' Did you mean `digits/lr_rewind`?'
        >>> did_you_mean(Path("gone") / "nothing_like_it.yaml")
        ''
    """
    file = _nearest(path)
    near = [str(file)] if file is not None and file.is_file() else []
    name = _nearest_name(_plain(str(path)))
    if name is not None and not near:
        near = [name]
    return f" Did you mean `{near[0]}`?" if near else ""


def _plain(name: str) -> str:
    return name.removeprefix("./").removeprefix("configs/").removesuffix(".yaml")


def is_file(path: Path) -> bool:
    """Whether a path is a file. What cannot be a path is none, such as YAML, which is too long for a name."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _nearest_name(given: str) -> str | None:
    """The name that is most similar as a whole, or the only one that ends with the given words."""
    names = shipped_names()
    if (found := nearest(given, names, least=0.8)) is not None:
        return found
    last = [name for name in names if name.split("/")[-1] == given]
    return last[0] if last else None


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
