"""Of every m weights along the inputs exactly n live: with every criterion, in a fit, resumed, and as GPUs pack them."""

import itertools

import pytest
import torch
from laws import every_criterion, evidence_for
from resumed_runs import Keep
from torch import nn
from torch.sparse._semi_structured_conversions import (
    sparse_semi_structured_from_dense_cutlass,
    sparse_semi_structured_to_dense_cutlass,
)
from toys import Images, Toy, equal, fit, toy

import lightning_prune as lp
from lightning_prune import (
    IterativePruning,
    LRRewind,
    NofM,
    OneShot,
    Prunable,
    WeightRewind,
    globally,
    load_ticket,
    prune,
)
from lightning_prune.callbacks.masking.pattern_pruner import PatternPruner, in_groups, ranks_in_groups
from lightning_prune.criteria import magnitude
from lightning_prune.criteria.declared import solver_of

SHAPES = {"linear": (10, 16), "conv": (8, 12, 3, 3), "signal": (3, 8, 5), "volume": (2, 4, 2, 1, 3), "gpt": (8, 6)}
INPUTS = {"linear": 1, "conv": 1, "signal": 1, "volume": 1, "gpt": 0}


class Offline(PatternPruner):
    """Made-up evidence, in the place of what a fit gathers."""

    def _gather(self, trainer, cycle, sparsity, rehearsal):
        self.gatherer.for_weight = lambda cycle, name, part, device: evidence_for(
            self.weights[name].shape, cycle, transposed=self._transposed.get(name, 0)
        )


def pruner_of(pattern, criterion=magnitude, kind=torch.randn):
    torch.manual_seed(0)
    weights = {name: kind(shape) for name, shape in SHAPES.items()}
    return Offline(weights, criterion, globally, 0, {"gpt": 1}, pattern, INPUTS)


def groups_of(tensor, dimension, m):
    """The groups, one by one, as indices of the tensor: written down slowly, for comparison."""
    others = [range(size) if place != dimension else range(0, size, m) for place, size in enumerate(tensor.shape)]
    for start in itertools.product(*others):
        yield [tuple(i + k if place == dimension else i for place, i in enumerate(start)) for k in range(m)]


@every_criterion
@pytest.mark.filterwarnings("ignore:lightning_prune.criteria.Filters")
@pytest.mark.parametrize("pattern", [NofM([3, 2], 4), NofM([2, 1], 2 + 2), NofM(1, 2)], ids=repr)
def test_every_group_keeps_its_best_and_nothing_comes_back(criterion, pattern):
    pruner = pruner_of(pattern, criterion)
    levels = [pattern.sparsities(cycle) for cycle in (1, 2, 3)]
    pruner.rehearse(levels)
    before = {name: torch.ones(shape, dtype=torch.bool) for name, shape in SHAPES.items()}
    for cycle, sparsity in enumerate(levels, start=1):
        pruner._gather(None, cycle, sparsity, rehearsal=False)
        scores = {name: pruner._rate(cycle, name, None) for name in SHAPES}
        pruner.prune_(cycle, sparsity)
        masks, number = pruner.whole_masks(), pattern.number_at(sparsity)
        assert pruner.tally().sparsity == sparsity
        for name, mask in masks.items():
            for group in groups_of(mask, INPUTS[name], pattern.m):
                living = [one for one in group if before[name][one]]
                best = sorted(living, key=lambda one: -float(scores[name][one]))[:number]
                kept = {one for one in group if mask[one]}
                if solver_of(criterion, cycle) is None:  # else the scores change while weights die
                    assert kept == set(best)
                assert kept <= set(living)
                assert len(kept) == number
        before = masks


@pytest.mark.parametrize("kind", [torch.ones, torch.zeros, lambda shape: torch.randn(shape).round()])
def test_ties_go_to_the_first_weights_of_a_group(kind):
    pruner = pruner_of(NofM(2, 4), kind=kind)
    pruner.prune_(1, 0.5)
    for name, mask in pruner.whole_masks().items():
        assert (in_groups(mask, 4, INPUTS[name]).sum(-1) == 2).all()
        sizes = in_groups(pruner.weights[name].abs(), 4, INPUTS[name])
        expected = torch.zeros_like(sizes).bool()
        expected.scatter_(-1, sizes.argsort(dim=-1, descending=True, stable=True)[..., :2], True)
        assert torch.equal(in_groups(mask, 4, INPUTS[name]), expected)


def test_ranks_are_those_of_a_stable_sort():
    scores = torch.randn(6, 32, 3).round()
    order = in_groups(scores, 8, 1).argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    assert torch.equal(in_groups(ranks_in_groups(scores, 8, 1), 8, 1).long(), order)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_cutlass_packs_a_pruned_weight_and_unpacks_it_bit_for_bit(dtype):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(128, 64, bias=False), nn.Conv2d(64, 32, 3, bias=False)).to(dtype)
    prune(network, 0.5, granularity=NofM(2, 4))
    convolution = network[1].weight.detach().permute(0, 2, 3, 1).reshape(-1, 64)  # as a kernel reads it: C comes last
    for weight in (network[0].weight.detach(), convolution.contiguous()):
        packed, meta = sparse_semi_structured_from_dense_cutlass(weight)
        assert packed.shape == (len(weight), weight.shape[1] // 2)
        assert torch.equal(packed.count_nonzero(), weight.count_nonzero())
        assert torch.equal(sparse_semi_structured_to_dense_cutlass(packed, meta), weight)


def test_the_conv1d_of_transformers_is_divided_along_its_first_dimension():
    utilities = pytest.importorskip("transformers.pytorch_utils")
    network = nn.Sequential(utilities.Conv1D(12, 8))
    prune(network, 0.5, granularity=NofM(2, 4))
    assert network[0].weight.shape == (8, 12)
    assert ((network[0].weight.view(2, 4, 12) != 0).sum(1) == 2).all()


def odd_network():
    network = nn.Module()
    network.first = nn.Conv2d(3, 8, 3)
    network.depthwise = nn.Conv2d(8, 8, 3, groups=8)
    network.up = nn.ConvTranspose2d(8, 8, 3)
    network.lstm = nn.LSTM(8, 8)
    network.words = nn.Embedding(16, 8)
    network.attention = nn.MultiheadAttention(8, 2)
    network.pair = nn.Bilinear(8, 8, 4)
    network.narrow = nn.Linear(6, 8)
    network.fits = nn.Conv1d(8, 4, 1)
    return network


def test_what_does_not_fit_stays_dense_and_is_named_with_the_reason(caplog):
    network = odd_network()
    with caplog.at_level("INFO", "lightning.pytorch.utilities.rank_zero"):
        masks = prune(network, 0.5, prunable=Prunable(embeddings=True), granularity=NofM(2, 4))
    assert set(masks) == {"attention.in_proj_weight", "attention.out_proj.weight", "fits.weight"}
    assert masks.sparsity == 0.5
    for said in (
        "first.weight (3 inputs, which is no multiple of 4)",
        "depthwise.weight (a grouped convolution)",
        "up.weight (a transposed convolution)",
        "lstm.weight_ih_l0 (a recurrent layer)",
        "words.weight (an embedding)",
        "pair.weight (a bilinear layer)",
        "narrow.weight (6 inputs, which is no multiple of 4)",
    ):
        assert said in caplog.text
    for name in ("first", "depthwise", "up", "words", "pair", "narrow"):
        assert getattr(network, name).weight.count_nonzero() == getattr(network, name).weight.numel()


def test_a_weight_that_an_embedding_shares_stays_dense():
    network = nn.ModuleList([nn.Embedding(16, 8), nn.Linear(8, 16, bias=False), nn.Linear(8, 4)])
    network[1].weight = network[0].weight
    masks = prune(network, 0.5, prunable=Prunable(embeddings=True), granularity=NofM(2, 4))
    assert list(masks) == ["2.weight"]


class Deeper(Toy):
    """The toy with a second convolution."""

    def __init__(self, **options):
        super().__init__(**options)
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 12), nn.Dropout(0.1),
            nn.Linear(12, 3),
        )  # fmt: skip


def deeper():
    torch.manual_seed(0)
    return Deeper()


FITS = ("net.2.weight", "net.5.weight", "net.7.weight")


def counts(module, m=4):
    """The numbers of living weights that the groups have."""
    weights = [module.get_parameter(name).detach() for name in FITS]
    return {int(one) for weight in weights for one in (in_groups(weight, m, 1) != 0).sum(-1).unique()}


@pytest.mark.parametrize("criterion", [magnitude, lp.random, lp.criteria.taylor, lp.criteria.movement])
def test_a_run_tightens_the_pattern_and_resumes_bit_for_bit(criterion, tmp_path):
    seen = []

    def callbacks():
        pruning = IterativePruning(cycles=2, retrain="2ep", granularity=NofM([3, 2], 4), criterion=criterion)
        return [pruning, WeightRewind(to="1ep")]

    module = deeper()
    module.on_train_epoch_end = lambda: seen.append(counts(module))
    whole = fit([*callbacks(), Keep(tmp_path / "middle.ckpt", epoch=2)], module, Images(shuffle=True), max_epochs=2)
    assert seen == [{4}, {4}, {3}, {3}, {2}, {2}]
    clock = whole.callbacks[0]
    assert clock.measured_sparsity == clock.scheduled(2) == 0.5
    assert clock.scheduled(1) == 0.25
    again = fit(callbacks(), deeper(), Images(shuffle=True), ckpt_path=tmp_path / "middle.ckpt", max_epochs=2)
    assert equal(dict(again.lightning_module.state_dict()), dict(module.state_dict()))
    assert equal(again.callbacks[0].masks, clock.masks)
    skipped = {one.name: one.reason for one in clock._run.record.selected.skipped}
    assert skipped["net.0.weight"] == "does not fit NofM(n=[3, 2], m=4): 1 inputs, which is no multiple of 4"


def test_the_recipe_of_asp_trains_the_whole_schedule_again_with_a_fresh_optimizer():
    rates = []
    module = deeper()
    module.on_before_optimizer_step = lambda optimizer: rates.append(optimizer.param_groups[0]["lr"])
    pruning = IterativePruning(cycles=1, granularity=NofM(2, 4), optimizer_state="reset")
    fit([pruning, LRRewind(to=0)], module, max_epochs=4)
    assert counts(module) == {2}
    steps = len(rates) // 2
    assert rates[steps:] == rates[:steps]
    assert len(set(rates)) == 3


def test_it_prunes_inside_the_dense_run():
    seen, module = [], deeper()
    module.on_train_epoch_end = lambda: seen.append(counts(module))
    fit([IterativePruning(cycles=2, during="1ep:2ep", granularity=NofM([3, 1], 4))], module, max_epochs=4)
    assert seen == [{4}, {3}, {1}, {1}] or seen == [{4}, {4}, {3}, {1}], seen


def test_a_ticket_brings_the_pattern_to_another_run_and_to_any_network(tmp_path):
    first = IterativePruning(cycles=1, retrain="1ep", granularity=NofM(3, 4))
    fit([first, WeightRewind(to=0)], deeper(), max_epochs=1)
    first.save_ticket(tmp_path / "t.safetensors")
    assert equal(dict(load_ticket(tmp_path / "t.safetensors").masks), first.masks)
    second = IterativePruning(cycles=1, retrain="1ep", granularity=NofM(2, 4), initial_masks=tmp_path / "t.safetensors")
    module = deeper()
    fit([second], module, max_epochs=1)
    assert counts(module) == {2}
    assert all(not (mask & ~first.masks[name]).any() for name, mask in second.masks.items())


def test_groups_that_start_with_fewer_weights_keep_them_all():
    network = nn.Linear(8, 2, bias=False)
    network.weight.data = torch.tensor([[1.0, 0, 0, 0, 1, 2, 3, 4], [0, 0, 0, 0, 4, 0, 3, 2]])
    masks = prune(network, 0.5, granularity=NofM(2, 4), initial_masks="zeros")
    assert (network.weight != 0).tolist() == [
        [True, False, False, False, False, False, True, True],
        [False, False, False, False, True, False, True, False],
    ]
    assert masks.alive == 5


def test_another_pattern_is_refused_where_a_run_resumes(tmp_path):
    def callback(**options):
        return IterativePruning(cycles=1, retrain="1ep", **options)

    fit([callback(granularity=NofM(2, 4))], deeper(), max_epochs=2).save_checkpoint(tmp_path / "a.ckpt")
    for options in ({}, {"granularity": NofM(1, 4)}, {"granularity": NofM(4, 8)}):
        with pytest.raises(ValueError, match=r"granularity: the checkpoint has 'NofM\(n=2, m=4\)'"):
            fit([callback(**options)], deeper(), ckpt_path=tmp_path / "a.ckpt", max_epochs=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sparsity": OneShot(0.8)},
            r"asks for sparsity 0.8 in cycle 1, and the granularity fixes it at 0.5. Leave sp",
        ),
        ({"measure": "flops"}, r"measure=flops, granularity=NofM\(n=2, m=4\)\): the granularity fixes how many"),
        ({"allocation": lp.layerwise}, "Leave allocation out, or give granularity=Weights"),
        ({"criterion": lp.criteria.l1_norm}, r"scores whole units, and granularity=NofM\(n=2, m=4\) has none"),
        ({"masks_from": "runs/a"}, r"masks_from=..., granularity=NofM"),
        (
            {"granularity": NofM([3, 2, 1], 4)},
            r"cycles=2, granularity=NofM\(.*\) would never get to the last sparsity: it takes 3 cycles",
        ),
    ],
)
def test_arguments_that_the_pattern_contradicts_are_refused_with_what_to_write(options, message):
    with pytest.raises(ValueError, match=message):
        IterativePruning(**{"cycles": 2, "granularity": NofM(2, 4), **options})


def test_a_sparsity_that_says_the_same_is_taken_and_the_callback_says_that_of_the_pattern():
    given = IterativePruning(cycles=2, sparsity=OneShot(0.5), granularity=NofM(2, 4))
    assert given.scheduled(2) == 0.5
    assert "sparsity=Levels(levels=[0.5])" in str(IterativePruning(cycles=2, granularity=NofM(2, 4))) == str(given)


@pytest.mark.filterwarnings("ignore:IterativePruning leaves")
def test_cycles_after_the_last_pattern_are_named():
    with pytest.warns(UserWarning, match=r"cycles=2, granularity=NofM\(n=2, m=4\)\) removes nothing in cycle 2"):
        fit([IterativePruning(cycles=2, retrain="1ep", granularity=NofM(2, 4))], deeper(), max_epochs=1)


def test_prune_takes_the_sparsity_of_the_pattern_only():
    network = nn.Linear(8, 8)
    with pytest.raises(ValueError, match=r"has sparsity 0.25 or 0.5, and 0.8 was asked for. Give sparsity=0.5."):
        prune(network, 0.8, granularity=NofM([3, 2], 4))
    for sparsity, number in ((0.25, 3), (0.5, 2)):
        prune(network, sparsity, granularity=NofM([3, 2], 4))
        assert ((network.weight.view(8, 2, 4) != 0).sum(-1) == number).all()


def test_a_network_that_fits_nowhere_is_refused():
    with pytest.raises(
        ValueError, match=r"prune\(granularity=NofM\(n=2, m=4\)\) fits no prunable weight: weight \(6 in"
    ):
        prune(nn.Linear(6, 4), 0.5, granularity=NofM(2, 4))
    with pytest.raises(ValueError, match=r"NofM\(n=2, m=128\)\) fits no prunable weight"):
        fit([IterativePruning(cycles=1, granularity=NofM(2, 128))], toy(), max_epochs=1)


@pytest.mark.parametrize(
    ("n", "m", "message"),
    [
        (4, 4, r"NofM\(n=4, m=4\) would remove nothing: give n from 1 to 3"),
        (0, 4, r"NofM\(n=0\)"),
        (2, 2.5, r"NofM\(m=2.5\)"),
        ([2, 3], 4, "must not rise"),
        ([], 4, "must not rise"),
    ],
)
def test_wrong_patterns_are_refused(n, m, message):
    with pytest.raises(ValueError, match=message):
        NofM(n, m)
