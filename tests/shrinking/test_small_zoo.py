"""Networks of other libraries are shrunk exactly, and come back from their files."""

import warnings

import pytest
import torch
from dead_units import half_alive, randomized
from torch import nn
from torch.utils._pytree import tree_leaves

from lightning_prune import load_small, shrink, structures_of
from lightning_prune.shrinking.slices import mask_, tensors_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SIZES = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}


def torchvision(name, **options):
    def make():
        import torchvision

        return getattr(torchvision.models, name)(weights=None, **options)

    return make


def timm(name, **options):
    def make():
        import timm

        return timm.create_model(name, **options)

    return make


def transformers(name, **options):
    def make():
        import transformers

        config = getattr(transformers, name.replace("Encoder", "").replace("Model", "Config"))(**options)
        return getattr(transformers, name)(config)

    return make


def images(size=64, channels=3):
    return lambda: torch.randn(2, channels, size, size).double()


def tokens():
    return {"input_ids": torch.randint(0, 50, (2, 9))}


class Mixed(nn.Module):
    """A U-Net of everything that convolutions may be: strided, transposed, grouped, behind norms and PReLU."""

    def __init__(self):
        super().__init__()
        self.down, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(4, 8)
        self.deep, self.batch, self.act = nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12), nn.PReLU(12)
        self.up, self.grouped = nn.ConvTranspose2d(12, 8, 2, stride=2), nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        wide = self.norm(self.down(x)).relu()
        deep = self.up(self.act(self.batch(self.deep(wide))))
        return self.head(self.grouped(torch.cat([wide, deep], 1)).relu())


class Recurrent(nn.Module):
    """A recurrent network of two layers and two directions."""

    def __init__(self, kind):
        super().__init__()
        self.first, self.cells = nn.Linear(4, 8), kind(8, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.cells(self.first(x).relu())[0][:, -1])


def sequences():
    return torch.randn(2, 5, 4).double()


ZOO = {
    "resnet18": (torchvision("resnet18"), images()),
    "resnext50": (torchvision("resnext50_32x4d"), images()),
    "mobilenet_v2": (torchvision("mobilenet_v2"), images()),
    "mobilenet_v3": (torchvision("mobilenet_v3_small"), images()),
    "shufflenet": (torchvision("shufflenet_v2_x0_5"), images()),
    "densenet": (torchvision("densenet121"), images()),
    "squeezenet": (torchvision("squeezenet1_1"), images()),
    "efficientnet": (torchvision("efficientnet_b0"), images()),
    "regnet": (torchvision("regnet_y_400mf"), images()),
    "convnext": (torchvision("convnext_tiny"), images()),
    "swin": (torchvision("swin_t"), images()),
    "timm-vit": (timm("vit_tiny_patch16_224", img_size=64), images()),
    "timm-swin": (timm("swin_tiny_patch4_window7_224", img_size=112), images(112)),
    "timm-mixer": (timm("mixer_s32_224"), images(224)),
    "timm-mobilenetv4": (timm("mobilenetv4_conv_small"), images()),
    "timm-seresnet": (timm("legacy_seresnet18"), images()),
    "bert": (transformers("BertModel", **SIZES), tokens),
    "distilbert": (transformers("DistilBertModel", vocab_size=50, dim=32, n_layers=2, n_heads=4, hidden_dim=40), tokens),
    "gpt2": (transformers("GPT2Model", vocab_size=50, n_embd=32, n_layer=2, n_head=4), tokens),
    "llama": (transformers("LlamaModel", **SIZES, num_key_value_heads=2), tokens),
    "t5": (transformers("T5EncoderModel", vocab_size=50, d_model=32, d_kv=8, d_ff=40, num_layers=2, num_heads=4), tokens),
    "mixed": (Mixed, images(16)),
    "lstm": (lambda: Recurrent(nn.LSTM), sequences),
    "gru": (lambda: Recurrent(nn.GRU), sequences),
}  # fmt: skip


def run(network, example):
    outputs = network(**example) if isinstance(example, dict) else network(example)
    return [one for one in tree_leaves(outputs) if isinstance(one, torch.Tensor)]


def made(name):
    make, data = ZOO[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return randomized(make().double()), data()


@pytest.mark.parametrize("name", ZOO)
def test_a_network_of_others_is_shrunk_exactly_and_comes_back(name, tmp_path):
    network, example = made(name)
    found = structures_of(network, example)
    alive = half_alive(found, 0.4)
    assert alive
    mask_(tensors_of(network), found.groups.values(), alive)
    before = run(network.eval(), example)
    small = shrink(network, example=example)
    # Torchvision's Swin takes the width of its heads from the stream, so that its heads cannot be removed.
    assert {key.rpartition(".")[2] for key in small.masked} == ({"qkv"} if name == "swin" else set())
    assert small.error <= 1e-12
    after = run(network.eval(), example)
    assert all((a - b).abs().max() <= 1e-11 * a.abs().max().clamp(min=1) for a, b in zip(before, after, strict=True))
    small.save(tmp_path / "small.safetensors")
    fresh = load_small(tmp_path / "small.safetensors", ZOO[name][0]().double())
    assert all(torch.equal(a, b) for a, b in zip(after, run(fresh.eval(), example), strict=True))


@pytest.mark.parametrize(
    ("make", "example", "said"),
    [
        (timm("res2net50_26w_4s"), images(), "has fixed sizes"),
        (lambda: nn.TransformerEncoderLayer(16, 4, 24, batch_first=True), lambda: torch.randn(2, 5, 16).double(), "nn.MultiheadAttention refuses a width other than embed_dim"),
        (torchvision("googlenet", init_weights=False), images(), "in train mode, "),
    ],
    ids=["res2net", "attention", "googlenet"],
)  # fmt: skip
def test_what_cannot_be_removed_stays_masked_and_exact(make, example, said):
    torch.manual_seed(0)
    network, inputs = randomized(make().double()), example()
    found = structures_of(network, inputs)
    mask_(tensors_of(network), found.groups.values(), half_alive(found))
    before = run(network.eval(), inputs)
    small = shrink(network, example=inputs)
    assert small.masked
    assert all(said in reason for reason in small.masked.values())
    after = run(network.eval(), inputs)
    assert all((a - b).abs().max() <= 1e-11 * a.abs().max().clamp(min=1) for a, b in zip(before, after, strict=True))
