"""Layers that a callback unfreezes: pruned if they are trained within the dense run; refused where nobody can tell."""

import pytest
from lightning.pytorch.callbacks import BackboneFinetuning, BaseFinetuning, ModelCheckpoint
from torch import nn
from toys import Images, Rates, equal, fit
from transfer_learning import Transfer
from watched import LIVING, POLICIES, alive, check, run

from lightning_prune import IterativePruning, Prunable, WeightRewind

pytestmark = [
    pytest.mark.filterwarnings("ignore:The provided params to be frozen already exist"),  # BatchNorm's are not frozen
]


class AtEpochOne(BaseFinetuning):
    def freeze_before_training(self, pl_module: nn.Module):
        self.freeze(pl_module.backbone)

    def finetune_function(self, pl_module, epoch, optimizer):
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.backbone, optimizer)


def unfreezing(epoch):
    return BackboneFinetuning(epoch, lambda _: 1.5)


@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_backbone_that_is_unfrozen_in_the_dense_run_is_pruned(policy, epoch):
    check(policy, run(policy, module=Transfer(), beside=[unfreezing(epoch)]), 24, [12, 12])


def rates_of(row, groups):
    """The rate of every group; 0 for one that did not exist yet."""
    return [lr for lr, _ in row] + [0.0] * (groups - len(row))


def test_what_is_replayed_of_a_backbone_is_its_own_rate_and_none_while_it_was_frozen():
    for beside, length in (([POLICIES["rewind"]()], "4ep"), ([WeightRewind(0)], None)):
        rates = Rates()
        callbacks = [IterativePruning(cycles=2, retrain=length), *beside, unfreezing(2), rates]
        trainer = fit(callbacks, Transfer())
        dense = [rates_of(row, groups=2) for row in rates.steps[:24]]
        assert dense[0] == [0.1, 0.0]
        assert dense[23][1] > 0
        for start in (24, 48):
            assert [rates_of(row, groups=2) for row in rates.steps[start : start + 24]] == dense
        assert alive(trainer.lightning_module) == LIVING[-1]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_run_resumed_before_or_after_the_unfreezing_ends_as_the_uninterrupted_one(policy, tmp_path):
    def trained(folder, ckpt_path=None):
        keep = ModelCheckpoint(tmp_path / folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        beside, data = [unfreezing(2), keep], Images(shuffle=True)
        return run(policy, module=Transfer(), data=data, beside=beside, enable_checkpointing=True, ckpt_path=ckpt_path)

    whole, rates, _ = trained("whole")
    for epoch in (0, 1, 2, 4):
        again, others, _ = trained(f"from {epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt")
        assert others == rates[6 * (epoch + 1) :], epoch
        assert equal(again.lightning_module.state_dict(), whole.lightning_module.state_dict()), epoch


DENSE = {"prunable": Prunable(exclude=["net.0", "net.4"])}


@pytest.mark.parametrize("callback", [lambda: unfreezing(5), lambda: unfreezing(99), AtEpochOne])
def test_a_backbone_that_is_said_to_stay_dense_does(callback):
    module = Transfer()
    trainer, _, _ = run("one cycle", module=module, beside=[callback()], pruning=DENSE)
    assert int(module.net[0].weight.count_nonzero()) == 36
    assert int(module.net[4].weight.count_nonzero()) == 640
    assert int(module.net[7].weight.count_nonzero()) == round(30 * 0.64)
    assert trainer.global_step == 48


@pytest.mark.parametrize(
    ("callback", "options", "message"),
    [
        (lambda: unfreezing(4), {}, r"unfreeze_backbone_at_epoch=4\) unfreezes the backbone after the dense run of 4ep"),
        (lambda: unfreezing(2), {"max_epochs": None, "max_steps": 12}, "after the dense run of 12it.*Unfreeze it earlier"),
        (AtEpochOne, {}, r"AtEpochOne unfreezes weights at an epoch .* net.0.weight, net.4.weight would stay dense"),
    ],
)  # fmt: skip
def test_what_would_be_pruned_while_it_is_frozen_is_refused(callback, options, message):
    module = Transfer()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        run("one cycle", module=module, beside=[callback()], **options)
    assert equal(module.state_dict(), before)
