"""Text that every installation has: the docstrings of this package, one symbol a character."""

import ast
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import lightning_prune
from lightning_prune.basics.checks import check_numbers, require, require_positive

Batch = tuple[Tensor, ...]
SYMBOLS = ["\N{REPLACEMENT CHARACTER}", "\n", *map(chr, range(32, 127))]  # the first is every other character
HELD_OUT = 10  # one file in so many
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


@cache
def docstrings() -> tuple[str, ...]:
    """The docstrings of each file of this package, in the order of the files.

    The files are read and not imported, which takes a second.

    Returns:
        One text for each file that has docstrings.

    Example:
        >>> any("magnitude" in text for text in docstrings())
        True
    """
    folder = Path(lightning_prune.__file__).parent
    files = sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix())
    return tuple(text for text in map(_docstrings_of, files) if text)


def _docstrings_of(file: Path) -> str:
    nodes = (node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, DOCUMENTED))
    return "\n\n".join(text for node in nodes if (text := ast.get_docstring(node)))


def encoded(text: str) -> Tensor:
    """The symbols of a text.

    Args:
        text: Any text.

    Returns:
        int64 ``[characters]``, each below the number of symbols, 97.

    Example:
        >>> [SYMBOLS[symbol] for symbol in encoded("W = 0")]
        ['W', ' ', '=', ' ', '0']
    """
    numbers = {symbol: number for number, symbol in enumerate(SYMBOLS)}
    return torch.tensor([numbers.get(character, 0) for character in text])


def pieces(texts: Sequence[str], length: int) -> TensorDataset:
    """Cut texts into pieces, each with the characters that follow.

    Args:
        texts: The texts. An empty line is put between them.
        length: Characters in a piece, at least 1.

    Returns:
        Pairs of symbols and next symbols, int64 ``[length]`` each. What is left at the end is dropped.

    Example:
        >>> [[piece.tolist() for piece in pair] for pair in pieces(["!!!", '"'], 2)]
        [[[3, 3], [3, 3]], [[3, 1], [1, 1]]]
    """
    text = encoded("\n\n".join(texts))
    count = max(len(text) - 1, 0) // length
    return TensorDataset(*(text[start : start + count * length].view(count, length) for start in (0, 1)))


class Docstrings(LightningDataModule):
    """The docstrings of lightning_prune as text for a small language model: 0.7 million characters, no download.

    One file in ten is held out, the same ones for every seed: half of them for validation, half for testing. The text
    is that of the installed version, so results of two versions are not quite comparable.

    Args:
        batch_size: Pieces of text in a batch, at least 1.
        length: Characters in a piece, at least 1.
        subset: Number of training pieces to use, spread evenly over the text. None for all.
        held_out: Number of pieces for validation, and as many for testing, spread evenly over each text. None for all.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> data = Docstrings(batch_size=32, subset=100)
        >>> data.setup("fit")
        >>> text, following = next(iter(data.train_dataloader()))
        >>> text.shape, bool((text[:, 1:] == following[:, :-1]).all()), len(data.train_pieces)
        (torch.Size([32, 64]), True, 100)
    """

    num_classes = len(SYMBOLS)

    def __init__(
        self, batch_size: int = 64, length: int = 64, subset: int | None = None, held_out: int | None = None
    ) -> None:
        super().__init__()
        require_positive("Docstrings", batch_size=batch_size, length=length)
        check_numbers("Docstrings", {"subset": subset, "held_out": held_out}, none=True)
        for name, number in {"subset": subset, "held_out": held_out}.items():
            require(
                number is None or number >= 1,
                "Docstrings",
                name,
                number,
                "be at least 1, or None",
            )
        self.batch_size = batch_size
        self.length = length
        self.subset = subset
        self.held_out = held_out

    def fingerprint(self) -> str:
        """Identify the text. A study trains again when it runs with an installation that has another one.

        Returns:
            16 hexadecimal digits, a hash of the docstrings.

        Example:
            >>> Docstrings(length=8).fingerprint() == Docstrings(length=64).fingerprint()
            True
        """
        return hashlib.sha256(repr(docstrings()).encode()).hexdigest()[:16]

    def setup(self, stage: str) -> None:
        train, validation, test = _divided(self.length)
        self.train_pieces = _spread(train, self.subset)
        self.validation_pieces, self.test_pieces = _spread(validation, self.held_out), _spread(test, self.held_out)

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.train_pieces, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.validation_pieces, self.batch_size)

    def test_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.test_pieces, self.batch_size)


@cache
def _divided(length: int) -> tuple[TensorDataset, TensorDataset, TensorDataset]:
    """The pieces for training, validation and testing."""
    texts = docstrings()
    apart = texts[HELD_OUT // 2 :: HELD_OUT]
    rest = [text for number, text in enumerate(texts) if number % HELD_OUT != HELD_OUT // 2]
    return pieces(rest, length), pieces(apart[::2], length), pieces(apart[1::2], length)


def _spread(data: TensorDataset, count: int | None) -> TensorDataset:
    """As many pieces, as evenly spread as can be."""
    if count is None or count >= len(data):
        return data
    chosen = torch.arange(count) * len(data) // count
    return TensorDataset(*(part[chosen] for part in data.tensors))
