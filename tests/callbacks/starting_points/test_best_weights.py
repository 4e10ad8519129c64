"""Every prune begins from the best weights of the phase that ends, chosen by a metric of the validation."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from toys import STEPS, Images, Toy, equal, fit, seed_everything, toy

from lightning_prune import BestWeights, FineTune, IterativePruning, OneShot, Shrink, Structures

SCORES = [1.0, 5.0, 2.0, 4.0, 3.0, 0.0]  # three dense epochs, then three of a cycle: 2 and 4 are the best


class Scored(Toy):
    """Logs a made-up score."""

    def on_validation_epoch_end(self):
        self.log("score", torch.tensor(SCORES[self.trainer.current_epoch % 6]))


class Seen(Callback):
    """The weights at the end of every epoch, and those that a prune looks at."""

    def __init__(self):
        self.ends, self.starts = [], []

    def on_train_epoch_end(self, trainer, pl_module):
        self.ends.append(state(pl_module))

    def on_cycle_start(self, trainer, pl_module, cycle):
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        self.starts.append((state(pl_module), {n: m.clone() for n, m in pruning.masks.items()}))


def state(module):
    return {name: one.detach().clone() for name, one in module.state_dict().items()}


def callbacks(*more):
    pruning = IterativePruning(cycles=2, retrain="3ep")
    return [pruning, FineTune(), *more]


def scored():
    seed_everything(0, verbose=False)
    return Scored(dropout=0.0)


@pytest.mark.parametrize(("mode", "best"), [("max", (1, 3)), ("min", (0, 5))])
def test_a_prune_begins_from_the_best_epoch_before_it(mode, best):
    seen = Seen()
    fit(callbacks(BestWeights("score", mode), seen), scored(), max_epochs=3)
    for (started, masks), epoch in zip(seen.starts, best, strict=True):
        expected = {name: one * masks[name] if name in masks else one for name, one in seen.ends[epoch].items()}
        assert equal({name: one * masks.get(name, 1) for name, one in started.items()}, expected)


def test_a_resumed_run_remembers_the_best(tmp_path):
    def run(ckpt_path=None):
        keep = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=STEPS, save_top_k=-1)
        module = scored()
        fit(callbacks(BestWeights("score"), keep), module, Images(), ckpt_path, enable_checkpointing=True, max_epochs=3)
        return state(module)

    whole = run()
    for epoch in (2, 5):
        assert equal(whole, run(tmp_path / f"step={epoch * STEPS}.ckpt")), epoch


def test_what_cannot_work_is_refused():
    with pytest.raises(ValueError, match=r"BestWeights\(mode='best'\) is unknown: give 'max' or 'min'"):
        BestWeights(mode="best")
    with pytest.raises(ValueError, match=r"BestWeights\(monitor='accuracy'\) is not logged .* Logged are: .*val_loss"):
        fit(callbacks(BestWeights("accuracy")), toy(), max_epochs=1)
    shrinking = IterativePruning(cycles=1, retrain="1ep", granularity=Structures())
    with pytest.raises(ValueError, match=r"weights of earlier sizes, which Shrink\(at='cycles'\) changes"):
        fit([shrinking, BestWeights("val_loss", "min"), Shrink(at="cycles")], toy(), max_epochs=1)
    pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5))
    with pytest.warns(UserWarning, match=r"saw no validation since the last prune"):
        fit([pruning, BestWeights("val_loss")], toy(), max_epochs=1, limit_val_batches=0)
