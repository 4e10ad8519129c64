"""Text of the docstrings: complete, the same everywhere, divided by files, and each piece with what follows."""

import pytest
import torch

from lightning_prune.criteria import magnitude
from lightning_prune.lab.data import Docstrings
from lightning_prune.lab.data.docstrings import SYMBOLS, docstrings, encoded, pieces


def ready(**arguments):
    data = Docstrings(**arguments)
    data.setup("fit")
    return data


def read(symbols):
    return "".join(SYMBOLS[symbol] for symbol in symbols.flatten())


def test_the_text_is_what_python_itself_knows_as_the_docstring():
    texts = docstrings()
    (text,) = (one for one in texts if one.startswith("The bytes of the weights") or magnitude.__doc__[:40] in one)
    assert " ".join(magnitude.__doc__.split()) in " ".join(text.split())
    assert sum(map(len, texts)) > 500_000


def test_a_symbol_is_a_character_and_the_rest_is_one_symbol():
    text = "def f(x):\n    return 2 * x\n"
    assert read(encoded(text)) == text
    assert encoded("λ\t\x7f").tolist() == [0, 0, 0]
    assert len(SYMBOLS) == len(set(SYMBOLS)) == Docstrings.num_classes == 97


def test_a_piece_has_the_character_after_each_of_its_own():
    whole = "The quick brown fox"
    text, following = pieces([whole[:9], whole[11:]], length=4).tensors
    joined = f"{whole[:9]}\n\n{whole[11:]}"
    assert read(text) == joined[: text.numel()]
    assert read(following) == joined[1 : text.numel() + 1]
    assert 0 <= len(joined) - 1 - text.numel() < 4
    assert len(pieces([""], length=4)) == len(pieces(["abcd"], length=4)) == 0


def test_no_text_is_in_two_parts_and_the_parts_are_the_same_for_every_seed():
    data = ready()
    parts = {"train": data.train_pieces, "validation": data.validation_pieces, "test": data.test_pieces}
    sizes = {name: len(part) for name, part in parts.items()}
    assert 0.85 < sizes["train"] / sum(sizes.values()) < 0.95
    assert min(sizes["validation"], sizes["test"]) > 200
    own = {name: {tuple(piece) for piece in part.tensors[0].tolist()} for name, part in parts.items()}
    assert len(own["validation"] & own["train"]) < 0.02 * sizes["validation"], "the same sentences occur in few files"
    torch.manual_seed(5)
    assert all(
        one.equal(other) for one, other in zip(ready().test_pieces.tensors, data.test_pieces.tensors, strict=True)
    )


def test_a_subset_is_spread_evenly_and_every_epoch_has_another_order():
    whole, few = ready(), ready(subset=100, held_out=10, batch_size=30)
    step = len(whole.train_pieces) / 100
    chosen = [int(number * step) for number in range(100)]
    assert few.train_pieces.tensors[0].equal(whole.train_pieces.tensors[0][chosen])
    assert len(few.validation_pieces) == len(few.test_pieces) == 10
    first, second = (torch.cat([text for text, _ in few.train_dataloader()]) for _ in range(2))
    assert not first.equal(second)
    assert first.sort(dim=0).values.equal(second.sort(dim=0).values)
    validated = torch.cat([text for text, _ in few.val_dataloader()])
    assert validated.equal(few.validation_pieces.tensors[0])
    assert next(iter(few.test_dataloader()))[0].equal(few.test_pieces.tensors[0])


@pytest.mark.parametrize("name", ["batch_size", "length", "subset", "held_out"])
def test_what_is_refused(name):
    with pytest.raises(ValueError, match=rf"Docstrings\({name}=0\): `{name}` must be at least 1"):
        Docstrings(**{name: 0})
