"""Settings that earlier versions did not have: their defaults are left out, so that runs and names stay the same."""

from collections.abc import Mapping
from typing import Any

# As they are described, with the value that stands for what earlier versions did.
LATER = {"granularity": "Weights()", "measure": "weights"}


def without_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the settings that earlier versions did not have, where they have their defaults.

    Args:
        settings: Plain values by name.

    Example:
        >>> without_defaults({"cycles": 3, "measure": "weights"}), without_defaults({"measure": "flops"})
        ({'cycles': 3}, {'measure': 'flops'})
    """
    return {name: value for name, value in settings.items() if name not in LATER or value != LATER[name]}
