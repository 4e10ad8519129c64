from pathlib import Path

import pytest
from synthetic import STEPS_PER_EPOCH, write_run

from lightning_prune.lab.report.evaluations import sentences
from lightning_prune.lab.report.read_run import read_run

END = (4 + 2 * 3) * STEPS_PER_EPOCH


@pytest.mark.parametrize(
    ("step", "where"),
    [
        (END, f"at step {END}, cycle 2"),
        (7 * STEPS_PER_EPOCH, f"at step 154, cycle 1 (the run went on since, to step {END})"),
        (4 * STEPS_PER_EPOCH, f"at step 88, dense (the run went on since, to step {END})"),
    ],
)
def test_the_latest_result_with_its_cycle(tmp_path: Path, step: int, where: str) -> None:
    folder = write_run(tmp_path / "run", cycles=2, dense=4, retrain=3)
    (folder / "test.csv").write_text(f"step,test/accuracy,test/loss\n5,0.1,9\n{step},0.93,0.2\n")
    (folder / "validate.csv").write_text(f"step,val/loss\n{step},0.3\n")
    assert sentences(read_run(folder, "run")) == [
        f"Tested {where}: test/accuracy 93.0 %, test/loss 0.2000.",
        f"Validated {where}: val/loss 0.3000.",
    ]


def test_results_of_older_runs_lie_in_the_metrics(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", cycles=1, tested=True), "run")
    assert sentences(run) == ["Tested at an unknown step: test/accuracy 93.0 %, test/loss 0.2000."]
    assert len(run.epochs) == 45
