"""What a run of any module promises, counted from its weights: shared by the tests of other people's modules."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader
from toys import equal, make_trainer

from lightning_prune import Geometric, IterativePruning, LRRewind, Prunable

CYCLES = 2
DENSE, RETRAIN = 3, 2  # epochs
Make = Callable[[], LightningModule]


class Witness(Callback):
    """Looks at the weights with eyes of its own: after every step of every optimizer, and before every cycle."""

    def __init__(self, names: list[str]) -> None:
        self.names, self.cycle, self.steps = names, 0, 0
        self.dead: dict[str, Tensor] = {}
        self.moved: dict[int, dict[str, Tensor]] = {}  # which living weights each cycle has moved, by tensor

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        parameters = dict(pl_module.named_parameters())
        self.weights = {name: parameters[name].detach() for name in self.names}
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(self.after_step)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        pruning = next(callback for callback in trainer.callbacks if isinstance(callback, IterativePruning))
        if pruning.cycle is None or pruning.cycle.index == self.cycle:
            return
        self.cycle, before = pruning.cycle.index, self.dead
        self.start = {name: weight.clone() for name, weight in self.weights.items()}
        self.dead = {name: weight == 0 for name, weight in self.start.items()}
        assert sum(int(dead.sum()) for dead in self.dead.values()) == dead_weights(self.weights, self.cycle)
        assert all(bool(self.dead[name][was].all()) for name, was in before.items())

    def on_before_backward(self, *_: Any) -> None:
        self.look("in")  # an optimizer with a line search asks for the loss again within a step

    def after_step(self, *_: Any) -> None:
        self.steps += 1
        self.look("after")
        if self.cycle:
            moved = {name: (w != self.start[name])[~self.dead[name]] for name, w in self.weights.items()}
            self.moved[self.cycle] = moved

    def look(self, when: str) -> None:
        for name, dead in self.dead.items():
            assert not self.weights[name][dead].any(), f"dead weights of {name} are alive {when} step {self.steps}"


def dead_weights(weights: Mapping[str, Tensor], cycle: int) -> int:
    """How many weights are dead in a cycle of ``Geometric(0.2)``."""
    size = sum(weight.numel() for weight in weights.values())
    return size - round(0.8**cycle * size)


def run(
    make: Make,
    data: DataLoader | None,
    beside: list[Callback],
    prunable: Prunable,
    ckpt_path: Any = None,
    **options: Any,
) -> Trainer:
    """Train dense and two cycles, from the same start every time."""
    seed_everything(0, verbose=False)
    module = make()
    pruning = IterativePruning(CYCLES, f"{RETRAIN}ep", Geometric(fraction=0.2), prunable=prunable)
    checkpoints = any(isinstance(callback, ModelCheckpoint) for callback in beside)
    options = {"max_epochs": DENSE, "limit_val_batches": 0, "enable_checkpointing": checkpoints, **options}
    trainer = make_trainer([pruning, *beside], **options)
    seed_everything(1, verbose=False)
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return trainer


def keeps_its_promises(
    make: Make,
    data: DataLoader | None,
    names: list[str],
    folder: Path,
    policy: Callable[[], list[Callback]] = lambda: [LRRewind()],
    prunable: Prunable = Prunable(),
    resumes: bool = False,
    moved: float = 0.5,
    **options: Any,
) -> LightningModule:
    """Prune a module and assert what was promised.

    Args:
        make: Makes the module, with whatever weights.
        data: What it trains on; None if it brings that itself.
        names: The names of the weights that are to be pruned, and no others.
        folder: Where checkpoints go.
        policy: Makes the callbacks that retrain.
        prunable: What may be pruned.
        resumes: Whether to resume it from within a cycle, too.
        moved: The least share of the living weights that each cycle moves.
        options: More for the Trainer.

    Returns:
        The delivered module.
    """
    witness, keep = Witness(names), ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
    whole = run(make, data, [*policy(), witness, keep], prunable, **options)
    delivered, state = whole.lightning_module, whole.lightning_module.state_dict()
    assert whole.current_epoch == DENSE + CYCLES * RETRAIN
    assert list(witness.moved) == list(range(1, CYCLES + 1)), "a cycle made no step"
    for cycle, tensors in witness.moved.items():
        still = [name for name, these in tensors.items() if len(these) and not these.any()]
        assert not still, f"cycle {cycle} moved nothing of {still}"
        share = float(torch.cat(list(tensors.values())).float().mean())
        assert share >= moved, f"cycle {cycle} moved a share of {share} of the living weights"
    pruned = {name: state[name] for name in names}
    assert sum(int((tensor == 0).sum()) for tensor in pruned.values()) == dead_weights(pruned, CYCLES)
    saved = torch.load(keep.best_model_path)["state_dict"]
    assert equal(dict(saved), dict(state))
    fresh = make()
    fresh.configure_model()
    fresh.load_state_dict(saved, strict=True)
    if resumes:
        for epoch in (DENSE, DENSE + RETRAIN):  # within each of the cycles
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint")
                again = run(make, data, policy(), prunable, folder / f"epoch={epoch}.ckpt", **options)
            assert equal(again.lightning_module.state_dict(), state), epoch
            for ours, theirs in zip(again.optimizers, whole.optimizers, strict=True):
                assert equal(ours.state_dict(), theirs.state_dict()), epoch
    return delivered
