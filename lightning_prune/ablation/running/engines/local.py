"""Train several nodes at once on this machine. Each process stays alive for its next node."""

import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path

import torch

from lightning_prune.ablation.running.engines.engine import Engine
from lightning_prune.ablation.training.job import Job, Outcome

WORKER = "lightning_prune.ablation.running.engines.worker"


class Worker:
    """A process that trains one job at a time.

    Args:
        index: The number of the worker, which decides its GPU.
        threads: The number of threads for computing.
        log: The file for the output of the process.
    """

    def __init__(self, index: int, threads: int, log: Path) -> None:
        self.index = index
        self.log = log
        self.job: Job | None = None
        self.finished = 0
        self._answer = b""
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
        if (devices := torch.cuda.device_count()) > 1:
            environment["CUDA_VISIBLE_DEVICES"] = str(index % devices)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches only the study, which then stops its workers.
            )

    def begin(self, job: Job, share: float) -> None:
        """Give the worker a job.

        Args:
            job: The job.
            share: The share of the memory of its GPU that the worker may use, in (0, 1].
        """
        self.job = job
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"job": job.to_dict(), "share": share}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # The worker has died. This is found when its answer is read.

    def read(self) -> Outcome | None:
        """Read the answer, once there is something to read. None if the answer is not complete yet."""
        assert self.process.stdout is not None
        chunk = os.read(self.process.stdout.fileno(), 65536)
        self._answer += chunk
        if chunk and not self._answer.endswith(b"\n"):
            return None
        job, answer, self._answer, self.job = self.job, self._answer, b"", None
        self.finished += bool(chunk)
        if chunk:
            return Outcome(**json.loads(answer))
        name, key = (job.node.name, job.node.key) if job else ("nothing", "")
        said = f"The worker that trained {name} {self._death()}. What it printed is in {self.log}."
        return Outcome(key, said)

    def _death(self) -> str:
        code = self.process.wait()
        if code == -signal.SIGKILL:
            return "was killed (SIGKILL), which the system does when memory runs out: fewer workers need less"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def stop(self) -> None:
        """End the process. The checkpoints of its node stay."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_share(workers: int, devices: int) -> float:
    """The share of the memory of a GPU that a worker may use. Each process needs some more for itself.

    Args:
        workers: The number of workers, at least 1.
        devices: The number of GPUs among which they are divided.

    Example:
        >>> memory_share(1, 1), memory_share(4, 1), memory_share(4, 2)
        (1.0, 0.225, 0.45)
    """
    beside = -(-workers // max(devices, 1))
    return 1.0 if beside == 1 else 0.9 / beside


class Local(Engine):
    """Train in several processes of this machine, and divide its cores and the memory of its GPUs among them.

    Args:
        workers: The number of processes, at least 1.
        logs: The folder for their logs.
        most: The number among which the cores are divided, at least 1. None: ``workers``.
    """

    def __init__(self, workers: int, logs: Path, most: int | None = None) -> None:
        self.slots = workers
        self.logs = logs
        self.threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, cores() // (most or workers)))
        self._workers: list[Worker] = []

    def submit(self, job: Job) -> None:
        self._give(job)

    def _give(self, job: Job) -> Worker:
        """Give a job to a free worker, or to a new one."""
        self._bury()
        free = next((one for one in self._workers if one.job is None and one.process.poll() is None), None)
        if free is None:
            number = min(set(range(len(self._workers) + 1)) - {one.index for one in self._workers})
            free = Worker(number, self.threads, self.logs / f"worker-{number}.log")
            self._workers.append(free)
        free.begin(job, memory_share(self.slots, torch.cuda.device_count()))
        return free

    def collect(self, seconds: float) -> list[Outcome]:
        outcomes = []
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                if worker.job is not None and worker.process.stdout is not None:
                    selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
            for key, _ in selector.select(seconds):
                outcome = key.data.read()
                if outcome is not None:
                    outcomes.append(outcome)
                    if outcome.error is not None and torch.cuda.is_available():
                        key.data.stop()  # An error on a GPU can spoil the process for every later node.
        return outcomes

    def close(self) -> None:
        for worker in self._workers:
            worker.stop()
        self._workers = []

    def _bury(self) -> None:
        """Remove the workers that have died, also those without a job."""
        for worker in self._workers:
            if worker.job is None and worker.process.poll() is not None:
                worker.stop()
        self._workers = [one for one in self._workers if one.job is not None or one.process.poll() is None]
