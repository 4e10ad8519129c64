"""What is gathered for criteria: against rewrites by hand, without a trace, and refused where it cannot be had."""

import copy
import random as python_random

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from test_criteria import CRITERIA
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, SubsetRandomSampler, TensorDataset
from torchmetrics import MeanMetric
from toys import STEPS, Images, Toy, equal, fit, make_trainer, seed_everything, toy

from lightning_prune import IterativePruning, Levels, OneShot, WeightRewind, criteria
from lightning_prune.callbacks.evidence import Gatherer
from lightning_prune.callbacks.training_batches import draw
from lightning_prune.criteria import Evidence, OnBatches, Scorer, SynFlow, needs, needs_of

NEEDY = [c for c in CRITERIA if needs_of(c).kinds and not isinstance(c, Scorer)]  # those are around the same ones
every_needy = pytest.mark.parametrize("criterion", NEEDY, ids=lambda c: getattr(c, "__name__", repr(c)))
QUICK = {"synflow": SynFlow(rounds=3), "taylor": OnBatches(criteria.taylor, 3)}


def quick(criterion):
    return QUICK.get(getattr(criterion, "__name__", ""), criterion)


class KeepsItsPlace(Images):
    """Shuffled, by a loader with a state."""

    def train_dataloader(self):
        return pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader(
            self.set, batch_size=self.batch, shuffle=True
        )


class Ask(Callback):
    """Calls something when the first batch of an epoch is about to be trained."""

    def __init__(self, ask, epoch=1):
        self.ask, self.epoch, self.answer = ask, epoch, None

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            self.answer = self.ask(trainer)


def gathered(criterion, module=None, data=None, cycle=1, **options):
    """The evidence after one epoch, by kind and name."""

    def ask(trainer):
        weights = {n: p for n, p in trainer.lightning_module.named_parameters() if p.dim() > 1}
        gatherer = Gatherer(weights, criterion, seed=0)
        masks = dict.fromkeys(weights)
        gatherer.begin_fit()
        gatherer.gather(trainer, masks, cycle, budget=100, rehearsal=False)
        return gatherer._found

    asks = Ask(ask)
    fit([asks], module, data, max_epochs=2, **options)
    return asks.answer


def needing(*kinds, batches=2, **options):
    @needs(*kinds, batches=batches, **options)
    def criterion(weight, evidence):
        return weight.detach()

    return criterion


# Oracles: the same batches, the same weights, gradients by hand.


class Remembering(Toy):
    """Keeps what its training step was given, outside of the module."""

    def __init__(self, seen, **options):
        super().__init__(**options)
        self.__dict__["seen"] = (seen,)

    def training_step(self, batch, index):
        self.seen[0].append((copy.deepcopy(self.net.state_dict()), batch, index, self.net[1].training))
        return super().training_step(batch, index)


def smooth():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 6), nn.Tanh(), nn.Linear(6, 3)).double()


class Smooth(Toy):
    def __init__(self, seen=None):
        super().__init__()
        self.net, self.__dict__["seen"] = smooth(), (seen,)

    def validation_step(self, batch, index):
        pass

    def training_step(self, batch, index):
        if self.seen[0] is not None:
            self.seen[0].append((copy.deepcopy(self.net.state_dict()), batch))
        return nn.functional.cross_entropy(self(batch[0].double()), batch[1])


def test_gradients_are_those_of_the_mean_loss_and_their_squares_batch_by_batch():
    seen = []
    seed_everything(0, verbose=False)
    found = gathered(needing("gradient", "squared_gradient", "hessian_gradient", batches=3), Smooth(seen))
    mine = seen[STEPS : STEPS + 6]  # three batches, twice: the second time for the Hessian
    assert all(equal(a, b) for a, b in zip(mine[:3], mine[3:], strict=True))
    net = smooth()
    net.load_state_dict(mine[0][0])
    weights = [net[1].weight, net[3].weight]

    def loss(batch):
        return nn.functional.cross_entropy(net(batch[0].double()), batch[1])

    each = [torch.autograd.grad(loss(batch), weights) for _, batch in mine[:3]]
    for i, name in enumerate(["net.1.weight", "net.3.weight"]):
        assert torch.allclose(found["gradient"][name], sum(g[i] for g in each) / 3, rtol=1e-9)
        assert torch.allclose(found["squared_gradient"][name], sum(g[i] ** 2 for g in each) / 3, rtol=1e-9)
    differences = hessian_by_differences(net, weights, [b for _, b in mine[:3]], loss)
    for i, name in enumerate(["net.1.weight", "net.3.weight"]):
        assert torch.allclose(found["hessian_gradient"][name], differences[i], rtol=1e-5, atol=1e-8)


def hessian_by_differences(net, weights, batches, loss, step=1e-4):
    def gradient():
        return torch.autograd.grad(sum(loss(batch) for batch in batches) / len(batches), weights)

    direction, start = gradient(), [w.detach().clone() for w in weights]
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for w, at, d in zip(weights, start, direction, strict=True):
                w.copy_(at + sign * step * d)
        sides.append(gradient())
    return [(up - down) / (2 * step) for up, down in zip(*sides, strict=True)]


@pytest.mark.parametrize("mode", ["training", "evaluation"])
def test_batch_norm_is_in_the_mode_that_was_declared_and_dropout_as_in_training(mode):
    seen = []
    seed_everything(0, verbose=False)
    gathered(needing("gradient", batch_norm=mode), Remembering(seen))
    assert [training for *_, training in seen[STEPS : STEPS + 2]] == [mode == "training"] * 2
    assert seen[-1][3], "and goes on as before"


def test_snip_and_synflow_ask_for_running_statistics_as_their_papers_do():
    assert needs_of(criteria.snip).batch_norm == "evaluation"
    assert needs_of(criteria.grasp).batches == 2
    assert needs_of(criteria.snip).batches == 1
    assert needs_of(criteria.synflow).rounds == 100


def test_a_number_of_batches_is_kept_and_another_cycle_draws_others():
    seen = []
    seed_everything(0, verbose=False)
    gathered(needing("gradient", batches=4), Remembering(seen))
    assert [index for _, _, index, _ in seen[STEPS : 2 * STEPS]] == [0, 1, 2, 3, 0, 1], "four, then the epoch"
    first = gathered(needing("gradient"), toy())["gradient"]["net.4.weight"]
    assert torch.equal(first, gathered(needing("gradient"), toy())["gradient"]["net.4.weight"])
    assert not torch.equal(first, gathered(needing("gradient"), toy(), cycle=2)["gradient"]["net.4.weight"])


# Batches.


def indices(loader, count=3, **options):
    """Which examples are drawn; the data sets number them."""

    class Data(Images):
        def train_dataloader(self):
            return loader

    asks = Ask(lambda trainer: draw(trainer, count, 7), epoch=0)
    fit([asks], Counted(), Data(), max_epochs=1, **options)
    return asks.answer


class Counted(Toy):
    def training_step(self, batch, index):
        return self.net[4].weight.sum() * 0


def numbers(count=48):
    return TensorDataset(torch.arange(count))


def test_batches_are_a_random_sample_of_the_size_of_the_loader():
    drawn = indices(DataLoader(numbers(), batch_size=8, shuffle=True))
    assert [len(batch[0]) for batch in drawn] == [8, 8, 8]
    together = torch.cat([batch[0] for batch in drawn]).tolist()
    assert len(set(together)) == 24
    assert together != sorted(together)
    assert equal(drawn, indices(DataLoader(numbers(), batch_size=8))), "in order or shuffled: the same sample"


def test_less_data_than_wanted_gives_what_there_is_and_no_incomplete_batch():
    assert [len(b[0]) for b in indices(DataLoader(numbers(20), batch_size=8), count=30)] == [8, 8]
    assert [len(b[0]) for b in indices(DataLoader(numbers(5), batch_size=8), count=30)] == [5]


def test_a_subset_by_its_sampler_stays_a_subset():
    only = list(range(10, 30))
    drawn = indices(DataLoader(numbers(), batch_size=4, sampler=SubsetRandomSampler(only)), count=5)
    assert sorted(torch.cat([b[0] for b in drawn]).tolist()) == only


def test_a_sampler_of_ones_own_is_followed_on_a_copy():
    class Strange(torch.utils.data.Sampler):
        def __init__(self):
            self.generator, self.begun = torch.Generator().manual_seed(3), 0

        def __iter__(self):
            self.begun += 1
            yield from torch.randint(10, (24,), generator=self.generator).tolist()

        def __len__(self):
            return 24

    sampler = Strange()

    def ask(trainer):
        before = sampler.generator.get_state(), sampler.begun
        drawn = draw(trainer, 3, 7)
        return drawn, equal(before, (sampler.generator.get_state(), sampler.begun))

    class Data(Images):
        def train_dataloader(self):
            return DataLoader(numbers(), batch_size=8, sampler=sampler)

    asks = Ask(ask, epoch=0)
    fit([asks], Counted(), Data(), max_epochs=1)
    drawn, untouched = asks.answer
    assert untouched
    assert [len(batch[0]) for batch in drawn] == [8, 8, 8]
    assert max(torch.cat([batch[0] for batch in drawn]).tolist()) < 10


def test_batches_of_a_sampler_of_ones_own_have_its_sizes():
    class Sizes(torch.utils.data.BatchSampler):
        def __iter__(self):
            yield from ([0, 1, 2], [3, 4], [5])

        def __len__(self):
            return 3

    loader = DataLoader(numbers(), batch_sampler=Sizes(range(48), 2, False))
    assert [b[0].tolist() for b in indices(loader, count=2)] == [[0, 1, 2], [3, 4]]


def test_several_loaders_come_combined_as_in_training():
    loaders = {"a": DataLoader(numbers(), batch_size=8), "b": DataLoader(numbers(8), batch_size=4)}
    drawn = indices(loaders)
    assert [{name: len(batch[name][0]) for name in batch} for batch in drawn] == [{"a": 8, "b": 4}] * 3


class Stream(IterableDataset):
    def __init__(self):
        self.place = 0

    def __iter__(self):
        while self.place < 48:
            self.place += 1
            yield self.place - 1


def test_a_stream_is_read_on_a_copy():
    stream = Stream()
    asked = []

    def ask(trainer):
        before = stream.place
        asked.append((draw(trainer, 2, 7), stream.place == before))

    class Data(Images):
        def train_dataloader(self):
            return DataLoader(stream, batch_size=8)

    fit([Ask(ask, epoch=0)], Counted(), Data(), max_epochs=1)
    batches, stayed = asked[0]
    assert stayed
    assert [len(batch) for batch in batches] == [8, 8]


def test_a_stream_that_cannot_be_copied_is_refused_by_name():
    class Live(Stream):
        def __deepcopy__(self, memo):
            raise TypeError("a socket")

    with pytest.raises(ValueError, match=r"Live cannot be copied .*\(a socket\)"):
        indices(DataLoader(Live(), batch_size=8))


def test_overfitting_looks_at_no_other_batches():
    drawn = indices(DataLoader(numbers(), batch_size=8), count=9, overfit_batches=2)
    assert sorted(torch.cat([b[0] for b in drawn]).tolist()) == list(range(16))


# No trace.


class Traced(Toy):
    """Everything that a training step may touch."""

    def __init__(self):
        super().__init__()
        self.metric, self.calls, self.losses, self.seen = MeanMetric(), 0, [], {}
        self.register_buffer("moved", torch.zeros(1))
        self.plain = torch.zeros(1)

    def training_step(self, batch, index):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.metric.update(loss)
        self.calls += 1
        self.losses.append(float(loss.detach()))
        self.seen[self.calls] = 1
        self.moved += 1
        self.plain += float(torch.rand(1)) + np.random.rand() + python_random.random()  # noqa: NPY002
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.log_dict({"other": loss})
        self.log("metric", self.metric, on_epoch=True)
        if self.logger is not None:
            self.logger.log_metrics({"by hand": 1.0}, step=0)
        return loss


class States(Callback):
    """What a network is after every batch of the dense run."""

    def __init__(self):
        self.states = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        if len(self.states) < 4 * STEPS:
            held = {name: p.grad is None for name, p in pl_module.named_parameters()}
            plain = [pl_module.calls, list(pl_module.losses), dict(pl_module.seen), pl_module.plain.clone()]
            logged = {name: v.clone() for name, v in trainer.callback_metrics.items() if "pruning" not in name}
            metric = [pl_module.metric.mean_value.clone(), pl_module.metric._update_count]
            state = {name: t.clone() for name, t in pl_module.state_dict().items()}
            self.states.append([state, held, plain, logged, metric, torch.get_rng_state()])


def traced(callbacks, epochs):
    states = States()
    seed_everything(0, verbose=False)
    fit([*callbacks, states], Traced(), Images(shuffle=True), max_epochs=epochs)
    return states.states


@pytest.fixture(scope="module")
def dense():
    return traced([], 4)


@every_needy
def test_the_dense_run_is_bit_for_bit_the_one_without_a_criterion(criterion, dense):
    assert equal(dense, traced([IterativePruning(cycles=1, retrain="1ep", criterion=quick(criterion))], 4))


def leave_a_gradient(trainer):
    trainer.lightning_module.net[4].bias.grad = torch.ones(10)


@pytest.fixture(scope="module")
def unasked():
    return traced([Ask(leave_a_gradient)], 3)


@every_needy
def test_a_prune_itself_leaves_no_trace(criterion, unasked):
    """Asked in the middle of a run: all of it goes on as if nobody had asked."""

    def ask(trainer):
        module = trainer.lightning_module
        weights = {n: p for n, p in module.named_parameters() if p.dim() > 1}
        leave_a_gradient(trainer)
        gatherer = Gatherer(weights, quick(criterion), 0)
        gatherer.begin_fit()
        modes = [one.training for one in module.modules()]
        gatherer.gather(trainer, dict.fromkeys(weights), 1, 100, False)
        assert torch.equal(module.net[4].bias.grad, torch.ones(10))
        assert modes == [one.training for one in module.modules()]
        assert module.log.__func__ is LightningModule.log
        assert all(p.requires_grad for p in module.parameters())

    assert equal(unasked, traced([Ask(ask)], 3))


def test_what_is_logged_meanwhile_goes_to_no_logger(tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    counts = []
    for criterion in (criteria.magnitude, OnBatches(criteria.taylor, 3)):
        logger = CSVLogger(tmp_path, name=str(len(counts)))
        by_hand = []
        logger.log_metrics = lambda metrics, step=None, by_hand=by_hand: by_hand.append(metrics)
        seed_everything(0, verbose=False)
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=criterion)], Traced(), logger=logger)
        counts.append(sum("by hand" in metrics for metrics in by_hand))
    assert counts == [5 * STEPS] * 2


def test_frozen_weights_are_scored_and_stay_frozen():
    class Frozen(Toy):
        def __init__(self):
            super().__init__()
            self.net[4].weight.requires_grad_(False)

    seed_everything(0, verbose=False)
    module = Frozen()
    found = gathered(needing("gradient"), module)
    assert found["gradient"]["net.4.weight"].count_nonzero()
    assert not module.net[4].weight.requires_grad


def test_a_weight_that_is_out_of_use_scores_zero():
    class Spare(Toy):
        def __init__(self):
            super().__init__()
            self.spare = nn.Linear(3, 3)

    seed_everything(0, verbose=False)
    found = gathered(needing("gradient", "hessian_gradient", "survival"), Spare())
    assert all(not found[kind]["spare.weight"].count_nonzero() for kind in ("gradient", "hessian_gradient"))


@pytest.mark.filterwarnings("ignore:.training_step. returned .None.")
def test_steps_that_skip_a_batch_are_left_out():
    class Skips(Smooth):
        def training_step(self, batch, index):
            loss = super().training_step(batch, index)
            return loss if index else None

    seed_everything(0, verbose=False)
    some = gathered(needing("gradient", batches=2), Skips())["gradient"]["net.1.weight"]
    assert some.count_nonzero()
    seed_everything(0, verbose=False)
    with pytest.raises(ValueError, match="training_step returned None for every batch"):
        gathered(needing("gradient", batches=1), Skips())


# Refused before training.


class Untouched(Callback):
    def on_train_batch_start(self, *_):
        raise AssertionError("a batch was trained before the error")


class ByHand(Toy):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


class Fetches(Toy):
    def training_step(self, dataloader_iter):
        return next(dataloader_iter)


class Words(Toy):
    def __init__(self):
        super().__init__()
        self.example_input_array = torch.ones(1, 7, dtype=torch.long)


class Backwards(Toy):
    forward = LightningModule.forward


def undeclared(weight, evidence):
    return evidence.gradient


REFUSED = {
    "manual optimization": (ByHand, criteria.snip, "ByHand optimizes by hand"),
    "a step that fetches": (Fetches, criteria.grasp, r"training_step\(dataloader_iter\) fetches its batches itself"),
    "what was not declared": (Toy, undeclared, r"evidence.gradient, which was not gathered: declare it"),
    "no forward": (Backwards, criteria.synflow, "SynFlow puts ones into Backwards, which has no forward: write one"),
    "words": (Words, criteria.synflow, "SynFlow puts ones into Words, whose input must be one tensor of floating-point"),
}  # fmt: skip


@pytest.mark.filterwarnings(
    "ignore:You are using the .dataloader_iter. step", "ignore:Found .dataloader_iter. argument"
)
@pytest.mark.parametrize(("module", "criterion", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_before_the_first_batch(module, criterion, message):
    trainer = make_trainer([IterativePruning(cycles=1, retrain="1ep", criterion=criterion), Untouched()])
    with pytest.raises(ValueError, match=message):
        trainer.fit(module(), datamodule=Images())


def test_a_gradient_that_cannot_be_taken_twice_is_found_before_the_first_batch():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            if torch.is_grad_enabled():
                raise RuntimeError("differentiable only once")
            return g.clone()

    class Step(Toy):
        def training_step(self, batch, index):
            return nn.functional.cross_entropy(Once.apply(self(batch[0])), batch[1])

    trainer = make_trainer([IterativePruning(cycles=1, retrain="1ep", criterion=criteria.grasp), Untouched()])
    with pytest.raises(RuntimeError, match="differentiable only once"):
        trainer.fit(Step(), datamodule=Images())
    assert trainer.global_step == 0


def test_synflow_takes_the_shape_of_the_example_or_of_a_batch():
    class Example(Toy):
        def __init__(self):
            super().__init__()
            self.example_input_array = torch.rand(9, 1, 6, 6)

    found = [gathered(SynFlow(rounds=2), module)["survival"]["net.4.weight"] for module in (toy(), toy_of(Example))]
    assert torch.equal(*found)


def toy_of(kind):
    seed_everything(0, verbose=False)
    return kind()


# Through whole runs.


class Kept(Callback):
    """The masks and the weights around every prune."""

    def __init__(self):
        self.masks, self.after, self.epochs, self.last = [], [], [], None

    def on_cycle_start(self, trainer, pl_module, cycle):
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        self.masks.append({n: m.clone() for n, m in pruning.masks.items()})

    def on_train_epoch_start(self, trainer, pl_module):
        self.epochs.append({n: p.detach().clone() for n, p in pl_module.named_parameters()})

    def on_train_epoch_end(self, trainer, pl_module):
        self.after.append({n: p.detach().clone() for n, p in pl_module.named_parameters()})


def top(scores, count):
    joined = torch.cat([s.flatten() for s in scores.values()])
    cut = joined.sort(descending=True).values[count - 1]
    return {name: score >= cut for name, score in scores.items()}


CHANGES = {
    "movement": lambda kept, cycle: (0 if cycle == 1 else 4, lambda w, s: (w**2 - s**2) / 2),
    "last_epoch_change": lambda kept, cycle: (3 if cycle == 1 else 5, lambda w, s: (w - s).abs()),
    "last_epoch_change_magnitude": lambda kept, cycle: (3 if cycle == 1 else 5, lambda w, s: ((w - s) * w).abs()),
    "magnitude_increase": lambda kept, cycle: (0, lambda w, s: w.abs() - s.abs()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_measured_from_the_right_moment(name):
    kept = Kept()
    pruning = IterativePruning(cycles=2, retrain="2ep", criterion=getattr(criteria, name), sparsity=Levels([0.5, 0.7]))
    fit([pruning, kept], toy())
    size = 36 + 640 + 30
    for cycle, (end, density) in enumerate([(3, 0.5), (5, 0.3)], start=1):
        start, formula = CHANGES[name](kept, cycle)
        weights, earlier = kept.after[end], kept.epochs[start]
        scores = {n: formula(weights[n], earlier[n]) for n in kept.masks[0]}
        alive = {n: torch.ones_like(s, dtype=torch.bool) for n, s in scores.items()} if cycle == 1 else kept.masks[0]
        scores = {n: s.masked_fill(~alive[n], float("-inf")) for n, s in scores.items()}
        expected = top(scores, round(density * size))
        agree = sum(int((expected[n] == kept.masks[cycle - 1][n]).sum()) for n in expected)
        assert agree >= size - 2, "but for rounding in the formula"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated", "ignore:The dirpath has changed from")
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
@every_needy
def test_resumed_is_uninterrupted_within_and_across_cycles(criterion, tmp_path):
    def callbacks():
        keep = ModelCheckpoint(
            tmp_path, filename="{step}", every_n_train_steps=STEPS // 2, save_top_k=-1, enable_version_counter=False
        )
        pruning = IterativePruning(cycles=2, retrain="2ep", criterion=quick(criterion))
        return [pruning, WeightRewind("1ep") if criterion is criteria.movement else Callback(), keep]

    def run(ckpt_path=None):
        module = toy(dropout=0.0)
        options = {"max_epochs": 4 if criterion is not criteria.movement else 3}
        trainer = fit(callbacks(), module, KeepsItsPlace(), ckpt_path, enable_checkpointing=True, **options)
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        return [{n: t.clone() for n, t in module.state_dict().items()}, pruning.masks]

    whole = run()
    dense = 4 if criterion is not criteria.movement else 3
    for step in (
        STEPS // 2,
        dense * STEPS - STEPS // 2,
        dense * STEPS,
        dense * STEPS + STEPS,
        dense * STEPS + 2 * STEPS,
    ):
        assert equal(whole, run(tmp_path / f"step={step}.ckpt")), step


def test_earlier_weights_are_saved_only_where_they_are_needed(tmp_path):
    for criterion, kinds in [(criteria.magnitude, set()), (criteria.magnitude_increase, {"initial"})]:
        keep = ModelCheckpoint(tmp_path, filename="last", enable_version_counter=False)
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=criterion), keep], toy(), enable_checkpointing=True)
        state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["IterativePruning"]["evidence"]
        assert set(state["remembered"]) == kinds


def test_a_cycle_prunes_by_its_own_gradients():
    masks = []
    for criterion in (criteria.snip, criteria.magnitude):
        kept = Kept()
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=criterion, sparsity=OneShot(0.5)), kept], toy())
        masks.append(kept.masks[0])
    assert not equal(*masks)


@pytest.mark.filterwarnings("ignore:Cycle 1 leaves no weight alive")
@every_needy
def test_every_criterion_runs_in_bf16_and_gives_its_sparsity(criterion):
    pruning = IterativePruning(cycles=1, retrain="1ep", criterion=quick(criterion), sparsity=OneShot(0.8))
    fit([pruning], toy(), precision="bf16-mixed")
    assert pruning.measured_sparsity == pytest.approx(0.8, abs=1e-3)


def test_mixed_precision_is_used_for_the_gradients():
    seen = []

    class Looks(Toy):
        def training_step(self, batch, index):
            seen.append(self.net[0](batch[0]).dtype)
            return super().training_step(batch, index)

    seed_everything(0, verbose=False)
    found = gathered(needing("gradient"), Looks(), precision="bf16-mixed")
    assert set(seen) == {torch.bfloat16}
    assert found["gradient"]["net.4.weight"].dtype == torch.float32


class FakeScaler:
    """Its scale overflows, but for low ones."""

    def get_scale(self):
        return 2.0**140

    def state_dict(self):
        return {}


def test_a_scaled_loss_that_overflows_is_scaled_by_less():
    kinds = ("gradient", "squared_gradient", "hessian_gradient")
    plain = gathered(needing(*kinds), toy(dropout=0.0))

    def ask(trainer):
        weights = {n: p for n, p in trainer.lightning_module.named_parameters() if p.dim() > 1}
        trainer.precision_plugin.scaler = FakeScaler()
        gatherer = Gatherer(weights, needing(*kinds), 0)
        gatherer.gather(trainer, dict.fromkeys(weights), 1, 100, False)
        del trainer.precision_plugin.scaler
        return gatherer._found

    asks = Ask(ask)
    fit([asks], toy(dropout=0.0), max_epochs=2)
    for kind in kinds:
        for name, tensor in plain[kind].items():
            assert torch.allclose(asks.answer[kind][name], tensor, rtol=1e-4, atol=1e-9)


def test_evidence_comes_on_the_part_that_is_scored():
    gatherer = Gatherer({"a": torch.arange(6.0).view(2, 3)}, criteria.magnitude_increase, 0)
    gatherer.begin_fit()
    evidence = gatherer.for_weight(1, "a", slice(2, 5), torch.device("cpu"))
    assert isinstance(evidence, Evidence)
    assert evidence.initial.tolist() == [2, 3, 4]
    assert gatherer.for_weight(1, "a", None, torch.device("cpu")).initial.shape == (2, 3)
