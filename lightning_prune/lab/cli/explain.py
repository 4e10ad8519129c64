"""Explain a parser's error in one sentence: the place, the given value, and the nearest valid one."""

import importlib
import inspect
import re
from collections.abc import Iterable

from lightning_prune.basics.nearest import suggest

MODULES = ("lightning_prune", "lightning_prune.lab", "lightning.pytorch.callbacks", "lightning.pytorch.loggers")
PLACE = re.compile(r"""Parser key "(.+?)":|Problem with given class_path '(.+?)':""")
SIBLING = re.compile(r"\n {4}- ")
UNKNOWN = re.compile(r"does not accept option '(.+?)'|unrecognized arguments: (\S+)")
NOT_ACCEPTED = re.compile(r"Option '(.+?)' is not accepted")
REQUIRED = re.compile(r"the following arguments are required: ([\w., ]+?)(?:\. |\.?\n|\.?$)")
NO_ATTRIBUTE = re.compile(r"module '(.+?)' has no attribute '(.+?)'")
NOT_THAT_FUNCTION = re.compile(r"Expected '(.+?)' to be a function that (.+?)\.?\n")
NOT_THAT_CLASS = re.compile(r"Import path (\S+) does not correspond to a subclass of (\w+)")
OTHER_CLASS = re.compile(r"Import path does not correspond to a subclass of (\w+)")
ABSTRACT = re.compile(r"Expected an instantiatable class, but ([\w.]+) is abstract")
ARGUMENT = re.compile(r"key='(\w+)'|'(\w+)':")
NO_PATH = re.compile(r"Expected a dot import path string: (\S+)")
NO_MODULE = re.compile(r"No module named '(.+?)'")
SEVERAL = re.compile(r"Multiple subclasses with name (\w+)\. .+?: (.+?)\.?(?:\n|$)")
CLASS_NAME = re.compile(r"(?:\[?(?:\{'class_path': )?')?([A-Za-z_]\w*)(?:'.*)?")
EXPECTED = re.compile(r"Expected an? (.+?)(?:\. |\.?\n|$)")
GIVEN = re.compile(r"(?:Given|Got) value: (.+)")
NO_YAML = re.compile(r"parsing config: (.+?)\n.*line (\d+), column (\d+)", re.DOTALL)


def explain(message: str, keys: Iterable[str]) -> str:
    """Shorten an error message of jsonargparse to the sentence that helps.

    Args:
        message: The message, of one line or many.
        keys: The keys that the parser knows.

    Returns:
        One sentence or two. An unknown message is returned as it is.

    Example:
        >>> explain("Subcommand 'fit' does not accept option 'trainer.max_epoch'", ["trainer.max_epochs"])
        'There is no `trainer.max_epoch`. Did you mean `trainer.max_epochs`?'
        >>> explain("something unforeseen", [])
        'something unforeseen'
    """
    unknown = UNKNOWN.search(message)
    if unknown:
        key = (unknown[1] or unknown[2]).lstrip("-").split("=")[0]
        return _no_key(key, keys)
    if match := NO_YAML.search(message):
        return f"--config: the file is no YAML near line {match[2]}, column {match[3]} ({match[1]}). Mend it there."
    places, reason = _innermost(message)
    if not places and (match := NOT_ACCEPTED.search(message)):
        return _no_key(match[1], [*keys, "model", "data"])
    return (_sentence(reason, places) if places else None) or message


def _no_key(key: str, keys: Iterable[str]) -> str:
    """Refuse a key. If its first word is misspelt, that word is to be mended, whatever stands behind it.

    Example:
        >>> _no_key("modle.init_args.width", ["model", "model.init_args.monitor"])
        'There is no `modle`. Did you mean `model`?'
    """
    known = list(keys)
    first, tops = key.split(".")[0], dict.fromkeys(one.split(".")[0] for one in known)
    if first not in tops and (meant := suggest(first, tops)):
        return f"There is no `{first}`.{meant}"
    return f"There is no `{key}`.{suggest(key, known)}"


def _sentence(reason: str, places: list[str]) -> str | None:
    where = " > ".join(places)
    if match := NOT_ACCEPTED.search(reason):
        name = match[1].split(".")[0]
        known = _arguments_of(places[-1])
        return f"{where}: there is no `{name}`.{suggest(name, known) or _all(known)}"
    if match := REQUIRED.search(reason):
        return f"{where}: `{match[1]}` is missing."
    if match := NO_ATTRIBUTE.search(reason):
        return f"{where}: {match[1]} has no `{match[2]}`.{suggest(match[2], dir(importlib.import_module(match[1])))}"
    if match := NO_MODULE.search(reason):
        return f"{where}: there is no module `{match[1]}` in the current folder, nor installed."
    if match := SEVERAL.search(reason):
        return f"{where}: there are several `{match[1]}`. Give the path of one: {match[2]}."
    if match := NOT_THAT_FUNCTION.search(reason):
        return f"{where}: `{match[1]}` must be a function that {_plain(match[2])}, with these types in its definition."
    if match := NOT_THAT_CLASS.search(reason):
        return f"{where}: `{match[1]}` is no class that derives from {match[2]}."
    given = GIVEN.search(reason)
    if given and (match := OTHER_CLASS.search(reason)):
        return f"{where}: `{given[1]}` is no class that derives from {match[1]}."
    if given and (match := ABSTRACT.search(reason)):
        named = ARGUMENT.search(given[1])
        argument = f" that could take `{named[1] or named[2]}`" if named else ""
        return f"{where}: there is no class{argument}. Name one: `{_last(places[-1])}: <a {_last(match[1])}>`."
    expected = [one for one in EXPECTED.findall(reason) if "not accessible" not in one]
    if expected and given:
        meant = _nearest_class(given[1]) if any(map(_is_path, expected)) else ""
        text = re.sub(r"^Namespace\((.*)\)$", r"{\1}", given[1])
        return f"{where}: given was `{text}`, expected {' or '.join(map(_plain, dict.fromkeys(expected)))}.{meant}"
    if match := NO_PATH.search(reason):
        return (
            f"{where}: given was `{match[1]}`, expected {_plain('dot import path string')}.{_nearest_class(match[1])}"
        )
    return None


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _innermost(message: str) -> tuple[list[str], str]:
    """Follow the first branch of a nested message to its end.

    Returns:
        The keys and classes on the way, and the text at the end.
    """
    branches = SIBLING.split(message)
    problems = [branch for branch in branches[1:] if branch.startswith("Problem with")]
    text = branches[0] + problems[0] if problems else message
    places: list[str] = []
    while match := PLACE.search(text):
        places.append(match[1] or match[2])
        text = text[match.end() :]
    return places, text


def _arguments_of(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    target = getattr(importlib.import_module(module), name, None) if module else None
    return ["class_path", "init_args", *inspect.signature(target).parameters] if callable(target) else []


def _all(known: list[str]) -> str:
    """Name all arguments of a class, if they are few."""
    own = [name for name in known if name not in ("class_path", "init_args")]
    return f" There is `{'`, `'.join(own)}`." if 0 < len(own) < 6 else ""


def _is_path(expectation: str) -> bool:
    return expectation.startswith("dot import path string")


def _nearest_class(given: str) -> str:
    """The class of this package or of Lightning whose name is nearest to the given name. A path has none."""
    match = CLASS_NAME.fullmatch(given)
    known = [name for module in MODULES for name in dir(importlib.import_module(module))]
    return suggest(match[1], known) if match else ""


def _plain(expectation: str) -> str:
    """Write a type in plain words.

    Example:
        >>> _plain("<class 'int'>"), _plain("typing.Literal['step', 'epoch']"), _plain("<class 'NoneType'>")
        ('int', "'step', 'epoch'", 'null')
    """
    if _is_path(expectation):
        return "a dotted path (such as torch.nn.Linear)"
    text = re.sub(r"<class '(?:.+\.)?(.+?)'>", r"\1", expectation).replace("NoneType", "null")
    return re.sub(r"typing\.Literal\[(.+)\]", r"\1", text)
