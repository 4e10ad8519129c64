"""One block in each cycle, in the order of the patterns."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from resumed_runs import compare
from toys import Images, equal, fit, toy

from lightning_prune import BlockByBlock, Filters, IterativePruning, Linear
from lightning_prune.criteria.scores import Scores

BLOCKS = {"net.4": 0.5, "net.0": 0.75, "net.7": 0.3}


class Zeros(Callback):
    def __init__(self):
        self.counts = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            self.counts.append([int((pl_module.net[place].weight == 0).sum()) for place in (0, 4, 7)])


def run(*others, ckpt_path=None, **options):
    zeros = Zeros()
    clock = IterativePruning(cycles=3, retrain=1, sparsity=Linear(0.6, 3), allocation=BlockByBlock(BLOCKS), **options)
    trainer = fit([clock, *others, zeros], toy(), Images(shuffle=True), ckpt_path, max_epochs=1,
                  enable_checkpointing=bool(others))  # fmt: skip
    return trainer, zeros.counts, clock


def test_every_cycle_prunes_the_next_block_and_leaves_the_others_alone():
    _, counts, clock = run()
    assert counts == [[0, 0, 0], [0, 320, 0], [27, 320, 0], [27, 320, 9]]
    assert clock.measured_sparsity == pytest.approx(356 / (36 + 640 + 30))


def test_whole_filters_are_removed_block_by_block():
    _, counts, _ = run(granularity=Filters())
    assert counts == [[0, 0, 0], [0, 320, 0], [27, 320, 0], [27, 320, 10]], "3 of 4, 5 of 10, 1 of 3 filters"


@pytest.mark.slow
def test_a_fit_goes_on_from_every_epoch_as_if_it_had_not_been_interrupted(tmp_path):
    def train(folder, ckpt_path=None):
        keep = ModelCheckpoint(
            folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True, enable_version_counter=False
        )
        return run(keep, ckpt_path=ckpt_path)[0]

    whole = train(tmp_path / "whole")
    for epoch in range(3):
        resumed = train(tmp_path / f"{epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt")
        assert compare(tmp_path / "whole", tmp_path / f"{epoch}", range(epoch + 1, 4)) == 3 - epoch
        assert equal(whole.lightning_module.state_dict(), resumed.lightning_module.state_dict())


def test_when_all_blocks_are_pruned_nothing_dies():
    masks = {"a": torch.rand(4), "b": torch.rand(4)}
    scores = Scores.of(masks)
    rule = BlockByBlock({"a": 0.5, "b": 0.5})
    scores.living.update(a=2, b=2)
    assert rule(scores, 0.1) == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ({}, "needs fractions in"),
        ({"a": 1.0}, "needs fractions in"),
        ({"a": 0.5, "c": 0.5}, "'c' matches none of a, b"),
    ],
)
def test_blocks_that_are_none_are_refused(blocks, said):
    with pytest.raises(ValueError, match=said):
        BlockByBlock(blocks)(Scores.of({"a": torch.rand(4), "b": torch.rand(4)}), 0.5)
