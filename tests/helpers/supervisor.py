"""Start training, kill it at random moments, start it again: what a user's machine may do to a run."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).parent
SECONDS_TO_LIVE = 0.3  # of a process that is killed wherever it happens to be


class Fresh:
    """Trains in a process that starts from nothing: importing takes it seconds."""

    def __init__(self):
        self.process = None

    def start(self, folder, policy):
        self.close()
        self.process = launch(str(folder), policy)
        return read_number(self.process.stdout, "process")

    def words(self):
        """What the process says, until it ends."""
        for line in self.process.stdout:
            yield line.strip()
        self.status = self.process.wait()

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


class Warm(Fresh):
    """Trains in processes forked from one that has imported everything."""

    def start(self, folder, policy):
        if self.process is None:
            self.process = launch(stdin=subprocess.PIPE)
        self.process.stdin.write(f"{folder} {policy}\n")
        self.process.stdin.flush()
        return read_number(self.process.stdout, "process")

    def words(self):
        for line in self.process.stdout:
            if line.startswith("ended"):
                self.status = int(line.split()[1])
                return
            yield line.strip()
        raise AssertionError("the process that forks has ended")


def launch(*arguments, **options):
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(HERE / "killed_training.py"), *arguments],
        env=environment, stdout=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def read_number(lines, word):
    for line in lines:
        if line.startswith(f"{word} "):
            return int(line.split()[1])
    raise AssertionError("the process ended before it began")


def finish(trainer, folder, policy):
    """Train without a kill; returns what the process said."""
    trainer.start(folder, policy)
    words = list(trainer.words())
    assert trainer.status == 0
    return words


def kill_once(trainer, folder, policy, draw):
    """Start, and kill at a random moment: after some batches, while saving, or wherever it happens to be.

    Returns:
        Whether it was killed; False if it ended before.
    """
    number = trainer.start(folder, policy)
    moment = draw.choice(["batch", "saving", "saving", "any"])
    left = draw.randint(1, 6)
    delay = draw.uniform(0, SECONDS_TO_LIVE if moment == "any" else 0.003)
    if moment == "any":
        kill_after(delay, number)
    for word in trainer.words():
        if word == moment:
            left -= 1
            if left == 0:
                kill_after(delay, number)
    return trainer.status == -signal.SIGKILL


def kill_after(delay, number):
    end = time.monotonic() + delay
    while time.monotonic() < end:
        pass
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.kill(number, signal.SIGKILL)


def steps(folder):
    """What was written down of every step, in the order in which it was trained."""
    lines = (folder / "steps.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def epochs(folder):
    """What the callbacks logged at the end of every epoch, a later process' row in the place of an earlier one's."""
    rows = {}
    for line in (folder / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "pruning/cycle" in row:
            rows[int(row["epoch"])] = {
                name: value for name, value in row.items() if name.startswith("pruning/") and name != "pruning/seconds"
            }
    return rows


def last_epoch(folder):
    """The newest checkpoint of an epoch's end; of a process that had nothing left to train, Lightning saves another."""
    file = max((folder / "kept").glob("epoch=*.ckpt"), key=lambda file: file.stat().st_mtime_ns)
    return torch.load(file, weights_only=True)
