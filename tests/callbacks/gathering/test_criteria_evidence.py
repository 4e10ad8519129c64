"""What is gathered for criteria, against rewrites by hand, in every precision, and refused where it cannot be had."""

import copy

import pytest
import torch
from gathering import Ask, gathered, needing
from lightning.pytorch import Callback, LightningModule
from torch import nn
from toys import STEPS, Images, Toy, equal, fit, make_trainer, seed_everything, toy

from lightning_prune import IterativePruning, criteria
from lightning_prune.callbacks.gathering import gatherer as evidence
from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.criteria import Evidence, OnBatches, SynFlow, needs_of

# Oracles: the same batches, the same weights, gradients by hand.


class Remembering(Toy):
    """Notes what its training step was given, outside of the module."""

    def __init__(self, seen, **options):
        super().__init__(**options)
        self.note = seen.append

    def training_step(self, batch, index):
        self.note((copy.deepcopy(self.net.state_dict()), batch, index, self.net[1].training))
        return super().training_step(batch, index)


def smooth():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 6), nn.Tanh(), nn.Linear(6, 3)).double()


class Smooth(Toy):
    def __init__(self, seen=None):
        super().__init__()
        self.net, self.note = smooth(), [].append if seen is None else seen.append

    def validation_step(self, batch, index):
        pass

    def training_step(self, batch, index):
        self.note((copy.deepcopy(self.net.state_dict()), batch))
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
    with pytest.raises(
        ValueError, match=r"takes second derivatives \(grasp\), and Step .* without one: differentiable only once"
    ):
        trainer.fit(Step(), datamodule=Images())
    assert trainer.global_step == 0


def test_synflow_takes_the_shape_of_the_example_or_of_a_batch():
    class Example(Toy):
        def __init__(self):
            super().__init__()
            self.example_input_array = torch.rand(9, 1, 6, 6)

    found = [gathered(SynFlow(rounds=2), module)["survival"]["net.4.weight"] for module in (toy(), toy_of(Example))]
    assert torch.equal(*found)


def test_synflow_takes_images_that_are_bytes_until_they_are_on_the_device():
    class Bytes(Images):
        def __init__(self):
            super().__init__()
            self.set.tensors = ((self.set.tensors[0].clamp(0, 1) * 255).to(torch.uint8), self.set.tensors[1])

        def on_after_batch_transfer(self, batch, dataloader_idx):
            return batch[0] / 255, batch[1]

    pruning = IterativePruning(cycles=1, retrain="1ep", criterion=SynFlow(rounds=2))
    assert fit([pruning], toy(), Bytes(), max_epochs=1).current_epoch == 2


def toy_of(kind):
    seed_everything(0, verbose=False)
    return kind()


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


def test_the_rehearsal_before_the_training_looks_at_one_batch_and_makes_one_round(monkeypatch):
    seen, rounds = [], []
    real = evidence.order_of_death
    monkeypatch.setattr(evidence, "order_of_death", lambda *at: rounds.append(at[-1]) or real(*at))
    seed_everything(0, verbose=False)
    for criterion in (OnBatches(criteria.taylor, 4), SynFlow(rounds=5)):
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=criterion)], Remembering(seen), max_epochs=1)
    assert [index for *_, index, _ in seen[: 1 + STEPS + 5]] == [0, *range(STEPS), 0, 1, 2, 3, 0]
    assert rounds == [1, 5]


def test_dead_weights_take_no_place_in_the_order_of_death():
    def ask(trainer):
        weights = {n: p for n, p in trainer.lightning_module.named_parameters() if p.dim() > 1}
        masks = dict.fromkeys(weights) | {"net.4.weight": torch.arange(640).view(10, 64) % 3 == 0}
        gatherer = Gatherer(weights, SynFlow(rounds=2), 0)
        gatherer.gather(trainer, masks, 1, 100, False)
        return masks["net.4.weight"], gatherer._found["survival"]

    asks = Ask(ask)
    fit([asks], toy(), max_epochs=2)
    alive, places = asks.answer
    assert torch.equal(places["net.4.weight"] == -1, ~alive)
    living = torch.cat([place[place >= 0] for place in places.values()]).sort().values
    assert living.tolist() == list(range(36 + 214 + 30))


def test_a_cycle_that_begins_within_an_epoch_measures_changes_from_its_beginning():
    weight = torch.zeros(2)
    gatherer = Gatherer({"a": weight}, criteria.last_epoch_change, 0)
    gatherer.begin_fit()
    weight.fill_(5)
    gatherer.begin_phase()
    gatherer.begin_epoch(0)  # the same epoch goes on
    assert gatherer.for_weight(1, "a", None, torch.device("cpu")).epoch_start.tolist() == [5, 5]


def test_gradients_that_are_no_numbers_at_any_scale_end_the_run_with_the_reason():
    class Diverged(Toy):
        def training_step(self, batch, index):
            return super().training_step(batch, index) * float("nan")

    with pytest.raises(ValueError, match="that are NaN or infinite, and the run stops before it prunes by"):
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=criteria.snip), Untouched()], Diverged())
