"""Write the data of pictures in less room: by columns, each word once, and numbers with the digits that are seen."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

DIGITS = 6  # Of a number. A screen shows four.


def packed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Pack the data of a specification. The script of the page unpacks them.

    Args:
        spec: A specification in Vega-Lite, with its data in ``datasets``.

    Example:
        >>> rows = [{"arm": "silo", "mean": 0.1234567}, {"arm": "silo", "mean": 0.5}]
        >>> packed({"datasets": {"rows": rows}})["datasets"]["rows"]
        [{'names': ['arm', 'mean'], 'columns': [{'words': ['silo'], 'at': [0, 0]}, [0.123457, 0.5]]}]
    """
    return {**spec, "datasets": {name: _packed(rows) for name, rows in spec.get("datasets", {}).items()}}


def unpacked(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Unpack the data of a specification, as the script of the page does.

    Args:
        spec: A specification that was packed.

    Example:
        >>> unpacked(packed({"datasets": {"rows": [{"arm": "silo", "cut": True}, {"arm": "clr"}]}}))
        {'datasets': {'rows': [{'arm': 'silo', 'cut': True}, {'arm': 'clr'}]}}
    """
    datasets = {name: [row for part in parts for row in _rows(part)] for name, parts in spec["datasets"].items()}
    return {**spec, "datasets": datasets}


def _packed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pack rows. Neighbors with the same columns stand together, and the order stays."""
    parts = [(names, list(part)) for names, part in groupby(rows, key=tuple)]
    return [{"names": list(names), "columns": [_column([row[name] for row in part]) for name in names]}
            for names, part in parts]  # fmt: skip


def _column(values: list[Any]) -> Any:
    """Write a column of words as its different words and their places. Numbers stand as they are."""
    if all(isinstance(value, str | bool | None) for value in values):
        words = {value: place for place, value in enumerate(dict.fromkeys(values))}
        return {"words": list(words), "at": [words[value] for value in values]}
    return [float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value for value in values]


def _rows(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = [
        one if isinstance(one, list) else [one["words"][place] for place in one["at"]] for one in part["columns"]
    ]
    return [dict(zip(part["names"], values, strict=True)) for values in zip(*columns, strict=True)]
