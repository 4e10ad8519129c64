import re
from pathlib import Path

import pytest
from lightning.pytorch import Trainer
from short_configs import shortened

from lightning_prune import load_small
from lightning_prune.lab import demo
from lightning_prune.lab.shrink_command import made_of


@pytest.mark.filterwarnings("ignore:.*removes nothing in cycle 2")  # one shot, shortened to two cycles
def test_the_demo_trains_compares_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    configs = tmp_path / "configs"
    configs.mkdir()
    for variant in (*demo.VARIANTS, demo.STRUCTURES):
        text = Path(shortened(demo.CONFIGS / f"{variant}.yaml")).read_text()
        named = (
            f"trainer:\n  logger: {{init_args: {{name: digits/{variant}}}}}\n"  # as those that come with the package
        )
        (configs / f"{variant}.yaml").write_text(text.replace("trainer:\n", named))
    monkeypatch.setattr(demo, "CONFIGS", configs)
    monkeypatch.setattr(demo.torch, "set_num_threads", lambda count: None)
    for version in range(2):
        demo.main()
        printed = capsys.readouterr().out
        assert f"The run is in runs/digits/lr_rewind/version_{version}" in printed
        assert "val/accuracy at the end of the cycle" in printed
        assert "The picture: runs/digits/report/metric_over_density.png" in printed
        small = Path(f"runs/digits/structures/version_{version}/small.safetensors")
        assert f"--ckpt_path {small}" in printed.splitlines()[-1]
        check_the_last_table(printed, small)
    assert (demo.RUNS / "report" / demo.PICTURE).is_file()


def check_the_last_table(printed: str, small: Path) -> None:
    """What is printed of the small network is what its file says, when it is loaded and tested again."""
    dense, half = re.findall(r"(\S+) %\s+(\S+)\s+(\S+) M\s+(\S+) kB", printed.split("Smaller and faster")[1])
    module, data = made_of(small.with_name("config.yaml"))
    whole = sum(one.numel() for one in module.parameters())
    (tested,) = Trainer(accelerator="cpu", logger=False).test(load_small(small, module), data, verbose=False)
    assert float(half[0]) == pytest.approx(100 * tested["test/accuracy"], abs=0.051)
    assert [int(one[1].replace(",", "")) for one in (dense, half)] == [
        whole,
        sum(one.numel() for one in module.parameters()),
    ]
    assert float(half[2]) / float(dense[2]) == pytest.approx(0.64, abs=0.03)
    assert int(half[3].replace(",", "")) == round(small.stat().st_size / 1000)


def test_outside_a_clone_the_demo_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "CONFIGS", tmp_path / "none")
    with pytest.raises(SystemExit, match="Run it from a clone of the repository"):
        demo.main()
