"""Scores of any type are ranked exactly as they are, or refused before anything is trained."""

import pytest
import torch
from computed_weights import Spectrum
from lightning.pytorch.callbacks import Callback
from sparse_starts import PRUNABLE, SIZE, zeros
from torch import nn
from toys import Toy, fit, make_trainer, toy
from zoo import Regressor, vectors

from lightning_prune import IterativePruning, OneShot, Prunable, WholeFilters, criteria, erk, globally, layerwise
from lightning_prune.criteria import Filters, magnitude
from lightning_prune.criteria.scores import Scores, as_floating

TYPES = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float64]


class Dead(Callback):
    """Sees that nothing comes back."""

    def __init__(self):
        self.seen = dict.fromkeys(PRUNABLE)

    def on_train_batch_end(self, trainer, pl_module, *_):
        for name, mask in trainer.callbacks[0].masks.items():
            if self.seen[name] is not None:
                assert not (mask & ~self.seen[name]).any(), f"a weight of {name} came back"
            self.seen[name] = mask


@pytest.mark.parametrize("allocation", [globally, layerwise, erk])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_scores_of_every_type_prune_cycle_after_cycle_and_bring_nothing_back(dtype, allocation):
    def levels(weight, evidence):
        return (weight.detach() * 50).clamp(0, 100).to(dtype)

    module, dead = toy(), Dead()
    fit(
        [IterativePruning(cycles=3, retrain="1ep", allocation=allocation, criterion=levels), dead], module, max_epochs=1
    )
    assert zeros(module) == SIZE - round(0.8**3 * SIZE)
    assert any(mask is not None for mask in dead.seen.values())


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_eight_bits_are_made_comparable(dtype):
    assert as_floating("a", torch.tensor([1.0, 2.0]).to(dtype), "mine").tolist() == [1.0, 2.0]


def test_whole_numbers_stay_apart_as_far_as_double_precision_goes_and_are_refused_beyond():
    near = torch.tensor([2**53 - 1, 2**53 - 2, 5], dtype=torch.int64)
    assert as_floating("a", near, "mine").to(torch.int64).equal(near)
    for value in (2**53, 2**53 + 1, -(2**53) - 1, -(2**63)):
        with pytest.raises(ValueError, match=r"mine gave whole numbers of 2\*\*53 or more for 'a' \(torch.int64\)"):
            as_floating("a", torch.tensor([1, value]), "mine")
    assert as_floating("a", torch.empty(0, dtype=torch.int64), "mine").numel() == 0


class Untrained(Callback):
    def on_train_batch_end(self, *_):
        raise AssertionError("a batch was trained before the error")


def test_what_is_no_tensor_is_refused_before_training():
    with pytest.raises(ValueError, match="gave None for 'net.0.weight': a criterion returns a tensor"):
        fit([IterativePruning(cycles=1, retrain=1, criterion=lambda weight, evidence: None), Untrained()], toy())


COMPLEX = {
    "taylor": (criteria.taylor, r"lightning_prune.criteria.gradients.taylor gave complex scores for 'network.inner.weight'"),
    "movement": (criteria.movement, "movement gave complex scores for 'network.inner.weight'.*return real ones"),
    "grasp": (criteria.grasp, "'network.inner.weight' is complex, and second derivatives are taken by real weights"),
    "synflow": (criteria.synflow, "SynFlow .* real weights, and 'network.inner.weight' is complex"),
    "of one's own": (lambda weight, evidence: weight.detach(), "gave complex scores"),
}  # fmt: skip


@pytest.mark.parametrize(("criterion", "message"), COMPLEX.values(), ids=COMPLEX)
def test_a_criterion_that_cannot_rank_complex_weights_is_refused_by_its_name(criterion, message):
    pruning = IterativePruning(cycles=1, retrain=1, criterion=criterion)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        make_trainer([pruning, Untrained()], max_epochs=1).fit(Regressor(Spectrum()), vectors())


@pytest.mark.parametrize("criterion", [magnitude, criteria.snip, criteria.last_epoch_change, criteria.random])
def test_the_criteria_that_rank_complex_weights_do(criterion):
    pruning = IterativePruning(cycles=1, retrain=1, sparsity=OneShot(0.5), criterion=criterion)
    make_trainer([pruning], max_epochs=1).fit(Regressor(Spectrum()), vectors())
    assert pruning.measured_sparsity == pytest.approx(0.5, abs=0.01)


class Attending(Toy):
    """Attention over the rows of an image."""

    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(36, 3)
        self.net = nn.Identity()

    def forward(self, x):
        rows = x[:, 0]
        return self.head(self.attention(rows, rows, rows, need_weights=False)[0].flatten(1))


def test_grasp_goes_through_attention():
    pruning = IterativePruning(cycles=1, retrain=1, sparsity=OneShot(0.5), criterion=criteria.grasp)
    fit([pruning], Attending(), max_epochs=1)
    assert pruning.measured_sparsity == pytest.approx(0.5, abs=0.01)


class Fails(Exception):
    pass


@pytest.mark.filterwarnings("ignore:.*removes nothing in cycle 2")
def test_masks_change_all_together_or_not_at_all():
    """The second tensor's scores fail: what is saved then must not hold half a prune."""

    def fails_later(weight, evidence):
        fails_later.asked += 1
        if weight.shape == (10, 64) and fails_later.after is not None and fails_later.asked > fails_later.after:
            raise Fails
        return weight.detach().abs()

    fails_later.asked, fails_later.after = 0, None
    pruning = IterativePruning(
        cycles=2, retrain="1ep", sparsity=OneShot(0.5), criterion=fails_later, allocation=layerwise
    )

    class Arm(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            fails_later.after = fails_later.asked  # the dense run is over; the prune comes next

    module = toy()
    with pytest.raises(Fails):
        fit([pruning, Arm()], module, max_epochs=1)
    assert pruning.masks == {}
    assert pruning.measured_sparsity == 0


def transposed_by_hand(weight, groups):
    """The mean magnitude of what makes each output channel, from the definition of the layer."""
    inputs, per_group = weight.shape[:2]
    return torch.stack([
        weight[g * inputs // groups : (g + 1) * inputs // groups, channel].abs().mean()
        for g in range(groups) for channel in range(per_group)
    ])  # fmt: skip


@pytest.mark.parametrize("groups", [1, 2])
def test_the_filters_of_a_transposed_convolution_are_its_output_channels(groups):
    module = toy()
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(4, 6, 3, groups=groups)
    module.net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), up, nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 3))
    norms = []

    class Look(Callback):
        def on_prune_start(self, trainer, pl_module):
            norms.append(transposed_by_hand(up.weight.detach(), groups))

    pruning = IterativePruning(
        cycles=1,
        retrain="1ep",
        sparsity=OneShot(0.5),
        criterion=Filters(magnitude),
        allocation=WholeFilters(),
        prunable=Prunable(types=[nn.ConvTranspose2d]),
    )
    fit([pruning, Look()], module, max_epochs=1)
    alive = transposed_by_hand(up.weight.detach(), groups) != 0
    assert alive.nonzero().flatten().tolist() == sorted(norms[0].topk(3).indices.tolist())
    output = up(torch.randn(2, 4, 4, 4)) - up.bias.view(1, -1, 1, 1)
    assert (output.abs().amax((0, 2, 3)) > 0).equal(alive), "a channel that is called dead still says something"
    dense = up.weight.detach().view(groups, 4 // groups, 6 // groups, 9).transpose(1, 2).reshape(6, -1) != 0
    assert (dense.all(1) == alive).all(), "a filter is half dead"


def test_filters_of_a_transposed_convolution_that_tie_still_die_whole():
    shape = (4, 3, 2, 2)
    scores = Filters(magnitude)(torch.ones(shape), criteria.Evidence(torch.Generator(), transposed=2))
    of_filter = scores.view(2, 2, 3, 4).transpose(1, 2).reshape(6, -1)
    assert (of_filter == of_filter[:, :1]).all()
    assert of_filter[:, 0].argsort(descending=True).tolist() == list(range(6)), "the first of equals is kept first"
    assert of_filter[:, 0].unique().numel() == 6
    shapes = {"up": torch.Size(shape)}
    given = Scores(shapes, {"up": 48}, {"up": scores}.__getitem__, transposed={"up": 2})
    assert WholeFilters()(given, 0.5) == {"up": 24}
    assert WholeFilters()(given, 0.4) == {"up": 16}
