"""What is gathered of activations, against rewrites in numpy with hooks, and where it cannot be had."""

import math

import numpy as np
import pytest
import torch
from gathering import Ask, Cross, needing
from lightning.pytorch import Callback
from structured import Residual, structured
from torch import nn
from toys import Images, Toy, equal, fit, seed_everything, toy

import lightning_prune as lp
from lightning_prune import Filters, IterativePruning, OneShot, Structures, criteria, per_row, prune
from lightning_prune.callbacks.gathering.activations.measure import input_norms, unit_outputs
from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.without_trainer.own_loss import OwnLoss
from lightning_prune.criteria import OnBatches

# What flows into weights.


def norms(module, *batches, names=None, **options):
    weights = {name: one for name, one in module.named_parameters() if one.dim() > 1 and (not names or name in names)}
    source = OwnLoss(module, batches, None)
    with source.without_trace(0):
        return input_norms(source, weights, len(batches), 0, "wanda")


LAYERS = {
    "a convolution": (nn.Conv2d(4, 6, 3), (2, 4, 7, 6)),
    "strides, padding, dilation": (nn.Conv2d(4, 6, (3, 2), stride=2, padding=(2, 1), dilation=2), (2, 4, 9, 8)),
    "groups": (nn.Conv2d(4, 6, 3, groups=2, padding=1), (2, 4, 5, 5)),
    "depthwise": (nn.Conv1d(4, 8, 3, groups=4), (2, 4, 9)),
    "mirrored edges": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 2, 5, 5)),
    "three dimensions": (nn.Conv3d(2, 3, 2), (2, 2, 4, 3, 3)),
    "transposed": (nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1), (1, 2, 3, 2)),
    "transposed in groups": (nn.ConvTranspose1d(4, 6, 3, groups=2), (2, 4, 5)),
    "linear": (nn.Linear(5, 3), (7, 5)),
    "linear on sequences": (nn.Linear(5, 3, bias=False), (2, 7, 5)),
    "linear on one sample": (nn.Linear(5, 3), (5,)),
}  # fmt: skip


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_the_norm_is_that_of_all_numbers_a_weight_is_multiplied_with(layer, shape):
    """The numbers by which a weight is multiplied are the derivatives of the outputs by it, one output at a time."""
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(shape, generator=generator) for _ in range(2)]
    squares = torch.zeros_like(layer.weight)
    for batch in batches:
        for one in layer(batch).flatten():
            (slope,) = torch.autograd.grad(one, layer.weight, retain_graph=True)
            squares += slope.square()
    torch.testing.assert_close(norms(nn.Sequential(layer), *batches)["0.weight"], squares.sqrt())


def test_attention_is_seen_on_both_sides():
    seed_everything(0, verbose=False)
    width, heads = 8, 2
    net = nn.TransformerEncoderLayer(width, heads, 16, dropout=0.3, batch_first=True)
    x = torch.randn(3, 5, width)
    found = norms(net, x)
    net.eval()
    attention = net.self_attn
    with torch.no_grad():
        q, k, v = nn.functional.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
        parts = [one.view(3, 5, heads, -1).transpose(1, 2) for one in (q, k, v)]
        mixed = (parts[0] @ parts[1].transpose(2, 3) / math.sqrt(width // heads)).softmax(-1) @ parts[2]
        mixed = mixed.transpose(1, 2).reshape(-1, width)
    expected = x.flatten(0, 1).norm(dim=0)
    torch.testing.assert_close(found["self_attn.in_proj_weight"], expected.expand(3 * width, width))
    torch.testing.assert_close(found["self_attn.out_proj.weight"], mixed.norm(dim=0).expand(width, width))
    assert found["linear2.weight"].shape == (width, 16)


def test_other_keys_than_queries_go_to_their_part_of_the_packed_weight():
    x = torch.randn(2, 3, 4)
    found = norms(Cross(), x)["attention.in_proj_weight"]
    own = x.flatten(0, 1).norm(dim=0)
    for part, factor in enumerate((1, 2, 3)):
        torch.testing.assert_close(found[4 * part : 4 * part + 4], (factor * own).expand(4, 4))


def test_the_turned_layers_of_transformers_are_seen_and_compared_by_output():
    turned = pytest.importorskip("transformers.pytorch_utils").Conv1D(6, 4)
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(norms(turned, x)["weight"], x.flatten(0, 1).norm(dim=0)[:, None].expand(4, 6))
    masks = prune(turned, 0.5, criterion=criteria.wanda, allocation=per_row, batches=[(x,)])
    assert masks["weight"].sum(0).tolist() == [2] * 6


def test_a_weight_in_use_twice_adds_up_and_one_out_of_use_is_refused_by_name():
    class Net(nn.Module):
        def __init__(self, spare):
            super().__init__()
            self.once = nn.Linear(4, 4)
            self.spare = nn.LSTM(4, 4) if spare else None

        def forward(self, x):
            return self.once(x), self.once(3 * x), self.spare and self.spare(x)

    x = torch.randn(5, 4)
    torch.testing.assert_close(norms(Net(False), x)["once.weight"][0], x.norm(dim=0) * math.sqrt(10))
    with pytest.raises(ValueError, match=r"nothing was seen of spare.weight_ih_l0, .*exclude=\['spare.weight_ih_l0'\]"):
        prune(Net(True), 0.5, criterion=criteria.wanda, batches=[x])


def test_mixed_precision_sees_the_same():
    asked = []
    for precision in ("32-true", "bf16-mixed"):
        ask = Ask(lambda trainer: weights_and_norms(trainer), epoch=0)
        fit([ask], toy(), max_epochs=1, precision=precision)
        asked.append(ask.answer)
    for name, norm in asked[0].items():
        torch.testing.assert_close(asked[1][name].float(), norm, rtol=0.02, atol=0.02)


def weights_and_norms(trainer):
    weights = {n: p for n, p in trainer.lightning_module.named_parameters() if p.dim() > 1}
    gatherer = Gatherer(weights, needing("input_norm"), seed=0)
    gatherer.gather(trainer, dict.fromkeys(weights), 1, 100, False)
    return {name: norm.clone() for name, norm in gatherer._found["input_norm"].items()}


def noting(module, layers):
    """Note what goes into layers in training steps in evaluation mode, outside of the module: the last are a prune."""
    seen, stepping = {name: [] for name in layers}, []

    class Noting(type(module)):
        def training_step(self, batch, index):
            stepping.append(not self.training)
            loss = super().training_step(batch, index)
            stepping.clear()
            return loss

    module.__class__ = Noting
    for name, layer in layers.items():
        layer.register_forward_pre_hook(
            lambda m, x, name=name: seen[name].append(x[0].clone()) if any(stepping) else None
        )
    return lambda name: torch.cat(seen[name][-2:]).numpy()


def test_wanda_in_a_fit_is_the_numpy_of_the_paper():
    seed_everything(0, verbose=False)
    module, kept = Toy(dropout=0.5), []
    passes = noting(module, {4: module.net[4], 7: module.net[7]})
    module.on_train_epoch_end = lambda: kept.append({n: p.detach().clone() for n, p in module.named_parameters()})
    pruning = IterativePruning(
        cycles=1, retrain="1ep", sparsity=OneShot(0.5), criterion=OnBatches(criteria.wanda, 2), allocation=per_row
    )
    fit([pruning], module, max_epochs=1)
    for place in (4, 7):
        inputs = passes(place)
        assert len(inputs) == 16
        metric = np.abs(kept[0][f"net.{place}.weight"].numpy()) * np.sqrt((inputs**2).sum(0))[None]
        expected = np.ones_like(metric, dtype=bool)
        order = np.argsort(metric, axis=1, kind="stable")
        np.put_along_axis(expected, order[:, : metric.shape[1] // 2], False, axis=1)
        assert (pruning.masks[f"net.{place}.weight"].numpy() == expected).all()


def test_ria_is_the_numpy_of_its_code():
    x, layer = torch.randn(20, 6), nn.Linear(6, 5)
    w = np.abs(layer.weight.detach().numpy())
    norm = np.sqrt((x.numpy() ** 2).sum(0))
    expected = (w / w.sum(0) + w / w.sum(1)[:, None]) * norm[None] ** 0.5
    masks = prune(layer, 0.6, criterion=criteria.ria, batches=[x])
    top = np.sort(expected.ravel())[::-1][11]
    assert (masks["weight"].numpy() == (expected >= top)).all()


def test_rows_keep_equally_many_and_their_best_over_cycles():
    weights = {"a": torch.randn(6, 10), "b": torch.randn(4, 3, 2, 2), "c": torch.randn(7)}
    pruner = Pruner(weights, criteria.magnitude, per_row, 0)
    pruner.prune_(1, 0.5)
    pruner.prune_(2, 0.75)
    for name in ("a", "b"):
        mask = pruner.masks[name].flatten(1)
        counts = mask.sum(1)
        assert counts.max() - counts.min() <= 1
        for line, size in zip(mask.bool(), weights[name].abs().flatten(1), strict=True):
            assert size[line].min() > size[~line].max()
    assert pruner.masks.alive == round(0.25 * 115)


# What flows out of units.


def outputs_of(criterion, module=None, granularity=None, **options):
    """The evidence of a prune in a fit, and what hooks have seen in its passes."""
    module = module or structured()
    pruning = IterativePruning(
        cycles=1, retrain="1ep", sparsity=OneShot(0.3), granularity=granularity or Structures(),
        criterion=OnBatches(criterion, 2), measure="units",
    )  # fmt: skip
    fit([pruning], module, max_epochs=1, **options)
    return pruning._run.pruner._of_units


def watched():
    module = structured()
    return module, noting(module, {"inner": module.net.body[0].second, "last": module.net.head[3]})


GROUPS = {"inner": "net.body.0.first", "last": "net.head.1"}


def test_the_mean_activation_is_that_behind_norm_and_nonlinearity():
    module, passes = watched()
    found = outputs_of(criteria.mean_activation, module)["output_mean"]
    for name, group in GROUPS.items():
        values = np.abs(passes(name))
        expected = values.mean(axis=tuple(i for i in range(values.ndim) if i != 1))
        np.testing.assert_allclose(found[group][:, 0].numpy(), expected, rtol=1e-5)


def test_the_entropy_is_that_of_numpys_histogram():
    module, passes = watched()
    found = outputs_of(criteria.activation_entropy, module)["output_samples"]["net.body.0.first"]
    pooled = passes("inner").mean((2, 3))
    assert found.shape == (6, 16)
    scores = criteria.activation_entropy(
        torch.zeros(6, 1), lp.criteria.Evidence(torch.Generator(), {"output_samples": found})
    )
    for unit in range(6):
        counts = np.histogram(pooled[:, unit], bins=20)[0] / 16
        expected = -sum(p * math.log(p) for p in counts if p)
        assert float(scores[unit]) == pytest.approx(expected, abs=1e-4)


def test_the_rank_is_that_of_numpys_singular_values():
    module, passes = watched()
    found = outputs_of(criteria.feature_rank, module)["output_rank"]
    maps = passes("inner")
    sizes = np.linalg.svd(maps, compute_uv=False)
    expected = (sizes > sizes.max(-1, keepdims=True) * max(maps.shape[-2:]) * np.finfo(np.float32).eps).sum(-1)
    np.testing.assert_allclose(found["net.body.0.first"][:, 0].numpy(), expected.mean(0), atol=1e-6)
    assert float(found["net.head.1"].max()) <= 1, "a neuron is a map of one number"


def test_maps_are_seen_before_a_flatten_and_a_stream_wherever_it_is_read():
    net = Residual()
    net.eval()
    x = torch.randn(4, 1, 6, 6)
    seen = []
    net.depth.register_forward_pre_hook(lambda m, given: seen.append(given[0]))
    found = unit_means(net, x)
    np.testing.assert_allclose(
        found["body.1.second"], seen[-1].abs().mean((0, 2, 3)).detach().numpy(), rtol=1e-5, err_msg="read by one layer"
    )


def unit_means(net, x):
    weights = {name: one for name, one in net.named_parameters() if one.dim() > 1}
    units = Structures()(weights, {}, lp.structures_of(net, x))
    found = unit_outputs(OwnLoss(net, [x], None), units, dict(net.named_parameters()), ["output_mean"], 1, 0)
    return {group: one[:, 0].numpy() for group, one in found["output_mean"].items()}


@pytest.mark.parametrize("name", ["mean_activation", "activation_entropy", "feature_rank"])
@pytest.mark.parametrize("granularity", [Structures(), Filters()], ids=["structures", "filters"])
def test_criteria_of_activations_prune_a_fit_and_leave_no_trace(name, granularity):
    def run(criterion):
        module, states = structured(), []
        module.on_train_epoch_end = lambda: states.append({n: t.clone() for n, t in module.state_dict().items()})
        pruning = IterativePruning(
            cycles=1, retrain="1ep", sparsity=OneShot(0.5), granularity=granularity, criterion=criterion,
            allocation=lp.per_group, measure="units",
        )  # fmt: skip
        fit([pruning], module, Images(shuffle=True), max_epochs=2)
        assert pruning.measured_sparsity == pytest.approx(0.5, abs=0.02)
        return states

    mine, plain = run(getattr(criteria, name)), run(criteria.l1_norm)
    assert equal(mine[:2], plain[:2]), "the dense run is that of another criterion"
    assert not equal(mine[2], plain[2])


def test_without_a_fit_the_batches_alone_are_enough():
    net = Residual()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(ValueError, match=r"prune\(criterion=.*looks at what flows through the network: give batches"):
        prune(net, 0.5, criterion=criteria.wanda)
    x = torch.randn(8, 1, 6, 6)
    masks = prune(
        net, 0.3, criterion=criteria.mean_activation, granularity=Structures(), batches=[(x, 0)], measure="units"
    )
    assert net.training
    assert masks.sparsity > 0.2
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in before if "running" in name)


class Written(Callback):
    def __init__(self, folder, pruning):
        self.folder, self.pruning = folder, pruning

    def on_train_end(self, trainer, pl_module):
        torch.save(self.pruning._run.pruner._of_units, self.folder / f"rank {trainer.global_rank}.pt")


@pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler`", "ignore:It is recommended to use `self.log")
@pytest.mark.parametrize("name", ["mean_activation", "activation_entropy"])
def test_two_processes_see_of_units_what_one_sees_of_the_joint_batches(name, tmp_path):
    def run(folder, processes):
        folder.mkdir()
        pruning = IterativePruning(
            cycles=1, retrain="1ep", sparsity=OneShot(0.3), granularity=Structures(),
            criterion=OnBatches(getattr(criteria, name), 2), measure="units",
        )  # fmt: skip
        options = {"devices": processes, "strategy": "ddp_fork"} if processes > 1 else {}
        data = Images(batch=16 // processes)
        fit([pruning, Written(folder, pruning)], toy(plain=True), data, max_epochs=1, **options)
        return [torch.load(folder / f"rank {rank}.pt") for rank in range(processes)]

    (one,) = run(tmp_path / "one", 1)
    first, second = run(tmp_path / "two", 2)
    assert equal(first, second)
    ((kind, groups),) = one.items()
    for group, matrix in groups.items():
        torch.testing.assert_close(first[kind][group].sort(1).values, matrix.sort(1).values, rtol=1e-3, atol=1e-5)


def test_blocks_have_no_outputs_of_their_own():
    pruning = IterativePruning(cycles=1, retrain="1ep", granularity=lp.Blocks(2, 2), criterion=criteria.mean_activation)
    with pytest.raises(ValueError, match=r"what flows out of units, which blocks do not know: give .*Structures\(\)"):
        fit([pruning], toy(), max_epochs=1)
