"""Other callbacks beside ours: they work, and a test shows it, or they are refused before training."""

import warnings

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, StochasticWeightAveraging
from toys import Toy, equal, fit, toy

from lightning_prune import CycleCheckpoint, IterativePruning, LRRewind, WeightRewind

averaging = pytest.importorskip("lightning.pytorch.callbacks.weight_averaging", reason="came with lightning 2.6")
AVERAGES = {
    "mean": lambda: averaging.WeightAveraging(),
    "exponential": lambda: averaging.EMAWeightAveraging(decay=0.9),
}


def alive(state):
    return sum(int(state[f"net.{i}.weight"].count_nonzero()) for i in (0, 4, 7))


@pytest.mark.parametrize("average", AVERAGES.values(), ids=AVERAGES)
@pytest.mark.parametrize("beside", [LRRewind, lambda: WeightRewind("3ep")], ids=["kept", "rewound"])
def test_what_is_validated_saved_and_delivered_as_an_average_has_the_reported_sparsity(average, beside, tmp_path):
    class Validated(Callback):
        """Counts what is alive while the averaged weights are validated."""

        def __init__(self):
            self.alive = {}

        def on_validation_batch_start(self, trainer, pl_module, *_):
            self.alive[trainer.current_epoch] = alive(pl_module.state_dict())

    watch, module = Validated(), toy()
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    callbacks = [average(), IterativePruning(cycles=3, retrain="1ep"), beside(), watch, keep]
    fit(callbacks, module, enable_checkpointing=True)
    expected = {epoch: round(0.8 ** (epoch - 3) * 706) for epoch in (4, 5, 6)}
    assert {epoch: watch.alive[epoch] for epoch in expected} == expected
    assert alive(module.state_dict()) == expected[6]
    for epoch, count in expected.items():
        saved = torch.load(tmp_path / f"epoch={epoch}.ckpt", weights_only=True)
        assert alive(saved["state_dict"]) == alive(saved["current_model_state"]) == count


def test_an_average_starts_afresh_at_a_prune():
    class Looks(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.current_epoch == 4 and batch_idx == 0:
                average = next(c for c in trainer.callbacks if hasattr(c, "_average_model"))._average_model
                assert int(average.n_averaged) == 0
                for ours, theirs in zip(pl_module.parameters(), average.module.parameters(), strict=True):
                    assert torch.equal(ours, theirs)
                self.looked = True

    looks = Looks()
    fit([AVERAGES["mean"](), IterativePruning(cycles=1, retrain="1ep"), looks])
    assert looks.looked


def test_stochastic_weight_averaging_is_refused():
    with pytest.raises(
        ValueError, match="StochasticWeightAveraging and IterativePruning cannot go together.*Use WeightAveraging"
    ):
        fit([StochasticWeightAveraging(swa_lrs=0.1), IterativePruning(cycles=1, retrain="1ep")], Toy())


class Plateaus(Toy):
    """Its validation loss stands still, except where a cycle begins."""

    def validation_step(self, batch, index):
        self.log("val_loss", torch.tensor(1.0))


def phases(callbacks, **options):
    """How many epochs the dense run and each cycle lasted."""
    epochs = []

    class Counts(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
            epochs.append(pruning.cycle.index if pruning.cycle else 0)

    trainer = fit([Counts(), *callbacks], Plateaus(), **options)
    return [epochs.count(index) for index in range(max(epochs) + 1)], trainer


@pytest.mark.parametrize("options", [{}, {"val_check_interval": 0.5}, {"max_epochs": None, "max_steps": 24}])
@pytest.mark.parametrize("retrain", ["4ep", "24it"])
def test_early_stopping_ends_the_phase_and_starts_afresh_in_the_next(retrain, options):
    stopping = EarlyStopping("val_loss", patience=1 if "val_check_interval" not in options else 3)
    epochs, trainer = phases([stopping, IterativePruning(cycles=3, retrain=retrain), LRRewind()], **options)
    assert epochs == [2, 2, 2, 2]
    assert type(stopping) is EarlyStopping
    assert trainer.max_epochs == options.get("max_epochs", 4) or options.get("max_epochs", 4) is None


def test_early_stopping_ends_the_run_where_that_is_asked_for():
    pruning = IterativePruning(cycles=3, retrain="4ep", early_stopping="run")
    epochs, _ = phases([EarlyStopping("val_loss", patience=1), pruning])
    assert epochs == [2]


def test_a_run_whose_phases_were_cut_short_resumes_where_it_was(tmp_path):
    def callbacks(name):
        keep = ModelCheckpoint(tmp_path / name, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        return [EarlyStopping("val_loss", patience=1), IterativePruning(cycles=2, retrain="4ep"), LRRewind(), keep]

    epochs, whole = phases(callbacks("whole"), enable_checkpointing=True)
    assert epochs == [2, 2, 2]
    for epoch in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, again = phases(
                callbacks(f"{epoch}"), enable_checkpointing=True, ckpt_path=tmp_path / "whole" / f"epoch={epoch}.ckpt"
            )
        assert again.current_epoch == whole.current_epoch, epoch
        assert equal(again.lightning_module.state_dict(), whole.lightning_module.state_dict()), epoch


@pytest.mark.parametrize("monitor", ["val_loss", None])
def test_cycle_checkpoints_keep_the_last_and_the_best_of_every_cycle(monitor, tmp_path):
    losses = {}

    class Losses(Callback):
        def on_validation_end(self, trainer, pl_module):
            losses.setdefault(max(trainer.current_epoch - 2, 0) // 2, {})[trainer.current_epoch] = float(
                trainer.callback_metrics["val_loss"]
            )

    def callbacks(folder):
        keep = CycleCheckpoint(monitor=monitor, dirpath=str(folder))
        return [keep, IterativePruning(cycles=3, retrain="2ep"), LRRewind(), Losses()]

    fit(callbacks(tmp_path / "whole"), toy(), enable_checkpointing=True)
    kinds = ["last"] if monitor is None else ["best", "last"]
    densities = ["1.000", "0.800", "0.640", "0.512"]
    names = [f"cycle={i:02d}-density={d}-{kind}.ckpt" for i, d in enumerate(densities) for kind in kinds]
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == names
    for index, density in enumerate(densities):
        for kind in kinds:
            saved = torch.load(
                tmp_path / "whole" / f"cycle={index:02d}-density={density}-{kind}.ckpt", weights_only=True
            )
            assert alive(saved["state_dict"]) == round(0.8**index * 706)
            if kind == "best" and index:
                assert saved["epoch"] == min(losses[index], key=losses[index].get)
            if kind == "last":
                assert saved["epoch"] == 3 + 2 * index
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(
            callbacks(tmp_path / "resumed"),
            toy(),
            enable_checkpointing=True,
            ckpt_path=tmp_path / "whole" / "cycle=01-density=0.800-last.ckpt",
        )
    assert sorted(path.name for path in (tmp_path / "resumed").iterdir()) == [
        name for name in names if name >= "cycle=02"
    ]


def test_a_checkpoint_that_compares_sparsities_is_pointed_out(tmp_path):
    with pytest.warns(UserWarning, match="compares networks of different sparsity.*CycleCheckpoint"):
        fit(
            [ModelCheckpoint(monitor="val_loss"), IterativePruning(1, retrain="1ep", best_checkpoint="run")],
            toy(),
            enable_checkpointing=True,
            default_root_dir=tmp_path,
        )
