"""The criteria and allocations of the package, found in its files: a new one is under the laws without a list."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import sys

from lightning_prune import allocation, criteria
from lightning_prune.allocation.rule import Rule
from lightning_prune.criteria import Scorer


def members(package, kind):
    """What the files of a package define, helpers excluded."""
    files = [
        importlib.import_module(one.name) for one in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    ]
    return [
        member
        for file in [package, *files]
        for name, member in inspect.getmembers(file, kind)
        if member.__module__ == file.__name__ and not name.startswith("_")
    ]


def functions(package, *parameters):
    """Those with the signature of a family."""
    found = [f for f in members(package, inspect.isfunction) if tuple(inspect.signature(f).parameters) == parameters]
    return [f for f in found if inspect.signature(f).return_annotation is not int]


def classes(package, base):
    return [
        c
        for c in members(package, inspect.isclass)
        if issubclass(c, base) and not inspect.isabstract(c) and c is not base
    ]


def values_of(cls):
    """The values that the example in the docstring of a class makes of it."""
    namespace = dict(vars(sys.modules[cls.__module__]))
    lines = "".join(example.source for example in doctest.DocTestParser().get_examples(cls.__doc__))
    exec(lines, namespace)
    calls = [node for node in ast.walk(ast.parse(lines)) if isinstance(node, ast.Call)]
    made = [eval(ast.unparse(one), namespace) for one in calls if getattr(one.func, "id", "") == cls.__name__]
    assert made, f"the docstring of {cls.__name__} has no example that makes one"
    return made


def named(member):
    return getattr(member, "__name__", repr(member))


def criteria_of(package):
    values = [value for cls in classes(package, Scorer) for value in values_of(cls)]
    return [*functions(package, "weight", "evidence"), *values]


def allocations_of(package):
    values = [value for cls in classes(package, Rule) for value in values_of(cls)]
    return [*functions(package, "scores", "density"), *values]


def most_unspent(allocate, scores):
    """How much of a budget an allocation may leave: nothing, but for those that keep weights in larger units."""
    return allocate.most_unspent(scores) if isinstance(allocate, Rule) else 0


CRITERIA = criteria_of(criteria)
ALLOCATIONS = [one for one in allocations_of(allocation) if not getattr(one, "is_fixed", False)]
