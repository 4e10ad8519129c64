"""Other callbacks beside ours: they work, and a test shows it, or they are refused before training."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging
from toys import Toy, fit, toy

from lightning_prune import IterativePruning, LRRewind, WeightRewind

averaging = pytest.importorskip("lightning.pytorch.callbacks.weight_averaging", reason="came with lightning 2.6")
AVERAGES = {
    "mean": lambda: averaging.WeightAveraging(),
    "exponential": lambda: averaging.EMAWeightAveraging(decay=0.9),
}


def alive(state):
    return sum(int(state[f"net.{i}.weight"].count_nonzero()) for i in (0, 4, 7))


@pytest.mark.parametrize("average", AVERAGES.values(), ids=AVERAGES)
@pytest.mark.parametrize("beside", [LRRewind, lambda: WeightRewind("3ep")], ids=["kept", "rewound"])
def test_what_is_validated_saved_and_delivered_as_an_average_has_the_reported_sparsity(average, beside, tmp_path):
    class Validated(Callback):
        """Counts what is alive while the averaged weights are validated."""

        def __init__(self):
            self.alive = {}

        def on_validation_batch_start(self, trainer, pl_module, *_):
            self.alive[trainer.current_epoch] = alive(pl_module.state_dict())

    watch, module = Validated(), toy()
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    callbacks = [average(), IterativePruning(cycles=3, retrain="1ep"), beside(), watch, keep]
    fit(callbacks, module, enable_checkpointing=True)
    expected = {epoch: round(0.8 ** (epoch - 3) * 706) for epoch in (4, 5, 6)}
    assert {epoch: watch.alive[epoch] for epoch in expected} == expected
    assert alive(module.state_dict()) == expected[6]
    for epoch, count in expected.items():
        saved = torch.load(tmp_path / f"epoch={epoch}.ckpt", weights_only=True)
        assert alive(saved["state_dict"]) == alive(saved["current_model_state"]) == count


def test_an_average_starts_afresh_at_a_prune():
    class Looks(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.current_epoch == 4 and batch_idx == 0:
                average = next(c for c in trainer.callbacks if hasattr(c, "_average_model"))._average_model
                assert int(average.n_averaged) == 0
                for ours, theirs in zip(pl_module.parameters(), average.module.parameters(), strict=True):
                    assert torch.equal(ours, theirs)
                self.looked = True

    looks = Looks()
    fit([AVERAGES["mean"](), IterativePruning(cycles=1, retrain="1ep"), looks])
    assert looks.looked


def test_stochastic_weight_averaging_is_refused():
    with pytest.raises(
        ValueError, match="StochasticWeightAveraging and IterativePruning cannot go together.*Use WeightAveraging"
    ):
        fit([StochasticWeightAveraging(swa_lrs=0.1), IterativePruning(cycles=1, retrain="1ep")], Toy())
