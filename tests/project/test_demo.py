from pathlib import Path

import pytest
from short_configs import shortened

from lightning_prune.lab import demo


def test_the_demo_trains_compares_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    configs = tmp_path / "configs"
    configs.mkdir()
    for variant in demo.VARIANTS:
        Path(shortened(demo.CONFIGS / f"{variant}.yaml")).rename(configs / f"{variant}.yaml")
    monkeypatch.setattr(demo, "CONFIGS", configs)
    monkeypatch.setattr(demo.torch, "set_num_threads", lambda count: None)
    for version in range(2):
        demo.main()
        printed = capsys.readouterr().out
        assert f"The run is in runs/digits/lr_rewind/version_{version}" in printed
        assert "val/accuracy at the end of the cycle" in printed
        assert "The picture: runs/digits/report/metric_over_density.png" in printed
    assert (demo.RUNS / "report" / demo.PICTURE).is_file()


def test_outside_a_clone_the_demo_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "CONFIGS", tmp_path / "none")
    with pytest.raises(SystemExit, match="Run it from a clone of the repository"):
        demo.main()
