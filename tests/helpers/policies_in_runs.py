"""Runs of each policy, and what is watched in them."""

import torch
from lightning.pytorch import Callback

from lightning_prune import (
    Cycle,
    FineTune,
    IterativePruning,
    LRRewind,
    OneCycleRetrain,
    SILOSchedule,
    WeightRewind,
)

POLICIES = {
    "fine-tune": lambda: [FineTune()],
    "rewind the rate": lambda: [LRRewind()],
    "rewind the weights": lambda: [WeightRewind(to="2ep")],
    "rewind both apart": lambda: [WeightRewind(to="5it"), LRRewind()],
    "one cycle": lambda: [OneCycleRetrain(max_lr=0.05, cycle_momentum=True)],
    "one cycle, rewound": lambda: [WeightRewind(to=0), OneCycleRetrain()],
    "silo": lambda: [SILOSchedule(low=0.03, rise=0.04, warmup=3, drops=(0.5, 0.75))],
}


class Watch(Callback):
    """Looks at the weights after every step, and at the start of every cycle."""

    def __init__(self) -> None:
        self.masks: dict[str, torch.Tensor] = {}
        self.cycles: list[Cycle] = []
        self.checked = 0
        self.at_start: list[dict[str, torch.Tensor]] = []

    def on_cycle_start(self, trainer, pl_module, cycle):
        self.cycles.append(cycle)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        if len(self.cycles) > len(self.at_start):
            self.at_start.append({n: t.detach().clone() for n, t in pl_module.state_dict().items()})
            self.masks = {name: mask.clone() for name, mask in pruning.masks.items()}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        for name, weight in pl_module.named_parameters():
            if name in self.masks:
                assert torch.equal(weight[self.masks[name] == 0], torch.zeros(int((self.masks[name] == 0).sum())))
                self.checked += 1


class SignOptimizer(torch.optim.Optimizer):
    """Steps by the sign of a momentum, with decoupled decay: nothing torch knows."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    buffer.mul_(0.9).add_(p.grad)
                    p.mul_(1 - group["lr"] * 0.1).add_(buffer.sign(), alpha=-group["lr"])
        return loss
