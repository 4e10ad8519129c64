"""List the configs that come with the package, and copy one: ``lightning-prune configs [copy NAME [FOLDER]]``."""

import re
import shutil
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import groupby, takewhile
from pathlib import Path

from jsonargparse import ArgumentParser

from lightning_prune.basics.config_files import require_config, shipped_file, shipped_folder, shipped_names
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import NothingThere, UserError

HELP = "List the configs that come with the package, or copy one to change it."
ACTIONS = ("list", "copy")
HEADINGS = {
    "digits": "scikit-learn's digits, small enough for any machine",
    "cifar10": "CIFAR-10",
    "transformers": "a small decoder of transformers, trained on the docstrings of this package",
    "papers": "",
    "ablations": "studies for `lightning-prune ablate`",
    "regimes": "studies for `lightning-prune regimes`, of temperatures and of rewind points",
    "claims": "studies behind docs/claims.md, and their base configs",
}
CITATION = re.compile(r'[^"]+, ".+", .*[0-9]{4}\.')


def configs_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune configs``."""
    parser = ArgumentParser(prog="lightning-prune configs", description=HELP)
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        metavar="list|copy|WORD",
        help="what to do (default: list). Another word, such as digits, lists the configs whose name or description "
        "has it",
    )
    parser.add_argument(
        "name",
        nargs="?",
        help="with copy: a config, such as digits/lr_rewind. With list: a word of the names or descriptions to list",
    )
    parser.add_argument("folder", nargs="?", default=".", help="with copy: the folder of the copy (default: here)")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Parse the arguments, and list or copy."""
    options = configs_parser().parse_args(list(arguments))
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if options.action == "list":
        sys.stdout.write(listing(options.name or "", columns))
    elif options.action == "copy" and options.name:
        copy = copy_config(options.name, Path(options.folder))
        sys.stdout.write(f"Written: {copy}\n")
    elif options.action == "copy":
        raise UserError("`configs copy` needs a name, such as digits/lr_rewind. `lightning-prune configs` lists all.")
    else:
        _list_word(options.action, options.name, columns)


def _list_word(word: str, more: str | None, columns: int | None) -> None:
    """List the configs that have a word, which is no action. A misspelt action is not taken for a word."""
    guess = suggest(word, ACTIONS)
    if more is not None or (guess and not any(word in name for name in shipped_names())):
        raise UserError(f"`configs {word}`: there is no such action.{guess} Give `list`, `copy NAME`, or a word.")
    if not named(word):
        raise NothingThere(f"`configs {word}`: {_nothing_has(word)}")
    sys.stdout.write(listing(word, columns))


def listing(word: str = "", columns: int | None = None) -> str:
    """List the configs, by data set and by paper, each with the first sentence of its file.

    Args:
        word: What the names or their descriptions must contain, in capital or small letters. Empty: all configs.
        columns: The most characters in a line. None: no limit.

    Raises:
        FileNotFoundError: If no name and no description contains the word. The message has the nearest names.

    Example:
        >>> "digits/silo " in listing("digits"), "cifar10/silo " in listing("digits")
        (True, False)
    """
    names = named(word)
    if not names:
        raise NothingThere(f"`configs list {word}`: {_nothing_has(word)}")
    width = max(map(len, names))
    blocks = ["Run one with --config NAME. `lightning-prune configs copy NAME` makes a copy to change."]
    for folder, members in groupby(names, key=_folder):
        cited = list(members)
        lines = [f"  {name:<{width}}  {summary(name)}" for name in cited]
        blocks.append("\n".join([_heading(folder, cited[0]), *(_cut(line, columns) for line in lines)]))
    return "\n\n".join(blocks) + "\n"


def named(word: str) -> list[str]:
    """The configs whose name or description has a word, in the order of the list.

    Args:
        word: The word, or a part of one, in capital or small letters.

    Example:
        >>> "digits/lr_rewind" in named("Digits"), "digits/lr_rewind" in named("replay the last"), named("nowhere")
        (True, True, [])
    """
    small = word.lower()
    return sorted((name for name in shipped_names() if small in f"{name} {summary(name)}".lower()), key=_place)


def _nothing_has(word: str) -> str:
    """Say that no config has a word, and name those whose names have the most similar word."""
    words = {
        part: name for name in sorted(shipped_names(), key=_place, reverse=True) for part in re.split("[/_]", name)
    }
    near = get_close_matches(word, shipped_names()) or [words[one] for one in get_close_matches(word.lower(), words)]
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(near))
    guess = f"The nearest names are {names}." if names else "Without a word, it lists all."
    return f"no config has `{word}` in its name or its description. {guess}"


def summary(name: str) -> str:
    """The first sentence of the comment on top of a config.

    Args:
        name: The name of a config that comes with the package.

    Example:
        >>> summary("digits/lr_rewind")
        'Learning-rate rewinding: keep the weights, replay the last 15 epochs of the dense schedule.'
    """
    comment = _comment(name)
    return re.split(r"(?<=[.?])\s", " ".join(comment), maxsplit=1)[0]


def copy_config(name: str, folder: Path) -> Path:
    """Copy a config, and the configs in the same place that it names, into a folder. Nothing is overwritten.

    Args:
        name: The name of a config that comes with the package.
        folder: The folder of the copy. It is made if it does not exist.

    Returns:
        The copy.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If a file with the name of the copy is there already.
    """
    source = shipped_file(name) or require_config(f"`configs copy {name}`", name)
    found = re.search(r"^base: (\S+\.yaml)$", source.read_text(), flags=re.MULTILINE)
    sources = [source] if found is None else [source, source.parent / found[1]]
    copies = [folder / one.name for one in sources]
    if there := [copy for copy in copies if copy.exists()]:
        raise UserError(f"`configs copy {name} {folder}`: {there[0]} exists already. Give another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for one, copy in zip(sources, copies, strict=True):
        shutil.copyfile(one, copy)
    return copies[0]


def _comment(name: str) -> list[str]:
    """The lines of the comment on top of a config, without their signs."""
    lines = (shipped_folder() / f"{name}.yaml").read_text().splitlines()
    return [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines)]


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _place(name: str) -> tuple[int, str]:
    """The order of the list: what runs anywhere first, what is behind a page of ours last."""
    top, known = name.split("/")[0], list(HEADINGS)
    return known.index(top) if top in known else len(known), name


def _heading(folder: str, member: str) -> str:
    """Name a folder of configs. For a paper, its configs cite it."""
    cited = next((line for line in _comment(member) if CITATION.fullmatch(line)), "")
    said = HEADINGS.get(folder.split("/")[0]) or cited
    return f"{folder}: {said}" if said else folder


def _cut(line: str, columns: int | None) -> str:
    return line if columns is None or len(line) <= columns else f"{line[: max(columns - 3, 0)].rstrip()}..."
