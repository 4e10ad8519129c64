"""YAML of somebody else: tags run nothing, documents that blow up are refused, whichever command reads them."""

from pathlib import Path

import pytest
from command_line_runs import failure, in_an_empty_folder  # noqa: F401 - the fixture is used by its name

TAGS = {
    "apply": "!!python/object/apply:os.system ['touch mark']",
    "new": "!!python/object/new:os.system ['touch mark']",
    "name": "!!python/name:os.system",
    "module": "!!python/module:planted",
    "object": "!!python/object:planted.Net {}",
    "tuple": "!!python/tuple [1, 2]",
}
BOMB = "\n".join(["k0: &a0 [1, 1]", *(f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 6)}]" for i in range(1, 30))])
DEEP = "[" * 3000 + "]" * 3000
# Every command that reads YAML. The file of --ckpt is not reached.
COMMANDS = {
    "fit": ["fit", "--config=hostile.yaml"],
    "ablate": ["ablate", "--config=hostile.yaml", "--dry-run"],
    "the base of a study": ["ablate", "--config=study.yaml", "--dry-run"],
    "regimes": ["regimes", "--config=hostile.yaml", "--dry-run"],
    "compress": ["compress", "--config=hostile.yaml", "--dry-run"],
    "shrink": ["shrink", "--config=hostile.yaml", "--ckpt=hostile.yaml"],
    "export": ["export", "--config=hostile.yaml", "--ckpt=hostile.yaml", "--format=sparse"],
    "profile": ["profile", "--config=hostile.yaml", "--ckpt=hostile.yaml"],
}

QUICK = ("shrink", "compress")  # which read YAML in other ways


@pytest.mark.parametrize(
    "command",
    [pytest.param(COMMANDS[name], id=name, marks=() if name in QUICK else pytest.mark.slow) for name in COMMANDS],
)
def test_no_tag_is_run_and_nothing_blows_up(command, capsys):
    Path("planted.py").write_text("open('mark', 'w')\nclass Net: pass\n")
    Path("study.yaml").write_text("base: hostile.yaml\narms: {a: {}}\n")
    for name, tag in TAGS.items():
        Path("hostile.yaml").write_text(f"trainer: {{max_epochs: 1}}\nmodel: {tag}\n")
        said = failure(capsys, *command)
        assert not Path("mark").exists(), name
        assert "Traceback" not in said
    for text, reason in ((f"{BOMB}\nmodel: Classifier", "more than 100,000 values"), (DEEP, "nested too deeply")):
        Path("hostile.yaml").write_text(text)
        said = failure(capsys, *command)
        assert reason in said
        assert "hostile.yaml" in said


def test_a_call_in_a_config_is_refused_by_the_commands_that_make_the_module_too(capsys):
    call = "{class_path: os.system, init_args: {command: touch mark}}"
    Path("hostile.yaml").write_text(
        f"model: {{class_path: Classifier, init_args: {{network: {{class_path: LeNet300100}}, optimizer: {call}}}}}"
    )
    Path("a.ckpt").touch()
    for command in (["shrink", "--ckpt=a.ckpt"], ["export", "--ckpt=a.ckpt", "--format=sparse"]):
        failure(capsys, *command, "--config=hostile.yaml")
        assert not Path("mark").exists()
