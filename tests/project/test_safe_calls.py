"""No line of the package loads a pickle or runs a text, and docs/security.md names every option that reads a file."""

import ast
import re
from pathlib import Path

import lightning_prune
from lightning_prune.ablation.command import ablate_parser
from lightning_prune.lab.compress.compress_command import compress_parser
from lightning_prune.lab.export_command import export_parser
from lightning_prune.lab.profile_command import profile_parser
from lightning_prune.lab.shrink_command import shrink_parser
from lightning_prune.regimes.study.regimes_command import regimes_parser

ROOT = Path(lightning_prune.__file__).parent
PAGE = (ROOT.parent / "docs" / "security.md").read_text()
FILES = sorted(ROOT.rglob("*.py"))
# Calls that run what is in a file or a text, by the end of their name. `exec` and `eval` as methods are others' affair.
RUNNING = {"pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "np.load", "numpy.load", "pd.read_pickle",
           "yaml.load", "yaml.full_load", "yaml.unsafe_load", "os.system", "os.popen", "eval", "exec", "compile",
           "tarfile.open", "marshal.loads", "shelve.open", "dill.load", "cloudpickle.load"}  # fmt: skip
# Where a program of our own is opened right after it was written.
WRITTEN_A_MOMENT_AGO = {"torch_program.py"}


def calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


def unsafe(path):
    """The calls of a file that run what was read."""
    for name, words in calls(path):
        loads = name == "torch.load" and words.get("weights_only") != "True"
        opens = name == "torch.export.load" and path.name not in WRITTEN_A_MOMENT_AGO
        if name in RUNNING or "shell" in words or loads or opens:
            yield name


def test_nothing_that_was_read_is_run():
    assert {path.name: found for path in FILES if (found := list(unsafe(path)))} == {}


def test_the_rule_finds_what_it_forbids(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        "torch.load(a)\ntorch.load(a, weights_only=True)\nyaml.load(a)\nrun(a, shell=True)\nyaml.safe_load(a)"
    )
    assert list(unsafe(path)) == ["torch.load", "yaml.load", "run"]


def test_the_page_names_every_option_that_takes_a_file():
    taken = {"--ckpt_path", "--config"}
    for make in (ablate_parser, compress_parser, export_parser, profile_parser, shrink_parser, regimes_parser):
        taken |= {word for action in make()._actions for word in action.option_strings
                  if re.search(r"ckpt|against|config|advise", word)}  # fmt: skip
    assert taken >= {"--ckpt", "--against", "--advise"}
    assert not [
        word for word in taken if f"{word}`" not in PAGE and f"{word} " not in PAGE and f"{word} {'`'}" not in PAGE
    ]


def test_the_page_names_every_command_that_makes_what_a_config_names():
    from lightning_prune.cli import COMMANDS, TRAINER_COMMANDS

    section = PAGE.split("## What a config may run")[1].split("##")[0]
    safe = {"configs", "report"}
    assert not [
        one for one in {*COMMANDS, *TRAINER_COMMANDS} - safe if f"`{one}`" not in section and f" {one}`" not in section
    ]
