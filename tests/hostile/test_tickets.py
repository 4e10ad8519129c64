"""Tickets of somebody else, with a valid seal: whoever reads one is told what is wrong in it."""

import pytest
import torch
from torch import nn

import lightning_prune as lp
from lightning_prune import Recorded, load_ticket
from lightning_prune.masks.sealed_file import read_sealed, write_sealed

SHAPES = {"weight": torch.Size([3, 4])}


@pytest.fixture
def ticket(tmp_path):
    """Write a ticket of one cycle whose header says something else."""
    path = tmp_path / "ticket.safetensors"

    def write(without=(), **changes):
        layer = nn.Linear(4, 3)
        lp.prune(layer, sparsity=0.5).save_ticket(path)
        found = read_sealed(path, "ticket", "", "", "")
        header = {name: value for name, value in {**found.header, **changes}.items() if name not in without}
        write_sealed(path, "ticket", header, found.tensors)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cycle", "\x1b[2J"), ("cycle", [1]), ("sparsity", "half"), ("alive", [1]), ("alive", {"weight": "x"}),
        ("cycles", {"a": 1}), ("cycles", [3]), ("cycles", [{"cycle": 1}]), ("shapes", {"weight": "3x4"}),
    ],
)  # fmt: skip
def test_a_header_of_other_types_is_refused(ticket, name, value):
    with pytest.raises(ValueError, match=rf"is damaged: in its header '{name}.*Make the ticket again"):
        load_ticket(ticket(**{name: value}))


@pytest.mark.parametrize("shape", [[10**30, 4], [2**40, 2**40], [-3, -4]])
def test_shapes_that_cannot_be_are_refused(ticket, shape):
    with pytest.raises(ValueError, match="is damaged"):
        load_ticket(ticket(shapes={"weight": shape}))


@pytest.mark.parametrize("name", ["alive", "sparsity", "cycles"])
def test_masks_are_not_taken_from_a_ticket_that_lacks_what_is_compared(ticket, name):
    with pytest.raises(ValueError, match=rf"masks_from=.*is a ticket without `{name}`. Leave it out"):
        Recorded(str(ticket(without=[name])))(SHAPES, 1, 0)


def test_a_ticket_without_a_cycle_is_of_no_run(ticket):
    with pytest.raises(ValueError, match="has no masks of cycle 1"):
        Recorded(str(ticket(without=["cycle"])))(SHAPES, 1, 0)
    assert Recorded(str(ticket()))(SHAPES, 1, 0).alive(1) == {"weight": 6}


@pytest.mark.parametrize(
    "callbacks",
    [[3], {"IterativePruning": {"masks": {}}}, {"IterativePruning": {"masks": 3, "position": {"cycle": {}}}}],
)
def test_masks_are_not_taken_from_a_mangled_checkpoint(tmp_path, callbacks):
    saved = {"state_dict": {}, "pytorch-lightning_version": "2.6.0", "callbacks": callbacks}
    torch.save(saved, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="masks_from=.*(a.ckpt|has no masks)"):
        Recorded(str(tmp_path / "a.ckpt"))(SHAPES, 1, 0)
