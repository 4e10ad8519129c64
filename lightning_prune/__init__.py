"""Prune a LightningModule inside one fit: callbacks that prune, rewind, and switch learning rates between cycles.

Sparsity is the fraction of the prunable weights that was removed, and density is the fraction that is left. A cycle is
one training at one sparsity. Cycle 0 is the dense run. A step is an optimizer step. A mask is true where a weight is
alive. A criterion gives scores, and an allocation gives counts.
"""

__version__ = "0.1.0"  # first: the modules below read it

import importlib
from typing import TYPE_CHECKING, Any

from lightning_prune.basics.late_names import module_of
from lightning_prune.basics.renamed import former_classes, keep_former_names

if TYPE_CHECKING:
    from lightning_prune.public_names import *  # noqa: F403

keep_former_names()
OTHER_HOMES = ("ablation", "lab", "regimes", "regimes.study")


def _public() -> dict[str, Any]:
    module = importlib.import_module("lightning_prune.public_names")
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


def _look_up(name: str) -> Any:
    """Find what nobody has asked for so far. A public name imports Lightning, a module only what it needs."""
    if name == "__all__":
        return sorted(_public())
    if (module := module_of(__name__, name)) is not None:
        return module
    if not name.startswith("_") and name in (names := _public()):
        globals().update(names)
        return names[name]
    try:
        return former_classes(__name__, level=2)(name)
    except AttributeError as error:
        raise AttributeError(f"{error}{_other_home(name)}", name=name) from None


def _other_home(name: str) -> str:
    """Say from where a public name of a package below this one is imported. Empty if none has it."""
    for place in OTHER_HOMES if name[0].isupper() else ():
        if name in importlib.import_module(f"{__name__}.{place}").__all__:
            return f". Write `from {__name__}.{place} import {name}`"
    return ""


def __dir__() -> list[str]:
    return sorted({*globals(), *_public()})


if not TYPE_CHECKING:  # type checkers read the names above, and know the names of today only
    __getattr__ = _look_up
