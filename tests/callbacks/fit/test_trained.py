"""What nobody trains is not pruned: copies that a module keeps of itself, and weights that no gradient came to."""

import copy
import json

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from promises import keeps_its_promises, run
from torch import nn
from toys import equal
from zoo import Regressor, perceptron, vectors

from lightning_prune import IterativePruning, LRRewind, Prunable, WeightRewind

pytestmark = [
    pytest.mark.filterwarnings("ignore:IterativePruning leaves .* dense. no gradient came to them"),
    pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint"),
]
OWN = ["network.0.weight", "network.2.weight"]


class Follows(Regressor):
    """Its target network is a copy that trails behind; the optimizer does not know of it."""

    def __init__(self):
        super().__init__(perceptron())
        self.target = copy.deepcopy(self.network)

    def configure_optimizers(self):
        return torch.optim.Adam(self.network.parameters(), lr=0.01)

    def on_train_batch_end(self, *_):
        for ours, theirs in zip(self.target.parameters(), self.network.parameters(), strict=True):
            ours.data.copy_(theirs.data)


class Momentum(Follows):
    """The copy is given to the optimizer, but no gradient ever comes to it."""

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


KINDS = {"target": (Follows, "in no optimizer"), "momentum": (Momentum, "no gradient came to it in the dense run")}


def skipped(folder):
    (file,) = folder.rglob("pruning.json")
    return {one["name"]: one["reason"] for one in json.loads(file.read_text())["skipped"]}


@pytest.mark.parametrize(("kind", "reason"), KINDS.values(), ids=KINDS)
def test_a_copy_of_the_network_has_no_mask_of_its_own(kind, reason, tmp_path):
    module = keeps_its_promises(kind, vectors(), OWN, tmp_path, resumes=True, logger=CSVLogger(tmp_path / "logs"))
    assert equal(module.target.state_dict(), module.network.state_dict())
    found = {}
    for file in (tmp_path / "logs").rglob("pruning.json"):
        found = {one["name"]: one["reason"] for one in json.loads(file.read_text())["skipped"]}
    assert all(found[f"target.{i}.weight"].startswith(reason) for i in (0, 2))


class Sometimes(Regressor):
    """A branch that is taken in a few batches of the dense run only, and one that never is."""

    def __init__(self):
        super().__init__(perceptron())
        self.seldom, self.never = nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x):
        taken = self.trainer.current_epoch == 1
        return self.network(x) + (self.seldom(x) if taken else 0)


@pytest.mark.parametrize("policy", [LRRewind, lambda: WeightRewind("2ep")], ids=["kept", "rewound"])
def test_a_weight_that_had_one_gradient_is_pruned_and_one_that_had_none_is_not(policy, tmp_path):
    """Whether it resumes in the dense run, before or after that gradient, or in a cycle."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    def callbacks():
        return [policy()]

    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    whole = run(Sometimes, vectors(), [*callbacks(), keep], Prunable()).lightning_module.state_dict()
    pruned = torch.cat([whole[name].flatten() for name in (*OWN, "seldom.weight")])
    assert int(pruned.count_nonzero()) == round(0.64 * len(pruned))
    assert whole["never.weight"].all()
    for epoch in (0, 1, 2, 4):
        again = run(Sometimes, vectors(), callbacks(), Prunable(), tmp_path / f"epoch={epoch}.ckpt")
        assert equal(again.lightning_module.state_dict(), whole), epoch


def test_cycles_after_a_dense_run_of_another_fit_prune_what_had_gradients_in_it(tmp_path):
    from toys import make_trainer

    def fit(module, callbacks, **options):
        trainer = make_trainer(callbacks, limit_val_batches=0, **options)
        trainer.fit(module, vectors())
        return trainer

    dense = fit(Sometimes(), [IterativePruning(cycles=0)], max_epochs=3)
    dense.save_checkpoint(tmp_path / "dense.ckpt")
    after = IterativePruning(cycles=1, retrain="1ep", dense_run=tmp_path / "dense.ckpt")
    module = fit(Sometimes(), [after, LRRewind("2ep")], max_epochs=0).lightning_module
    assert module.never.weight.all()
    assert not module.seldom.weight.all() or not module.network[0].weight.all()
    assert "never.weight" not in after._run.pruner.weights


def test_what_stays_dense_for_want_of_a_gradient_is_told():
    with pytest.warns(UserWarning, match=r"leaves never.weight dense: no gradient came to them"):
        run(Sometimes, vectors(), [LRRewind()], Prunable())


def test_weights_that_no_optimizer_holds_alone_are_refused():
    message = r"Follows has nothing to prune that is trained: target.0.weight \(in no optimizer.*configure_optimizers"
    with pytest.raises(ValueError, match=message):
        run(Follows, vectors(), [LRRewind()], Prunable(include=["target"]))


def test_gradients_that_nobody_sees_say_nothing():
    class InBackward(Regressor):
        """Steps within the backward pass, and leaves no gradient behind."""

        def on_train_start(self):
            for parameter in self.parameters():
                parameter.register_post_accumulate_grad_hook(self.move)

        def move(self, parameter):
            parameter.data.sub_(parameter.grad, alpha=0.01)
            parameter.grad = None

    module = run(lambda: InBackward(perceptron()), vectors(), [LRRewind()], Prunable()).lightning_module
    size = 8 * 12 + 12 * 4
    assert sum(int(module.network[i].weight.count_nonzero()) for i in (0, 2)) == round(0.64 * size)
