"""A LightningModule that trains a classifier of images or of next symbols: a network, an optimizer, a schedule."""

import math
from collections.abc import Iterable
from functools import partial
from typing import Literal

import torch
from lightning import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer
from torchmetrics.classification import MulticlassAccuracy

from lightning_prune.basics.checks import check_numbers, require, require_positive
from lightning_prune.basics.user_error import UserError

Batch = tuple[Tensor, Tensor]


def momentum_sgd(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Make the optimizer of the ResNet paper: SGD at 0.1 with momentum 0.9 and weight decay 1e-4.

    Args:
        parameters: What to optimize.

    Returns:
        The optimizer.

    Example:
        >>> momentum_sgd(nn.Linear(2, 2).parameters()).defaults["lr"]
        0.1

    Reference:
        He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2016, https://arxiv.org/abs/1512.03385
    """
    return SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-4)


class Classifier(LightningModule):
    """Train a network with cross-entropy, and log loss and accuracy in training, validation and test.

    Args:
        network: Maps images ``[N, C, H, W]`` to class scores ``[N, classes]``, or symbols ``[N, T]`` to scores of the
            next symbols ``[N, classes, T]``.
        optimizer: Makes the optimizer from the parameters.
        scheduler: Makes the learning-rate schedule from the optimizer. None keeps the rate constant.
        interval: Whether the scheduler advances after every epoch or every optimizer step.
        scheduler_length: Name of the scheduler's argument for its length, such as
            ``"total_steps"`` of ``OneCycleLR``. The argument is set to the number of
            epochs or steps of the run, whichever ``interval`` counts. None does not
            set any argument.
        monitor: Logged value that a ``ReduceLROnPlateau`` monitors.
        label_smoothing: Share of the target that is spread over all classes while training, in [0, 1).
        classes: Number of classes or symbols, at least 1.
        channels_last: Whether images and convolutions are stored with the
            channels innermost, which is faster on GPUs with tensor cores.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> from lightning_prune.lab.networks import LeNet300100
        >>> classifier = Classifier(LeNet300100(inputs=64))
        >>> classifier(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
        >>> Classifier(LeNet300100(), label_smoothing=1.0)
        Traceback (most recent call last):
        lightning_prune.UserError: Classifier(label_smoothing=1.0): `label_smoothing` must lie in [0, 1).
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerCallable = momentum_sgd,
        scheduler: LRSchedulerCallable | None = None,
        interval: Literal["epoch", "step"] = "epoch",
        scheduler_length: str | None = None,
        monitor: str = "val/loss",
        label_smoothing: float = 0.0,
        classes: int = 10,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        require_positive("Classifier", classes=classes)
        check_numbers("Classifier", {"label_smoothing": label_smoothing})
        require(0 <= label_smoothing < 1, "Classifier", "label_smoothing", label_smoothing, "lie in [0, 1)")
        require(interval in ("epoch", "step"), "Classifier", "interval", interval, "be 'epoch' or 'step'")
        lost = scheduler_length is not None and scheduler is None
        require(not lost, "Classifier", "scheduler_length", scheduler_length, "be None without a `scheduler`")
        self.memory_format = torch.channels_last if channels_last else torch.preserve_format
        self.network = network.to(memory_format=self.memory_format)
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.interval = interval
        self.scheduler_length = scheduler_length
        self.monitor = monitor
        self.label_smoothing = label_smoothing
        self.classes = classes
        # The metrics are not persistent, so that a checkpoint holds only the weights of the network. Checking every
        # label would make the host wait for the GPU at every step. The loss refuses wrong labels anyway.
        self.train_accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)
        self.val_accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)
        self.test_accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)

    def setup(self, stage: str) -> None:
        data = getattr(self.trainer, "datamodule", None)
        found = getattr(data, "num_classes", self.classes)
        expected = f"be {found}, as many as {type(data).__name__} has"
        require(found == self.classes, "Classifier", "classes", self.classes, expected)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[N, C, H, W]`` to class scores ``[N, classes]``."""
        scores: Tensor = self.network(images.to(memory_format=self.memory_format))
        return scores

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        scores = self(images)
        loss = functional.cross_entropy(scores, labels, label_smoothing=self.label_smoothing)
        self._report("train", loss, self.train_accuracy, scores, labels)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("val", self.val_accuracy, batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("test", self.test_accuracy, batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the probability of every class, ``[N, classes]``."""
        images, _ = batch
        scores: Tensor = self(images)
        return scores.softmax(dim=1)

    def _evaluate(self, stage: str, accuracy: MulticlassAccuracy, batch: Batch) -> None:
        images, labels = batch
        scores = self(images)
        self._report(stage, functional.cross_entropy(scores, labels), accuracy, scores, labels)

    def _report(self, stage: str, loss: Tensor, accuracy: MulticlassAccuracy, scores: Tensor, labels: Tensor) -> None:
        accuracy.update(scores, labels)
        log = partial(self.log, on_step=False, on_epoch=True, batch_size=len(labels))
        log(f"{stage}/loss", loss, prog_bar=stage == "train", sync_dist=True)
        log(f"{stage}/accuracy", accuracy, prog_bar=stage == "val")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return optimizer
        scheduler = self.scheduler(optimizer, **self._length())
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": self.interval, "monitor": self.monitor},
        }

    def _length(self) -> dict[str, int]:
        if self.scheduler_length is None:
            return {}
        by_step = self.interval == "step"
        length = self.trainer.estimated_stepping_batches if by_step else self.trainer.max_epochs
        if length is None or not 0 < length < math.inf:
            raise UserError(
                f"Classifier(scheduler_length={self.scheduler_length!r}) cannot tell how long an endless run is. "
                f"Set `Trainer(max_epochs=...)`, or write the length in the scheduler's own arguments."
            )
        return {self.scheduler_length: int(length)}
