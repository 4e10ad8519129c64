"""Units on several processes: the same masks everywhere, and the network of one process."""

import pytest
import torch
from runs_on_processes import held, run

from lightning_prune import Blocks, Filters, Structures

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Using `DistributedSampler` with the dataloaders", "ignore:It is recommended to use `self.log"
)


@pytest.mark.parametrize(
    "units",
    [
        {"granularity": Structures(), "measure": "flops"},
        pytest.param({"granularity": Filters(), "measure": "flops"}, marks=pytest.mark.slow),
        pytest.param({"granularity": Blocks(2, 2)}, marks=pytest.mark.slow),
    ],
    ids=repr,
)
def test_two_processes_hold_the_same_units_and_train_the_network_of_one(units, tmp_path):
    one = run(tmp_path / "one", 1, units=units)
    two = run(tmp_path / "two", 2, strategy="ddp_fork", units=units)
    for cycle in (1, 2):
        first, second = held(tmp_path / "two", cycle)
        assert first == second == held(tmp_path / "one", cycle)[0]
    for name, tensor in one["state_dict"].items():
        assert torch.allclose(tensor, two["state_dict"][name], atol=1e-5), name
