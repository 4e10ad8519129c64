"""Configs by name: listed, copied, run and refused in any folder."""

import os
from pathlib import Path

import pytest
import yaml
from command_line_runs import failure, in_an_empty_folder  # noqa: F401

from lightning_prune.ablation.config.study_config import read_study
from lightning_prune.basics.config_files import config_file, config_name, did_you_mean, shipped_folder, shipped_names
from lightning_prune.cli import main, with_config_files
from lightning_prune.lab.configs_command import listing, summary

STUDIES = [name for name in shipped_names() if name.startswith(("ablations/", "claims/", "regimes/"))]


def test_every_config_of_the_repository_is_listed_once_with_what_it_is(capsys):
    main(["configs"])
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert sorted(name for name, _ in lines) == shipped_names()
    assert len(lines) == len(list(shipped_folder().rglob("*.yaml"))) > 90
    assert all(len(said) > 20 for _, said in lines)
    assert dict(lines)["digits/lr_rewind"] == summary("digits/lr_rewind")


def test_a_paper_is_cited_above_its_configs_and_what_runs_anywhere_comes_first():
    blocks = listing().split("\n\n")
    assert blocks[1].startswith("digits: ")
    papers = [block.splitlines()[0] for block in blocks if block.startswith("papers/")]
    assert len(papers) == sum(path.is_dir() for path in (shipped_folder() / "papers").iterdir())
    for paper in papers:
        assert '"' in paper, f"no config cites the paper in a line of its own: {paper}"
    assert all(len(line) <= 60 for line in listing(columns=60).splitlines()[2:] if line.startswith("  "))


def test_a_copy_is_the_file_and_nothing_is_overwritten(capsys):
    main(["configs", "copy", "digits/lr_rewind"])
    main(["configs", "copy", "papers/renda_2020/lr_rewind_iterative", "new/folder"])
    assert capsys.readouterr().out.splitlines() == [
        "Written: lr_rewind.yaml",
        "Written: new/folder/lr_rewind_iterative.yaml",
    ]
    assert Path("lr_rewind.yaml").read_bytes() == (shipped_folder() / "digits" / "lr_rewind.yaml").read_bytes()
    assert "lr_rewind.yaml exists already. Give another folder." in failure(
        capsys, "configs", "copy", "digits/lr_rewind"
    )
    assert "Did you mean `digits/silo`?" in failure(capsys, "configs", "copy", "digits/sillo")
    assert "needs a name" in failure(capsys, "configs", "copy")
    assert "no such action. Did you mean `copy`?" in failure(capsys, "configs", "copi")
    assert "no config has `resnt` in its name or its description" in failure(capsys, "configs", "list", "resnt")


def test_a_word_lists_the_configs_whose_name_or_description_has_it(capsys):
    main(["configs", "Digits"])
    alone = capsys.readouterr().out
    main(["configs", "list", "digits"])
    assert alone == capsys.readouterr().out
    assert "digits/silo " in alone
    assert "cifar10/silo " not in alone
    main(["configs", "replay the last"])
    assert "digits/lr_rewind " in capsys.readouterr().out


def test_a_word_that_no_config_has_is_answered_with_the_nearest_names(capsys):
    said = failure(capsys, "configs", "digts")
    assert "no config has `digts` in its name or its description. The nearest names are `digits/" in said
    assert "Without a word, it lists all." in failure(capsys, "configs", "xyzzyx")
    assert "there is no such action" in failure(capsys, "configs", "digits", "silo")
    with pytest.raises(SystemExit):
        main(["configs", "--help"])
    assert "WORD" in capsys.readouterr().out


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_and_its_copy_find_their_base(name, capsys):
    main(["configs", "copy", name, "copy"])
    copied = Path(capsys.readouterr().out.removeprefix("Written: ").strip())
    if "arms" in yaml.safe_load(copied.read_text()):
        assert read_study(copied).base == read_study(name).base == read_study(shipped_folder() / f"{name}.yaml").base


def test_a_study_of_ones_own_names_its_base():
    Path("mine.yaml").write_text("base: digits/lr_rewind\narms: {a: {}}\n")
    assert read_study("mine.yaml").base["trainer"]["max_epochs"] == 30
    Path("digits").mkdir()
    Path("digits/lr_rewind").write_text("trainer: {max_epochs: 2}")
    assert read_study("mine.yaml").base["trainer"]["max_epochs"] == 2, "a file that exists goes first"


def test_names_and_paths_become_files():
    file = str(shipped_folder() / "digits" / "silo.yaml")
    for words in (["--config", "digits/silo"], ["-c", "digits/silo.yaml"], ["--config", "configs/digits/silo.yaml"]):
        assert with_config_files(["fit", *words]) == ["fit", words[0], file]
    assert with_config_files(["test", "--config=digits/silo", "--x=digits/silo"]) == [
        "test",
        f"--config={file}",
        "--x=digits/silo",
    ]
    assert with_config_files(["ablate", "--config=ablations/lottery_tickets"]) == [
        "ablate",
        "--config=ablations/lottery_tickets",
    ]
    assert with_config_files(["fit", "--config", "{trainer: {max_epochs: 1}}"])[2] == "{trainer: {max_epochs: 1}}"
    Path("digits").mkdir()
    Path("digits/silo").write_text("")
    assert with_config_files(["fit", "--config=digits/silo"]) == ["fit", "--config=digits/silo"]


def test_a_config_below_the_working_directory_is_a_short_path(monkeypatch):
    monkeypatch.chdir(shipped_folder().parent)
    assert config_file("digits/silo") == Path(os.path.relpath(shipped_folder() / "digits" / "silo.yaml"))
    assert config_name(config_file("papers/silo_2023/vgg19")) == "papers/silo_2023/vgg19"


@pytest.mark.parametrize(("given", "meant"), [
    ("digits/lr_rewnd", "digits/lr_rewind"),
    ("configs/digit/silo.yaml", "digits/silo"),
    ("lr_rewind_iterative", "papers/renda_2020/lr_rewind_iterative"),
    ("renda_2020/lr_rewind_iterative.yaml", "papers/renda_2020/lr_rewind_iterative"),
    ("quite/another", None),
])  # fmt: skip
def test_a_missing_config_names_the_nearest(capsys, given, meant):
    assert did_you_mean(Path(given)) == (f" Did you mean `{meant}`?" if meant else "")
    for command in ("fit", "ablate"):
        said = failure(capsys, command, "--config", given)
        assert (
            f"`--config {given}` does not exist.{did_you_mean(Path(given))} Give the path of a YAML file, or a name"
            in said
        )
