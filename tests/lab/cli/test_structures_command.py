"""``lightning-prune structures`` shows the groups of the network of a config."""

import pytest

from lightning_prune.cli import main

RESNET = ["--model.network=lightning_prune.lab.ResNet", "--model.network.channels=1", "--model.network.depth=8"]


def test_it_shows_groups_and_reasons(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["structures", *RESNET])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["group", "units", "weights", "operations", "coupled", "tensors", "and", "dimensions"]
    assert lines[1].split()[:2] == ["network.stem.0", "16"]
    assert " yes " in lines[1]
    assert " no " in lines[2]
    assert "Never removed:" in lines
    assert any("aten._log_softmax mixes its channels: network.classifier.weight[0]" in line for line in lines)
    assert not list(tmp_path.iterdir()), "nothing is written"


def test_it_takes_the_name_of_a_config(capsys):
    main(["structures", "--config", "digits/lr_rewind"])
    assert "network.hidden.1  300" in capsys.readouterr().out


def test_its_help_names_the_config(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["structures", "--help"])
    assert ended.value.code == 0
    assert "--config FILE" in capsys.readouterr().out


def test_wrong_options_are_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["structures", "--model.network=lightning_prune.lab.ResNet", "--model.network.depth=9"])
    assert ended.value.code == 2
    assert "`depth` must be 6n+2" in capsys.readouterr().err
