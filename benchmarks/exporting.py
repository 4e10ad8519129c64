"""Measure how large and how exact the file of each format is.

Run with ``make bench``, or alone: ``python benchmarks/exporting.py``. The networks are ResNet-18: whole, with half of
the channels of every group zero, and with 90 % of the single weights zero.
"""

import argparse
import copy
import time
from pathlib import Path
from tempfile import mkdtemp

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from lightning_prune import export, prune, structures_of
from lightning_prune.deployment.formats.known_formats import FORMATS
from lightning_prune.shrinking.slices import mask_, tensors_of

ERROR = 1e-5  # the largest that a file may have


def networks(images: Tensor) -> dict[str, nn.Module]:
    """A whole network, one of whose channels half are zero, and one of whose single weights 90 % are zero."""
    whole = torchvision.models.resnet18().eval()
    masked, zeros = copy.deepcopy(whole), copy.deepcopy(whole)
    found = structures_of(masked, images)
    alive = {name: (torch.arange(one.width) < one.width / 2).to(torch.uint8) for name, one in found.groups.items()}
    mask_(tensors_of(masked), found.groups.values(), alive)
    prune(zeros, sparsity=0.9)
    return {"whole": whole, "half": masked, "90 % zeros": zeros}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--formats", nargs="*", default=list(FORMATS), choices=list(FORMATS))
    options = parser.parse_args()
    torch.manual_seed(0)
    images, folder = torch.rand(2, 3, 64, 64), Path(mkdtemp())
    given = networks(images)
    table = Table("format", *(f"{name}, MB" for name in given), "largest error", "seconds to write")
    for name in options.formats:
        files, seconds = [], []
        for number, network in enumerate(given.values()):
            place = folder / f"{number}-{FORMATS[name].file_name}"
            start = time.perf_counter()
            files.append(export(network, place, name, images))
            seconds.append(time.perf_counter() - start)
        error = max(file.error for file in files)
        missed = "" if error <= ERROR else f", above {ERROR:.0e}"
        sizes = [f"{file.size / 1e6:.1f}" for file in files]
        table.add_row(name, *sizes, f"{error:.1e}{missed}", f"{min(seconds):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
