"""What needs no network starts at once: names are imported when they are asked for, and the front door needs no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_study import write_study
from synthetic import write_run

import lightning_prune
from lightning_prune import public_names
from lightning_prune.cli import COMMANDS, TRAINER_COMMANDS

ROOT = Path(lightning_prune.__file__).parent
HEAVY = (
    "torch",
    "lightning",
    "pytorch_lightning",
    "torchvision",
    "torchmetrics",
    "scipy",
    "transformers",
    "pandas",
    "sklearn",
)
# Run a command with its output thrown away, and print what was loaded, how many CPU seconds and MB it took, and its exit code.
COMMAND = """
import contextlib, io, resource, sys
from lightning_prune.cli import main
code = 0
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
    try:
        main(sys.argv[1:])
    except SystemExit as ended:
        code = ended.code
print(code or 0, *[name for name in HEAVY if name in sys.modules])
print(said.getvalue())
"""


def python(code, *words, folder):
    done = subprocess.run(
        [sys.executable, "-c", code.replace("HEAVY", repr(HEAVY)), *words], cwd=folder, capture_output=True, text=True
    )
    assert not done.stderr, done.stderr
    return done.stdout


AT_ONCE = {
    "nothing": ([], "2"),
    "--help": (["--help"], "0"),
    "--version": (["--version"], "0"),
    "configs": (["configs"], "0"),
    "configs copy": (["configs", "copy", "digits/silo"], "0"),
    "report --help": (["report", "--help"], "0"),
    "export --help": (["export", "--help"], "0"),
    "ablate --help": (["ablate", "--help"], "0"),
    "another command": (["fitt"], "2"),
    "a misspelt config": (["fit", "--config", "digits/lr_rewnd"], "2"),
    "a misspelt study": (["ablate", "--config=ablations/digits_retrain"], "2"),
    "a misspelt run": (["report", "runs/gone"], "2"),
}


@pytest.mark.parametrize(("words", "code"), AT_ONCE.values(), ids=AT_ONCE)
def test_the_front_door_loads_no_torch(tmp_path, words, code):
    said = python(COMMAND, *words, folder=tmp_path)
    assert said.splitlines()[0] == code, said


def test_a_missing_extra_loads_no_torch(tmp_path):
    blocked = "import sys; sys.modules['altair'] = None; import importlib.util; real = importlib.util.find_spec\n"
    blocked += (
        "importlib.util.find_spec = lambda name, package=None: None if name == 'altair' else real(name, package)\n"
    )
    said = python(blocked + COMMAND, "report", folder=tmp_path)
    assert said.splitlines()[0] == "2"
    assert "altair not installed" in said


def write_one(folder):
    return write_run(folder, cycles=1, dense=2, retrain=1)


@pytest.mark.parametrize(
    ("write", "page"),
    [
        pytest.param(write_one, "learning_rate.png", id="a run"),
        pytest.param(write_study, "index.html", id="a study", marks=pytest.mark.slow),
    ],
)
def test_a_report_loads_no_torch(tmp_path, write, page):
    folder = write(tmp_path / "it")
    said = python(COMMAND, "report", str(folder), folder=tmp_path).splitlines()[0].split()
    assert said[0] == "0"
    assert not {"torch", "lightning", "torchvision", "transformers"} & set(said)
    assert (folder / "report" / page).exists()


def test_no_file_of_the_front_door_imports_torch():
    """Every module that a light command needs, loaded alone."""
    modules = [
        "cli",
        "basics.user_error",
        "basics.config_files",
        *(module for module, _ in COMMANDS.values()),
        "ablation.report.runs_report",
        "ablation.report.report_command",
    ]
    code = f"import sys; {'; '.join(f'import lightning_prune.{one}' for one in modules)}; print([one for one in HEAVY if one in sys.modules])"
    assert python(code, folder=ROOT.parent).strip() in ("[]", "['pandas']", "['scipy', 'pandas']")


def test_importing_the_package_alone_imports_nothing_heavy():
    code = (
        "import sys, lightning_prune; print([one for one in HEAVY if one in sys.modules], lightning_prune.__version__)"
    )
    assert python(code, folder=ROOT.parent).strip() == f"[] {lightning_prune.__version__}"


def test_every_public_name_is_found_late():
    written = ast.parse((ROOT / "public_names.py").read_text()).body
    names = {alias.asname for node in written if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names == set(lightning_prune.__all__)
    assert len(names) > 40
    assert names < set(dir(lightning_prune))
    for name in names:
        assert getattr(lightning_prune, name) is getattr(public_names, name)
        assert not (ROOT / name).exists(), "a folder of that name would hide it"
        assert not (ROOT / f"{name}.py").exists(), "a module of that name would hide it"


@pytest.mark.slow
def test_a_star_import_and_modules_as_attributes_work_in_a_fresh_process():
    code = "from lightning_prune import *; print(LRRewind.__name__, magnitude.__name__, Geometric(0.2)(1) > 0.19)"
    assert python(code, folder=ROOT.parent).strip() == "LRRewind magnitude True"
    code = "import lightning_prune as lp; print(lp.callbacks.policies.peaked.PeakedRate.__name__, lp.criteria.snip.__name__, lp.lab.Digits.__name__)"
    assert python(code, folder=ROOT.parent).strip() == "PeakedRate snip Digits"


@pytest.mark.slow
@pytest.mark.parametrize("line", [
    "from lightning_prune.callbacks.iterative_pruning import IterativePruning",
    "from lightning_prune.callbacks.fit.guesses import meant",
    "from lightning_prune.lab.cli.command_line import CommandLine",
    "from lightning_prune.ablation import Ablation",
    "from lightning_prune.lab.data import Digits",
    "import lightning_prune.callbacks.policies as policies; policies.LRRewind",
    "import lightning_prune; lightning_prune.callbacks.clock; lightning_prune.durations",
    "from lightning_prune.callbacks.learning_rate import FineTune",
])  # fmt: skip
def test_any_module_may_be_imported_first(line):
    code = f"import warnings; warnings.simplefilter('ignore', DeprecationWarning); {line}; print('fine')"
    assert python(code, folder=ROOT.parent).strip() == "fine"


def test_the_overview_lists_what_there_is():
    from lightning_prune.lab.cli.command_line import CommandLine

    assert TRAINER_COMMANDS.keys() == CommandLine.subcommands().keys()


@pytest.mark.parametrize(
    ("name", "home"), [("Ablation", "ablation"), ("Classifier", "lab"), ("RegimeStudy", "regimes.study")]
)
def test_a_name_of_a_package_below_is_answered_with_its_home(name, home):
    with pytest.raises(
        AttributeError, match=f"has no attribute '{name}'. Write `from lightning_prune.{home} import {name}`"
    ):
        getattr(lightning_prune, name)
    assert not hasattr(lightning_prune, name)
    with pytest.raises(AttributeError, match="has no attribute 'Nowhere'$"):
        lightning_prune.Nowhere  # noqa: B018
