"""A wheel of the tree, installed into an empty environment and used in an empty folder, does what the README says."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest
import yaml

import lightning_prune

ROOT = Path(lightning_prune.__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("lightning-prune ")]
SHORT = ["--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1"]


def done(*words, folder):
    there = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run([*map(str, words)], cwd=folder, env=there, capture_output=True, text=True)
    assert ended.returncode == 0, f"{words}\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"
    return ended.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The files of which a wheel is built, without what an earlier build has left behind."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in ("lightning_prune", "configs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    done(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", out, ".", folder=tree)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory):
    """The commands of an environment with the wheel. Its libraries are those of this environment."""
    home = tmp_path_factory.mktemp("home")
    done(sys.executable, "-m", "venv", "--without-pip", home, folder=home)
    place = next(home.glob("lib/python*/site-packages"))
    (place / "libraries.pth").write_text(sysconfig.get_paths()["purelib"])
    done(
        sys.executable,
        "-m",
        "pip",
        "--python",
        home / "bin" / "python",
        "install",
        "-q",
        "--no-deps",
        wheel,
        folder=home,
    )
    found = done(home / "bin" / "python", "-c", "import lightning_prune; print(lightning_prune.__file__)", folder=home)
    assert Path(found.strip()).is_relative_to(home)
    return home / "bin"


@pytest.mark.slow
def test_wheel_and_sdist_hold_the_configs(tree, wheel, tmp_path):
    done(
        sys.executable,
        "-c",
        f"from setuptools.build_meta import build_sdist; build_sdist({str(tmp_path)!r})",
        folder=tree,
    )
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as file:
        packed = {"/".join(name.split("/")[1:]) for name in file.getnames()}
    listed = set(done(sys.executable, "-m", "zipfile", "-l", wheel, folder=tree).split())
    for config in (ROOT / "configs").rglob("*.yaml"):
        name = config.relative_to(ROOT).as_posix()
        assert f"lightning_prune/{name}" in listed
        assert name in packed
    assert {"lightning_prune/py.typed", "lightning_prune/ablation/report/page/page.css"} <= listed
    assert not [name for name in listed if name.startswith("configs/")], "a package of that name would be everybody's"


@pytest.mark.slow
def test_the_commands_of_the_readme_run_in_an_empty_folder(scripts, tmp_path):
    """In the README's order. Runs are shortened; the studies' arms and the rest of the words are as they stand."""
    assert len(COMMANDS) >= 5
    done(scripts / "lightning-prune", "configs", "copy", "ablations/digits_retraining", folder=tmp_path)
    study = yaml.safe_load((tmp_path / "digits_retraining.yaml").read_text())
    study["base"]["trainer"].update(max_epochs=2, limit_train_batches=2, limit_val_batches=1)
    text = yaml.safe_dump({**study, "seeds": 1}).replace("15ep", "1ep").replace("cycles: 5", "cycles: 1")
    (tmp_path / "digits_retraining.yaml").write_text(text)
    for command in COMMANDS:
        words = [str(scripts / "lightning-prune"), *shlex.split(command)[1:]]
        if words[1] == "fit":
            config = words[words.index("--config") + 1]
            assert not Path(config).is_absolute()
            words += SHORT
        if words[1] == "ablate":
            done(*words, "--dry-run", folder=tmp_path)  # as it stands, by its name
            words = ["digits_retraining.yaml" if "digits_retraining" in word else word for word in words]
        done(*words, folder=tmp_path)
    assert list(tmp_path.glob("runs/digits/lr_rewind/version_*/report/learning_rate.png"))
    assert (tmp_path / "runs/ablation/report/index.html").exists()


@pytest.mark.slow
def test_the_first_snippet_of_the_readme_runs_in_an_empty_folder(scripts, tmp_path):
    (tmp_path / "snippet.py").write_text(re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)[0])
    assert "48.4% of the weights are zero" in done(scripts / "python", "snippet.py", folder=tmp_path)


@pytest.mark.slow
def test_bash_completes_sections_and_subcommands(tmp_path):
    """As the README says, without an installed wheel."""
    environment = {**os.environ, "JSONARGPARSE_ADD_PRINT_COMPLETION_ARGUMENT": "true"}
    command = [sys.executable, "-m", "lightning_prune.cli", "--print_completion=shtab-bash"]
    script = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert script.returncode == 0, script.stderr
    for word in ("ablate", "--pruning.cycles", "--pruning.retrain", "--policy", "--start"):
        assert word in script.stdout
    (tmp_path / "completion.sh").write_text(script.stdout)
    assert subprocess.run(["bash", "-n", tmp_path / "completion.sh"]).returncode == 0
