"""When does a fit get to its first batch: a callback for the benchmark of ablations, named by its config."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer


class FirstBatch(Callback):
    """Note when the first batch of a fit begins."""

    noted = False

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if not self.noted:
            self.noted = True
            Path(trainer.log_dir, "first_batch").write_text(str(time.time()))
