"""Asking for evidence in the middle of a run: what the tests of criteria share."""

import pytest
from lightning.pytorch import Callback
from members import CRITERIA
from torch import nn
from toys import fit

from lightning_prune import criteria
from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.criteria import OnBatches, Scorer, SynFlow, needs, needs_of

NEEDY = [c for c in CRITERIA if needs_of(c).kinds and not isinstance(c, Scorer)]  # those are around the same ones
every_needy = pytest.mark.parametrize("criterion", NEEDY, ids=lambda c: getattr(c, "__name__", repr(c)))
QUICK = {"synflow": SynFlow(rounds=3), "taylor": OnBatches(criteria.taylor, 3)}


def quick(criterion):
    return QUICK.get(getattr(criterion, "__name__", ""), criterion)


class Cross(nn.Module):
    """Attention with other keys and values than queries."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 1, batch_first=True)

    def forward(self, x):
        return self.attention(x, 2 * x, 3 * x)[0]


class Ask(Callback):
    """Calls something when the first batch of an epoch is about to be trained."""

    def __init__(self, ask, epoch=1):
        self.ask, self.epoch, self.answer = ask, epoch, None

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            self.answer = self.ask(trainer)


def gathered(criterion, module=None, data=None, cycle=1, **options):
    """The evidence after one epoch, by kind and name."""

    def ask(trainer):
        weights = {n: p for n, p in trainer.lightning_module.named_parameters() if p.dim() > 1}
        gatherer = Gatherer(weights, criterion, seed=0)
        masks = dict.fromkeys(weights)
        gatherer.begin_fit()
        gatherer.gather(trainer, masks, cycle, budget=100, rehearsal=False)
        return gatherer._found

    asks = Ask(ask)
    fit([asks], module, data, max_epochs=2, **options)
    return asks.answer


def needing(*kinds, batches=2, **options):
    @needs(*kinds, batches=batches, **options)
    def criterion(weight, evidence):
        return weight.detach()

    return criterion
