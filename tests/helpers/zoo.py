"""Small modules of kinds that a toy classifier is not."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, StepLR
from torch.utils.data import DataLoader, TensorDataset


def adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    return torch.optim.Adam(parameters, lr=0.01)


def lbfgs(parameters: Iterable[nn.Parameter]) -> Optimizer:
    return torch.optim.LBFGS(parameters, lr=0.1, max_iter=4, history_size=3)


def searching_lbfgs(parameters: Iterable[nn.Parameter]) -> Optimizer:
    return torch.optim.LBFGS(parameters, max_iter=4, line_search_fn="strong_wolfe")


def vectors(samples: int = 24, size: int = 8) -> DataLoader:
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(samples, size, generator=generator)
    return DataLoader(TensorDataset(data, data.cumsum(1)[:, -4:].sin()), batch_size=6)


def sequences(samples: int = 24, length: int = 5, size: int = 8) -> DataLoader:
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(samples, length, size, generator=generator)
    return DataLoader(TensorDataset(data, data.sum(1)[:, -4:].sin()), batch_size=6)


def tokens(samples: int = 24, length: int = 5, words: int = 11) -> DataLoader:
    generator = torch.Generator().manual_seed(1)
    data = torch.randint(words, (samples, length + 1), generator=generator)
    return DataLoader(TensorDataset(data[:, :-1], data[:, 1:]), batch_size=6)


class Regressor(LightningModule):
    """Any network that gives four numbers."""

    def __init__(self, network: nn.Module, optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = adam) -> None:
        super().__init__()
        self.network, self.make_optimizer = network, optimizer

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return self.make_optimizer([parameter for parameter in self.parameters() if parameter.requires_grad])


def perceptron(hidden: int = 12) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, hidden), nn.Tanh(), nn.Linear(hidden, 4))


class Adversaries(LightningModule):
    """A GAN with two optimizers and two schedules, optimized by hand; the generator steps every second batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 8))
        self.discriminator = perceptron()

    def training_step(self, batch: Any, index: int) -> None:
        ours, theirs = self.optimizers()
        noise = torch.randn(len(batch[0]), 4)
        self.toggle_optimizer(theirs)
        real, fake = self.discriminator(batch[0]), self.discriminator(self.generator(noise).detach())
        theirs.zero_grad()
        self.manual_backward(nn.functional.softplus(-real).mean() + nn.functional.softplus(fake).mean())
        theirs.step()
        self.untoggle_optimizer(theirs)
        if index % 2 == 0:
            self.toggle_optimizer(ours)
            ours.zero_grad()
            self.manual_backward(nn.functional.softplus(-self.discriminator(self.generator(noise))).mean())
            ours.step()
            self.untoggle_optimizer(ours)

    def on_train_epoch_end(self) -> None:
        for scheduler in self.lr_schedulers():
            scheduler.step()

    def configure_optimizers(self) -> Any:
        ours = torch.optim.Adam(self.generator.parameters(), lr=0.01, betas=(0.5, 0.99))
        theirs = torch.optim.SGD(self.discriminator.parameters(), lr=0.05, momentum=0.9)
        return [ours, theirs], [ExponentialLR(ours, 0.9), StepLR(theirs, 2)]


class Recurrent(nn.Module):
    """A recurrent network and a head on its last output."""

    def __init__(self, kind: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.cells = kind(8, 6, batch_first=True, **options)
        self.head = nn.LazyLinear(4)
        self(torch.zeros(1, 2, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0].mean(1))


class Attentive(nn.Module):
    """Self-attention and a head on the mean of its output."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        keys = x[..., : self.attention.kdim]
        return self.head(self.attention(x, keys, keys, need_weights=False)[0].mean(1))


class Shared(nn.Module):
    """One layer that is used three times, under two names; two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.again = self.first
        self.left, self.right = nn.Linear(8, 8), nn.Linear(8, 8)
        self.right.weight = self.left.weight
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.again(self.first(x).tanh()).tanh()).tanh()
        return self.head(self.right(self.left(x).tanh()).tanh())


class Language(LightningModule):
    """A language model whose decoder is its embedding."""

    def __init__(self, words: int = 11) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 8)
        self.cells = nn.GRU(8, 8, batch_first=True)
        self.decoder = nn.Linear(8, words)
        self.decoder.weight = self.embedding.weight

    def training_step(self, batch: Any, index: int) -> Tensor:
        scores = self.decoder(self.cells(self.embedding(batch[0]))[0])
        return nn.functional.cross_entropy(scores.flatten(0, 1), batch[1].flatten())

    def configure_optimizers(self) -> Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.01)


class Late(Regressor):
    """Its layers are made in ``configure_model``, one of them lazily."""

    def __init__(self) -> None:
        super().__init__(nn.Identity())

    def configure_model(self) -> None:
        if isinstance(self.network, nn.Identity):
            self.network = nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.LazyLinear(4))
            self.network(torch.zeros(1, 8))
