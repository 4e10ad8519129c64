"""Wrong input of every kind, tried as a new user would: a message of few lines that names the argument, and says what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line_runs import QUICK, in_an_empty_folder, write  # noqa: F401
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.optim.lr_scheduler import CosineAnnealingLR

from lightning_prune import (
    CycleCheckpoint,
    FineTune,
    Geometric,
    IterativePruning,
    LayerFractions,
    Levels,
    Linear,
    LRRewind,
    OneShot,
    Prunable,
    ScratchTrain,
    TorchScheduler,
    TrainOnly,
    WeightRewind,
    WithFloor,
)
from lightning_prune.ablation import Ablation
from lightning_prune.cli import main


def fit(*callbacks: Any, **options: Any) -> Callable[[], Any]:
    """A fit of two dense epochs of two batches."""
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    trainer = {
        "max_epochs": 2,
        "limit_train_batches": 2,
        "limit_val_batches": 1,
        "accelerator": "cpu",
        **quiet,
        **options,
    }
    return lambda: Trainer(callbacks=[make() for make in callbacks], **trainer).fit(BoringModel())


def pruning(**arguments: Any) -> Callable[[], IterativePruning]:
    return lambda: IterativePruning(**{"cycles": 1, "retrain": "1ep", **arguments})


class Broken(BoringModel):
    """Its loss is no number from the first batch on."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return {"loss": super().training_step(batch, batch_idx)["loss"] * float("nan")}


def fit_broken() -> None:
    Trainer(
        callbacks=[IterativePruning(cycles=1, retrain="1ep")],
        max_epochs=1,
        limit_train_batches=2,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    ).fit(Broken())


PYTHON: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "a length in words": (pruning(retrain="15 epochs"), ["retrain='15 epochs'", "'15ep'"]),
    "a length of half an epoch": (pruning(retrain=1.5), ["retrain=1.5", "ep"]),
    "a negative length": (pruning(retrain=-3), ["retrain=-3"]),
    "negative cycles": (pruning(cycles=-1), ["cycles=-1"]),
    "half a cycle": (pruning(cycles=2.5), ["cycles=2.5"]),
    "cycles as text": (pruning(cycles="3"), ["cycles='3'"]),
    "a fraction above one": (lambda: Geometric(1.5), ["Geometric(fraction=1.5)"]),
    "nothing left": (lambda: Linear(final=1.0, cycles=2), ["Linear(final=1.0)"]),
    "a percentage": (lambda: OneShot(80), ["OneShot(final=80)", "0.9"]),
    "falling levels": (lambda: Levels([0.9, 0.5]), ["Levels", "0.9"]),
    "a name for a criterion": (pruning(criterion="magnitude"), ["criterion='magnitude'", "lightning_prune.criteria.magnitude"]),
    "a name for an allocation": (pruning(allocation="layerwise"), ["allocation='layerwise'", "lightning_prune.allocation.layerwise"]),
    "a number for a schedule": (pruning(sparsity=0.8), ["sparsity=0.8", "OneShot(final=0.8)"]),
    "a class for a schedule": (pruning(sparsity=Geometric), ["sparsity=Geometric", "is the class"]),
    "another name of an argument": (lambda: OneShot(sparsity=0.8), ["OneShot has no argument `sparsity`", "OneShot(final)"]),
    "an unknown choice": (pruning(optimizer_state="none"), ["optimizer_state='none'", "'reset'"]),
    "two policies": (fit(pruning(), FineTune, LRRewind), ["FineTune and LRRewind", "keep one"]),
    "two starting points": (fit(pruning(), ScratchTrain, lambda: WeightRewind(0)), ["ScratchTrain and WeightRewind", "keep one"]),
    "two clocks": (fit(pruning(), pruning()), ["IterativePruning and IterativePruning", "keep one"]),
    "a class for a callback": (fit(lambda: IterativePruning), ["IterativePruning", "object"]),
    "a policy alone": (fit(LRRewind), ["LRRewind does nothing without IterativePruning", "Trainer(callbacks="]),
    "a point after the end": (fit(pruning(), lambda: WeightRewind("50ep")), ["WeightRewind(to='50ep'"]),
    "a longer cycle than the replay": (fit(pruning(retrain="9ep"), LRRewind), ["LRRewind", "retrain"]),
    "a loss that is no number": (fit_broken, ["dense run", "NaN"]),
    "a pattern for a selection": (pruning(prunable="net.0"), ["prunable='net.0'", "Prunable(include=['net.0'])"]),
    "a pattern of nothing": (fit(pruning(prunable=Prunable(include=["gone*"]))), ["gone*", "layer.weight"]),
    "everything excluded": (fit(pruning(prunable=Prunable(exclude=["*"]))), ["Prunable", "layer"]),
    "a list for a selection": (pruning(prunable=["net.0"]), ["Prunable(include=['net.0'])"]),
    "a function that lists": (fit(pruning(prunable=lambda module: [module.layer.weight])), ["prunable", "list"]),
    "a class for a selection": (pruning(prunable=Prunable), ["prunable=Prunable", "is the class"]),
    "no checkpoint of a dense run": (pruning(dense_run="banana"), ["dense_run='banana'"]),
    "no ticket": (fit(pruning(initial_masks="gone.safetensors")), ["initial_masks='gone.safetensors'", "not a file"]),
    "an endless dense run": (fit(pruning(), max_epochs=-1), ["max_epochs"]),
    "no batches": (fit(pruning(), limit_train_batches=0), ["limit_train_batches"]),
    "inside after the end": (fit(pruning(during="1ep:9ep")), ["during='1ep:9ep'"]),
    "inside, with a policy": (fit(pruning(during="0ep:1ep"), LRRewind), ["during", "LRRewind"]),
    "unknown parts": (fit(pruning(), lambda: TrainOnly(["nrom"])), ["TrainOnly", "nrom"]),
    "a floor above one": (lambda: WithFloor(1.5), ["WithFloor", "1.5"]),
    "an unknown layer": (
        fit(pruning(allocation=LayerFractions({"gone": 0.1}), sparsity=OneShot(0.5))),
        ["LayerFractions", "gone"],
    ),
    "a monitor that is not logged": (fit(pruning(), lambda: CycleCheckpoint(monitor="acuracy"), enable_checkpointing=True), ["acuracy"]),
    "masks before the fit": (lambda: IterativePruning().masks, ["IterativePruning has no masks", "trainer.fit"]),
    "a ticket before the fit": (lambda: IterativePruning().save_ticket("x"), ["no ticket before the train", "trainer.fit"]),
    "a scheduler that lacks an argument": (lambda: TorchScheduler(CosineAnnealingLR), ["TorchScheduler", "T_max"]),
    "a criterion of one argument": (pruning(criterion=lambda weight: weight), ["criterion", "weight and evidence"]),
    "a name for types": (lambda: Prunable(types=["Linear"]), ["types='Linear'", "torch.nn.Linear"]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*replays the learning rates")
@pytest.mark.parametrize(("wrong", "said"), PYTHON.values(), ids=PYTHON)
def test_wrong_input_in_python_is_clear(wrong, said):
    with pytest.raises((ValueError, TypeError, RuntimeError, MisconfigurationException)) as caught:
        wrong()
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    assert [part for part in said if part not in message] == [], message


RUN = "trainer: {max_epochs: 1}\npruning: {cycles: 1, retrain: 1ep}\n"
STUDY = {"base": {**yaml.safe_load(RUN), "data": "Digits"}, "arms": {"a": {}}, "seeds": 1}
ABLATE = "ablate --config=study.yaml --out=out"
FIT = "fit --config=config.yaml"


def arms(**changes: Any) -> dict[str, Any]:
    return {**STUDY, "arms": {"a": changes}}


WORDS: dict[str, tuple[str, dict[str, Any] | None, list[str]]] = {
    "fit of nothing": ("fit", None, ["nothing would be pruned", "--pruning.cycles=10"]),
    "an argument of another callback": (f"{FIT} --trainer.callbacks.cycles=3", None, ["--pruning.cycles"]),
    "a study given to fit": ("fit --config=study.yaml", STUDY, ["study", "lightning-prune ablate --config=study.yaml"]),
    "a run given to ablate": ("ablate --config=config.yaml --out=out", None, ["config of a run", "lightning-prune fit"]),
    "a misspelt model": (f"{FIT} --model=Clasifier", None, ["given was `Clasifier`", "Did you mean `Classifier`?"]),
    "a misspelt network": (f"{FIT} --model.network=ResNt", None, ["given was `ResNt`", "Did you mean `ResNet`?"]),
    "a module that is not there": (f"{FIT} --model=myne.Net", None, ["no module `myne`"]),
    "a misspelt argument": (f"{FIT} --data.batchsize=3", None, ["no `batchsize`", "Did you mean `batch_size`?"]),
    "a value of another type": (f"{FIT} --data.batch_size=abc", None, ["batch_size: given was `abc`", "int"]),
    "a seed that is none": (f"{FIT} --seed_everything=abc", None, ["seed_everything: given was `abc`"]),
    "a checkpoint that is not there": (f"{FIT} --ckpt_path=nope.ckpt", None, ["nope.ckpt"]),
    "the last of no run": (f"{FIT} --ckpt_path=last", None, ["last"]),
    "no GPU": (f"{FIT} --trainer.accelerator=gpu", None, ["gpu"]),
    "a misspelt policy": (ABLATE, arms(policy="LRRewnd"), ["arm 'a'", "LRRewnd", "Did you mean `LRRewind`?"]),
    "a policy that is not there": (ABLATE, arms(policy="mine.nope"), ["arm 'a'", "mine"]),
    "a misspelt path": (ABLATE, arms(**{"pruning.retran": "1ep"}), ["no `retran`", "Did you mean `retrain`?"]),
    "a misspelt section": (ABLATE, arms(**{"prunning.cycles": 1}), ["prunning", "Did you mean"]),
    "a misspelt argument of a schedule": (
        ABLATE,
        arms(**{"pruning.sparsity": {"class_path": "Geometric", "init_args": {"fracton": 0.1}}}),
        ["no `fracton`", "Did you mean `fraction`?"],
    ),
    "no seeds": (ABLATE, {**STUDY, "seeds": 0}, ["seeds=0"]),
    "a seed twice": (ABLATE, {**STUDY, "seeds": [1, 1]}, ["names a seed twice"]),
    "no arms": (ABLATE, {**STUDY, "arms": {}}, ["`arms` is missing or empty"]),
    "no base": (ABLATE, {**STUDY, "base": "gone.yaml"}, ["gone.yaml does not exist"]),
    "negative workers": (f"{ABLATE} --workers=-2", STUDY, ["workers=-2"]),
    "a study into a folder that cannot be made": (
        "ablate --config=study.yaml --out=taken/out",
        STUDY,
        ["taken", "is a file", "--out"],
    ),
    "a run into a folder that cannot be made": (
        f"{FIT} --trainer.logger.save_dir=taken/runs",
        None,
        ["taken", "cannot be written", "--trainer.logger.save_dir"],
    ),
    "a base that is no YAML": (ABLATE, {**STUDY, "base": "broken.yaml"}, ["broken.yaml"]),
    "a config that is no YAML": ("fit --config=broken.yaml", None, ["--config", "no YAML near line 1, column 25"]),
    "a report of nothing": ("report gone", None, ["gone"]),
    "a command that is none": ("fitt", None, ["`fitt`", "Did you mean `fit`?"]),
}  # fmt: skip


@pytest.mark.parametrize(("line", "study", "said"), WORDS.values(), ids=WORDS)
def test_wrong_input_on_the_command_line_is_clear(capsys, line, study, said):
    write(RUN)
    Path("taken").write_text("a file where a folder should be")
    Path("broken.yaml").write_text("trainer: {max_epochs: [1}")
    if study is not None:
        Path("study.yaml").write_text(yaml.safe_dump(study))
    with pytest.raises(SystemExit) as caught:
        main([*line.split(), *(QUICK if line.startswith("fit --config=c") else [])])
    printed = capsys.readouterr().err.strip()
    assert caught.value.code == 2
    assert len(printed.splitlines()) <= 4
    assert "Traceback" not in printed
    assert [part for part in said if part not in printed] == [], printed


def test_two_arms_that_are_the_same_are_pointed_out():
    with pytest.warns(UserWarning, match="'a' and 'b' come to the same config"):
        Ablation.from_config({**STUDY, "arms": {"a": {}, "b": {"pruning.cycles": 1}}}).tree()


def test_levels_that_end_too_early_are_warned_of():
    with pytest.warns(UserWarning, match="removes nothing in cycle 2"):
        fit(pruning(cycles=2, sparsity=Levels([0.5])), FineTune)()


def test_a_metric_that_nobody_measures_is_named_with_those_that_are(capsys):
    write(RUN)
    Path("study.yaml").write_text(yaml.safe_dump({**STUDY, "metric": "val_akk"}))
    with pytest.raises(SystemExit) as caught:
        main(ABLATE.split())
    assert caught.value.code == 1
    printed = "".join(capsys.readouterr())
    assert "Traceback" not in printed
    assert "metric='val_akk') was not logged. Logged were train/accuracy" in " ".join(printed.split())
