"""A fit that fails before its first batch leaves the checkpoint that it was to resume from as it was."""

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint, OnExceptionCheckpoint, StochasticWeightAveraging
from toys import Images, fit, make_trainer, toy

from lightning_prune import Geometric, IterativePruning, LRRewind, OneCycleRetrain, WeightRewind

pytestmark = [
    pytest.mark.filterwarnings("ignore:The fit failed before its first batch"),
    pytest.mark.filterwarnings("ignore:.*fit.ckpt_path="),
]


class Stops(Callback):
    def on_train_epoch_start(self, trainer, *_):
        if trainer.current_epoch == 5:
            raise RuntimeError("stop")


SAVES = {
    "OnExceptionCheckpoint": lambda folder: OnExceptionCheckpoint(folder, filename="saved"),
    "ModelCheckpoint": lambda folder: ModelCheckpoint(folder, "saved", save_on_exception=True, every_n_epochs=99),
}
REFUSED = {
    "other settings": lambda: [IterativePruning(cycles=2, sparsity=Geometric(0.5)), LRRewind()],
    "another policy": lambda: [IterativePruning(cycles=2), OneCycleRetrain()],
    "lengths that do not fit": lambda: [IterativePruning(cycles=2, retrain="9ep"), LRRewind()],
    "a point that does not fit": lambda: [IterativePruning(cycles=2), WeightRewind("9ep")],
    "a callback that does not fit": lambda: [IterativePruning(cycles=2), LRRewind(), StochasticWeightAveraging(0.1)],
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("saves", SAVES.values(), ids=SAVES)
def test_a_refused_resumption_leaves_the_checkpoint_as_it_was(saves, refused, tmp_path):
    def callbacks():
        return [IterativePruning(cycles=2), LRRewind(), saves(tmp_path)]

    with pytest.raises(RuntimeError, match="stop"):
        fit([*callbacks(), Stops()], toy(), enable_checkpointing=True)
    (file,) = tmp_path.glob("*.ckpt")
    content = file.read_bytes()
    for _ in range(2):  # the second time as the first
        with pytest.raises(ValueError, match="IterativePruning|WeightRewind|LRRewind"):
            fit([*refused(), saves(tmp_path)], toy(), ckpt_path=file, enable_checkpointing=True)
        assert list(tmp_path.glob("*.ckpt")) == [file]
        assert file.read_bytes() == content
    again = fit([IterativePruning(cycles=2), LRRewind()], toy(), ckpt_path=file)
    assert again.current_epoch == 12


def test_a_trainer_whose_fit_failed_too_early_saves_the_next_one(tmp_path):
    class Fails(Callback):
        def on_train_start(self, *_):
            raise RuntimeError("too early")

    save, fails = OnExceptionCheckpoint(tmp_path, filename="saved"), Fails()
    trainer = make_trainer([IterativePruning(cycles=2), LRRewind(), save, Stops(), fails])
    with pytest.raises(RuntimeError, match="too early"):
        trainer.fit(toy(), datamodule=Images())
    assert not (tmp_path / "saved.ckpt").exists()
    trainer.callbacks = [IterativePruning(cycles=2), LRRewind(), save, Stops()]
    with pytest.raises(RuntimeError, match="stop"):
        trainer.fit(toy(), datamodule=Images())
    assert (tmp_path / "saved.ckpt").exists()
