"""What is selected for pruning, what is not, and why."""

import pytest
import torch
from torch import nn

from lightning_prune.selection.prunable import Prunable


def reasons(selected):
    return {skipped.name: skipped.reason for skipped in selected.skipped}


class Everything(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.conv = nn.Conv1d(8, 8, 3)
        self.up = nn.ConvTranspose2d(8, 4, 3)
        self.norm = nn.GroupNorm(2, 8)
        self.lstm = nn.LSTM(8, 8, proj_size=4, bidirectional=True)
        self.cell = nn.GRUCell(8, 8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.cross = nn.MultiheadAttention(8, 2, kdim=4, vdim=4)
        self.scale = nn.Parameter(torch.ones(8))
        self.table = nn.Parameter(torch.ones(8, 8))
        self.act = nn.PReLU()
        self.head = nn.Linear(8, 11)


def test_the_weights_of_all_layers_that_have_them_are_selected_and_every_other_tensor_has_a_reason():
    module = Everything()
    selected = Prunable()(module)
    assert list(selected.weights) == [
        "conv.weight",
        "up.weight",
        *[f"lstm.weight_{part}_l0{side}" for side in ("", "_reverse") for part in ("ih", "hh", "hr")],
        "cell.weight_ih",
        "cell.weight_hh",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "cross.q_proj_weight",
        "cross.k_proj_weight",
        "cross.v_proj_weight",
        "cross.out_proj.weight",
        "head.weight",
    ]
    assert all(
        selected.weights[name] is parameter for name, parameter in module.named_parameters() if name in selected.weights
    )
    named = {name for name, _ in module.named_parameters()}
    assert set(reasons(selected)) | set(selected.weights) == named
    assert not set(reasons(selected)) & set(selected.weights)
    assert reasons(selected)["embed.weight"] == "an embedding (Embedding; embeddings=True prunes it)"
    assert reasons(selected)["norm.weight"] == "a parameter of a normalization layer (GroupNorm)"
    assert reasons(selected)["lstm.bias_ih_l0"] == "a bias"
    assert reasons(selected)["attention.in_proj_bias"] == "a bias"
    assert reasons(selected)["table"] == "a parameter of a test_selection.Everything, which is not among the types"
    assert reasons(selected)["act.weight"] == "a parameter of a torch.nn.PReLU, which is not among the types"


def test_requests():
    module = Everything()
    assert "embed.weight" in Prunable(embeddings=True)(module).weights
    assert "head.weight" not in Prunable(last_layer=False)(module).weights
    assert list(Prunable(types=(nn.Linear,))(module).weights)[-1] == "head.weight"
    assert next(iter(Prunable(include=["lstm", "head.*"])(module).weights)) == "lstm.weight_ih_l0"
    assert len(Prunable(include=["lstm"])(module).weights) == 6
    excluded = Prunable(exclude=["*_reverse", "attention"])(module)
    assert not [name for name in excluded.weights if "reverse" in name or name.startswith("attention")]
    assert reasons(excluded)["lstm.weight_ih_l0_reverse"] == "excluded by the pattern '*_reverse'"


def test_frozen_and_tied_weights():
    module = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.Linear(4, 5, bias=False), nn.Linear(4, 4))
    module[2].weight = module[0].weight
    module[1].weight.requires_grad_(False)
    selected = Prunable()(module)
    assert list(selected.weights) == ["3.weight"]
    assert reasons(selected)["0.weight"] == "tied to an embedding (Embedding; embeddings=True prunes it)"
    assert reasons(selected)["1.weight"] == "frozen (requires_grad=False)"
    shared = nn.Linear(4, 4)
    assert list(Prunable()(nn.Sequential(shared, nn.ReLU(), shared)).weights) == ["0.weight"]


@pytest.mark.parametrize("argument", ["include", "exclude"])
def test_a_pattern_that_matches_nothing_is_refused(argument):
    with pytest.raises(
        ValueError,
        match=rf"Prunable\({argument}=\['layer9'\]\) matches no parameter. The parameters are: scale, table, embed.weight",
    ):
        Prunable(**{argument: ["layer9"]})(Everything())


def test_a_module_with_nothing_prunable_is_refused():
    with pytest.raises(
        ValueError, match=r"Sequential has nothing to prune: 0.weight \(a parameter of a normalization layer"
    ):
        Prunable()(nn.Sequential(nn.BatchNorm1d(3)))
    with pytest.raises(ValueError, match="it has no parameters at all"):
        Prunable()(nn.ReLU())


class Adapted(nn.Linear):
    """A layer with matrices beside its weight, as the original LoRA package has them."""

    def __init__(self):
        super().__init__(6, 4)
        self.lora_a, self.lora_b = nn.Parameter(torch.ones(2, 6)), nn.Parameter(torch.ones(4, 2))


def test_a_layer_type_that_is_named_is_selected_with_all_its_matrices():
    module = nn.Sequential(Adapted(), nn.Linear(4, 3))
    assert list(Prunable()(module).weights) == ["0.weight", "1.weight"]
    assert (
        reasons(Prunable()(module))["0.lora_a"]
        == "not a weight by its name (Prunable(types=...) with test_selection.Adapted prunes it)"
    )
    assert list(Prunable(types=(Adapted,))(module).weights) == ["0.weight", "0.lora_a", "0.lora_b"]
    everything = Prunable(types=(Everything,))(Everything())
    assert list(everything.weights) == ["table"]
    assert reasons(everything)["scale"] == "not a weight matrix (1 dimensions)"


@pytest.mark.parametrize("last", [True, False])
def test_the_first_layer_can_be_left_alone(last):
    network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 2))
    selected = Prunable(first_layer=False, last_layer=last)(network)
    assert list(selected.weights) == ["1.weight", "2.weight"][: 1 + last]
    assert reasons(selected)["0.weight"] == "the first layer (first_layer=False)"
    with pytest.raises(ValueError, match=r"0.weight \(the first layer \(first_layer=False\)\)"):
        Prunable(first_layer=False)(network[:1])
