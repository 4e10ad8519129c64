"""Which checkpoint is the best of a pruned run: one of the last cycle, unless Lightning's way is asked for."""

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from toys import Images, Toy, fit, seed_everything

from lightning_prune import IterativePruning, LRRewind

pytestmark = pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")
LIVING = {0: 706, 1: 565, 2: 452}


class Worsens(Toy):
    """Every epoch is worse than the one before, so that the first network is the best of all."""

    def validation_step(self, batch, index):
        self.log("val_loss", torch.tensor(float(self.trainer.current_epoch)))

    test_step = validation_step


def train(folder, save_top_k=1, ckpt_path=None, keep=None, cycles=2, retrain="2ep", **pruning):
    """Two dense epochs and cycles of two; the trainer, the clock and the checkpoint callback."""
    seed_everything(0, verbose=False)
    clock = IterativePruning(cycles, retrain, **pruning)
    best = ModelCheckpoint(folder, filename="best", monitor="val_loss", save_top_k=save_top_k)
    callbacks = [clock, LRRewind(), best, *([] if keep is None else [keep])]
    trainer = fit(callbacks, Worsens(), max_epochs=2, ckpt_path=ckpt_path)
    return trainer, clock, best


def alive(path):
    state = torch.load(path, weights_only=True)["state_dict"]
    return sum(int(state[f"net.{i}.weight"].count_nonzero()) for i in (0, 4, 7))


def test_the_best_checkpoint_of_a_finished_run_is_as_sparse_as_its_last(tmp_path):
    trainer, clock, best = train(tmp_path)
    assert alive(best.best_model_path) == LIVING[2]
    assert best.best_model_score == 4
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"], "no more files than save_top_k, of that name"
    trainer.test(trainer.lightning_module, Images(), ckpt_path="best", verbose=False)
    assert clock.measured_sparsity == clock._run.pruner.masks.sparsity == 1 - LIVING[2] / 706


@pytest.mark.parametrize("save_top_k", [2, -1])
def test_files_of_earlier_cycles_give_way_to_those_of_this_one(save_top_k, tmp_path):
    _, _, best = train(tmp_path, save_top_k)
    assert alive(best.best_model_path) == LIVING[2]
    found = sorted(map(alive, tmp_path.iterdir()))
    assert found == ([LIVING[2]] * 2 if save_top_k == 2 else sorted([*LIVING.values()] * 2))


def test_lightning_s_best_is_the_dense_one_where_that_is_asked_for_and_counted_as_dense(tmp_path):
    with pytest.warns(UserWarning, match="compares networks of different sparsity"):
        trainer, clock, best = train(tmp_path, best_checkpoint="run")
    assert alive(best.best_model_path) == LIVING[0]
    assert clock.measured_sparsity == 1 - LIVING[2] / 706
    trainer.test(trainer.lightning_module, Images(), ckpt_path="best", verbose=False)
    assert clock.measured_sparsity == 0.0, "what is loaded, and not what the masks were"


def test_a_resumed_run_chooses_the_same_best(tmp_path):
    keep = ModelCheckpoint(tmp_path / "all", filename="{epoch}", save_top_k=-1)
    _, _, whole = train(tmp_path / "best", keep=keep)
    for epoch in (1, 2, 4):
        for file in (tmp_path / "best").iterdir():
            file.unlink()
        _, _, again = train(tmp_path / "best", ckpt_path=tmp_path / "all" / f"epoch={epoch}.ckpt")
        assert again.best_model_score == whole.best_model_score == 4
        if epoch < 4:  # the best is of epoch 4
            assert alive(again.best_model_path) == LIVING[2]


def test_a_cycle_in_which_nothing_was_saved_is_told(tmp_path):
    best = ModelCheckpoint(tmp_path, monitor="val_loss", every_n_epochs=3)
    with pytest.warns(UserWarning, match=r"saved nothing in cycle 2: its best, .*epoch=2.*is a denser network"):
        fit([IterativePruning(cycles=2, retrain="1ep"), LRRewind("1ep"), best], Worsens(), max_epochs=2)
