"""How a criterion goes through a training step: batches of any kind, every hook on the way, any way of accumulating."""

import pytest
import torch
from gathering import Ask, gathered, needing
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from torch import nn
from torch.utils.data import DataLoader
from toys import STEPS, Images, Toy, equal, fit, seed_everything, toy
from zoo import Adversaries

from lightning_prune import IterativePruning, Levels, criteria
from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.criteria import OnBatches


def loss_of(module, images, labels):
    return nn.functional.cross_entropy(module(images), labels)


def plain(kind=Toy, **options):
    seed_everything(0, verbose=False)
    return kind(plain=True, **options)


class Hooked(Toy):
    """Each hook between the loader and the step adds its own number."""

    def on_before_batch_transfer(self, batch, dataloader_idx):
        return [batch[0] + 1, batch[1]]

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return super().transfer_batch_to_device([batch[0] * 2, batch[1]], device, dataloader_idx)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return [batch[0] + 3, batch[1]]


class ByItself(Toy):
    def training_step(self, batch, index):
        return loss_of(self, (batch[0] + 1) * 2 + 3, batch[1])


class HookedData(Images):
    on_before_batch_transfer = Hooked.on_before_batch_transfer

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return [batch[0] * 2 + 3, batch[1]]


@pytest.mark.filterwarnings("ignore:You have overridden .* in `LightningModule` but have passed in")
def test_batches_go_through_the_hooks_of_the_module_or_the_datamodule():
    expected = gathered(needing("gradient"), plain(ByItself))
    assert equal(expected, gathered(needing("gradient"), plain(Hooked)))
    assert equal(expected, gathered(needing("gradient"), plain(), HookedData()))


class OfNames(Toy):
    """A batch of names, a step without an index, and a result of names."""

    def training_step(self, batch):
        return {"loss": loss_of(self, batch["x"], batch["y"]), "more": 1}

    def validation_step(self, batch, index):
        pass


class Names(LightningDataModule):
    def train_dataloader(self):
        images = Images()
        return DataLoader([{"x": x, "y": y} for x, y in images.set], batch_size=images.batch)

    def val_dataloader(self):
        return self.train_dataloader()


def test_batches_and_results_can_have_names():
    assert equal(gathered(needing("gradient"), plain()), gathered(needing("gradient"), plain(OfNames), Names()))


class Both(Toy):
    def training_step(self, batch, index):
        present = [one for one in batch.values() if one is not None]
        return sum(loss_of(self, *one) for one in present) / len(present)


@pytest.mark.parametrize("mode", ["min_size", "max_size", "max_size_cycle"])
def test_loaders_together_are_read_in_their_own_mode(mode):
    lengths = []

    class Loaders(Images):
        def train_dataloader(self):
            few = torch.utils.data.Subset(self.set, range(16))
            return CombinedLoader({"all": DataLoader(self.set, 8), "few": DataLoader(few, 8)}, mode)

    class Counting(Both):
        def __init__(self, **options):
            super().__init__(**options)
            self.note = lengths.append

        def training_step(self, batch, index):
            self.note(sum(one is not None for one in batch.values()))
            return super().training_step(batch, index)

    found = gathered(needing("gradient", batches=5), plain(Counting), Loaders())
    assert found["gradient"]["net.1.weight"].count_nonzero()
    trained = 2 if mode == "min_size" else STEPS
    asked = lengths[trained:-trained]
    assert asked == {"min_size": [2, 2], "max_size": [2, 2, 1, 1, 1], "max_size_cycle": [2] * 5}[mode]


class Generated(Toy):
    """Draws in its step: the same draws whenever it is asked about the same batch, and none of them for good."""

    def training_step(self, batch, index):
        return loss_of(self, batch[0] * torch.rand(1), batch[1])


def test_what_is_drawn_is_the_same_whenever_one_asks_and_not_for_every_batch():
    one = gathered(needing("gradient", "hessian_gradient"), plain(Generated))
    assert equal(one, gathered(needing("gradient", "hessian_gradient"), plain(Generated)))
    seen = []

    class Draws(Generated):
        def __init__(self, **options):
            super().__init__(**options)
            self.note = seen.append

        def training_step(self, batch, index):
            self.note(float(torch.rand(1)))
            return super().training_step(batch, index)

    gathered(needing("gradient", "hessian_gradient", batches=3), plain(Draws))
    asked = seen[STEPS : STEPS + 6]
    assert asked[:3] == asked[3:], "the Hessian is that of the same loss"
    assert len(set(asked[:3])) == 3


@pytest.mark.parametrize("accumulated", [2, 4])
def test_a_prune_beside_accumulated_gradients_leaves_them_and_prunes_as_scheduled(accumulated):
    """Asked in the middle of a window: the gradients that have come together so far are those of before."""

    class Middle(Ask):
        def on_train_batch_start(self, trainer, pl_module, batch, index):
            if trainer.current_epoch == 0 and index == 1:
                weights = {n: p for n, p in pl_module.named_parameters() if p.dim() > 1}
                before = {n: p.grad.clone() for n, p in pl_module.named_parameters()}
                Gatherer(weights, needing("gradient", "hessian_gradient"), 0).gather(
                    trainer, dict.fromkeys(weights), 1, 100, False
                )
                self.same = equal(before, {n: p.grad for n, p in pl_module.named_parameters()})

    middle, module, untouched = Middle(None, epoch=-1), toy(), toy()
    fit([middle], module, max_epochs=2, accumulate_grad_batches=accumulated)
    fit([], untouched, max_epochs=2, accumulate_grad_batches=accumulated)
    assert middle.same
    assert equal(module.state_dict(), untouched.state_dict())
    pruning = IterativePruning(
        cycles=2, retrain="3it", criterion=OnBatches(criteria.taylor, 2), sparsity=Levels([0.3, 0.6])
    )
    trainer = fit([pruning], toy(), max_epochs=2, accumulate_grad_batches=accumulated)
    assert pruning.measured_sparsity == pytest.approx(0.6, abs=1e-3)
    assert trainer.global_step == 2 * -(-STEPS // accumulated) + 6


@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no `validation_step`")
def test_several_optimizers_by_hand_are_refused_by_name_before_anything_is_trained():
    module = Adversaries()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"Adversaries optimizes by hand, so its training_step steps and returns no loss"
    ):
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=criteria.snip)], module)
    assert equal(before, module.state_dict())


class Prepared(Toy):
    """A module whose step needs what its own hooks have set."""

    def on_train_start(self):
        self.scale = 1.0

    def on_train_epoch_start(self):
        self.of_epoch = 1.0

    def training_step(self, batch, index):
        return super().training_step(batch, index) * self.scale * self.of_epoch


def test_a_step_finds_what_the_module_prepared_when_training_began():
    seed_everything(0, verbose=False)
    pruning = IterativePruning(cycles=1, retrain="1ep", criterion=criteria.snip)
    fit([pruning], Prepared(), max_epochs=1)
    assert pruning.measured_sparsity == pytest.approx(0.2, abs=0.01)
