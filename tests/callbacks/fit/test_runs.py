"""What a run does to a small network: the guarantees, each measured in the weights."""

import copy
import logging

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from policies_in_runs import POLICIES, SignOptimizer, Watch
from torch import nn
from toys import STEPS, Images, Rates, Toy, equal, fit, make_trainer, one_cycle_lr, plateau, step_decay, toy

from lightning_prune import (
    Cycle,
    FineTune,
    Geometric,
    IterativePruning,
    Levels,
    LRRewind,
    OneCycleRetrain,
    OneShot,
    Prunable,
    SILOSchedule,
    WeightRewind,
    erk,
    globally,
    layerwise,
    random,
)

every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


def density(module: nn.Module) -> float:
    weights = [p for n, p in module.named_parameters() if p.dim() > 1]
    return sum(int(p.count_nonzero()) for p in weights) / sum(p.numel() for p in weights)


# 1. The dense phase is the run without the callbacks.


@pytest.mark.parametrize("scheduler", [None, step_decay, one_cycle_lr, plateau])
@every_policy
def test_the_dense_phase_is_bit_for_bit_the_run_without_the_callbacks(policy, scheduler, tmp_path):
    def dense(callbacks):
        rates = Rates()
        keep = ModelCheckpoint(
            tmp_path, filename="{epoch}", save_top_k=-1, every_n_epochs=1, enable_version_counter=False
        )
        fit([*callbacks, rates, keep], toy(scheduler=scheduler), enable_checkpointing=True)
        saved = torch.load(tmp_path / "epoch=3.ckpt", weights_only=True)
        return saved, rates.steps[: 4 * STEPS]

    plain, plain_rates = dense([])
    pruned, pruned_rates = dense([IterativePruning(cycles=1, retrain="2ep"), *policy()])
    assert equal(plain["state_dict"], pruned["state_dict"])
    assert equal(plain["optimizer_states"], pruned["optimizer_states"])
    assert equal(plain["lr_schedulers"], pruned["lr_schedulers"])
    assert plain_rates == pruned_rates


def test_the_dense_phase_sees_the_users_limits():
    class Looks(Toy):
        def training_step(self, batch, index):
            if self.current_epoch < 4:
                assert self.trainer.max_epochs == 4
                assert self.trainer.estimated_stepping_batches == 4 * STEPS
            return super().training_step(batch, index)

    trainer = fit([IterativePruning(cycles=2, retrain="3ep")], Looks())
    assert trainer.current_epoch == 10
    assert trainer.max_epochs == 4, "put back"


# 2. Checkpoints are plain models.


def test_checkpoints_of_every_trigger_hold_exact_zeros_and_load_into_the_plain_module(tmp_path):
    class SaveEverywhere(Callback):
        """Saves at every hook at which a checkpoint callback may."""

        def save(self, trainer, *_):
            trainer.save_checkpoint(tmp_path / f"{len(list(tmp_path.iterdir()))}.ckpt")

        on_train_batch_end = on_validation_end = on_train_epoch_end = on_train_end = save

    triggers = [
        ModelCheckpoint(tmp_path / "steps", every_n_train_steps=5, save_top_k=-1),
        ModelCheckpoint(tmp_path / "best", monitor="val_loss", save_top_k=2, save_last=True, save_weights_only=True),
    ]
    callbacks = [SaveEverywhere(), *triggers, IterativePruning(cycles=2, retrain="1ep", sparsity=Levels([0.5, 0.9]))]
    fit(callbacks, toy(), enable_checkpointing=True)
    files = list(tmp_path.rglob("*.ckpt"))
    assert len(files) > 30
    for file in files:
        saved = torch.load(file, weights_only=True)
        plain = Toy()
        plain.load_state_dict(saved["state_dict"], strict=True)
        # Lightning counts the epoch that is under way; a cycle begins with its first batch.
        cycle = 0 if saved["global_step"] <= 4 * STEPS else -(-saved["global_step"] // STEPS) - 4
        expected = [1.0, 0.5, 0.1][cycle]
        assert density(plain) == pytest.approx(expected, abs=0.002), file


# 3. Dead weights stay at zero.


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1),
    "momentum and decay": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, 0.01),
    "adam with decay": lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01),
    "amsgrad": lambda p: torch.optim.AdamW(p, 0.01, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.01),
    "sign": lambda p: SignOptimizer(p),
}


@pytest.mark.parametrize("treatment", ["mask", "reset", "keep"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_dead_weights_are_zero_after_every_step(optimizer, treatment):
    watch = Watch()
    pruning = IterativePruning(cycles=2, retrain="1ep", sparsity=Levels([0.5, 0.9]), optimizer_state=treatment)
    fit([pruning, watch], toy(optimizer=optimizer, scheduler=None), max_epochs=2)
    assert watch.checked == 2 * STEPS * 3


@pytest.mark.parametrize("options", [{"gradient_clip_val": 0.1}, {"accumulate_grad_batches": 4}])
def test_dead_weights_are_zero_under_clipping_and_accumulation(options):
    watch = Watch()
    module = toy(scheduler=None)
    trainer = fit([IterativePruning(cycles=2, retrain="1ep"), watch], module, max_epochs=2, **options)
    assert watch.checked == 2 * STEPS * 3
    assert trainer.global_step == 4 * (2 if "accumulate_grad_batches" in options else STEPS), "a partial window steps"
    assert density(module) == pytest.approx(0.64, abs=0.001)


def test_clipping_counts_living_weights_only():
    norms = []

    class Clips(Toy):
        def configure_gradient_clipping(self, optimizer, gradient_clip_val, gradient_clip_algorithm):
            pruning = next(c for c in self.trainer.callbacks if isinstance(c, IterativePruning))
            living = []
            for name, parameter in self.named_parameters():
                mask = pruning.masks.get(name, torch.ones_like(parameter))
                assert not parameter.grad[mask == 0].any()
                living.append(parameter.grad[mask == 1])
            norms.append((torch.nn.utils.get_total_norm([p.grad for p in self.parameters()]), torch.cat(living).norm()))
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    fit([IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.9))], Clips(), gradient_clip_val=0.01)
    assert len(norms) == 5 * STEPS
    assert all(torch.isclose(given, living) for given, living in norms)


def test_moments_are_masked_reset_or_kept():
    class Moments(Callback):
        def on_cycle_start(self, trainer, pl_module, cycle):
            state = trainer.optimizers[0].state
            weight = pl_module.net[4].weight
            self.moment = state[weight]["momentum_buffer"].clone() if state[weight] else None
            self.dead = weight == 0

    found = {}
    for treatment in ("mask", "reset", "keep"):
        watch = Moments()
        pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5), optimizer_state=treatment)
        fit([pruning, watch], toy())
        found[treatment] = watch
    assert found["reset"].moment is None
    assert found["keep"].moment[found["keep"].dead].any()
    assert not found["mask"].moment[found["mask"].dead].any()
    assert torch.equal(found["mask"].moment[~found["mask"].dead], found["keep"].moment[~found["keep"].dead])


# 4. Exactly as many live as were allocated.


@pytest.mark.parametrize("allocation", [layerwise, erk])
@pytest.mark.parametrize("criterion", [None, random])
def test_density_is_what_was_asked_for_in_every_cycle(allocation, criterion):
    watch = Watch()
    arguments = {} if criterion is None else {"criterion": criterion}
    fit([IterativePruning(cycles=4, retrain="1ep", allocation=allocation, **arguments), watch], max_epochs=1)
    total = 4 * 9 + 64 * 10 + 30
    for start, cycle in zip(watch.at_start, watch.cycles, strict=True):
        alive = sum(int(start[f"net.{i}.weight"].count_nonzero()) for i in (0, 4, 7))
        assert alive == round(0.8**cycle.index * total)


@pytest.mark.filterwarnings("ignore:Cycle . leaves no weight alive")  # ties go to the first tensors
@pytest.mark.parametrize("allocation", [globally, layerwise, erk])
def test_weights_that_are_all_equal_are_pruned_exactly(allocation):
    module = toy(scheduler=None, optimizer=lambda p: torch.optim.SGD(p, lr=1e-30))
    for parameter in module.parameters():
        nn.init.ones_(parameter)
    fit([IterativePruning(cycles=3, retrain="1ep", allocation=allocation)], module, max_epochs=1)
    assert sum(int(module.net[i].weight.count_nonzero()) for i in (0, 4, 7)) == round(0.8**3 * 706)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_with_the_tensors_name(value):
    class Breaks(Callback):
        def on_validation_end(self, trainer, pl_module):
            pl_module.net[4].weight.data[0, 0] = value

    with pytest.raises(
        ValueError, match=r"The dense run ended with 1 weights of 'net.4.weight' that are NaN or infinite"
    ):
        fit([Breaks(), IterativePruning(cycles=1, retrain="1ep")], max_epochs=1)


def test_an_emptied_layer_is_named():
    with pytest.warns(UserWarning, match="leaves no weight alive in .*net.0.weight"):
        fit([IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.998))], max_epochs=1)


# 5. Rewinding.


@pytest.mark.parametrize(("to", "steps"), [(0, 0), ("2ep", 2 * STEPS), ("7it", 7)])
def test_rewound_weights_and_buffers_equal_the_snapshot_in_every_cycle(to, steps):
    class Snapshot(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step == steps and not hasattr(self, "state"):
                self.state = copy.deepcopy(pl_module.state_dict())

    snapshot, watch = Snapshot(), Watch()
    fit([IterativePruning(cycles=5), WeightRewind(to), snapshot, watch], toy())
    assert [cycle.index for cycle in watch.cycles] == [1, 2, 3, 4, 5]
    assert [cycle.steps for cycle in watch.cycles] == [4 * STEPS - steps] * 5
    for start, cycle in zip(watch.at_start, watch.cycles, strict=True):
        for name, tensor in start.items():
            alive = tensor != 0 if name in {"net.0.weight", "net.4.weight", "net.7.weight"} else ...
            assert torch.equal(tensor[alive], snapshot.state[name][alive]), (cycle, name)
        assert density_of(start) == pytest.approx(0.8**cycle.index, abs=0.001)


def density_of(state):
    weights = [state[f"net.{i}.weight"] for i in (0, 4, 7)]
    return sum(int(w.count_nonzero()) for w in weights) / sum(w.numel() for w in weights)


def test_weight_rewind_resets_the_optimizer_and_alone_replays_the_rate():
    rates = Rates()

    class Fresh(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step in (4 * STEPS, 7 * STEPS):
                assert not trainer.optimizers[0].state

    fit([IterativePruning(cycles=2), WeightRewind("1ep"), rates, Fresh()], toy())
    dense = rates.lr()[: 4 * STEPS]
    assert rates.lr()[4 * STEPS :] == dense[STEPS:] * 2


# 6. The policies.


def test_lr_rewind_within_the_last_plateau_is_fine_tuning_bit_for_bit(tmp_path):
    def run(policy):
        trainer = fit([IterativePruning(cycles=2, retrain="1ep"), policy], toy())
        return copy.deepcopy(trainer.lightning_module.state_dict())

    assert equal(run(FineTune()), run(LRRewind()))


def test_lr_rewind_replays_the_rate_and_the_momentum_of_every_group():
    rates = Rates()
    fit([IterativePruning(cycles=2, retrain="3ep"), LRRewind(), rates], toy(scheduler=one_cycle_lr, groups=(1.0, 0.5)))
    dense, cycles = rates.steps[: 4 * STEPS], rates.steps[4 * STEPS :]
    assert cycles == dense[STEPS:] * 2
    assert len({momentum for step in dense for _, momentum in step}) > 5, "the schedule cycles the momentum"


def test_lr_rewind_to_a_point_replays_from_there():
    rates = Rates()
    fit([IterativePruning(cycles=1), LRRewind(to="10it"), rates], toy(scheduler=one_cycle_lr))
    assert rates.steps[4 * STEPS :] == rates.steps[10 : 4 * STEPS]


def test_one_cycle_in_a_run_is_torchs():
    rates = Rates()
    fit([IterativePruning(cycles=2, retrain="4ep"), OneCycleRetrain(cycle_momentum=True), rates], toy())
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=4 * STEPS, pct_start=0.1, div_factor=100, final_div_factor=100
    )
    for step in range(4 * STEPS):
        group = optimizer.param_groups[0]
        for cycle in (1, 2):
            lr, momentum = rates.steps[cycle * 4 * STEPS + step][0]
            assert (lr, momentum) == pytest.approx((group["lr"], group["momentum"]), rel=1e-9)
        optimizer.step()
        torchs.step()


def test_silo_in_a_run_warms_up_to_the_peak_of_its_cycle():
    rates = Rates()
    silo = SILOSchedule(low=0.03, rise=0.04, warmup=3, drops=(0.5, 5))
    fit([IterativePruning(cycles=5, retrain="1ep"), silo, rates], toy(), max_epochs=1)
    for cycle, peak in enumerate([0.03, 0.03004, 0.03213, 0.04761, 0.06446], start=1):
        run = rates.lr()[cycle * STEPS : (cycle + 1) * STEPS]
        assert run == pytest.approx([peak / 3, 2 * peak / 3, peak, peak / 10, peak / 10, peak / 100], abs=2e-5)


def test_groups_keep_their_ratio():
    for policy in (FineTune(lr=0.02), OneCycleRetrain(max_lr=0.02), SILOSchedule(low=0.01, rise=0.01)):
        rates = Rates()
        fit([IterativePruning(cycles=1, retrain="1ep"), policy, rates], toy(groups=(1.0, 0.1, 0.0)))
        for first, second, third in rates.steps[4 * STEPS :]:
            assert second[0] == pytest.approx(first[0] / 10)
            assert third[0] == 0


def test_fine_tuning_at_a_rate_of_zero_is_pointed_out():
    def to_zero(optimizer, trainer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: float(epoch < 1))

    with pytest.warns(UserWarning, match="the last dense learning rate, which is 0"):
        fit([IterativePruning(cycles=1, retrain="1ep")], toy(scheduler=to_zero), max_epochs=2)


# 7. Order, monitors, second fits.


@every_policy
def test_the_order_of_the_callbacks_does_not_matter(policy):
    class Perturbs(Callback):
        """A variant of a third party."""

        def on_cycle_start(self, trainer, pl_module, cycle):
            with torch.no_grad():
                pl_module.net[0].weight.add_(1)

    def run(order):
        callbacks = [
            IterativePruning(cycles=2, retrain=None if policy()[0].rewind_point else "2ep"),
            *policy(),
            Perturbs(),
        ]
        rates = Rates()
        module = toy()
        fit([rates, *order(callbacks)], module)
        return rates.steps, module.state_dict()

    rates, weights = run(list)
    other_rates, other_weights = run(lambda callbacks: callbacks[::-1])
    assert rates == other_rates
    assert equal(weights, other_weights)
    assert density_of(weights) == pytest.approx(0.64, abs=0.001), "listeners cannot revive the dead"


@pytest.mark.parametrize("first", [True, False])
def test_the_learning_rate_monitor_shows_the_rate_of_every_step(first, tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    shown = []

    class Logger(CSVLogger):
        def log_metrics(self, metrics, step=None):
            shown.extend(metrics[key] for key in metrics if key == "lr-SGD")
            super().log_metrics(metrics, step)

    rates = Rates()
    ours = [IterativePruning(cycles=2, retrain="2ep"), OneCycleRetrain()]
    monitor = LearningRateMonitor(logging_interval="step")
    fit([monitor, *ours, rates] if first else [*ours, rates, monitor], logger=Logger(tmp_path), log_every_n_steps=1)
    assert shown == rates.lr()


def test_a_second_fit_with_fresh_callbacks_on_the_same_trainer_works():
    module = toy()
    trainer = fit([IterativePruning(cycles=2, retrain="1ep"), LRRewind()], module)
    rates = Rates()
    trainer.callbacks = [IterativePruning(cycles=1, retrain="2ep", sparsity=OneShot(0.9)), rates]
    trainer.fit(module, datamodule=Images())
    names = sorted(type(callback).__name__ for callback in trainer.callbacks)
    assert names == ["ExactResume", "FineTune", "IterativePruning", "Rates"]
    assert len(rates.steps) == 6 * STEPS
    assert density(module) == pytest.approx(0.1, abs=0.001)
    assert trainer.max_epochs == 4


def test_a_used_callback_is_refused():
    used, trained = IterativePruning(cycles=1, retrain="1ep"), toy()
    fit([used], trained)
    with pytest.raises(ValueError, match="already used in a fit, and .*Give the Trainer new callbacks"):
        fit([used], trained)


def test_limits_and_schedules_are_put_back_after_an_error():
    class Stops(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.current_epoch == 5:
                raise RuntimeError("stop")

    trainer = make_trainer([IterativePruning(cycles=2, retrain="1ep"), Stops()])
    with pytest.raises(RuntimeError, match="stop"):
        trainer.fit(Toy(), datamodule=Images())
    assert trainer.max_epochs == 4
    assert type(trainer.lr_scheduler_configs[0].scheduler) is torch.optim.lr_scheduler.MultiStepLR
    assert not trainer.optimizers[0]._optimizer_step_post_hooks


# 9. What is logged.


def test_cycle_and_sparsity_are_logged_every_epoch_from_whole_numbers(tmp_path):
    import json

    import pandas as pd
    from lightning.pytorch.loggers import CSVLogger

    callbacks = [IterativePruning(cycles=2, retrain="2ep", prunable=Prunable(last_layer=False))]
    fit(callbacks, logger=CSVLogger(tmp_path, name="", version="run"))
    metrics = pd.read_csv(tmp_path / "run" / "metrics.csv")
    epochs = metrics.dropna(subset=["pruning/cycle"])
    assert epochs["pruning/cycle"].tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    alive = [676, 676, 676, 676, 541, 541, 433, 433]
    assert epochs["pruning/density"].tolist() == pytest.approx([a / 676 for a in alive], abs=1e-6)
    assert epochs["pruning/sparsity"].tolist() == pytest.approx([1 - a / 676 for a in alive], abs=1e-6)
    total = sum(p.numel() for p in Toy().parameters())
    assert epochs["pruning/model_density"].tolist() == pytest.approx(
        [(total - 676 + a) / total for a in alive], abs=1e-6
    )
    assert epochs["pruning/model_sparsity"].tolist() == pytest.approx([(676 - a) / total for a in alive], abs=1e-6)
    starts = metrics.dropna(subset=["pruning/density/net.0.weight"])
    assert starts["step"].tolist() == [4 * STEPS, 6 * STEPS]
    written = json.loads((tmp_path / "run" / "pruning.json").read_text())
    assert written["finished"]
    assert [sum(cycle["alive"].values()) for cycle in written["cycles"]] == [541, 433]
    for cycle, (_, row) in zip(written["cycles"], starts.iterrows(), strict=True):
        for name in ("net.0.weight", "net.4.weight"):
            size = {"net.0.weight": 36, "net.4.weight": 640}[name]
            assert row[f"pruning/density/{name}"] == pytest.approx(cycle["alive"][name] / size, abs=1e-6)
    reasons = {skipped["name"]: skipped["reason"] for skipped in written["skipped"]}
    assert reasons["net.7.weight"] == "the last layer (last_layer=False)"
    assert reasons["net.1.weight"] == "a parameter of a normalization layer (BatchNorm2d)"
    assert len(reasons) + len(written["pruned"]) == len(list(Toy().parameters()))


def test_what_is_not_pruned_is_logged_at_debug_level(caplog):
    with caplog.at_level(logging.DEBUG, logger="lightning_prune"):
        fit([IterativePruning(cycles=1, retrain="1ep")], max_epochs=1)
    assert "Not pruned: net.0.bias: a bias" in caplog.messages


def test_nothing_is_printed(capfd):
    fit([IterativePruning(cycles=1, retrain="1ep"), WeightRewind(0), OneCycleRetrain()], max_epochs=1)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert all("Trainer" in line or "TPU" in line or "GPU" in line or not line for line in printed.err.splitlines())


# 10. Deepcopy, compile, evaluation.


def test_the_module_can_be_copied_in_the_middle_of_the_fit():
    class Copies(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            copied = copy.deepcopy(pl_module)
            assert equal(copied.state_dict(), pl_module.state_dict())
            assert density(copied) == density(pl_module)

    fit([IterativePruning(cycles=2, retrain="1ep"), WeightRewind(0), OneCycleRetrain(), Copies()])


def test_callbacks_can_be_copied_before_and_after_a_fit():
    callbacks = [IterativePruning(cycles=2, retrain="1ep"), LRRewind()]
    copies = copy.deepcopy(callbacks)
    fit(callbacks)
    copy.deepcopy(callbacks)
    fit(copies)


def test_a_compiled_network_is_pruned_under_its_plain_names_without_recompiling():
    from torch._dynamo.utils import counters

    module = toy()
    module.net = torch.compile(module.net, backend="aot_eager")
    counters.clear()
    watch = Rates()
    graphs = []

    class Graphs(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            graphs.append(counters["stats"]["unique_graphs"])

    pruning = IterativePruning(cycles=2, retrain="1ep", prunable=Prunable(exclude=["net.7"]))
    fit([pruning, watch, Graphs()], module)
    assert list(pruning._run.pruner.weights) == ["net.0.weight", "net.4.weight"]
    assert int(module.net._orig_mod[4].weight.count_nonzero()) < 640
    assert graphs[0] == graphs[-1], "a prune compiles nothing"


def test_validate_test_and_predict_work_with_the_callbacks_present(tmp_path):
    module = toy()
    callbacks = [IterativePruning(cycles=2, retrain="1ep"), WeightRewind(0), OneCycleRetrain()]
    trainer = fit(callbacks, module)
    before = copy.deepcopy(module.state_dict())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    for fresh in (trainer, make_trainer([IterativePruning(cycles=3, retrain="1ep"), LRRewind()])):
        fresh.validate(module, datamodule=Images(), verbose=False)
        fresh.test(module, datamodule=Images(), verbose=False)
        assert len(fresh.predict(module, datamodule=Images())) == STEPS
        assert equal(before, module.state_dict())
    evaluating = make_trainer([IterativePruning(cycles=2, retrain="1ep"), WeightRewind(0), OneCycleRetrain()])
    evaluating.test(Toy(), datamodule=Images(), ckpt_path=tmp_path / "x.ckpt", verbose=False, weights_only=True)
    evaluating.fit(Toy(), datamodule=Images())
    assert evaluating.current_epoch == 6, "loading for a test leaves no trace in a later fit"


# The hook, and lengths.


def test_the_hook_reaches_callbacks_and_the_module_with_a_frozen_cycle():
    class Listens(Toy):
        def __init__(self):
            super().__init__()
            self.heard = []

        def on_cycle_start(self, cycle):
            self.heard.append(cycle)

    watch, module = Watch(), Listens()
    fit([watch, IterativePruning(cycles=2, retrain="2ep", sparsity=Geometric(0.5))], module)
    assert watch.cycles == module.heard
    assert watch.cycles == [Cycle(1, 4 * STEPS, 2 * STEPS, 0.5), Cycle(2, 6 * STEPS, 2 * STEPS, 0.75)]
    assert watch.cycles[1].density == 0.25
    with pytest.raises(AttributeError):
        watch.cycles[0].index = 3


@pytest.mark.parametrize(
    ("retrain", "options", "steps", "starts"),
    [
        ("2ep", {}, 4 * STEPS + 2 * 2 * STEPS, [24, 36]),
        (2, {}, 4 * STEPS + 2 * 2 * STEPS, [24, 36]),
        ("7it", {}, 4 * STEPS + 14, [24, 31]),
        ("7it", {"max_epochs": None, "max_steps": 10}, 24, [10, 17]),
        ("2ep", {"max_epochs": None, "max_steps": 10}, 10 + 24, [10, 22]),
        ("2ep", {"max_epochs": 1, "max_steps": 1000}, 6 + 24, [6, 18]),
        ("7it", {"max_epochs": 100, "max_steps": 10}, 24, [10, 17]),
        (None, {}, 3 * 24, [24, 48]),
        (None, {"max_epochs": None, "max_steps": 10}, 30, [10, 20]),
        ("3it", {"accumulate_grad_batches": 4}, 8 + 6, [8, 11]),
    ],
)
def test_cycles_begin_and_end_when_they_should(retrain, options, steps, starts):
    watch, rates = Watch(), Rates()
    trainer = fit([IterativePruning(cycles=2, retrain=retrain), watch, rates], toy(scheduler=None), **options)
    assert [cycle.first_step for cycle in watch.cycles] == starts
    assert [cycle.steps for cycle in watch.cycles] == [starts[1] - starts[0]] * 2
    assert len(rates.steps) == trainer.global_step == steps
