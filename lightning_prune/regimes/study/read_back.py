"""Read and check what a finished study of regimes or of stability has written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_prune.ablation.storage.files import read_json
from lightning_prune.ablation.storage.named_tables import read_named_table
from lightning_prune.basics.saved_state import find_mistake
from lightning_prune.basics.user_error import UserError


def read_facts(path: Path, kinds: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read the record of a study.

    Args:
        path: The file.
        kinds: The types of the values by name.

    Raises:
        ValueError: If the file is damaged.
    """
    found = read_json(path)
    if wrong := find_mistake(found, dict(kinds), ""):
        raise UserError(f"{path} is damaged: {wrong}. Run the study again.")
    return found  # type: ignore[no-any-return]


def read_pairs(path: Path, names: str, numbers: Sequence[str]) -> pd.DataFrame:
    """Read the table of a study.

    Args:
        path: The file.
        names: The column that holds names. A name such as "nan" or "007" stays a text.
        numbers: The columns that hold numbers.

    Raises:
        ValueError: If the file is no such table. The message names the column.
    """
    try:
        table = read_named_table(path, names)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a table ({str(error).strip()}). Run the study again.") from error
    if missing := [name for name in (names, *numbers) if name not in table]:
        raise UserError(f"{path} has no column {missing[0]}. Run the study again.")
    if wrong := [
        name for name in numbers if pd.to_numeric(table[name], errors="coerce").isna().ne(table[name].isna()).any()
    ]:
        raise UserError(f"{path} is damaged: column {wrong[0]} holds more than numbers. Run the study again.")
    if table.empty:
        raise UserError(f"{path} is empty. Run the study again.")
    return table
