"""What takes launches out of a masked step: a multi-tensor multiply, a fused optimizer, a compiled graph."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.gpu_parts.setting import Row, Setting, Stopwatch, be_quiet, holds
from lightning_prune.lab.networks.resnet import ResNet

LIVING = 0.1  # of each weight


@dataclass(frozen=True)
class Way:
    """A way to make a step.

    Args:
        name: The name of the row.
        masks: Whether the masks are ``"one by one"`` or ``"multi-tensor"``.
        fused: Whether the optimizer is fused. Otherwise it has multi-tensor steps.
        compiled: Whether forward and backward are one compiled graph, which the GPU replays.
    """

    name: str
    masks: str = "multi-tensor"
    fused: bool = False
    compiled: bool = False


FIRST = Way("masks one by one", masks="one by one")
WAYS = (
    FIRST,
    Way("masks in one multi-tensor multiply"),
    Way("and a fused optimizer", fused=True),
    Way("and torch.compile(mode='reduce-overhead')", fused=True, compiled=True),
)


def rows(setting: Setting) -> Iterator[Row]:
    """The time of a step of ResNet-20 in each way, over that of the first, and whether the masked weights are equal."""
    be_quiet()
    # A compiled graph needs a compiler on the CPU, which a machine may lack.
    ways = [way for way in WAYS if setting.on_gpu or not way.compiled]
    batch, steps = (4, 3) if setting.small else (128, 50)
    times: dict[str, float] = {}
    for way in ways:
        try:
            times[way.name] = time_of(step_of(way, setting.device, batch), setting, steps)
        except Exception as error:  # The rest of the ways can still be measured.
            yield Row(f"step of ResNet-20 at batch {batch}, {way.name}", "failed", note=str(error)[:100])
            continue
        ratio = times[way.name] / times.get(FIRST.name, times[way.name])
        note = f"{times[way.name]:.2f} ms"
        yield Row(f"step of ResNet-20 at batch {batch}, {way.name}: time / the first", ratio, note=note)
    yield holds("masks in one multiply: the bits of masks one by one", masks_agree(setting.device))


def step_of(way: Way, device: torch.device, batch: int) -> Callable[[], None]:
    """Make a training step with masks."""
    torch.manual_seed(0)
    network = ResNet(depth=20).to(device)
    weights, masks = masked(network)
    kind = {"fused": True} if way.fused else {"foreach": True}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, **kind)
    images, labels = torch.randn(batch, 3, 32, 32, device=device), torch.arange(batch, device=device) % 10
    if way.compiled:
        network.compile(mode="reduce-overhead")
    mask = one_by_one_ if way.masks == "one by one" else multi_tensor_

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
        mask(weights, masks)

    return step


def masked(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The weights of at least two dimensions, and random masks of them."""
    weights = [weight for weight in network.parameters() if weight.ndim > 1]
    return weights, [(torch.rand_like(weight) < LIVING).to(weight.dtype) for weight in weights]


@torch.no_grad()
def one_by_one_(weights: list[Tensor], masks: list[Tensor]) -> None:
    """Mask each weight by itself."""
    for weight, mask in zip(weights, masks, strict=True):
        weight.mul_(mask)


@torch.no_grad()
def multi_tensor_(weights: list[Tensor], masks: list[Tensor]) -> None:
    """Mask all weights in one call."""
    torch._foreach_mul_(weights, masks)


def masks_agree(device: torch.device) -> bool:
    """Whether both ways of masking give the same bits."""
    torch.manual_seed(0)
    weights, masks = masked(ResNet(depth=20).to(device))
    others = [weight.detach().clone() for weight in weights]
    one_by_one_(weights, masks)
    multi_tensor_(others, masks)
    return all(torch.equal(one, other) for one, other in zip(weights, others, strict=True))


def time_of(step: Callable[[], None], setting: Setting, steps: int) -> float:
    """The median milliseconds of a step, after steps that allocate and compile."""
    watch = Stopwatch(setting.device)
    for _ in range(3 if setting.small else 12):
        step()
    return statistics.median(watch.time(step) for _ in range(steps))
