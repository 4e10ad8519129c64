"""Every module that Lightning demonstrates itself with is pruned, whichever there are."""

import importlib
import inspect
import pkgutil

import pytest
from lightning.pytorch import LightningModule, demos
from lightning.pytorch.demos.boring_classes import RandomDataset
from promises import keeps_its_promises
from torch import nn
from torch.utils.data import DataLoader
from zoo import tokens

from lightning_prune import LRRewind, OneCycleRetrain, WeightRewind

FILES = [importlib.import_module(name) for _, name, _ in pkgutil.iter_modules(demos.__path__, f"{demos.__name__}.")]
MODULES = {
    name: module
    for file in FILES
    for name, module in inspect.getmembers(file, inspect.isclass)
    if issubclass(module, LightningModule) and module.__module__ == file.__name__
}
POLICIES = {
    "rates rewound": lambda: [LRRewind()],
    "one cycle": lambda: [OneCycleRetrain()],
    "weights rewound": lambda: [WeightRewind("1ep")],
}


def test_the_demonstrations_are_found():
    known = {"BoringModel", "DemoModel", "LightningLSTM", "LightningTransformer", "ManualOptimBoringModel"}
    assert set(MODULES) >= known


@pytest.fixture
def no_download(monkeypatch):
    for file in FILES:
        if hasattr(file, "WikiText2"):
            monkeypatch.setattr(file, "WikiText2", lambda download: None)


CASES = [
    pytest.param(
        module,
        policy,
        id=f"{name}-{of}",
        marks=[pytest.mark.slow] if name == "LightningLSTM" else [],  # eight million weights
    )
    for name, module in MODULES.items()
    for of, policy in POLICIES.items()
]


@pytest.mark.usefixtures("no_download")
@pytest.mark.parametrize(("module", "policy"), CASES)
def test_a_demonstration_is_pruned(module, policy, tmp_path):
    speaks = "vocab_size" in inspect.signature(module).parameters

    def make():
        return module(vocab_size=11) if speaks else module()

    example = make()
    embeddings = [layer.weight for layer in example.modules() if isinstance(layer, nn.Embedding)]
    names = [n for n, p in example.named_parameters() if p.dim() > 1 and not any(p is weight for weight in embeddings)]
    data = tokens(words=11) if speaks else DataLoader(RandomDataset(32, 24), batch_size=6)
    options = {"gradient_clip_val": 0.25} if example.automatic_optimization else {}
    keeps_its_promises(make, data, names, tmp_path, policy, resumes=not speaks, limit_train_batches=2, **options)
