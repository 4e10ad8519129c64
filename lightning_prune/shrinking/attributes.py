"""Set the attributes of modules whose tensors were cut, such as ``out_channels`` of a convolution.

Each kind of module has a function that reads the new sizes from the tensors. Modules are visited from the inside out,
so a block finds its layers small already. Users add functions for blocks of their own.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from torch import nn

from lightning_prune.selection.parameters import plain_name
from lightning_prune.shrinking.resizes import Resize, resize_of

Attributes = dict[str, dict[str, Any]]  # by module and name


def resize_(
    module: nn.Module,
    changed: Collection[str],
    counts: Mapping[str, Mapping[str, int]],
    resizes: Mapping[type, Resize] | None = None,
) -> tuple[Attributes, Callable[[], None]]:
    """Set the attributes of all modules that own a tensor that was cut, and of the modules around them.

    Args:
        module: The network, with its tensors cut.
        changed: The names of the tensors that were cut.
        counts: Numbers that were counted, such as ``groups`` of a convolution, by module and attribute.
        resizes: The user's own functions by class. They go before the package's.

    Returns:
        The attributes that have changed, and a function that undoes the changes.

    Example:
        >>> layer = nn.Linear(4, 3)
        >>> layer.weight.data = layer.weight.data[:, :2]
        >>> attributes, undo = resize_(layer, ["weight"], {})
        >>> attributes
        {'': {'in_features': 2}}
    """
    modules = _modules_of(module)
    around = {outer for name in changed for outer in _around(name.rpartition(".")[0])} | set(counts)
    before = {name: dict(_plain(modules[name])) for name in around if name in modules}

    def undo() -> None:
        for name, attributes in before.items():
            for attribute, value in attributes.items():
                setattr(modules[name], attribute, value)

    try:
        for name in sorted(before, key=lambda one: (-one.count("."), not one, one)):  # from the inside out
            for attribute, value in counts.get(name, {}).items():
                setattr(modules[name], attribute, value)
            function = resize_of(modules[name], resizes or {})
            if function is not None:
                function(modules[name])
    except BaseException:
        undo()
        raise
    found = {name: dict(_differences(before[name], modules[name])) for name in before}
    return {name: attributes for name, attributes in found.items() if attributes}, undo


def attributes_of(module: nn.Module) -> Attributes:
    """The attributes of all modules that are numbers or texts, or short lists of them, by module and name.

    Example:
        >>> attributes_of(nn.Linear(4, 3))[""]["out_features"]
        3
    """
    return {name: dict(_plain(one)) for name, one in _modules_of(module).items()}


def find_other_attribute(module: nn.Module, attributes: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Find the first recorded attribute that a network does not have as a value of the same kind.

    A record may come from a file of somebody else. It may change sizes. It may not replace a method, a parameter or a
    hook, or put a text where a number is.

    Args:
        module: The network.
        attributes: Recorded values by module and attribute.

    Returns:
        The module and the attribute. None if all fit.

    Example:
        >>> find_other_attribute(nn.Linear(4, 3), {"": {"in_features": 2}})
        >>> find_other_attribute(nn.Linear(4, 3), {"": {"forward": 2}})
        'forward as a number'
    """
    own = attributes_of(module)
    for name, values in attributes.items():
        for attribute, value in values.items():
            now = own.get(name, {}).get(attribute, ...)
            if now is ... or not _is_plain(value) or (None not in (now, value) and _kind(now) != _kind(value)):
                return f"{name}.{attribute} as {_kind(value)}".lstrip(".")
    return None


def set_attributes_(module: nn.Module, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Set attributes of modules to recorded values.

    Args:
        module: The network.
        attributes: Numbers, texts and lists of them by module and attribute. A list becomes a tuple where it was one.
    """
    modules = _modules_of(module)
    for name, values in attributes.items():
        for attribute, value in values.items():
            now = getattr(modules[name], attribute)
            setattr(modules[name], attribute, tuple(value) if isinstance(now, tuple) else value)
        if isinstance(modules[name], nn.RNNBase):
            modules[name].flatten_parameters()  # type: ignore[operator]


def _modules_of(module: nn.Module) -> dict[str, nn.Module]:
    """All modules by their names without what ``torch.compile`` adds. Of a compiled module, the one inside."""
    return {plain_name(f"{name}.").rstrip("."): one for name, one in module.named_modules()}


def _around(name: str) -> Iterator[str]:
    """The name of a module and of all modules around it."""
    while name:
        yield name
        name = name.rpartition(".")[0]
    yield ""


def _plain(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """The attributes of a module that are numbers or texts, or short lists of them."""
    for name, value in vars(module).items():
        if name != "training" and _is_plain(value):
            yield name, list(value) if isinstance(value, list) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) < 1000 and all(isinstance(one, int | float | str | None) for one in value)
    return isinstance(value, int | float | str | None)


def _kind(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "a list"
    return "a text" if isinstance(value, str) else "a number" if isinstance(value, int | float) else "another value"


def _differences(before: Mapping[str, Any], module: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, value in _plain(module):
        if name not in before or before[name] != value:
            yield name, value
