"""LightningModules that nobody here wrote, with the optimizers and schedulers that they bring, are pruned."""

import numpy
import pandas
import pytest
from lightning.pytorch import LightningDataModule
from promises import keeps_its_promises
from pytorch_forecasting import DeepAR, NBeats, TemporalFusionTransformer, TimeSeriesDataSet
from torch import nn

from lightning_prune import LRRewind, OneCycleRetrain, WeightRewind

# The forecasters save their loss among the hyper-parameters, as Lightning advises against.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Attribute '.*' is an instance of `nn.Module` and is already saved"),
    pytest.mark.filterwarnings("ignore:Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected"),
]
LAYERS = (nn.Linear, nn.RNNBase)


def series(**more):
    steps = numpy.arange(40)
    frames = [pandas.DataFrame({"time": steps, "of": str(i), "value": numpy.sin(steps / 3 + i)}) for i in range(2)]
    return TimeSeriesDataSet(
        pandas.concat(frames, ignore_index=True),
        time_idx="time",
        target="value",
        group_ids=["of"],
        max_encoder_length=8,
        max_prediction_length=4,
        time_varying_unknown_reals=["value"],
        **more,
    )


class Loaders(LightningDataModule):
    """Trains and validates on the same series."""

    def __init__(self, data):
        super().__init__()
        self.loader = data.to_dataloader(train=True, batch_size=8, num_workers=0, shuffle=False)

    def train_dataloader(self):
        return self.loader

    val_dataloader = train_dataloader


MODULES = {
    "transformer": (
        series(static_categoricals=["of"], time_varying_known_reals=["time"]),
        lambda data: TemporalFusionTransformer.from_dataset(data, hidden_size=4, attention_head_size=2),
        lambda: [LRRewind()],
    ),
    "recurrent": (series(), lambda data: DeepAR.from_dataset(data, hidden_size=6), lambda: [OneCycleRetrain()]),
    "residual": (
        series(),
        lambda data: NBeats.from_dataset(data, widths=[8, 8], backcast_loss_ratio=0.1),
        lambda: [WeightRewind("1ep")],
    ),
}


@pytest.mark.parametrize(("data", "make", "policy"), MODULES.values(), ids=MODULES)
def test_a_forecaster_is_pruned(data, make, policy, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # its hyper-parameters are objects of its own
    example = make(data)
    names = [
        f"{prefix}.{name}"
        for prefix, layer in example.named_modules()
        if isinstance(layer, LAYERS)
        for name, parameter in layer.named_parameters(recurse=False)
        if parameter.dim() > 1
    ]
    assert len(names) >= 4
    limits = {"limit_train_batches": 3, "limit_val_batches": 1}
    keeps_its_promises(lambda: make(data), Loaders(data), names, tmp_path, policy, resumes=True, **limits)
