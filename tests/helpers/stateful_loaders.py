"""Data whose loader keeps its place, and all that a run has come to."""

import pytest
from resumed_runs import timeless
from toys import Images


class KeepsItsPlace(Images):
    """Shuffled, by a loader with a state."""

    def train_dataloader(self):
        stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is in the dev extra")
        return stateful.StatefulDataLoader(self.set, batch_size=self.batch, shuffle=True)


def everything(trainer):
    """What a run leaves, but for how long its parts took."""
    trainer.strategy.connect(trainer.lightning_module)
    saved = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    parts = {name: saved[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")}
    del saved["callbacks"]["ExactResume"]["metrics"]["train_loss"]  # Lightning averages it over what was left
    return {**parts, **{key: timeless(state) for key, state in saved["callbacks"].items()}}
