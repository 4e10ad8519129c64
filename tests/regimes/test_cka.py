"""CKA against the kernels of all examples, as numpy and scikit-learn compute them."""

import math

import numpy as np
import pytest
import torch
from lightning import LightningModule
from sklearn.preprocessing import KernelCenterer
from torch import nn

from lightning_prune import UserError, agreement, cka, weight_distance

COUNT = 30


class Fixed(nn.Module):
    """Gives the same features for the n-th example whatever else comes."""

    def __init__(self, features):
        super().__init__()
        self.register_buffer("features", torch.as_tensor(features))
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, index):
        return self.features[index.long()]


def features(seed, width, offset=0.0):
    return np.random.default_rng(seed).normal(size=(COUNT, width)) + offset


def batches(*sizes):
    return list(torch.arange(COUNT).split(list(sizes)))


def biased(x, y):
    """By centered kernels of all examples."""
    k, m = (KernelCenterer().fit_transform(one @ one.T) for one in (x, y))
    return (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())


def hsic(k, m):
    """The unbiased estimator of Song et al. (2012), from kernels without their diagonals."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    middle = one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + middle - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))


def debiased(x, y):
    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize("widths", [(3, 3), (2, 7), (40, 5)])
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize(("flag", "oracle"), [(False, biased), (True, debiased)])
def test_it_is_that_of_the_kernels_of_all_examples(widths, offset, flag, oracle):
    x, y = features(0, widths[0]), features(1, widths[1])
    y[:, :2] += x[:, :2]
    found = cka(Fixed(x + offset), Fixed(y - offset), batches(8, 8, 8, 6), of="logits", debiased=flag)
    assert found == pytest.approx(oracle(x, y), abs=1e-7)


def test_probabilities_are_compared_unless_told_otherwise():
    x, y = features(0, 3), features(1, 3)
    p, q = (np.exp(one) / np.exp(one).sum(1, keepdims=True) for one in (x, y))
    assert cka(Fixed(x), Fixed(y), batches(COUNT)) == pytest.approx(biased(p, q))


def test_it_ignores_rotation_scale_shift_and_batches():
    x, y = features(0, 4), features(1, 3)
    turned = x @ np.linalg.qr(features(2, 4)[:4])[0] * 7 + 5
    base = cka(Fixed(x), Fixed(y), batches(COUNT), of="logits")
    assert cka(Fixed(turned), Fixed(y), batches(1, 13, 16), of="logits") == pytest.approx(base)
    assert cka(Fixed(x), Fixed(turned), batches(COUNT), of="logits") == pytest.approx(1)
    assert base < 0.5


def test_features_may_be_of_any_shape_and_come_from_a_function():
    x, y = features(0, 8), features(1, 6)
    found = cka(Fixed(x), Fixed(y), batches(10, 20), of=lambda module, batch: module(batch).unflatten(1, (2, -1)))
    assert found == pytest.approx(biased(x, y))


def test_the_first_batches_are_enough():
    x, y = features(0, 3), features(1, 3)
    found = cka(Fixed(x), Fixed(y), batches(10, 10, 10), of="logits", batches=2)
    assert found == pytest.approx(biased(x[:20], y[:20]))


def test_a_constant_output_has_no_similarity():
    assert math.isnan(cka(Fixed(np.ones((COUNT, 3))), Fixed(features(0, 3)), batches(COUNT)))


def test_agreement_is_the_share_of_equal_classes():
    x, y = np.eye(3)[np.arange(COUNT) % 3], np.eye(3)[np.arange(COUNT) % 2]
    assert agreement(Fixed(x), Fixed(y), batches(7, 23)) == pytest.approx(10 / COUNT)


def test_what_cannot_be_compared_is_refused():
    network = Fixed(features(0, 3))
    with pytest.raises(UserError, match="at least 4 examples"):
        cka(network, network, [torch.arange(3)], debiased=True)
    with pytest.raises(UserError, match=r"cka\(of='features'\) is unknown"):
        cka(network, network, batches(COUNT), of="features")
    with pytest.raises(UserError, match="whose first part is the input, and found a dict"):
        cka(network, network, [{"x": torch.arange(3)}])
    with pytest.raises(UserError, match=r"outputs \[N, classes\]"):
        agreement(nn.Flatten(0), nn.Flatten(0), [torch.rand(3, 2)])


def test_the_distance_is_that_of_the_parameters_and_not_of_buffers():
    first, second = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
    second.running_mean += 5
    with torch.no_grad():
        second.weight.add_(1)
    assert weight_distance(first, second) == 2


class Noisy(Fixed, LightningModule):
    """Adds noise to a batch on the device, as data augmentation may."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch + torch.rand(batch.shape)

    def forward(self, x):
        return torch.stack([x, x**2], dim=1) * self.scale


def test_both_networks_see_the_same_augmented_batches():
    x = features(0, 2)
    assert cka(Noisy(x), Noisy(x), batches(10, 20), of="logits") == pytest.approx(1, abs=1e-12)
