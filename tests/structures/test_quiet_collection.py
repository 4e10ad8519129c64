"""Python's collection of garbage waits while a network is traced, and goes on afterwards as before."""

import gc

import pytest
import torch
from torch import nn

from lightning_prune import structures_of


class Watched(nn.Module):
    """May fail."""

    def __init__(self, fails=False):
        super().__init__()
        self.layer, self.fails = nn.Linear(4, 4), fails

    def forward(self, images):
        if self.fails:
            raise RuntimeError("not today")
        return self.layer(images)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_the_collection_waits_and_is_as_before(enabled, fails):
    seen, was_enabled = [], gc.isenabled()
    watched = Watched(fails)
    watched.register_forward_pre_hook(lambda *_: seen.append(gc.isenabled()))
    (gc.enable if enabled else gc.disable)()
    try:
        if fails:
            with pytest.raises(ValueError, match="not today"):
                structures_of(watched, torch.ones(1, 4))
        else:
            structures_of(watched, torch.ones(1, 4))
        assert gc.isenabled() == enabled
        assert seen
        assert not any(seen)
    finally:
        (gc.enable if was_enabled else gc.disable)()
