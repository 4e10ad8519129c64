"""Repairs at the start of a cycle: against numpy, and the laws that hold for all of them."""

import inspect

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from processes import in_processes
from resumed_runs import resume_from_every_epoch
from torch import nn
from toys import Images, equal, fit, toy

import lightning_prune
from lightning_prune import (
    EstimateBatchNorm,
    FineTune,
    IterativePruning,
    OneShot,
    Reconstruct,
    Repair,
    RescaleActivations,
)
from lightning_prune.callbacks.starting_points.reconstruct import METHODS
from lightning_prune.callbacks.starting_points.repairing.fits import channel_factors, masked_least_squares
from lightning_prune.callbacks.starting_points.repairing.repairable import input_rows, output_rows

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]
FEW = {"batches": 2, "steps": 5}
FITS = ("least_squares", "regression", "scale")
REPAIRS = {
    **{f"Reconstruct {method}": lambda method=method: Reconstruct(method, **FEW) for method in METHODS},
    "RescaleActivations": lambda: RescaleActivations(batches=2),
}
every_repair = pytest.mark.parametrize("repair", list(REPAIRS.values()), ids=list(REPAIRS))


class States(Callback):
    """The network right before every prune, and before the first batch of every cycle or at the end of the fit."""

    def __init__(self):
        self.before, self.begun, self.masks = [], [], []

    def on_prune_start(self, trainer, pl_module):
        self.before.append(copied(pl_module))

    def on_cycle_start(self, trainer, pl_module, cycle):
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        self.begun.append(copied(pl_module))
        self.masks.append({name: mask.clone() for name, mask in pruning.masks.items()})


def copied(module):
    return {name: one.detach().clone() for name, one in module.state_dict().items()}


def run(*callbacks, module=None, cycles=1, retrain="0ep", sparsity=0.6, **options):
    states, module = States(), module or toy()
    pruning = IterativePruning(cycles=cycles, retrain=retrain, sparsity=OneShot(sparsity))
    fit([pruning, *callbacks, states], module, max_epochs=2, **options)
    return module, states


def test_every_repair_is_under_the_laws():
    public = [one for one in vars(lightning_prune).values() if inspect.isclass(one) and issubclass(one, Repair)]
    assert {type(make()) for make in REPAIRS.values()} == set(public) - {Repair}


@every_repair
def test_a_repair_keeps_the_masks_and_what_is_no_layer_and_changes_the_rest(repair):
    _, plain = run()
    module, repaired = run(repair())
    assert equal(plain.masks, repaired.masks), "it comes after the prune"
    assert equal(plain.before, repaired.before), "the dense run is as without it"
    for name, mask in repaired.masks[0].items():
        assert not repaired.begun[0][name][~mask].any(), "dead weights stay zero"
        assert not torch.equal(repaired.begun[0][name], plain.begun[0][name])
    kept = [name for name in plain.begun[0] if name.startswith("net.1.")]
    assert equal({n: plain.begun[0][n] for n in kept}, {n: repaired.begun[0][n] for n in kept})
    assert equal(repaired.begun[0], copied(module))
    assert all(one.isfinite().all() for one in repaired.begun[0].values())


@every_repair
def test_a_repair_brings_the_outputs_back_to_those_of_the_dense_network(repair):
    def outputs(state):
        module = toy(dropout=0.0)
        module.load_state_dict(state)
        return module.eval()(Images().set.tensors[0])

    _, plain = run(sparsity=0.5)
    _, repaired = run(repair(), sparsity=0.5)
    dense = outputs(plain.before[0])
    lost, left = (nn.functional.mse_loss(outputs(one.begun[0]), dense) for one in (plain, repaired))
    assert left < lost


SLOW = [
    make if name == "Reconstruct regression" else pytest.param(make, marks=pytest.mark.slow)
    for name, make in REPAIRS.items()
]


@pytest.mark.parametrize("repair", SLOW, ids=list(REPAIRS))
def test_a_fit_goes_on_from_every_epoch_as_if_it_had_not_been_interrupted(repair, tmp_path):
    resume_from_every_epoch(tmp_path, repair)


@pytest.mark.parametrize("repair", [REPAIRS["Reconstruct scale"], REPAIRS["Reconstruct blocks"]])
def test_the_random_state_the_loader_and_the_optimizer_are_as_without_the_repair(repair):
    class Random(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.seen = [*getattr(self, "seen", []), (torch.rand(1).item(), batch[0].sum().item())]
            momenta = trainer.optimizers[0].state.values()
            self.momentum = [state["momentum_buffer"].clone() for state in momenta] if batch_idx == 0 else self.momentum

    plain, other = Random(), Random()
    run(plain, retrain="1ep", data=Images(shuffle=True))
    run(repair(), other, retrain="1ep", data=Images(shuffle=True))
    assert plain.seen == other.seen
    assert equal(plain.momentum, other.momentum)


def test_a_repaired_cycle_is_fine_tuned_by_default():
    trainer = fit([IterativePruning(cycles=1, retrain="1ep"), Reconstruct(**FEW)], max_epochs=1)
    assert any(isinstance(callback, FineTune) for callback in trainer.callbacks)


def lstsq(inputs, outputs, living):
    """Every output by itself, on the inputs whose weights live."""
    fitted = np.zeros((outputs.shape[1], inputs.shape[1]))
    for row, alive in enumerate(living):
        fitted[row, alive] = np.linalg.lstsq(inputs[:, alive], outputs[:, row], rcond=None)[0]
    return fitted


def drawn(samples=60, inputs=6, outputs=4, seed=0):
    draw = np.random.default_rng(seed)
    return (
        draw.normal(size=(samples, inputs)),
        draw.normal(size=(samples, outputs)),
        draw.random((outputs, inputs)) < 0.6,
    )


def tensors(*arrays):
    return [torch.from_numpy(one) for one in arrays]


@pytest.mark.parametrize("seed", range(3))
def test_masked_least_squares_is_that_of_numpy_for_every_output(seed):
    x, y, living = drawn(seed=seed)
    gram, products, weight, alive = tensors(x.T @ x, x.T @ y, np.zeros((4, 6)), living)
    fitted = masked_least_squares(gram, products, weight, alive, ridge=1e-12)
    assert np.allclose(fitted.numpy(), lstsq(x, y, living), atol=1e-8)


@pytest.mark.parametrize("ridge", [1e-6, 0.1, 10.0, 1e9])
def test_the_ridge_pulls_to_the_given_weights_and_the_error_never_grows(ridge):
    x, y, living = drawn()
    start = np.random.default_rng(5).normal(size=(4, 6)) * living
    gram, products, weight, alive = tensors(x.T @ x, x.T @ y, start, living)
    fitted = masked_least_squares(gram, products, weight, alive, ridge).numpy()
    pull = np.sqrt(ridge * np.diag(x.T @ x).mean()) * np.eye(6)
    by_hand = lstsq(np.vstack([x, pull]), np.vstack([y, pull @ start.T]), living)
    assert np.allclose(fitted, by_hand, atol=1e-7)
    assert np.square(y - x @ fitted.T).sum() <= np.square(y - x @ start.T).sum() + 1e-9


def test_factors_of_channels_are_those_of_numpy():
    x, y, _ = drawn()
    weight = np.random.default_rng(2).normal(size=(4, 6))
    parts = [(x[:, c : c + 2] @ weight[:, c : c + 2].T).ravel() for c in (0, 2, 4)]
    by_hand = np.linalg.lstsq(np.stack(parts, 1), y.ravel(), rcond=None)[0]
    found = channel_factors(*tensors(x.T @ x, x.T @ y, weight), channels=3, ridge=1e-12)
    assert np.allclose(found.numpy(), by_hand)


LAYERS = [
    (nn.Linear(5, 3), (4, 2, 5)),
    (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (3, 4, 9)),
    (nn.Conv2d(4, 6, (3, 2), padding=(2, 1), dilation=(1, 2), groups=2, padding_mode="circular"), (3, 4, 7, 8)),
    (nn.Conv2d(2, 3, 3, padding="same"), (2, 2, 5, 5)),
    (nn.Conv2d(4, 4, 3, groups=4, bias=False), (2, 4, 5, 5)),
    (nn.Conv3d(2, 3, 2), (2, 2, 3, 4, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda one: str(one)[:40])
def test_rows_times_the_weight_are_the_outputs_at_the_same_places(layer, shape):
    inputs = torch.randn(shape)
    outputs = layer(inputs)
    for places in (None, torch.tensor([0, 2])) if isinstance(layer, nn.modules.conv._ConvNd) else (None,):
        rows = input_rows(layer, inputs, places)
        weight = layer.weight.reshape(rows.shape[0], -1, rows.shape[2])
        bias = 0 if layer.bias is None else layer.bias.reshape(rows.shape[0], 1, -1)
        assert torch.allclose(rows @ weight.transpose(1, 2) + bias, output_rows(layer, outputs, places), atol=1e-5)


def seen(state, module, upto):
    """What a layer of the toy gets and gives."""
    made = toy(dropout=0.0)
    made.load_state_dict(state)
    net = made.eval().net
    inputs = net[:upto](Images().set.tensors[0])
    return inputs.detach(), net[upto](inputs).detach()


@pytest.mark.parametrize("method", FITS)
def test_the_last_layer_of_a_fit_is_what_numpy_makes_of_the_repaired_network_before_it(method):
    _, states = run(Reconstruct(method, batches=6, positions=None, ridge=1e-9))
    before, begun = states.before[0], states.begun[0]
    (_, wanted), (inputs, _) = seen(before, None, 7), seen(begun, None, 7)
    x, y = inputs.double().numpy(), wanted.double().numpy()
    living = states.masks[0]["net.7.weight"].numpy()
    bias = before["net.7.bias"].double().numpy()
    found = begun["net.7.weight"].double().numpy()
    if method == "scale":
        pruned = before["net.7.weight"].double().numpy() * living
        columns = [(x[:, [c]] * pruned[:, c]).ravel() for c in range(10)]
        factors = np.linalg.lstsq(np.stack(columns, 1), (y - bias).ravel(), rcond=None)[0]
        expected = pruned * factors
    elif method == "regression":
        ones = np.ones((len(x), 1))
        whole = lstsq(np.hstack([x, ones]), y, np.hstack([living, np.ones((3, 1), bool)]))
        expected = whole[:, :-1]
        assert np.allclose(begun["net.7.bias"].numpy(), whole[:, -1], atol=1e-3)
    else:
        expected = lstsq(x, y - bias, living)
    residual = lambda weight: np.square(y - x @ weight.T - begun["net.7.bias"].double().numpy()).sum()  # noqa: E731
    assert residual(found) == pytest.approx(residual(expected), rel=1e-3)


def test_what_is_behind_a_block_comes_closer_with_more_steps():
    errors = []
    for steps in (1, 60):
        _, states = run(Reconstruct("blocks", batches=6, steps=steps, learning_rate=0.01))
        (wanted, _), (given, _) = seen(states.before[0], None, 7), seen(states.begun[0], None, 7)
        errors.append(nn.functional.mse_loss(given, wanted).item())
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("method", METHODS)
def test_layers_beside_each_other_and_layers_that_are_used_twice_are_repaired(method):
    class Branches(nn.Module):
        """A shortcut with a layer of its own and one layer that runs twice."""

        def __init__(self):
            super().__init__()
            self.first, self.inner, self.beside = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Conv2d(1, 4, 1)
            self.twice, self.head = nn.Linear(36, 36), nn.Linear(144, 3)

        def forward(self, x):
            x = torch.relu(self.inner(torch.relu(self.first(x))) + self.beside(x)).flatten(2)
            return self.head(torch.relu(self.twice(torch.relu(self.twice(x)))).flatten(1))

    def made():
        module = toy(scheduler=None, optimizer=lambda p: torch.optim.SGD(p, lr=0.01))
        torch.manual_seed(0)
        module.net = Branches()
        return module

    def errors(states):
        module = made()
        module.load_state_dict(states.before[0])
        dense = module(Images().set.tensors[0])
        module.load_state_dict(states.begun[0])
        return nn.functional.mse_loss(module(Images().set.tensors[0]), dense).item()

    (_, plain), (_, repaired) = run(module=made()), run(Reconstruct(method, **FEW), module=made())
    assert errors(repaired) < errors(plain)


def test_rescaled_channels_spread_as_in_the_dense_network():
    _, states = run(RescaleActivations(batches=6, shrink=0.0))
    for place in (0, 4, 7):
        (_, wanted), (_, given) = seen(states.before[0], None, place), seen(states.begun[0], None, place)
        spread = [one.transpose(0, 1).flatten(1).std(1, correction=0) for one in (given, wanted)]
        alive = spread[0] > 1e-6
        assert torch.allclose(spread[0][alive], spread[1][alive], rtol=1e-3)


def test_behind_a_norm_that_is_estimated_again_rescaling_the_layer_changes_next_to_nothing():
    def first(*callbacks):
        return seen(run(*callbacks, EstimateBatchNorm(batches=6))[1].begun[0], None, 3)[0]

    plain, rescaled = first(), first(RescaleActivations(shrink=0.0))
    assert torch.allclose(plain, rescaled, atol=1e-3)
    unestimated = seen(run(RescaleActivations(shrink=0.0))[1].begun[0], None, 3)[0]
    assert not torch.allclose(plain, unestimated, atol=1e-2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Reconstruct("lasso"), r"Reconstruct\(method='lasso'\) is unknown: give one of least_squares"),
        (lambda: Reconstruct(batches=0), r"Reconstruct\(batches=0\) must be a whole number, at least 1"),
        (lambda: Reconstruct(positions=0), r"Reconstruct\(positions=0\) must be a whole number, at least 1"),
        (lambda: Reconstruct(ridge=0.0), r"Reconstruct\(ridge=0.0\) must be greater than 0"),
        (lambda: RescaleActivations(shrink=-1), r"RescaleActivations\(shrink=-1\) must be at least 0"),
    ],
)
def test_an_argument_out_of_range_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def on_two(folder):
    callbacks = [IterativePruning(cycles=1, retrain="0ep", sparsity=OneShot(0.5))]
    for place, repair in enumerate(REPAIRS.values()):
        module = toy(plain=True)
        fit(
            [*callbacks, repair()],
            module,
            Images(batch=4),
            max_epochs=1,
            devices=2,
            strategy="ddp",
            limit_val_batches=0,
        )
        torch.save(copied(module), folder / f"{place} {torch.distributed.get_rank()}.pt")


def test_two_processes_hold_the_same_repaired_weights(tmp_path):
    in_processes(2, on_two, tmp_path)
    for place in range(len(REPAIRS)):
        assert equal(*(torch.load(tmp_path / f"{place} {rank}.pt", weights_only=True) for rank in (0, 1)))


def test_two_processes_fit_what_one_process_fits_to_the_data_of_both(tmp_path):
    def on(folder, devices):
        module = toy(plain=True)
        pruning = IterativePruning(cycles=1, retrain="0ep", sparsity=OneShot(0.5))
        options = {"devices": 2, "strategy": "ddp"} if devices == 2 else {}
        repair = Reconstruct("least_squares", batches=3)
        fit([pruning, repair], module, Images(batch=16 // devices), max_epochs=1, limit_val_batches=0, **options)
        torch.save(copied(module), folder / f"of {devices}.pt")

    on(tmp_path, 1)
    in_processes(2, on, tmp_path, 2)
    one, two = (torch.load(tmp_path / f"of {count}.pt", weights_only=True) for count in (1, 2))
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)
