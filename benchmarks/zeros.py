"""Measure what single zeros gain on a CPU: linear layers as sparse matrices, a convolution, and the sparse file.

Run with ``make bench``, or alone: ``python benchmarks/zeros.py``. Times are the shortest of many calls, in turn with
the dense layer, in one process on one thread. Only the time of this thread counts, so that other processes do not.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor, nn

from lightning_prune import erk, prune, save_sparse
from lightning_prune.deployment.csr import CsrLinear
from lightning_prune.deployment.replaced_layers import beta_features

SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.99)
FILE = 7.4  # the least ratio of the sizes of the dense and the sparse file of ResNet-18 at 90 %
PACKING = 2.0  # the most seconds that writing the sparse file of ResNet-50 may take


def shortest(functions: list[Callable[[], object]], rounds: int) -> list[float]:
    """The shortest time of each function, called in turn after one call to warm up."""
    best = [float("inf")] * len(functions)
    with torch.no_grad():
        for number in range(rounds + 1):
            for place, function in enumerate(functions):
                began = time.thread_time()
                function()
                best[place] = min(best[place], time.thread_time() - began) if number else best[place]
    return best


def sparse_layer(width: int, sparsity: float) -> nn.Linear:
    """A square linear layer with random zeros."""
    layer = nn.Linear(width, width, bias=False)
    with torch.no_grad():
        layer.weight.mul_(torch.rand(width, width) >= sparsity)
    return layer


def linear_rows(table: Table, rounds: int) -> None:
    """Dense over sparse, for two widths and two sizes of a batch."""
    for width, batch in ((1024, 1), (1024, 32), (4096, 1), (4096, 32)):
        ours, theirs, x = [], [], torch.randn(batch, width)
        for sparsity in SPARSITIES:
            layer = sparse_layer(width, sparsity)
            csr = CsrLinear(layer)
            calls = [lambda: layer(x), lambda: csr(x), lambda: nn.functional.linear(x, csr.weight)]  # noqa: B023
            dense, product, plain = shortest(calls, rounds)
            ours.append(dense / product)
            theirs.append(dense / plain)
        table.add_row(f"linear {width} x {width}, batch {batch}: to_csr", *[f"{one:.2f}" for one in ours])
        table.add_row("the same: F.linear(x, csr)", *[f"{one:.2f}" for one in theirs])


def convolution_rows(table: Table, rounds: int) -> None:
    """Dense without zeros over dense with zeros, and over the sparse product of the unfolded images."""
    images = torch.randn(4, 256, 14, 14)
    for kernel in (1, 3):
        as_dense, as_csr = [], []
        whole = nn.Conv2d(256, 256, kernel, padding=kernel // 2, bias=False)
        for sparsity in SPARSITIES:
            layer = nn.Conv2d(256, 256, kernel, padding=kernel // 2, bias=False)
            with torch.no_grad():
                layer.weight.copy_(whole.weight * (torch.rand_like(whole.weight) >= sparsity))
            with beta_features():
                matrix = layer.weight.detach().flatten(1).to_sparse_csr()
            calls = [lambda: whole(images), lambda: layer(images), lambda: unfolded(matrix, images, kernel)]  # noqa: B023
            dense, zeros, product = shortest(calls, rounds)
            as_dense.append(dense / zeros)
            as_csr.append(dense / product)
        name = f"convolution 256 -> 256, {kernel}x{kernel}, 4 images of 14x14"
        table.add_row(f"{name}: zeros in torch's", *[f"{one:.2f}" for one in as_dense])
        table.add_row("the same: unfolded images and csr", *[f"{one:.2f}" for one in as_csr])


def unfolded(matrix: Tensor, images: Tensor, kernel: int) -> Tensor:
    """A convolution as a product of a sparse matrix and the unfolded images."""
    columns = nn.functional.unfold(images, kernel, padding=kernel // 2).transpose(0, 1).flatten(1)
    return (matrix @ columns).view(len(matrix), len(images), *images.shape[2:]).transpose(0, 1)


def file_rows(table: Table) -> list[bool]:
    """How many times as large the dense file of ResNet-18 is, and whether the goals are met."""
    with tempfile.TemporaryDirectory() as name:
        folder, ratios = Path(name), []
        for sparsity in SPARSITIES:
            network = torchvision.models.resnet18()
            prune(network, sparsity, allocation=erk)
            save_file(network.state_dict(), folder / "dense.safetensors")
            dense, sparse = (folder / "dense.safetensors"), save_sparse(network, folder / "sparse.safetensors")
            ratios.append(dense.stat().st_size / sparse.stat().st_size)
        table.add_row("file of ResNet-18: dense / sparse", *[f"{one:.2f}" for one in ratios])
        large = torchvision.models.resnet50()
        prune(large, 0.9, allocation=erk)
        began = time.thread_time()
        save_sparse(large, folder / "large.safetensors")
        seconds = time.thread_time() - began
    table.add_row(f"writing that of ResNet-50, at most {PACKING:g} s", "", "", f"{seconds:.2f} s", "", "")
    return [ratios[SPARSITIES.index(0.9)] >= FILE, seconds <= PACKING]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 10 if parser.parse_args().quick else 50
    torch.manual_seed(0)
    torch.set_num_threads(1)
    table = Table("speed-up over dense, with this fraction of zeros", *[f"{one:.0%}" for one in SPARSITIES])
    linear_rows(table, rounds)
    convolution_rows(table, max(rounds // 3, 5))
    met = file_rows(table)
    Console(width=140).print(table)
    print("targets met" if all(met) else "a target was missed")


if __name__ == "__main__":
    main()
