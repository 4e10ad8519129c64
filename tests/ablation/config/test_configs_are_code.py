"""What a config may run: classes that it names, and no function that merely lies where a class is expected."""

import lightning.pytorch as pl
import pytest
from killed_studies import small

from lightning_prune import cli
from lightning_prune.ablation import Ablation
from lightning_prune.lab.cli.calls import refuse_calls
from lightning_prune.lab.cli.documents import TooLarge, load


def growing(first, later):
    """Anchors, each of which holds the one before it several times."""
    return "\n".join([f"k0: &a0 {first}", *(f"k{i}: &a{i} {later(f'*a{i - 1}, ' * 6, i)}" for i in range(1, 30))])


BOMBS = {
    "lists": growing("[1, 1]", lambda old, i: f"[{old}]"),
    "merges": growing("{x: 1}", lambda old, i: f"{{<<: [{old}], y{i}: 1}}"),
    "of itself": "a: &a [*a]",
    "deep": "[" * 3000 + "]" * 3000,
}


class Anything(pl.Callback):
    """Takes whatever it is given."""

    def __init__(self, value=None) -> None:
        self.value = value


def arms(file):
    call = {"class_path": "os.system", "init_args": {"command": f"touch {file}"}}
    return {
        "criterion": {"criterion": call},
        "allocation": {"allocation": call},
        "scheduler": {"callbacks": {"class_path": "TorchScheduler", "init_args": {"scheduler": call}}},
        "initialize": {"callbacks": {"class_path": "Reinitialize", "init_args": {"initialize": call}}},
        "any": {"callbacks": {"class_path": f"{__name__}.Anything", "init_args": {"value": call}}},
        "deeper": {"callbacks": {"class_path": f"{__name__}.Anything", "init_args": {"value": {"inside": [call]}}}},
    }


@pytest.mark.parametrize("name", arms(""))
def test_planning_a_study_calls_no_function_that_stands_for_a_class(tmp_path, name):
    file = tmp_path / "written"
    with pytest.raises(ValueError, match=rf"arm '{name}': .*class_path '(os|posix).system' is no class"):
        Ablation.from_config(small({name: arms(file)[name]})).runs  # noqa: B018
    assert not file.exists()


@pytest.mark.parametrize("path", ["os.system", "lightning_prune.criteria.magnitude", "torch.nn.Linear"])
def test_what_is_no_callback_is_said_to_be_none(path):
    with pytest.raises(
        ValueError, match=rf"arm 'a': trainer.callbacks: `{path}` is no class that derives from Callback"
    ):
        Ablation.from_config(small({"a": {"callbacks": path}})).runs  # noqa: B018


def make() -> "pl.LightningModule":
    return pl.LightningModule()


def measure() -> float:
    return 0.1


class Net:
    @classmethod
    def made(cls) -> "Net":
        return cls()


def test_functions_that_say_which_class_they_make_are_called():
    for name in ("make", "Net", "Net.made"):
        refuse_calls({"model": {"class_path": f"{__name__}.{name}"}})
    refuse_calls({"model": {"class_path": "lightning_prune.lab.torchvision_network"}, "criterion": "os.system"})
    for path in (
        f"{__name__}.measure",
        f"{__name__}.nowhere",
        "os.environ",
        "subprocess.run",
        "importlib.import_module",
    ):
        with pytest.raises(ValueError, match=rf"`model`: class_path '{path}' is no class, nor a function that says"):
            refuse_calls({"model": {"class_path": path}})


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_documents_that_blow_up_are_refused(tmp_path, capsys, text):
    with pytest.raises(TooLarge, match="Write out what is meant|nested too deeply"):
        load(text)
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "study.yaml").write_text("base: config.yaml\narms: {a: {}}")
    for words in (["ablate", "--config"], ["fit", "--config"]):
        with pytest.raises(SystemExit) as caught:
            cli.main([*words, str(tmp_path / ("study.yaml" if words[0] == "ablate" else "config.yaml"))])
        assert caught.value.code == 2
        said = capsys.readouterr().err
        assert "config.yaml" in said
        assert "Write out what is meant" in said or "nested too deeply" in said
        assert "Traceback" not in said


def test_aliases_that_are_meant_and_documents_that_are_only_long_are_read(monkeypatch):
    monkeypatch.setattr("lightning_prune.lab.cli.documents.MOST", 30)
    assert load("one: &one {x: 1}\nmany: [*one, *one]")["many"] == [{"x": 1}] * 2
    assert load(f"[{', '.join('1' * 50)}]") == [1] * 50
    with pytest.raises(TooLarge):
        load(f"one: &one {{x: 1}}\nmany: [{', '.join(['*one'] * 10)}]")
