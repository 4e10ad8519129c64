"""Every precision of Lightning's: as many weights as scheduled die, stay dead, and a resumed run is the same run."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import BitsandbytesPrecision, MixedPrecision, Precision, TransformerEnginePrecision
from toys import STEPS, Images, equal, fit, make_trainer, toy

from lightning_prune import IterativePruning, LRRewind, OneShot, WeightRewind, erk, globally, layerwise

PRUNED = ("net.0.weight", "net.4.weight", "net.7.weight")
SIZE = 36 + 640 + 30
TYPES = {
    "bf16-mixed": torch.float32,
    "16-mixed": torch.float32,
    "bf16-true": torch.bfloat16,
    "16-true": torch.float16,
    "64-true": torch.float64,
}
every_precision = pytest.mark.parametrize("precision", TYPES)


def computing_in(precision):
    """Options of a Trainer; on a CPU, Lightning scales no loss unless it is given the scaler."""
    if precision != "16-mixed":
        return {"precision": precision}
    return {"plugins": [MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=8.0))]}


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=0.01, eps=1e-4)  # torch's 1e-8 is zero in float16


def weights(module):
    return {name: module.get_parameter(name).detach() for name in PRUNED}


def alive(tensors):
    return sum(int(tensors[name].count_nonzero()) for name in PRUNED)


class Witness(Callback):
    """Looks at the weights, the moments and what was rewound to, by itself."""

    def __init__(self, rewound_to=None):
        self.rewound_to, self.cycle, self.dead, self.counts, self.steps = rewound_to, 0, {}, [], 0
        self.saved = {}

    def on_train_start(self, trainer, pl_module):
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda *_: self.after_step(pl_module))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.rewound_to and batch_idx == 0:
            self.saved = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}
        pruning = next(callback for callback in trainer.callbacks if isinstance(callback, IterativePruning))
        if pruning.cycle is None or pruning.cycle.index == self.cycle:
            return
        self.cycle = pruning.cycle.index
        self.dead = {name: weight == 0 for name, weight in weights(pl_module).items()}
        self.counts.append(alive(weights(pl_module)))
        for name, dead in self.dead.items():
            for moment in trainer.optimizers[0].state.get(pl_module.get_parameter(name), {}).values():
                assert moment.dim() == 0 or not moment[dead].any()
        for name, tensor in self.saved.items():
            living = ~self.dead[name] if name in self.dead else torch.ones_like(tensor, dtype=torch.bool)
            assert equal(pl_module.state_dict()[name][living], tensor[living])

    def after_step(self, module):
        self.steps += 1
        for name, dead in self.dead.items():
            assert not weights(module)[name][dead].any(), f"step {self.steps}"


every_optimizer = pytest.mark.parametrize("optimizer", [sgd, adamw])
every_start = pytest.mark.parametrize(
    "beside", [lambda: [LRRewind()], lambda: [WeightRewind("3ep")]], ids=["kept", "rewound"]
)


@every_optimizer
@every_start
@every_precision
def test_a_run_keeps_its_promises_in_every_precision(precision, beside, optimizer):
    policy = beside()
    witness = Witness(rewound_to=3 if isinstance(policy[0], WeightRewind) else None)
    module = toy(optimizer=optimizer)
    fit([IterativePruning(cycles=2, retrain="1ep"), *policy, witness], module, **computing_in(precision))
    assert {weight.dtype for weight in weights(module).values()} == {TYPES[precision]}
    assert witness.counts == [round(0.8 * SIZE), round(0.64 * SIZE)]
    assert alive(module.state_dict()) == witness.counts[-1]
    assert all(weight.isfinite().all() for weight in weights(module).values())
    assert witness.steps == 6 * STEPS


@every_start
@every_precision
def test_a_resumed_run_is_the_same_run_in_every_precision(precision, beside, tmp_path):
    def run(folder, ckpt_path=None):
        keep = ModelCheckpoint(tmp_path / folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        callbacks = [IterativePruning(cycles=2, retrain="1ep"), *beside(), keep]
        options = {**computing_in(precision), "enable_checkpointing": True}
        fit(callbacks, toy(optimizer=adamw), Images(shuffle=True), ckpt_path, **options)
        return torch.load(tmp_path / folder / "epoch=5.ckpt", weights_only=True)

    whole = run("whole")
    for epoch in (3, 4):  # at the end of the dense run and of the first cycle
        again = run(f"{epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt")
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
            assert equal(again[part], whole[part]), (epoch, part)
        assert equal(again.get("MixedPrecision"), whole.get("MixedPrecision"))


@pytest.mark.parametrize("allocation", [globally, layerwise, erk])
@every_precision
def test_ties_are_spent_exactly_and_the_largest_are_kept(precision, allocation):
    class Ties(Callback):
        """Leaves eight sizes of weights, so that every cut goes through a tie."""

        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 0:
                with torch.no_grad():
                    for weight in weights(pl_module).values():
                        weight.copy_((weight / weight.abs().max() * 8).round().add(0.5) / 8)
                self.before = {name: weight.clone() for name, weight in weights(pl_module).items()}

        def on_cycle_start(self, trainer, pl_module, cycle):
            self.after = {name: weight.clone() for name, weight in weights(pl_module).items()}

    ties = Ties()
    pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.3), allocation=allocation)
    fit([ties, pruning], toy(), max_epochs=1, **computing_in(precision))
    assert alive(ties.after) == round(0.7 * SIZE)
    for name, after in ties.after.items():
        before, dead = ties.before[name].abs(), after == 0
        assert torch.equal(after[~dead], ties.before[name][~dead])
        if dead.any():
            assert before[dead].max() <= before[~dead].min()


def test_weights_are_ranked_in_full_double_precision():
    class Close(Callback):
        """Leaves weights that are the same in float32."""

        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 0:
                with torch.no_grad():
                    for weight in weights(pl_module).values():
                        steps = torch.arange(weight.numel(), dtype=torch.float64)
                        weight.copy_((1 + steps * 1e-12).view_as(weight))

        def on_cycle_start(self, trainer, pl_module, cycle):
            self.dead = torch.cat([(weight == 0).flatten() for weight in weights(pl_module).values()])

    close = Close()
    pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5), allocation=layerwise)
    fit([close, pruning], toy(), precision="64-true", max_epochs=1)
    halves = [[True] * (size // 2) + [False] * (size // 2) for size in (36, 640, 30)]
    assert close.dead.tolist() == [dead for half in halves for dead in half]


@pytest.mark.parametrize("kind", [TransformerEnginePrecision, BitsandbytesPrecision])
def test_a_precision_with_weights_of_its_own_is_refused(kind):
    class Installed(kind):
        """As if what it needs were installed."""

        def __init__(self):
            Precision.__init__(self)

    trainer = make_trainer([IterativePruning(cycles=1, retrain="1ep")])
    trainer.strategy.precision_plugin = Installed()
    with pytest.raises(
        ValueError, match=f"IterativePruning cannot prune under {kind.__name__}: it .*precision='bf16-mixed'"
    ):
        trainer.fit(toy(), Images())
