"""The statistics of BatchNorm after a prune: kept, rewound, or estimated anew without a trace."""

from threading import Lock

import pytest
import torch
from fresh_draws import Order
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from resumed_runs import resume_from_every_epoch
from streamed_data import Streamed
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, WeightedRandomSampler
from torchmetrics import MeanMetric
from toys import BATCH, SAMPLES, STEPS, Images, equal, fit, make_trainer, toy
from zoo import Adversaries, vectors

from lightning_prune import EstimateBatchNorm, IterativePruning, OneShot, Reinitialize, WeightRewind

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]
STATISTICS = ["net.1.running_mean", "net.1.running_var", "net.1.num_batches_tracked"]


class States(Callback):
    """Keeps the network as it is before the first batch of every epoch."""

    def __init__(self, folder=None):
        self.states, self.folder = [], folder

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            self.states.append({name: tensor.detach().clone() for name, tensor in pl_module.state_dict().items()})

    def on_train_end(self, trainer, pl_module):
        if self.folder is not None:
            torch.save(self.states, self.folder / f"{trainer.global_rank}.pt")


def run(*callbacks, module=None, data=None, **options):
    states = States()
    pruning = IterativePruning(cycles=1, retrain=options.pop("retrain", None), sparsity=OneShot(0.5))
    trainer = fit([pruning, *callbacks, states], module or toy(), data, max_epochs=2, **options)
    return trainer, states.states


def by_hand(state, batches):
    """Mean over batches of the mean and the unbiased variance of what the convolution gives."""
    outputs = [nn.functional.conv2d(images, state["net.0.weight"], state["net.0.bias"]) for images in batches]
    means = [output.mean((0, 2, 3)) for output in outputs]
    variances = [output.transpose(0, 1).flatten(1).var(1, correction=1) for output in outputs]
    return torch.stack(means).mean(0), torch.stack(variances).mean(0)


@pytest.mark.parametrize("batches", [None, 1, 4, 100])
def test_the_estimate_is_the_average_over_batches_of_the_pruned_network(batches):
    begun = run(EstimateBatchNorm(batches=batches))[1][2]
    images = Images().set.tensors[0].split(BATCH)
    mean, variance = by_hand(begun, images[:batches])
    assert (begun["net.0.weight"] == 0).any()
    assert torch.allclose(begun["net.1.running_mean"], mean, atol=1e-6)
    assert torch.allclose(begun["net.1.running_var"], variance, atol=1e-6)
    assert begun["net.1.num_batches_tracked"] == min(batches or STEPS, STEPS)


def by_torch(before, begun, images, momentum):
    """The statistics of a layer of torch that goes on from those of the dense run, batch by batch."""
    layer = nn.BatchNorm2d(4, momentum=momentum)
    layer.running_mean.copy_(before["net.1.running_mean"])
    layer.running_var.copy_(before["net.1.running_var"])
    for batch in images:
        layer(nn.functional.conv2d(batch, begun["net.0.weight"], begun["net.0.bias"]))
    return layer


@pytest.mark.parametrize("momentum", [0.1, 0.5])
@pytest.mark.parametrize("batches", [None, 2])
def test_the_moving_average_goes_on_from_the_dense_statistics_with_the_layers_momentum(batches, momentum):
    def module():
        made = toy()
        made.net[1].momentum = momentum
        return made

    kept, moved = (
        run(*callbacks, module=module())[1][2] for callbacks in ([], [EstimateBatchNorm(batches, mode="ema")])
    )
    layer = by_torch(kept, moved, Images().set.tensors[0].split(BATCH)[:batches], momentum)
    assert torch.allclose(moved["net.1.running_mean"], layer.running_mean, atol=1e-6)
    assert torch.allclose(moved["net.1.running_var"], layer.running_var, atol=1e-6)
    assert moved["net.1.num_batches_tracked"] == kept["net.1.num_batches_tracked"] + (batches or STEPS)
    assert not torch.allclose(moved["net.1.running_mean"], kept["net.1.running_mean"], atol=1e-3)
    rest = set(kept) - set(STATISTICS)
    assert equal({name: kept[name] for name in rest}, {name: moved[name] for name in rest})


@pytest.mark.parametrize("start", [lambda: WeightRewind(to="1ep"), Reinitialize])
def test_it_follows_the_masked_weights_that_the_cycle_starts_with(start):
    begun = run(start(), EstimateBatchNorm())[1]
    other_order = run(EstimateBatchNorm(), start())[1]
    cycle = next(state for state in begun[2:])
    mean, variance = by_hand(cycle, Images().set.tensors[0].split(BATCH))
    assert torch.allclose(cycle["net.1.running_mean"], mean, atol=1e-6)
    assert torch.allclose(cycle["net.1.running_var"], variance, atol=1e-6)
    assert equal(begun, other_order)


def test_rewinding_takes_the_statistics_along_unless_they_are_to_be_kept():
    rewound, kept = (run(WeightRewind(to="1ep", batch_norm=choice))[1] for choice in ("rewind", "keep"))
    for name in STATISTICS:
        assert torch.equal(rewound[2][name], rewound[1][name])
        assert not torch.equal(kept[2][name], kept[1][name])
    last = run(retrain=1)[1][2]  # the weights go on, and so do the statistics
    assert equal([kept[2][name] for name in STATISTICS], [last[name] for name in STATISTICS])
    assert torch.equal(kept[2]["net.1.weight"], kept[1]["net.1.weight"]), "its parameters are weights"
    assert torch.equal(kept[2]["net.0.bias"], rewound[2]["net.0.bias"])


def with_books():
    """A module that keeps books of its own: a list, and a metric."""
    module = toy(dropout=0.5)
    module.seen, module.metric = [], MeanMetric()
    step = type(module).training_step

    class Books(type(module)):
        def training_step(self, batch, index):
            loss = step(self, batch, index)
            self.seen.append((index, self.current_epoch, self.trainer.sanity_checking))
            assert self.current_epoch == self.trainer.current_epoch
            self.logger.log_metrics({"seen": 1.0}, step=len(self.seen))
            self.metric.update(loss.detach())
            return loss

    module.__class__ = Books
    return module


def loader_with_its_own_generator(data):
    return DataLoader(data, BATCH, shuffle=True, generator=torch.Generator().manual_seed(3))


LOADERS = {
    "shuffled": lambda data: DataLoader(data, BATCH, shuffle=True),
    "own generator": loader_with_its_own_generator,
    "weighted": lambda data: DataLoader(data, BATCH, sampler=WeightedRandomSampler([1.0] * SAMPLES, SAMPLES)),
    "batch sampler": lambda data: DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), BATCH, True)),
    "batches by index": lambda data: DataLoader(
        data, batch_size=None, sampler=BatchSampler(RandomSampler(data), BATCH, False)
    ),
    "two at once": lambda data: {"a": DataLoader(data, BATCH), "b": DataLoader(data, BATCH, shuffle=True)},
}


class Chosen(Images):
    """Takes the second of two batches."""

    def on_before_batch_transfer(self, batch, dataloader_idx):
        return batch["b"] if isinstance(batch, dict) else batch


@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
def test_it_leaves_no_trace_but_the_statistics(make, tmp_path):
    """In train mode a network does not read them, so that all else is bit for bit as without."""
    found = []
    for callbacks in ([], [EstimateBatchNorm()]):
        order, module, data = Order(), with_books(), Chosen()
        loaders = make(data.set)
        data.train_dataloader = lambda loaders=loaders: loaders
        logger = CSVLogger(tmp_path, name=str(len(found)), version="")
        options = {"logger": logger, "log_every_n_steps": 1, "limit_val_batches": 0}
        trainer, states = run(*callbacks, order, module=module, data=data, **options)
        last = {name: tensor for name, tensor in module.state_dict().items() if name not in STATISTICS}
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if "seconds" not in name}
        books = module.seen, module.metric.compute(), module.metric.update_count
        assert not [name for name in vars(module) if name == "log"]
        written = (tmp_path / str(len(found)) / "metrics.csv").read_text().splitlines()
        found.append((last, order.labels, metrics, books, torch.get_rng_state(), len(written)))
        statistics = states[2]["net.1.running_mean"]
        assert trainer.optimizers[0].param_groups[0]["params"][0].grad is not None
    assert equal(found[0], found[1])
    assert not torch.equal(statistics, torch.zeros(4))


def with_hooks():
    """A module whose own hook prepares a batch, and that holds what cannot be copied."""
    module = toy()
    module.lock, module.losses = Lock(), []
    step = type(module).training_step

    class Hooks(type(module)):
        def on_train_batch_start(self, batch, index):
            self.prepared = index

        def training_step(self, *arguments):
            batch, index = arguments
            assert index == self.prepared
            loss = step(self, batch, index)
            self.losses.append(loss)
            return loss

    module.__class__ = Hooks
    return module


def test_the_modules_own_hooks_are_called_as_in_training_and_nothing_it_holds_is_copied():
    module = with_hooks()
    begun = run(EstimateBatchNorm(), module=module)[1][2]
    mean, _ = by_hand(begun, Images().set.tensors[0].split(BATCH))
    assert torch.allclose(begun["net.1.running_mean"], mean, atol=1e-6)
    assert len(module.losses) == 4 * STEPS, "those of the estimate are taken away"


def test_layers_in_eval_mode_keep_theirs():
    class Frozen(Callback):
        def on_train_start(self, trainer, pl_module):
            pl_module.net[1].running_mean.fill_(3.0)

        def on_train_epoch_start(self, trainer, pl_module):
            pl_module.net[1].eval()

    begun = run(Frozen(), EstimateBatchNorm())[1]
    assert equal([begun[2][name] for name in STATISTICS], [begun[0][name] for name in STATISTICS])


def test_stopped_at_any_epoch_end_it_ends_the_same(tmp_path):
    resume_from_every_epoch(tmp_path, lambda: EstimateBatchNorm(batches=3))


def test_two_processes_average_over_the_batches_of_both(tmp_path):
    callbacks = [IterativePruning(cycles=1, sparsity=OneShot(0.5)), EstimateBatchNorm(), States(tmp_path)]
    fit(callbacks, toy(), Images(), max_epochs=2, devices=2, strategy="ddp_fork")
    one, other = (torch.load(tmp_path / f"{rank}.pt")[2] for rank in (0, 1))
    assert equal(one, other)
    images = Images().set.tensors[0]
    batches = [*images[0::2].split(BATCH), *images[1::2].split(BATCH)]
    mean, variance = by_hand(one, batches)
    assert torch.allclose(one["net.1.running_mean"], mean, atol=1e-6)
    assert torch.allclose(one["net.1.running_var"], variance, atol=1e-6)


def test_under_mixed_precision():
    begun = run(EstimateBatchNorm(), precision="bf16-mixed")[1][2]
    mean = by_hand(begun, Images().set.tensors[0].split(BATCH))[0]
    assert torch.allclose(begun["net.1.running_mean"], mean, atol=1e-2)
    assert not torch.allclose(begun["net.1.running_mean"], mean, atol=1e-6), "it saw what the training sees"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EstimateBatchNorm(batches=0), r"EstimateBatchNorm\(batches=0\) sees no data: give at least 1"),
        (lambda: EstimateBatchNorm(seed=-1), r"EstimateBatchNorm\(seed=-1\) is no seed"),
        (
            lambda: EstimateBatchNorm(mode="mean"),
            r"EstimateBatchNorm\(mode='mean'\) is unknown: give 'average' or 'ema'",
        ),
        (lambda: WeightRewind(to=0, batch_norm="estimate"), r"WeightRewind\(batch_norm='estimate'\) is unknown"),
        (lambda: run(EstimateBatchNorm(), module=toy(plain=True)), "has no BatchNorm layer with running statistics"),
        (lambda: run(EstimateBatchNorm(), data=Streamed()), "the training data is a stream"),
    ],
)
def test_what_cannot_be_estimated_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_manual_optimization_is_refused():
    module = Adversaries()
    module.norm = nn.BatchNorm1d(2)
    with pytest.raises(
        ValueError, match="EstimateBatchNorm tries out training steps .*: Adversaries optimizes by hand"
    ):
        make_trainer([IterativePruning(cycles=1), EstimateBatchNorm()], max_epochs=1).fit(module, vectors())
