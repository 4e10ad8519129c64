"""What a study says once: that nothing is validated, and that nothing it knows is logged."""

import warnings

import pytest
from lightning.pytorch.demos.boring_classes import BoringModel

from lightning_prune import IterativePruning
from lightning_prune.ablation import Ablation


class Nameless(BoringModel):
    """Logs a value that does not say whether high or low is good."""

    def validation_step(self, batch, batch_idx):
        self.log("score", self.step(batch))


def run(folder, model=BoringModel, **trainer):
    callbacks = [IterativePruning(cycles=1, retrain="1ep")]
    options = {"max_epochs": 1, "limit_train_batches": 1, "limit_test_batches": 1, "log_every_n_steps": 1}
    base = {"model": model, "trainer": {**options, "callbacks": callbacks, **trainer}}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = Ablation(base=base, arms={"one": {}, "two": {"pruning.seed": 3}}, seeds=1).run(folder, workers=0)
    assert frame["error"].isna().all()
    assert frame["val_last"].isna().all()
    return [str(one.message) for one in caught if "Ablation" in str(one.message)]


@pytest.mark.parametrize(
    ("model", "trainer", "said"),
    [
        (BoringModel, {"limit_val_batches": 0}, "'one', 'two' validate nothing, because it has `limit_val_batches: 0`"),
        (Nameless, {"limit_val_batches": 1}, "the validation logs no accuracy and no loss that is known by its name"),
    ],
    ids=["no validation", "nothing that is known"],
)
def test_a_study_that_nothing_can_be_chosen_in_says_so_once(model, trainer, said, tmp_path):
    found = run(tmp_path, model, **trainer)
    assert len(found) == 1
    assert said in found[0]
