"""Block by block: the inputs are those of the blocks that are pruned already, and decoders of transformers can be pruned."""

import copy
import logging

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from structured import structured
from torch import nn
from toys import STEPS, Images, equal, fit, toy

import lightning_prune as lp
from lightning_prune import IterativePruning, NofM, OneShot, Prunable, criteria, globally, layerwise, per_row, prune
from lightning_prune.callbacks.gathering.activations import block_inputs
from lightning_prune.criteria import InSequence, OnBatches

INNER, TURNED = Prunable(include="model.layers.*"), Prunable(include="transformer.h.*")


def llama(layers=3, **options):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, **options,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def gpt2():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=40, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    return transformers.GPT2LMHeadModel(config).eval()


def batches(count=3):
    generator = torch.Generator().manual_seed(1)
    return [{"input_ids": torch.randint(40, (2, 12), generator=generator)} for _ in range(count)]


def inputs_of(net, names):
    """What goes into layers, over all batches."""
    seen = {name: [] for name in names}
    handles = [
        net.get_submodule(name).register_forward_pre_hook(
            lambda m, x, name=name: seen[name].append(x[0].flatten(0, -2))
        )
        for name in names
    ]
    with torch.no_grad():
        for batch in batches():
            net(**batch)
    for handle in handles:
        handle.remove()
    return {name: torch.cat(seen[name]) for name in names}


def by_hand(net):
    """Wanda as its code goes: for each block the norms with what is pruned so far, then the block is pruned."""
    for layer in range(len(net.model.layers)):
        names = [name for name, one in net.named_modules() if isinstance(one, nn.Linear) and f"layers.{layer}." in name]
        for name, x in inputs_of(net, names).items():
            weight = net.get_submodule(name).weight
            metric = weight.detach().abs() * x.norm(dim=0)
            order = metric.argsort(dim=1, stable=True)
            with torch.no_grad():
                weight.scatter_(1, order[:, : weight.shape[1] // 2], 0.0)
    return net


@pytest.mark.parametrize("cache", [True, False], ids=["with keys and values kept", "without"])
def test_wanda_block_by_block_is_that_of_its_code(cache):
    net = llama(use_cache=cache)
    expected = by_hand(copy.deepcopy(net))
    masks = prune(net, 0.5, per_row, INNER, OnBatches(criteria.wanda, 3), batches=batches(), blocks="model.layers.*")
    assert len(masks) == 21
    for name, one in expected.named_parameters():
        torch.testing.assert_close(net.get_parameter(name), one)


@pytest.mark.parametrize("blocks", ["model.layers.*", None], ids=["blocks", "layers"])
def test_what_goes_on_from_the_block_before_is_what_whole_passes_give(blocks, monkeypatch):
    def pruned():
        net = llama()
        criterion = InSequence(OnBatches(criteria.sparse_gpt, 3), blocks)
        prune(net, 0.5, layerwise, INNER, criterion, batches=batches())
        return net.state_dict()

    whole_runs = []
    original = lp.callbacks.without_trainer.own_loss.OwnLoss._run
    monkeypatch.setattr(
        lp.callbacks.without_trainer.own_loss.OwnLoss, "_run", lambda *a: whole_runs.append(1) or original(*a)
    )
    mine = pruned()
    assert len(whole_runs) == (4 if blocks else 1 + 3 * 21), "the first block is reached once a batch; layers each time"
    monkeypatch.setattr(block_inputs.BlockInputs, "_find_links", lambda self, seed: {})
    other = pruned()
    for name, one in mine.items():
        torch.testing.assert_close(one, other[name], rtol=1e-3, atol=1e-5)


def test_the_update_makes_up_for_what_dies_over_blocks():
    def error(*choice, **options):
        net = llama()
        prune(net, 0.5, *choice, batches=batches(), **options)
        with torch.no_grad():
            return sum(float((net(**b).logits - llama()(**b).logits).square().sum()) for b in batches())

    wanda = error(per_row, INNER, OnBatches(criteria.wanda, 3), blocks="model.layers.*")
    repaired = error(layerwise, INNER, OnBatches(criteria.sparse_gpt, 3), blocks="model.layers.*")
    assert repaired < 0.9 * min(wanda, error(layerwise, INNER))


CHOICES = {
    "wanda": {"criterion": criteria.wanda, "allocation": per_row},
    "wanda 2:4": {"criterion": criteria.wanda, "granularity": NofM(2, 4)},
    "sparse_gpt": {"criterion": criteria.sparse_gpt, "allocation": layerwise},
    "sparse_gpt 2:4": {"criterion": criteria.sparse_gpt, "granularity": NofM(2, 4)},
}  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
def test_the_turned_layers_of_gpt2_are_pruned_along_their_inputs(choice):
    """GPT-2 with Conv1D, and the same network with linear layers, are pruned to the same weights."""

    def pruned(net):
        prune(net, 0.5, prunable=TURNED, batches=batches(), blocks="transformer.h.*", **CHOICES[choice])
        return net

    turned, plain = pruned(gpt2()), pruned(with_linear_layers(gpt2()))
    for name, one in plain.named_modules():
        if isinstance(one, nn.Linear) and ".h." in name:
            other = turned.get_submodule(name).weight.t()
            assert int((other == 0).sum()) == other.numel() // 2
            assert ((other == 0) == (one.weight == 0)).float().mean() > 0.99, "but for rounding"
            if "per_row" in str(CHOICES[choice]):
                assert ((other != 0).sum(1) == other.shape[1] // 2).all()
    assert {type(turned.get_submodule(name.rpartition(".")[0])).__name__ for name in TURNED(turned).weights} == {
        "Conv1D"
    }


def with_linear_layers(net):
    for block in net.transformer.h:
        for holder, name in (
            (block.attn, "c_attn"),
            (block.attn, "c_proj"),
            (block.mlp, "c_fc"),
            (block.mlp, "c_proj"),
        ):
            turned = getattr(holder, name)
            layer = nn.Linear(*turned.weight.shape)
            layer.weight.data, layer.bias.data = turned.weight.data.t().clone(), turned.bias.data.clone()
            setattr(holder, name, layer)
    return net


def test_time_and_memory_are_told_for_each_block(caplog):
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    with caplog.at_level(logging.INFO, logger=logger.name):
        logger.addHandler(caplog.handler)
        prune(llama(2), 0.5, per_row, INNER, criteria.wanda, batches=batches(1), blocks="model.layers.*")
        logger.removeHandler(caplog.handler)
    lines = [one.message for one in caplog.records if "Pruned model.layers" in one.message]
    assert [line.split(":")[0] for line in dict.fromkeys(lines)] == [
        "Pruned model.layers.0, block 1 of 2", "Pruned model.layers.1, block 2 of 2",
    ]  # fmt: skip
    assert all("GiB" in line for line in lines)


def test_batches_are_drawn_once_even_from_what_can_be_read_once():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    masks = prune(
        net, 0.5, layerwise, criterion=OnBatches(InSequence(criteria.sparse_gpt), 2),
        batches=(torch.randn(5, 4) for _ in range(3)),
    )  # fmt: skip
    assert masks.alive == 16


def test_a_block_that_is_called_twice_or_by_others_is_seen_in_whole_passes():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.twice, self.foreign, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            x = self.twice(self.twice(x))
            return self.last(nn.functional.linear(x, self.foreign.weight))

    net, x = Net(), torch.randn(20, 4)
    prune(net, 0.5, per_row, criterion=InSequence(criteria.wanda), batches=[x])
    assert [int((one.weight == 0).sum()) for one in (net.twice, net.foreign, net.last)] == [8, 8, 4]


# In a fit.


class Kept(Callback):
    def on_cycle_start(self, trainer, pl_module, cycle):
        self.weights = {name: one.detach().clone() for name, one in pl_module.named_parameters()}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fit_prunes_block_by_block_and_trains_the_new_weights(precision):
    kept, ends = Kept(), []
    module = structured()
    module.on_train_epoch_end = lambda: ends.append({n: p.detach().clone() for n, p in module.named_parameters()})
    pruning = IterativePruning(
        cycles=1, retrain="1ep", sparsity=OneShot(0.5), allocation=layerwise,
        criterion=InSequence(criteria.sparse_gpt, ["net.body.*"]),
    )  # fmt: skip
    fit([pruning, kept], module, max_epochs=1, precision=precision)
    assert pruning.measured_sparsity == pytest.approx(0.5, abs=1e-3)
    for name, mask in pruning.masks.items():
        assert not kept.weights[name][~mask].any()
        changed = (kept.weights[name] != ends[0][name]) & mask
        assert changed.float().sum() > 0.5 * mask.sum(), name
    assert all(torch.equal(one, ends[0][name]) for name, one in kept.weights.items() if name not in pruning.masks)


@pytest.mark.slow
def test_resumed_is_uninterrupted(tmp_path):
    def run(ckpt_path=None):
        keep = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=STEPS, save_top_k=-1)
        pruning = IterativePruning(
            cycles=2, retrain="1ep", allocation=layerwise, criterion=InSequence(criteria.sparse_gpt)
        )
        module = toy(dropout=0.0)
        fit([pruning, keep], module, Images(), ckpt_path, enable_checkpointing=True, max_epochs=2)
        return {n: t.clone() for n, t in module.state_dict().items()}, pruning.masks

    whole = run()
    for step in (STEPS, 2 * STEPS, 3 * STEPS):
        assert equal(whole, run(tmp_path / f"step={step}.ckpt")), step


# What cannot be done.


def test_bad_input_is_refused_and_nothing_changes():
    with pytest.raises(ValueError, match=r"InSequence\(criterion=.*magnitude.*does not look at the inputs"):
        InSequence(criteria.magnitude)
    with pytest.raises(ValueError, match=r"InSequence\(blocks=3\) is no pattern"):
        InSequence(criteria.wanda, 3)
    net = llama(1)
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match=r"allocation of prune compares scores .* give allocation=.*layerwise"):
        prune(net, 0.5, globally, INNER, criteria.wanda, batches=batches(), blocks="model.layers.*")
    with pytest.raises(
        ValueError, match=r"blocks=\['model.layer.\*'\]\) matches no module.*The layers are: model.layers"
    ):
        prune(net, 0.5, per_row, INNER, criteria.wanda, batches=batches(), blocks="model.layer.*")
    with pytest.raises(ValueError, match=r"give batches=loader"):
        prune(net, 0.5, per_row, INNER, criteria.wanda, blocks="model.layers.*")
    with pytest.raises(
        ValueError, match=r"prunes single weights block by block, and granularity=Filters\(.* larger units"
    ):
        prune(net, 0.5, per_row, INNER, criteria.wanda, batches=batches(), blocks="model.layers.*", granularity=lp.Filters())  # fmt: skip
    assert equal(before, net.state_dict())
    with pytest.raises(ValueError, match=r"the allocation of IterativePruning compares scores of different layers"):
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=InSequence(criteria.wanda))], toy(), max_epochs=1)
