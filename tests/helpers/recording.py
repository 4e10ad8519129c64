"""Runs whose module keeps the batches that it is given."""

import torch
from lightning import LightningModule, Trainer

from lightning_prune.lab.data.data_module import ImageData


class Recorder(LightningModule):
    """Keeps what it is given, by stage."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = {"train": [], "val": [], "test": []}

    def training_step(self, batch, batch_idx):
        self.seen["train"].append(batch)
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.seen["val"].append(batch)

    def test_step(self, batch, batch_idx):
        self.seen["test"].append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def run(data: ImageData, epochs: int = 1, **kwargs) -> dict:
    torch.manual_seed(0)
    recorder = Recorder()
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(max_epochs=epochs, accelerator="cpu", num_sanity_val_steps=0, **quiet, **kwargs)
    trainer.fit(recorder, datamodule=data)
    trainer.test(recorder, datamodule=data, verbose=False)
    return recorder.seen
