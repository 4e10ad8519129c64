"""A checkpoint of somebody else runs nothing, whichever way it comes in, and is refused in one sentence."""

from pathlib import Path

import pytest
import torch
from command_line_runs import failure, in_an_empty_folder, main  # noqa: F401 - the fixture is used by its name
from hostile_files import PICKLES
from toys import fit, toy

from lightning_prune import IterativePruning, Recorded, load_small, save_ticket, shrink, shrink_like
from lightning_prune.lab import Classifier, ConvNet
from lightning_prune.lab.compress.trained_weights import load_weights
from lightning_prune.lab.data.cache import cached
from lightning_prune.regimes.study.dense_networks import _write

CONFIG = """
model: {class_path: Classifier, init_args: {network: {class_path: ConvNet, init_args: {channels: 1, width: 4}}}}
data: {class_path: Digits}
trainer: {max_epochs: 1, limit_test_batches: 1, limit_train_batches: 1, limit_val_batches: 1, logger: false, accelerator: cpu}
"""
# Every flag of the command line that takes a checkpoint.
FLAGS = {
    "fit": ["fit", "--config=config.yaml", "--ckpt_path={}"],
    "validate": ["validate", "--config=config.yaml", "--ckpt_path={}"],
    "test": ["test", "--config=config.yaml", "--ckpt_path={}"],
    "predict": ["predict", "--config=config.yaml", "--ckpt_path={}"],
    "shrink": ["shrink", "--config=config.yaml", "--ckpt={}"],
    "export": ["export", "--config=config.yaml", "--ckpt={}", "--format=sparse"],
    "profile": ["profile", "--config=config.yaml", "--ckpt={}", "--rounds=1"],
    "compress": ["compress", "--config=config.yaml", "--ckpt_path={}", "--dry-run"],
}
QUICK = ("test", "compress")  # which read checkpoints in other ways
WAYS = {
    "Trainer.fit": lambda path: fit([IterativePruning(cycles=1)], toy(), ckpt_path=path, max_epochs=2),
    "dense_run": lambda path: fit([IterativePruning(cycles=1, dense_run=str(path))], toy(), max_epochs=0),
    "masks_from": lambda path: Recorded(str(path)).read(1),
    "save_ticket": lambda path: save_ticket(path.with_suffix(".safetensors"), path),
    "shrink": lambda path: shrink(toy(), checkpoint=path, example=torch.rand(2, 1, 6, 6)),
    "shrink_like": lambda path: shrink_like(toy(), path),
    "load_small": lambda path: load_small(path, toy()),
    "TrainedWeights": lambda path: load_weights(path, toy()),
    "the cache of images": lambda path: cached(path, lambda: torch.ones(1)),
    "a study of regimes": lambda path: _write(path.with_name("start.ckpt"), path, None, 1),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The content of a checkpoint of a pruned run."""
    path = tmp_path_factory.mktemp("run") / "last.ckpt"
    fit([IterativePruning(cycles=1)], toy(), max_epochs=1).save_checkpoint(path)
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_pickle_is_run(tmp_path, checkpoint, way):
    mark = tmp_path / "mark"
    for name, write in PICKLES.items():
        path = tmp_path / "hostile.ckpt"
        write(path, mark, checkpoint)
        with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it says, nothing may have run
            way(path)
        assert not mark.exists(), name
        assert "weights_only=False" not in str(raised.value) or way in (
            WAYS["the cache of images"],
            WAYS["a study of regimes"],
        )


def test_the_marks_would_be_seen(tmp_path):
    PICKLES["beside the weights"](tmp_path / "hostile.ckpt", tmp_path / "mark", {})
    torch.load(tmp_path / "hostile.ckpt", weights_only=False)
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "command",
    [pytest.param(FLAGS[name], id=name, marks=() if name in QUICK else pytest.mark.slow) for name in FLAGS],
)
def test_every_flag_refuses_it_in_one_sentence(tmp_path, capsys, checkpoint, command):
    Path("config.yaml").write_text(CONFIG)
    path, mark = tmp_path / "hostile.ckpt", tmp_path / "mark"
    for name in ("the legacy format", "beside the weights", "a path out of the zip"):
        PICKLES[name](path, mark, checkpoint)
        said = failure(capsys, *(word.format(path) for word in command))
        assert "hostile.ckpt" in said
        assert "cannot be read" in said or "cannot read" in said or "holds" in said
        assert "weights_only" not in said, "torch's advice to run what is in the file"
        assert "Traceback" not in said
        assert not mark.exists()
    for part in ("state_dict", "callbacks"):
        torch.save({**checkpoint, part: [1]}, path)
        assert f"'{part}' in it is a list" in failure(capsys, *(word.format(path) for word in command))


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {"_class_path": "planted.Net"},
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in (
                {"class_path": "planted.Net"},
                {"network": {"class_path": "planted.Net"}},
                {"_class_path": "lightning_prune.lab.Classifier", "label_smoothing": 0.9},
                [1, 2],
            )
        ),
    ],
)
def test_a_checkpoint_names_no_classes_and_no_arguments(tmp_path, checkpoint, hyperparameters):
    """LightningCLI makes the module that the hyperparameters of a checkpoint name. A checkpoint is no config."""
    Path("config.yaml").write_text(CONFIG)
    main(["fit", "--config=config.yaml", "--trainer.max_epochs=2", "--pruning=null"])
    (path,) = Path("checkpoints").glob("*.ckpt")
    saved = torch.load(path, weights_only=True)
    Path("planted.py").write_text(
        f"open({str(tmp_path / 'mark')!r}, 'w')\nfrom lightning_prune.lab import Classifier\nclass Net(Classifier): pass\n"
    )
    torch.save({**saved, "hyper_parameters": hyperparameters}, "hostile.ckpt")
    main(["test", "--config=config.yaml", "--ckpt_path=hostile.ckpt"])
    assert not (tmp_path / "mark").exists()


def test_names_in_a_checkpoint_do_not_reach_the_terminal_as_escape_sequences(tmp_path, capsys, checkpoint):
    Path("config.yaml").write_text(CONFIG)
    state = Classifier(ConvNet(channels=1, width=4)).state_dict()
    torch.save({**checkpoint, "state_dict": {**state, "\x1b]0;mine\x07": torch.ones(1)}}, "hostile.ckpt")
    for command in ("shrink", "export"):
        said = failure(capsys, *(word.format("hostile.ckpt") for word in FLAGS[command]))
        assert "\x1b" not in said
        assert r"\x1b]0;mine\x07" in said
