"""Run a worker process, which reads jobs line by line, trains them, and answers line by line."""

import gc
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from queue import SimpleQueue
from threading import Thread

import torch

from lightning_prune.ablation.training.job import Job
from lightning_prune.ablation.training.kept import Kept
from lightning_prune.ablation.training.train_node import train


def main() -> None:
    """Serve until the input ends. The input also ends when the process of the study dies."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # The training prints into the log.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    kept = Kept()
    gc.freeze()  # The collection after each node need not look at what was imported.
    for line in _lines():
        order = json.loads(line)
        if torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(order["share"])
        outcome = train(Job.from_dict(order["job"]), kept)
        gc.collect()  # A network and its trainer hold each other, and with them the memory of the device.
        answers.write(json.dumps(asdict(outcome)) + "\n")
        answers.flush()


def _lines() -> Iterator[str]:
    """Yield the lines of the input. At the end of the input the process ends at once, also in the middle of a job.

    Otherwise a study that was killed would go on computing unseen. The node goes on later from its last checkpoint.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()


if __name__ == "__main__":
    main()
