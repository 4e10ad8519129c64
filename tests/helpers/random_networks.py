"""Random networks from a grammar of the blocks that networks for images are made of."""

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Tensor], *inner: nn.Module) -> None:
        super().__init__()
        self.function, self.inner = function, nn.ModuleList(inner)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.inner)


class Attention(nn.Module):
    """Attention over pixels. The number of heads follows from the widths."""

    def __init__(self, width: int, heads: int, kind: str, grouped: int = 1) -> None:
        super().__init__()
        self.head, self.kind = width // heads, kind
        self.norm = nn.LayerNorm(width) if kind != "plain" else nn.Identity()
        if kind == "fused":
            self.qkv = nn.Linear(width, 3 * width)
        else:
            self.q = nn.Linear(width, width)
            self.k, self.v = (nn.Linear(width, width // grouped, bias=False) for _ in range(2))
        self.out = nn.Linear(width, width)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(images.flatten(2).transpose(1, 2))
        batch, places, _ = x.shape
        if self.kind == "fused":
            q, k, v = self.qkv(x).view(batch, places, 3, -1, self.head).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            q, k, v = (f(x).view(batch, places, -1, self.head).transpose(1, 2) for f in (self.q, self.k, self.v))
            k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
        if self.kind == "written":
            y = (q @ k.transpose(-1, -2) * 0.3).softmax(-1) @ v
        else:
            y = functional.scaled_dot_product_attention(q, k, v, scale=0.3)
        y = self.out(y.transpose(1, 2).reshape(batch, places, -1))
        return images + y.transpose(1, 2).unflatten(2, images.shape[2:])


class Draw:
    """Draws blocks, each for a number of channels and with the number that it gives."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kinds = [name for name in dir(self) if name.startswith("block_")]

    def network(self, blocks: int = 4) -> nn.Module:
        width = self.random.choice([8, 12, 16])
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), self.norm(width)]
        for _ in range(blocks):
            block, width = self.block(width, 2)
            layers.append(block)
        flat = self.random.random() < 0.5
        pool = nn.AdaptiveAvgPool2d(2 if flat else 1)
        return nn.Sequential(*layers, pool, nn.Flatten(), nn.Linear(width * (4 if flat else 1), 5))

    def block(self, width: int, depth: int) -> tuple[nn.Module, int]:
        while True:
            kind = self.random.choice(self.kinds)
            made = getattr(self, kind)(width, depth)
            if made is not None:
                return made

    def inner(self, width: int, depth: int, out: int | None = None) -> nn.Module:
        layers, now = [], width
        for _ in range(self.random.randint(0, 1) if depth else 0):
            block, now = self.block(now, depth - 1)
            layers.append(block)
        if out is not None and (now != out or self.random.random() < 0.5):
            layers.append(nn.Conv2d(now, out, 1))
        return nn.Sequential(*layers)

    def norm(self, width: int) -> nn.Module:
        groups = self.random.choice([g for g in (1, 2, 4) if width % g == 0])
        choices = [nn.BatchNorm2d(width), nn.BatchNorm2d(width), nn.InstanceNorm2d(width, affine=True), nn.Identity()]
        return self.random.choice([*choices, nn.GroupNorm(groups, width)])

    def activation(self) -> nn.Module:
        kinds = [nn.ReLU(inplace=True), nn.Sigmoid(), nn.SiLU(), nn.Softplus(), nn.Hardswish(), nn.GELU(), nn.PReLU()]
        return self.random.choice(kinds)

    # -- blocks: None where they do not go with the number of channels

    def block_convolution(self, width: int, depth: int):
        out, bias = self.random.choice([6, 8, 12, 16]), self.random.random() < 0.5
        return nn.Sequential(nn.Conv2d(width, out, 3, padding=1, bias=bias), self.norm(out), self.activation()), out

    def block_residual(self, width: int, depth: int):
        inner = self.inner(width, depth, width)
        return Apply(lambda x, f: x + f(x), inner), width

    def block_product(self, width: int, depth: int):
        return Apply(lambda x, f, g: f(x) * g(x), self.inner(width, depth, 8), self.inner(width, depth, 8)), 8

    def block_branches(self, width: int, depth: int):
        outs = [self.random.choice([4, 6]) for _ in range(2)]
        inner = [self.inner(width, depth, out) for out in outs]
        return Apply(lambda x, *fs: torch.cat([f(x) for f in fs] + [x], 1), *inner), sum(outs) + width

    def block_chunks(self, width: int, depth: int):
        if width % 2:
            return None

        def run(x: Tensor, f: nn.Module) -> Tensor:
            a, b = x.chunk(2, dim=1)
            return torch.cat([f(a), b], 1)

        return Apply(run, self.inner(width // 2, depth, 6)), 6 + width // 2

    def block_split(self, width: int, depth: int):
        first = width // 3

        def run(x: Tensor, f: nn.Module) -> Tensor:
            a, b = x.split([first, width - first], dim=1)
            return torch.cat([f(a), b], 1)

        return Apply(run, self.inner(first, depth, first)), width

    def block_slice(self, width: int, depth: int):
        return Apply(lambda x: torch.cat([x[:, : width // 2], x[:, 1::2]], 1)), width // 2 + width // 2

    def block_glu(self, width: int, depth: int):
        return nn.Sequential(nn.Conv2d(width, 12, 1), nn.GLU(dim=1)), 6

    def block_shuffle(self, width: int, depth: int):
        if width % 2 or width < 6:  # it has to be clear that two is the number of groups
            return None

        def run(x: Tensor) -> Tensor:
            n, c, h, w = x.shape
            return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)

        return Apply(run), width

    def block_channel_shuffle(self, width: int, depth: int):
        return (nn.ChannelShuffle(2), width) if width % 2 == 0 else None

    def block_squeeze(self, width: int, depth: int):
        gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, 4, 1), nn.ReLU(), nn.Conv2d(4, width, 1))
        return Apply(lambda x, f: x * f(x).sigmoid(), gate), width

    def block_spatial_gate(self, width: int, depth: int):
        return Apply(lambda x, f: x * f(x).sigmoid(), nn.Conv2d(width, 1, 1)), width

    def block_grouped(self, width: int, depth: int):
        groups = self.random.choice([g for g in (1, 2, 4) if width % g == 0])
        out = groups * self.random.choice([2, 3, 4])
        return nn.Sequential(nn.Conv2d(width, out, 3, padding=1, groups=groups), self.norm(out)), out

    def block_depthwise(self, width: int, depth: int):
        out = width * self.random.choice([1, 1, 2])
        layers = [nn.Conv2d(width, out, 3, padding=1, groups=width), self.norm(out), self.activation()]
        return (nn.Sequential(*layers), out) if out <= 24 else None

    def block_transposed(self, width: int, depth: int):
        groups = self.random.choice([g for g in (1, 2, width) if width % g == 0])
        out = groups * 2 if groups < 3 else width
        layers = [nn.ConvTranspose2d(width, out, 2, stride=2, groups=groups), self.norm(out), nn.AvgPool2d(2)]
        return nn.Sequential(*layers), out

    def block_pool(self, width: int, depth: int):
        kinds = [nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1), nn.Dropout2d(0.0), nn.ReflectionPad2d(1)]
        return nn.Sequential(self.random.choice(kinds), nn.AdaptiveAvgPool2d(6)), width

    def block_pixels(self, width: int, depth: int):
        return nn.Sequential(nn.Conv2d(width, 16, 1), nn.PixelShuffle(2), nn.AdaptiveMaxPool2d(6)), 4

    def block_pad(self, width: int, depth: int):
        return Apply(lambda x: functional.pad(x, (1, 1, 0, 0, 0, 3))[:, :, :, 1:-1]), width + 3

    def block_layer_norm(self, width: int, depth: int):
        return Apply(lambda x, f: f(x.movedim(1, -1)).movedim(-1, 1), nn.LayerNorm(width)), width

    def block_softmax(self, width: int, depth: int):
        return nn.Sequential(nn.Conv2d(width, 6, 1), nn.Softmax(dim=1)), 6

    def block_mean(self, width: int, depth: int):
        return Apply(lambda x: x * x.mean(1, keepdim=True)), width

    def block_constant(self, width: int, depth: int):
        factor = torch.linspace(0.5, 1.5, width, dtype=torch.float64).view(-1, 1, 1)
        return nn.Sequential(nn.Conv2d(width, width, 1), Apply(lambda x: x * factor.to(x.dtype))), width

    def block_permutation(self, width: int, depth: int):
        order = list(reversed(range(width)))
        return Apply(lambda x: x[:, order]), width

    def block_roll(self, width: int, depth: int):
        return nn.Sequential(nn.Conv2d(width, 6, 1), Apply(lambda x: x.roll(1, 1))), 6

    def block_stack(self, width: int, depth: int):
        def run(x: Tensor, f: nn.Module, g: nn.Module) -> Tensor:
            return torch.stack([f(x), g(x)], 1).amax(1)

        return Apply(run, nn.Conv2d(width, 6, 1), nn.Conv2d(width, 6, 1)), 6

    def block_mlp(self, width: int, depth: int):
        mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 10), nn.GELU(), nn.Linear(10, width))
        return Apply(lambda x, f: x + f(x.movedim(1, -1)).movedim(-1, 1), mlp), width

    def block_scale(self, width: int, depth: int):
        return Scaled(width), width

    def block_attention(self, width: int, depth: int):
        heads = self.random.choice([h for h in (2, 4) if width % h == 0] or [0])
        if not heads:
            return None
        kind = self.random.choice(["fused", "written", "plain"])
        grouped = 2 if kind != "fused" and heads == 4 and self.random.random() < 0.5 else 1
        return Attention(width, heads, kind, grouped), width

    def block_unknown(self, width: int, depth: int):
        return nn.Sequential(nn.Conv2d(width, 6, 1), Apply(lambda x: torch.flip(torch.cumsum(x, 1), [1]))), 6

    def block_recurrent(self, width: int, depth: int):
        layers, both = self.random.choice([1, 2]), self.random.random() < 0.5
        kind = self.random.choice([nn.LSTM, nn.GRU, nn.RNN])
        layer = kind(width, 5, layers, batch_first=True, bidirectional=both)
        return Apply(
            lambda x, f: f(x.flatten(2).transpose(1, 2))[0].transpose(1, 2).unflatten(2, x.shape[2:]), layer
        ), (10 if both else 5)


class Scaled(nn.Module):
    """Layer scale, and a picture that is added to each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(width, 1, 1) + 0.5)
        self.picture = nn.Parameter(torch.rand(1, width, 6, 6))

    def forward(self, x: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(x, 6) * self.gamma + self.picture


def random_network(seed: int, blocks: int = 4) -> nn.Module:
    """A network for pictures ``[N, 3, 6, 6]``."""
    torch.manual_seed(seed)
    return Draw(seed).network(blocks)


def kinds_of(modules: Sequence[nn.Module]) -> set[str]:
    return {type(one).__name__ for module in modules for one in module.modules()}
