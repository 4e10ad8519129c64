"""What is one weight under several names, or in one memory, has one mask."""

import torch
from promises import keeps_its_promises
from torch import nn
from zoo import Language, Regressor, Shared, tokens, vectors

from lightning_prune import Prunable


def test_shared_layers_and_tied_weights_have_one_mask(tmp_path):
    names = [f"network.{name}.weight" for name in ("first", "left", "head")]
    module = keeps_its_promises(lambda: Regressor(Shared()), vectors(), names, tmp_path, resumes=True)
    assert module.network.right.weight is module.network.left.weight
    assert module.network.again is module.network.first


def test_two_parameters_in_one_memory_have_one_mask(tmp_path):
    def make():
        network = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4))
        network[2].weight = nn.Parameter(network[0].weight.data)
        return Regressor(network)

    names = [f"network.{layer}.weight" for layer in (0, 4)]
    module = keeps_its_promises(make, vectors(), names, tmp_path, resumes=True)
    assert torch.equal(module.network[2].weight, module.network[0].weight)


def test_a_decoder_tied_to_its_embedding_is_pruned_with_it_or_not_at_all(tmp_path):
    cells = ["cells.weight_ih_l0", "cells.weight_hh_l0"]
    both = keeps_its_promises(
        Language,
        tokens(),
        ["embedding.weight", *cells],
        tmp_path / "both",
        prunable=Prunable(embeddings=True),
        resumes=True,
    )
    assert both.decoder.weight is both.embedding.weight
    neither = keeps_its_promises(Language, tokens(), cells, tmp_path / "neither")
    assert neither.decoder.weight.count_nonzero() == neither.decoder.weight.numel()
