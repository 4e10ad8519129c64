"""One run with a given optimizer."""

import torch
from lightning.pytorch import Callback, LightningModule
from torch import nn, optim
from toys import Images, fit, seed_everything

from lightning_prune import IterativePruning, LRRewind, Prunable


class Matrices(LightningModule):
    """Nothing but weight matrices, which is all that Muon takes; a table in the place of the first for SparseAdam."""

    def __init__(self, kind, **options):
        seed_everything(0, verbose=False)
        super().__init__()
        self.kind, self.options, self.sparse = kind, options, kind is optim.SparseAdam
        if self.sparse:
            self.table = nn.EmbeddingBag(36, 3, mode="sum", sparse=True)
        else:
            self.net = nn.Sequential(nn.Linear(36, 16, bias=False), nn.Tanh(), nn.Linear(16, 3, bias=False))

    def training_step(self, batch, index):
        images = batch[0].flatten(1)
        scores = self.table(images.topk(8).indices) if self.sparse else self.net(images)
        return nn.functional.cross_entropy(scores, batch[1])

    def configure_optimizers(self):
        return self.kind(self.parameters(), **self.options)


def dead_of(module):
    return {name: weight == 0 for name, weight in module.named_parameters()}


class Witness(Callback):
    """Looks at weights, moments and gradients around every step."""

    def __init__(self):
        self.cycle, self.dead, self.steps, self.revived, self.moments, self.gradients = 0, {}, 0, 0, 0, 0

    def on_train_start(self, trainer, pl_module):
        trainer.optimizers[0].register_step_post_hook(lambda *_: self.after_step(pl_module))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        pruning = next(callback for callback in trainer.callbacks if isinstance(callback, IterativePruning))
        if pruning.cycle is not None and pruning.cycle.index > self.cycle:
            self.cycle, self.dead = pruning.cycle.index, dead_of(pl_module)
            state = trainer.optimizers[0].state
            for name, weight in pl_module.named_parameters():
                for moment in state.get(weight, {}).values():
                    if isinstance(moment, torch.Tensor) and moment.shape == weight.shape:
                        self.moments += int(moment[self.dead[name]].count_nonzero())
            self.state = {name: set(state.get(weight, {})) for name, weight in pl_module.named_parameters()}

    def after_step(self, module):
        self.steps += 1
        for name, dead in self.dead.items():
            weight = module.get_parameter(name)
            self.revived += int(weight[dead].count_nonzero())
            gradient = weight.grad.to_dense() if weight.grad.is_sparse else weight.grad
            self.gradients += int(gradient[dead].count_nonzero())


def run(kind, options, beside=LRRewind, treatment="mask", **more):
    witness, module = Witness(), Matrices(kind, **options)
    pruning = IterativePruning(cycles=2, retrain="1ep", optimizer_state=treatment, prunable=Prunable(embeddings=True))
    callbacks = [pruning, beside(), witness, *more.pop("callbacks", [])]
    fit(callbacks, module, Images(shuffle=True), **{"max_epochs": 2, "limit_val_batches": 0, **more})
    return module, witness
