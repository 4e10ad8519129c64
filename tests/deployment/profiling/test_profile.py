"""A profile: exact sizes, the ratios that follow from them, and networks that stay as they were."""

import copy
import json
import sys

import pytest
import torch
from safetensors.torch import save
from torch import nn

from lightning_prune import UserError, shrink, structures_of
from lightning_prune.deployment.profiling.profile_network import profile
from lightning_prune.deployment.profiling.profiled import Profile
from lightning_prune.deployment.profiling.sizes import Sizes
from lightning_prune.deployment.profiling.timings import LayerTime, Timing
from lightning_prune.deployment.profiling.turns import Times
from lightning_prune.lab import Classifier, ResNet

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def dense_and_small():
    dense = ResNet(8)
    found = structures_of(dense, IMAGES)
    alive = {name: (torch.arange(group.width) < group.width // 2) for name, group in found.groups.items()}
    small = copy.deepcopy(dense)
    shrink(small, example=IMAGES, alive=alive, structures=found)
    return dense, small, found.costs.count(), found.costs.count(alive)


def test_what_both_networks_weigh_is_exact(dense_and_small):
    dense, small, whole, left = dense_and_small
    found = profile(small, IMAGES, against=dense, batch=[2], rounds=1, warm_up=0)
    for sizes, network, counts in ((found.sizes, small, left), (found.against, dense, whole)):
        assert (sizes.parameters, sizes.flops) == (counts.parameters, counts.flops)
        assert sizes.file_bytes == len(save(network.state_dict()))
        assert sizes.activation_bytes[2] == 2 * sizes.activation_bytes[1]
    assert found.fewer_flops == whole.flops / left.flops
    assert found.compression == whole.parameters / left.parameters


def test_every_runtime_threads_and_batch_is_measured_and_every_layer_once(dense_and_small):
    dense, small, *_ = dense_and_small
    said = []
    found = profile(
        small,
        IMAGES,
        against=dense,
        batch=[4, 1],
        threads=[1, 2],
        rounds=1,
        warm_up=0,
        progress=lambda *it: said.append(it),
    )
    assert [(one.threads, one.batch) for one in found.timings] == [(1, 4), (1, 1), (2, 4), (2, 1)]
    assert [done for done, _, _ in said] == list(range(7))
    assert {total for _, total, _ in said} == {7}
    assert sorted(one.name for one in found.layers) == sorted(name for name, _ in small.named_modules())
    assert [one.seconds for one in found.layers] == sorted((one.seconds for one in found.layers), reverse=True)
    assert all(one.against > 0 for one in found.layers)


def test_networks_run_in_eval_mode_and_stay_as_they_were(dense_and_small):
    dense, small = (copy.deepcopy(one).train() for one in dense_and_small[:2])
    small.stages.eval()
    passes, threads = [], torch.get_num_threads()
    for number, network in enumerate((small, dense)):
        network.register_forward_hook(
            lambda net, *_, number=number: passes.append(
                (number, any(one.training for one in net.modules()), torch.is_grad_enabled(), torch.get_num_threads())
            )
        )
    modes = [[one.training for one in network.modules()] for network in (small, dense)]
    states = [copy.deepcopy(network.state_dict()) for network in (small, dense)]
    random = torch.get_rng_state()
    profile(small, IMAGES, against=dense, batch=[1], threads=[2], rounds=3, warm_up=1)
    assert [one[0] for one in passes if one[3] == 2][:8] == [0, 1] * 4  # in turn
    assert not any(training or gradients for _, training, gradients, _ in passes)
    assert [[one.training for one in network.modules()] for network in (small, dense)] == modes
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random)
    for network, state in zip((small, dense), states, strict=True):
        assert all(torch.equal(one, state[name]) for name, one in network.state_dict().items())


def test_a_module_with_steps_only_and_a_module_alone_are_measured():
    class StepsOnly(Classifier):
        def forward(self, *_):
            raise RuntimeError("not used")

        def validation_step(self, batch, batch_idx):
            return self.network(batch[0])

    module = StepsOnly(ResNet(8))
    found = profile(module, (IMAGES, torch.zeros(3).long()), batch=[2], rounds=1, warm_up=0)
    assert found.against is None
    assert found.fewer_flops is None
    assert found.timings[0].against is None
    assert found.sizes.flops == profile(ResNet(8), IMAGES, batch=[1], rounds=1).sizes.flops
    assert "faster" not in str(found)


@pytest.mark.slow  # exporters take seconds
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.filterwarnings("ignore")  # of the exporters
def test_other_runtimes_time_the_file_of_each_network(runtime):
    pytest.importorskip(runtime)
    small, dense = (nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2)) for width in (2, 8))
    found = profile(small, torch.ones(3, 4), against=dense, batch=[5, 1], runtimes=[runtime], rounds=2)
    assert [(one.runtime, one.batch) for one in found.timings] == [(runtime, 5), (runtime, 1)]
    assert all(one.this.minimum > 0 and one.against.minimum > 0 for one in found.timings)


def test_a_runtime_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="needs onnxruntime: pip install 'lightning-prune\\[onnx\\]'"):
        profile(nn.Linear(3, 2), torch.ones(1, 3), runtimes=["onnxruntime"])


def made_up(zeros=0):
    small = Sizes(500, zeros, 2_000_000, 2100, {1: 64, 8: 512})
    dense = Sizes(2000, 0, 8_000_000, 8400, {1: 128, 8: 1024})
    timings = (
        Timing("torch", 1, 1, Times(0.001, 0.002), Times(0.002, 0.005)),
        Timing("torch", 1, 8, Times(0.004, 0.004), Times(0.016, 0.02)),
    )
    layers = (LayerTime("conv", "Conv2d", 0.0006, 0.0012), LayerTime("", "Net", 0.0002, None))
    return Profile(("small", "dense"), small, dense, timings, layers, {"rounds": 3})


def test_ratios_follow_from_the_shortest_times():
    found = made_up()
    assert [one.speedup for one in found.timings] == [2, 4]
    assert [found.became_time(one) for one in found.timings] == [0.5, 1]


def test_the_tables_and_the_json_say_the_same(tmp_path):
    lines = [" ".join(line.split()) for line in str(made_up()).splitlines()]
    assert lines[1:4] == [
        "dense 2,000 8.00 M 8.4 kB 128 B 1.0 kB",
        "small 500 2.00 M 2.1 kB 64 B 512 B",
        "change x 0.25 x 0.25 x 0.25 x 0.50 x 0.50",
    ]
    assert lines[6:8] == [
        "torch 1 1 1.00 ms 2.00 ms 2.00 ms 5.00 ms 2.00 x 4.00 x 50 %",
        "torch 1 8 4.00 ms 4.00 ms 16.0 ms 20.0 ms 4.00 x 4.00 x 100 %",
    ]
    assert lines[10:12] == ["conv Conv2d 0.600 ms 75 % 1.20 ms 2.00 x", "(the network itself) Net 0.200 ms 25 % - -"]
    written = json.loads(made_up().save(tmp_path / "profile.json").read_text())
    assert (written["format"], written["fewer_flops"], written["compression"]) == (1, 4, 4)
    assert [(one["speedup"], one["became_time"]) for one in written["timings"]] == [(2, 0.5), (4, 1)]
    assert written["timings"][1]["this"] == {"minimum": 0.004, "median": 0.004}
    assert written["sizes"]["activation_bytes"] == {"1": 64, "8": 512}
    assert written["layers"][0] == {"name": "conv", "kind": "Conv2d", "seconds": 0.0006, "against": 0.0012}


def test_zeros_that_gain_nothing_are_named():
    assert "are zero" not in str(made_up(zeros=20))
    assert "40.0 % of the parameters of small are zero. Zeros alone make no runtime faster." in str(made_up(zeros=200))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"batch": []}, "batch=\\[\\]\\) must be whole numbers, each at least 1"),
        ({"batch": [0]}, "batch=\\[0\\]"),
        ({"threads": [1.5]}, "threads=\\[1.5\\]"),
        ({"rounds": 0}, "rounds=0\\) must be a whole number, at least 1"),
        ({"warm_up": -1}, "warm_up=-1\\) must be a whole number, at least 0"),
        ({"runtimes": ["torhc"]}, "no runtime 'torhc'. Did you mean `torch`"),
        ({"example": None}, "needs an example"),
        ({"example": torch.tensor(1.0)}, "the example has no samples"),
        ({"example": torch.ones(0, 3)}, "the example has no samples"),
        ({"example": torch.ones(2, 5)}, "cannot run Linear on the example"),
        ({"against": nn.Linear(7, 2)}, "cannot run Linear on the example"),
    ],
)
def test_what_cannot_be_measured_is_refused(given, said):
    with pytest.raises(UserError, match=said):
        profile(**{"module": nn.Linear(3, 2), "example": torch.ones(2, 3), **given})
