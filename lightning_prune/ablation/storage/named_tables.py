"""Read a table whose rows have names: a name may be called ``nan`` or ``007``, and stays a text."""

from pathlib import Path

import pandas as pd


def read_named_table(path: Path, names: str) -> pd.DataFrame:
    """Read a CSV file with a column of names.

    Args:
        path: The file.
        names: The column. No name in it is taken for a missing value or a number.

    Raises:
        ValueError: If the file is no table.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "table.csv"
        >>> pd.DataFrame({"arm": ["nan", "None"], "score": [0.5, None]}).to_csv(path, index=False)
        >>> read_named_table(path, "arm")["arm"].tolist()
        ['nan', 'None']
    """
    table = pd.read_csv(path, low_memory=False)
    if names in table:
        # Read apart: since pandas 3.1 what a converter gives may be taken for a missing value, too.
        texts = pd.read_csv(path, usecols=[names], dtype={names: str}, keep_default_na=False)
        table[names] = texts[names]
    return table
