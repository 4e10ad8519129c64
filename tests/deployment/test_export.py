"""Files for runtimes: each is opened by its own runtime, takes any batch, and computes what the network computes."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.nn.utils import parametrize, prune

from lightning_prune import export, load_small, load_sparse, shrink
from lightning_prune.deployment import ready_network
from lightning_prune.deployment.formats import onnx_file
from lightning_prune.deployment.formats.known_formats import FORMATS

RUNTIMES = [
    "torch",
    "onnx",
    pytest.param("openvino", marks=pytest.mark.slow),
    pytest.param("executorch", marks=pytest.mark.slow),
]


def conv() -> nn.Sequential:
    """A convolution with BatchNorm and a head, with 3 of 8 channels dead."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    network(torch.rand(16, 1, 6, 6))  # statistics that are not 0 and 1
    with torch.no_grad():
        for tensor, dim in (
            (network[0].weight, 0),
            (network[0].bias, 0),
            (network[1].weight, 0),
            (network[1].bias, 0),
            (network[5].weight, 1),
        ):
            tensor.index_fill_(dim, torch.tensor([1, 4, 6]), 0)
    return network


IMAGES = torch.rand(5, 1, 6, 6)


def opened(format, path, images):
    """What a file computes, by its own runtime and without this package."""
    if format == "torch":
        return torch.export.load(path).module()(images)
    if format == "onnx":
        import onnxruntime

        (found,) = onnxruntime.InferenceSession(path).run(None, {"input": images.numpy()})
        return torch.from_numpy(found)
    if format == "openvino":
        import openvino

        compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return torch.from_numpy(compiled(images.numpy())[0])
    from executorch.runtime import Runtime

    return Runtime.get().load_program(path).load_method("forward").execute([images])[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:This API is experimental")
@pytest.mark.parametrize("format", RUNTIMES)
def test_the_file_is_small_takes_any_batch_and_computes_the_same(format, tmp_path):
    for name in FORMATS[format].modules:
        pytest.importorskip(name, reason=f"pip install 'lightning-prune[{FORMATS[format].extra}]'")
    network = conv()
    before = {name: one.clone() for name, one in network.state_dict().items()}
    path = tmp_path / FORMATS[format].file_name
    done = export(network, path, format, IMAGES)
    assert done.batches == (1, 7)
    assert done.is_right
    assert done.error < 1e-5
    assert done.parameters == (8 * 9 + 8 + 16 + 8 * 3 + 3, 5 * 9 + 5 + 10 + 5 * 3 + 3)
    assert done.size == sum(one.stat().st_size for one in tmp_path.iterdir())
    assert network.training
    for name, one in network.state_dict().items():
        assert torch.equal(one, before[name]), f"{name} of the network itself changed"
    network.eval()
    for number in (1, 2, 33):  # 33 is more than the example has, and more than was traced
        images = torch.rand(number, 1, 6, 6)
        assert torch.allclose(opened(format, path, images), network(images), atol=1e-5)


def test_safetensors_are_loaded_by_load_small(tmp_path):
    network = conv()
    done = export(network, tmp_path / "small.safetensors", example=IMAGES)
    assert (done.format, done.error < 1e-6) == ("safetensors", True)
    small = load_small(done.path, conv()).eval()
    assert small[0].out_channels == 5
    assert torch.allclose(small(IMAGES), network.eval()(IMAGES), atol=1e-6)


class Pair(LightningModule):
    """Several inputs, one of them a plain value, and outputs in a mapping of its own."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, images, numbers, scale=1.0, mask=None):
        both = self.left(images) + scale * self.right(numbers)
        return Outputs(scores=both if mask is None else both * mask, best=both.argmax(1), nothing=None)


class Outputs(dict):
    """What torch cannot take apart: a subclass of dict."""


@pytest.mark.parametrize("format", ["torch", pytest.param("onnx", marks=pytest.mark.slow)])
def test_several_inputs_by_name_and_outputs_by_name(format, tmp_path):
    module = Pair()
    example = {"images": torch.rand(3, 4), "numbers": torch.rand(3, 2), "mask": torch.ones(3, 1)}
    done = export(module, tmp_path / FORMATS[format].file_name, format, example)
    assert done.error < 1e-5
    expected = module(**example)
    if format == "torch":
        found = torch.export.load(done.path).module()(**example)
        assert list(found) == ["scores", "best"]
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(done.path)
        assert [one.name for one in session.get_inputs()] == ["images", "numbers", "mask"]
        assert [one.name for one in session.get_outputs()] == ["scores", "best"]
        assert session.get_inputs()[0].shape == ["batch", 4]
        found = session.run(["scores", "best"], {name: one.numpy() for name, one in example.items()})
        found = dict(zip(("scores", "best"), map(torch.from_numpy, found), strict=True))
    assert torch.allclose(found["scores"], expected["scores"], atol=1e-6)
    assert torch.equal(found["best"], expected["best"])


def test_inputs_by_place_with_a_plain_value(tmp_path):
    done = export(Pair(), tmp_path / "pair.pt2", example=(torch.rand(3, 4), torch.rand(3, 2), 2.0))
    assert done.error == 0


class Plain(nn.Module):
    def forward(self, weight):
        return weight * 2


@pytest.mark.parametrize("change", ["train", "half", "double", "parametrized", "pruned", "compiled", "frozen"])
def test_a_module_in_any_state_is_written_in_float32_and_stays_as_it_is(change, tmp_path):
    network, written = conv(), None
    if change == "half":
        network = network.bfloat16().eval()
    elif change == "double":
        network = network.double().eval()
    elif change == "parametrized":
        parametrize.register_parametrization(network[0], "weight", Plain())
    elif change == "pruned":
        prune.l1_unstructured(network[0], "weight", amount=0.5)
        network(IMAGES)
    elif change == "compiled":
        written = torch.compile(network)
    elif change == "frozen":
        network.requires_grad_(False).eval()
    mode, dtype, names = network.training, network[0].weight.dtype, [name for name, _ in network.named_parameters()]
    done = export(written or network, tmp_path / "model.pt2", example=IMAGES)
    assert done.error <= 1e-6
    found = torch.export.load(done.path).module()(IMAGES)
    assert found.dtype == torch.float32
    expected = network.eval()(IMAGES.to(dtype)).float()
    network.train(mode)
    assert torch.allclose(found, expected, atol=2e-2 if change == "half" else 1e-5)
    assert network[0].weight.dtype == dtype
    assert [name for name, _ in network.named_parameters()] == names
    if change in ("parametrized", "pruned"):
        assert "0.weight" in torch.export.load(done.path).state_dict


class OnlySteps(LightningModule):
    """No forward, as many modules of users are."""

    def __init__(self):
        super().__init__()
        self.net = conv()

    def training_step(self, batch, index):
        images, labels = batch
        return nn.functional.cross_entropy(self.net(images), labels)

    validation_step = training_step


def test_without_a_forward_there_is_no_graph_but_the_weights(tmp_path):
    batch = (IMAGES, torch.randint(0, 3, (5,)))
    with pytest.raises(ValueError, match="`forward` of OnlySteps does not run .* or export the network inside"):
        export(OnlySteps(), tmp_path / "a.pt2", example=batch)
    done = export(OnlySteps(), tmp_path / "a.safetensors", example=batch)
    assert done.batches == (None,)
    assert done.is_right
    assert load_small(done.path, OnlySteps()).net[0].out_channels == 5


def test_a_small_network_is_exported_as_it_is(tmp_path):
    small = load_small(export(conv(), tmp_path / "a.safetensors", example=IMAGES).path, conv())
    done = export(small, tmp_path / "b.pt2", example=IMAGES)
    assert done.parameters == (123, 78)
    assert done.whole_size == (123 + 16) * 4 + 8


class OneSize(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x.view(3, 4))


def test_a_network_of_one_batch_size(tmp_path):
    example = torch.rand(3, 4)
    with pytest.raises(ValueError, match=r"does not run on a batch of 1: .*x.view\(3, 4\).*batch=<the one size"):
        export(OneSize(), tmp_path / "a.pt2", example=example)
    done = export(OneSize(), tmp_path / "a.pt2", example=example, batch=3)
    assert done.batches == (3,)
    assert done.is_right


def test_zeros_that_nothing_takes_along_are_named(tmp_path):
    network = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 2))
    with torch.no_grad():
        network[0].weight.mul_(torch.rand(30, 20) < 0.1)
    done = export(network, tmp_path / "a.pt2", example=torch.rand(2, 20))
    assert "of the weights are zeros that no channel" in str(done)
    assert "format='sparse'" in str(done)
    whole = export(conv(), tmp_path / "b.pt2", example=IMAGES, shrink=False)
    assert whole.parameters == (123, 123)
    assert "zeros" in str(whole)


class Literal(nn.Module):
    """A width that is written into forward."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.second(self.first(x).view(len(x), 6))


def test_what_stays_masked_is_named(tmp_path):
    network = Literal()
    with torch.no_grad():
        network.first.weight[2:4], network.first.bias[2:4], network.second.weight[:, 2:4] = 0, 0, 0
    done = export(network, tmp_path / "a.pt2", example=torch.rand(3, 4))
    assert done.is_right
    assert "Masked, not removed: first: RuntimeError in Literal.forward" in str(done)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"path": "a.onxx"}, "its ending says no format"),
        ({"path": "a.pt2", "format": "tensorrt"}, "There is no format `tensorrt`."),
        ({"path": "a.pt2", "format": "onnx"}, "writes files that end in .onnx"),
        ({"path": "nowhere/a.pt2"}, "there is no folder 'nowhere'"),
        ({"path": "a.pt2", "opset": 18}, r"export\(opset=18\): `opset` must stay as it is for 'torch': it is for onnx"),
        ({"path": "a.pt2", "batch": 0}, r"export\(batch=0\) must be a whole number, at least 1"),
        ({"path": "a.pt2", "tolerance": -1}, r"export\(tolerance=-1\) must be at least 0"),
        ({"path": "a.pt2", "example": torch.rand(2, 9)}, "cannot run Sequential on the example"),
        ({"path": "a.pt2", "example": None}, "needs an example to run Sequential on"),
        ({"path": "folder.pt2"}, "'folder.pt2' is a folder"),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_written(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder.pt2").mkdir()
    with pytest.raises(ValueError, match=said):
        export(**{"module": conv(), "example": IMAGES, **words})
    assert [one.name for one in tmp_path.iterdir()] == ["folder.pt2"]


@pytest.mark.parametrize("format", ["onnx", "openvino", "executorch"])
def test_a_missing_library_is_named_with_the_line_that_installs_it(format, tmp_path, monkeypatch):
    missing = FORMATS[format].modules[0]
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {missing}: pip install 'lightning-prune\[{format}\]'"):
        export(conv(), tmp_path / FORMATS[format].file_name, format, IMAGES)


def test_the_extras_install_what_the_formats_import():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for known in FORMATS.values():
        listed = text.split(f"\n{known.extra} = [")[1].split("]")[0] if known.extra else ""
        assert [name for name in known.modules if f'"{name}>=' not in listed] == []


def wrong(path, ready):
    right = FORMATS["torch"].open(path, ready)
    return lambda number: right(number) + (0.1 if number == 7 else 0)


def a_little(path, ready):
    """Off by more than the tolerance, and by less than that of half precision."""
    right = FORMATS["torch"].open(path, ready)
    return lambda number: right(number) * (1.002 if number == 1 else 1)


def nothing(path, ready):
    right = FORMATS["torch"].open(path, ready)
    return lambda number: right(number) * float("nan")


def failing(path, ready):
    def run(number):
        raise RuntimeError("no kernel for this")

    return run


@pytest.mark.parametrize(
    ("open_file", "said"),
    [(wrong, "WRONG"), (a_little, "WRONG"), (nothing, "WRONG"), (failing, "The file does not run: .*no kernel")],
)
def test_a_file_that_computes_something_else_is_told(open_file, said, tmp_path, monkeypatch):
    known = FORMATS["torch"]
    monkeypatch.setitem(FORMATS, "torch", replace(known, open=lambda p, r, own=known: wrong_by(own, open_file, p, r)))
    with pytest.warns(UserWarning, match=f"(?s)does not compute what the network computes.*{said}"):
        done = export(conv(), tmp_path / "a.pt2", example=IMAGES)
    assert not done.is_right
    assert done.error > 1e-3


def test_the_file_is_compared_with_the_users_network_and_not_with_the_small_one(tmp_path, monkeypatch):
    def damaging(network, **options):
        small = shrink(network, **options)
        small.module[0].weight.data.mul_(1.1)
        return small

    monkeypatch.setattr(ready_network, "shrink", damaging)
    with pytest.warns(UserWarning, match="does not compute what the network computes"):
        done = export(conv(), tmp_path / "a.pt2", example=IMAGES)
    assert not done.is_right


def wrong_by(known, open_file, path, ready):
    FORMATS["torch"] = known
    return open_file(path, ready)


def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("no space left")

    monkeypatch.setattr(torch.export, "save", broken)
    (tmp_path / "a.pt2").write_text("the file of yesterday")
    with pytest.raises(OSError, match="no space left"):
        export(conv(), tmp_path / "a.pt2", example=IMAGES)
    assert (tmp_path / "a.pt2").read_text() == "the file of yesterday"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_traced_is_refused_with_torchs_reason(tmp_path):
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match="torch.export cannot trace Branch: .*data-dependent"):
        export(Branch(), tmp_path / "a.pt2", example=IMAGES)


def test_what_a_converter_does_not_know_is_said_in_its_words(tmp_path, monkeypatch):
    def unknown(*_):
        raise RuntimeError("no operator aten::odd")

    monkeypatch.setattr(torch.export, "save", unknown)
    with pytest.raises(
        ValueError, match=r"export\(format='torch'\): the converter cannot write Sequential: .*aten::odd"
    ):
        export(conv(), tmp_path / "a.pt2", example=IMAGES)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_operators_of_onnx_are_those_that_were_asked_for(tmp_path):
    import onnx

    export(conv(), tmp_path / "a.onnx", example=IMAGES, opset=20)
    assert onnx.load(tmp_path / "a.onnx").opset_import[0].version == 20
    with pytest.raises(ValueError, match=r"export\(opset=3\): torch cannot write .* would write opset=18. Give that"):
        export(conv(), tmp_path / "b.onnx", example=IMAGES, opset=3)
    assert not (tmp_path / "b.onnx").exists()


@pytest.mark.slow
def test_onnx_beyond_two_gigabytes_has_its_weights_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "_ONE_FILE", 100)
    done = export(conv(), tmp_path / "a.onnx", example=IMAGES, opset=18)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.onnx", "a.onnx.data"]
    assert done.is_right
    import onnx

    assert onnx.load(done.path).opset_import[0].version == 18
    assert done.size == sum(one.stat().st_size for one in tmp_path.iterdir())


def test_the_sparse_file_is_loaded_into_the_whole_network(tmp_path):
    network = nn.Sequential(nn.Linear(200, 300), nn.ReLU(), nn.Linear(300, 2)).double()
    with torch.no_grad():
        network[0].weight.mul_(torch.rand(300, 200) < 0.1)
    network.register_forward_pre_hook(lambda *_: None)
    done = export(network, tmp_path / "a.safetensors", "sparse", torch.rand(3, 200))
    assert done.error == 0
    assert done.size < done.whole_size / 7
    assert done.notes == ()
    plain = load_sparse(done.path, nn.Sequential(nn.Linear(200, 300), nn.ReLU(), nn.Linear(300, 2)).double())
    assert torch.equal(plain[0].weight, network[0].weight)
    half = export(network, tmp_path / "b.safetensors", "sparse", torch.rand(3, 200), half_values=True)
    assert half.size < done.size / 2
    assert 0 < half.error < half.tolerance == 1e-2


def test_a_small_network_is_whole_again_in_the_sparse_file(tmp_path):
    small = load_small(export(conv(), tmp_path / "a.safetensors", example=IMAGES).path, conv())
    done = export(small, tmp_path / "b.safetensors", "sparse", IMAGES)
    assert done.is_right
    plain = load_sparse(done.path, conv()).eval()
    assert torch.allclose(plain(IMAGES), small.eval()(IMAGES), atol=1e-6)
    assert small[0].out_channels == 5


@pytest.mark.slow
def test_openvino_in_half_precision(tmp_path):
    network = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 8))
    whole, half = (
        export(network, tmp_path / f"{number}.xml", "openvino", torch.rand(2, 64), half_values=number == 16)
        for number in (32, 16)
    )
    assert half.size < 0.7 * whole.size
    assert whole.error < 1e-5 < half.error
    assert half.is_right


class Cut(nn.Module):
    """Its forward asks for the length, as code often does."""

    def forward(self, x):
        return x.view(len(x), -1).relu()


@pytest.mark.slow
@pytest.mark.parametrize("format", ["torch", "onnx"])
def test_the_length_of_a_batch_is_not_fixed(format, tmp_path):
    assert export(Cut(), tmp_path / FORMATS[format].file_name, format, IMAGES).error == 0


@pytest.mark.slow
@pytest.mark.parametrize("format", ["torch", "onnx", "openvino"])
def test_a_transformer_of_a_library(format, tmp_path):
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, vocab_size=50)
    network = BertForSequenceClassification(config)
    example = {"input_ids": torch.randint(0, 50, (3, 9)), "attention_mask": torch.ones(3, 9, dtype=torch.long)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = export(network, tmp_path / FORMATS[format].file_name, format, example)
    assert done.error < 1e-5


@pytest.mark.slow
def test_torchs_own_transformer(tmp_path):
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    done = export(nn.TransformerEncoder(layer, 2), tmp_path / "a.onnx", example=torch.rand(3, 5, 16))
    assert done.error < 1e-5
