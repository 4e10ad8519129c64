"""Under a GradScaler: a step that is skipped because its gradients overflowed is none of ours."""

import pytest
import torch
from left_out import Chosen
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from toys import STEPS, Images, Toy, equal, fit, one_cycle_lr, seed_everything

from lightning_prune import IterativePruning, LRRewind, WeightRewind

pytestmark = pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.* before `optimizer.step")

PRUNED = (0, 4, 7)
SIZE = 36 + 640 + 30
OVERFLOWS = {2, 3, 13, 20, 26, 27, 33, 40}  # batches
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "fused sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "fused adamw": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
}
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


class Overflowing(Toy):
    """Its loss is infinite in some batches."""

    def __init__(self, batches=OVERFLOWS, **options):
        seed_everything(0, verbose=False)
        super().__init__(**options)
        self.batches = batches

    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        return loss * float("inf") if self.current_epoch * STEPS + index in self.batches else loss


class Made(Callback):
    """Finds out by the weights which batches made a step, and with which rate."""

    def __init__(self):
        self.rates, self.counted, self.first = {}, [], {}

    def on_train_batch_start(self, trainer, pl_module, *_):
        pruning = next(callback for callback in trainer.callbacks if isinstance(callback, IterativePruning))
        self.cycle = pruning.cycle.index if pruning.cycle else 0
        self.counted.append(pruning.step)
        self.before = {name: weight.detach().clone() for name, weight in pl_module.named_parameters()}
        if self.cycle not in self.first:
            self.first[self.cycle] = {name: weight.clone() for name, weight in pl_module.state_dict().items()}
            self.dead = [pl_module.net[i].weight == 0 for i in PRUNED]

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rate = optimizer.param_groups[0]["lr"]

    def on_train_batch_end(self, trainer, pl_module, *_):
        moved = [not torch.equal(self.before[name], weight) for name, weight in pl_module.named_parameters()]
        if any(moved):
            self.rates.setdefault(self.cycle, []).append(self.rate)
        for i, dead in zip(PRUNED, self.dead, strict=True):
            assert not pl_module.net[i].weight[dead].any()


def run(callbacks, optimizer=OPTIMIZERS["sgd"], batches=OVERFLOWS, scale=8.0, **options):
    module = Overflowing(batches, optimizer=optimizer, scheduler=one_cycle_lr)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=5)
    plugin = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    return fit(callbacks, module, Images(), plugins=[plugin], **options)


@every_optimizer
def test_cycles_by_steps_have_as_many_steps_as_asked_for_and_replay_the_rates_of_the_steps_made(optimizer):
    made, pruning = Made(), IterativePruning(cycles=2, retrain="9it")
    trainer = run([pruning, LRRewind(), made], optimizer)
    batches = trainer.global_step
    assert [len(made.rates[cycle]) for cycle in (0, 1, 2)] == [24 - 4, 9, 9]
    assert batches == 24 + 9 + 9 + sum(24 <= batch < batches for batch in OVERFLOWS)
    assert made.counted == [batch - sum(other < batch for other in OVERFLOWS) for batch in range(batches)]
    assert made.rates[1] == made.rates[2] == made.rates[0][-9:]
    assert len(set(made.rates[1])) == 9
    alive = sum(int(trainer.lightning_module.net[i].weight.count_nonzero()) for i in PRUNED)
    assert alive == round(0.64 * SIZE)


@every_optimizer
def test_cycles_by_epochs_begin_with_their_epochs_and_count_the_steps_made(optimizer):
    made, pruning = Made(), IterativePruning(cycles=2, retrain="2ep")
    trainer = run([pruning, LRRewind(), made], optimizer)
    assert trainer.current_epoch == 8
    assert [len(made.rates[cycle]) for cycle in (0, 1, 2)] == [24 - 4, 12 - 3, 12 - 1]
    assert made.counted == [batch - sum(other < batch for other in OVERFLOWS) for batch in range(48)]
    replayed = made.rates[0][-10:]  # two of the last two epochs were skipped
    assert made.rates[1] == [replayed[step * 10 // 12] for step in range(9)]
    assert made.rates[2] == [replayed[step * 10 // 12] for step in range(11)]


def test_the_point_of_a_weight_rewind_counts_the_steps_made():
    class Saves(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.current_epoch == 1 and batch_idx == 1:  # batch 7: two were skipped
                self.saved = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}

    saves, made = Saves(), Made()
    run([IterativePruning(cycles=2, retrain="19it"), WeightRewind("5it"), saves, made])
    for cycle in (1, 2):
        for name, tensor in saves.saved.items():
            now = made.first[cycle][name]
            assert equal(now[now != 0], tensor[now != 0]), (cycle, name)


def test_a_rewind_keeps_the_scale_so_that_the_cycle_loses_no_steps_to_finding_it_again():
    made = Made()
    run([IterativePruning(cycles=2, retrain="2ep"), WeightRewind("2ep"), made], batches=set(), scale=2.0**30)
    lost = [STEPS * epochs - len(made.rates[cycle]) for cycle, epochs in ((0, 4), (1, 2), (2, 2))]
    assert lost[0] > 8
    assert max(lost[1:]) <= 3


@pytest.mark.parametrize("optimizer", [OPTIMIZERS["sgd"], OPTIMIZERS["fused adamw"]], ids=["sgd", "fused adamw"])
@pytest.mark.parametrize("beside", [LRRewind, lambda: WeightRewind("2ep")], ids=["kept", "rewound"])
@pytest.mark.parametrize("retrain", ["2ep", "9it"])
def test_a_resumed_run_is_the_same_run_with_the_same_scale(retrain, beside, optimizer, tmp_path):
    retrain = None if beside is not LRRewind and retrain == "9it" else retrain

    def saved(folder, ckpt_path=None):
        keep = ModelCheckpoint(tmp_path / folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        callbacks = [IterativePruning(cycles=2, retrain=retrain), beside(), keep]
        run(callbacks, optimizer, ckpt_path=ckpt_path, enable_checkpointing=True)
        return {file.name: torch.load(file, weights_only=True) for file in (tmp_path / folder).iterdir()}

    whole = saved("whole")
    scales = {one["MixedPrecision"]["scale"] for one in whole.values()}
    assert len(scales) > 2
    for epoch in (3, 4):
        again = saved(f"{epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt")
        assert len(again) == len(whole) - epoch - 1 >= 2
        for name, one in again.items():
            for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "MixedPrecision"):
                assert equal(one[part], whole[name][part]), (name, part)


def test_a_fused_sgd_whose_first_step_after_a_reset_overflows_trains_on():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # memory that nobody has written is NaN
    try:
        callbacks = [IterativePruning(cycles=2, retrain="2ep", optimizer_state="reset")]
        module = run(callbacks, OPTIMIZERS["fused sgd"], batches={0, 24, 36}).lightning_module
    finally:
        torch.use_deterministic_algorithms(before)
    assert all(weight.isfinite().all() for weight in module.parameters())


def test_a_dense_run_whose_last_step_was_skipped_is_replayed_without_it():
    made = Made()
    run([IterativePruning(cycles=2, retrain="9it"), LRRewind(), made], batches={22, 23})
    assert made.rates[1] == made.rates[2] == made.rates[0][-9:]


def test_a_replay_goes_epoch_by_epoch_however_many_steps_they_made():
    made = Made()
    run([IterativePruning(cycles=1), LRRewind("2ep"), made], batches={20, 21})  # six steps, then four
    assert made.rates[1][:6] == made.rates[0][-10:-4]
    assert made.rates[1][6:] == [made.rates[0][-4:][step * 4 // 6] for step in range(6)]


@pytest.mark.parametrize("retrain", ["9it", "30ep"])
def test_a_cycle_that_can_make_no_step_ends_with_an_error_instead_of_never(retrain):
    with pytest.raises(RuntimeError, match="makes no step any more in Cycle.*scale.*bf16-mixed"):
        run([IterativePruning(cycles=1, retrain=retrain)], batches=range(26, 10**6), scale=2.0**-100)


@pytest.mark.parametrize("left_out", [(), (1,), (1, 2)], ids=str)
def test_a_last_dense_step_that_was_skipped_is_not_on_the_tape_even_if_cycles_are_left_out(left_out):
    policy = LRRewind(to="1ep")
    pruning = IterativePruning(cycles=3, retrain="1ep")
    run([pruning, policy, Chosen(left_out)], batches={STEPS * 2 - 1}, max_epochs=2)
    assert policy.tape.length == 2 * STEPS - 1
