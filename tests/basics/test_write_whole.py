"""A file is whole or not there, whoever writes it, and a failure is told in the words of who asked."""

import errno
from pathlib import Path

import pytest

from lightning_prune.basics.write_whole import write_whole
from lightning_prune.lab.report.report_file import write_report_file
from lightning_prune.lab.runs.tables import write_rows


def half(aside: Path) -> None:
    aside.write_text("half of the n")
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupted(aside: Path) -> None:
    aside.write_text("half of the n")
    raise KeyboardInterrupt


@pytest.mark.parametrize(("write", "error"), [(half, OSError), (interrupted, KeyboardInterrupt)])
def test_a_failure_leaves_the_file_of_before_and_nothing_beside_it(tmp_path, write, error):
    write_whole(tmp_path / "table.csv", "old")
    with pytest.raises(error):
        write_whole(tmp_path / "table.csv", write)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("table.csv", "old")]


@pytest.mark.parametrize("content", ["new: ü", "new: ü".encode(), lambda aside: aside.write_text("new: ü", "utf-8")])
def test_text_bytes_and_a_function_are_written_into_a_new_folder(tmp_path, content):
    path = write_whole(tmp_path / "new" / "table.csv", content)
    assert [(one, one.read_text("utf-8")) for one in path.parent.iterdir()] == [(path, "new: ü")]


def test_a_writer_never_sees_the_name_of_the_file(tmp_path):
    """Whoever reads the folder meanwhile finds the old file."""
    seen = []
    write_whole(tmp_path / "last.ckpt", "old")
    write_whole(
        tmp_path / "last.ckpt", lambda aside: (aside.touch(), seen.append((tmp_path / "last.ckpt").read_text()))
    )
    assert seen == ["old"]


def test_only_a_report_speaks_of_a_report(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="`report`: .* cannot be written .* give another folder with out=... .--out."):
        write_report_file(tmp_path / "file" / "table.csv", "text")
    with pytest.raises(FileExistsError):
        write_rows(tmp_path / "file" / "rates.csv", ["step"], [{"step": 1}])
