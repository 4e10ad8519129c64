"""Train several nodes at once on the machines of a Ray cluster."""

import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from lightning_prune.ablation.running.engines.cluster import connect, machines, room
from lightning_prune.ablation.running.engines.engine import Engine
from lightning_prune.ablation.running.engines.ray_task import OtherMachine, Terms, train_there, versions
from lightning_prune.ablation.storage.folders import Store
from lightning_prune.ablation.training.job import Job, Outcome
from lightning_prune.basics.user_error import UserError

RETRIES = 3  # For a node whose worker or machine died. Each retry goes on from the node's last checkpoint.
SECONDS_TO_STOP = 10.0


class OnRay(Engine):
    """Train nodes as tasks of a running Ray cluster.

    All machines of the cluster must share the folder of the study and the folder of its nodes. If a worker or a
    machine dies, its node is given to another one, which goes on from the node's last checkpoint.

    Args:
        workers: The largest number of nodes at once. 0: as many as the cluster has room for.
        address: ``"host:port"`` of the head. None: the cluster that this machine is in.
        cpus: The CPUs that a node takes, above 0.
        gpus: The GPUs that a node takes, at least 0. With 0.25, four nodes share each GPU.
        logs: The folder for the logs. None: ``logs`` beside the nodes.

    Raises:
        ConnectionError: If no cluster is running.
        ValueError: If a number is out of range, or no machine has room for a node.
    """

    def __init__(
        self,
        workers: int,
        address: str | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
        logs: Path | None = None,
    ) -> None:
        _check(cpus, gpus)
        self.workers, self.cpus, self.gpus = workers, cpus, gpus
        # The number is the same as the local engine's. Sums are divided among threads, so their last bits depend on it.
        self.threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, int(cpus)))
        self._jobs: dict[Any, Job] = {}
        self._marker: Path | None = None
        self._logs = logs and logs.resolve()
        self._joined = not ray.is_initialized()
        if self._joined:
            connect(address)
        try:
            self._task = self._make_task()
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:  # type: ignore[override]  # machines come and go
        """The number of nodes that can be trained at once."""
        return self.workers or room(machines(), self.cpus, self.gpus)

    def submit(self, job: Job) -> None:
        out = Path(job.out).resolve()  # A worker starts in another folder.
        if self._marker is None:
            # No machine has looked for this name before, so no machine remembers that the file does not exist.
            self._marker = Store(out).locks / f"ray-{uuid.uuid4().hex}"
            self._marker.parent.mkdir(parents=True, exist_ok=True)
            self._marker.touch()
        logs = self._logs or out / "logs"
        terms = Terms(str(out), str(logs), str(self._marker), str(Path.cwd()), self.threads, versions())
        self._jobs[self._task.remote(replace(job, out=str(out)).to_dict(), terms)] = job

    def collect(self, seconds: float) -> list[Outcome]:
        if not self._jobs:
            return []
        ended, _ = ray.wait(list(self._jobs), num_returns=1, timeout=seconds)
        return [self._outcome(one, self._jobs.pop(one)) for one in ended]

    def close(self) -> None:
        try:
            for one in self._jobs:
                ray.cancel(one, force=True)  # Stop at once. The checkpoints of the node stay.
            if self._jobs:
                ray.wait(list(self._jobs), num_returns=len(self._jobs), timeout=SECONDS_TO_STOP)
        finally:
            self._jobs.clear()
            if self._marker is not None:
                self._marker.unlink(missing_ok=True)
            if self._joined:
                ray.shutdown()

    def _make_task(self) -> Any:
        found = machines()
        if room(found, self.cpus, self.gpus) == 0:
            raise UserError(
                f"Ablation.run(engine='ray', cpus={self.cpus:g}, gpus={self.gpus:g}) fits on no machine of the "
                f"cluster: they have {_describe(found)}. Ask for less, or let a larger machine join."
            )
        # A process that has begun to use a GPU cannot change to another one. With a single GPU the process stays alive.
        several = self.gpus > 0 and any(machine.get("GPU", 0.0) > 1 for machine in found)
        environment = {"OMP_NUM_THREADS": str(self.threads), "PYTHONPATH": os.pathsep.join(own_paths())}
        return ray.remote(
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            max_retries=RETRIES,
            max_calls=1 if several else 0,
            runtime_env={"env_vars": environment},
        )(train_there)

    def _outcome(self, reference: Any, job: Job) -> Outcome:
        try:
            refused, answer = ray.get(reference)
        except ray.exceptions.RayTaskError as error:  # Raised before the training began.
            reason = str(error.cause or error).strip().splitlines()[-1]
            raise OtherMachine(
                f"A machine of the cluster cannot begin to train ({reason}): install the same lightning-prune there."
            ) from error
        except ray.exceptions.RayError as error:
            return Outcome(job.node.key, _death(error), details=str(error))
        if refused is not None:
            raise OtherMachine(refused)
        return Outcome(**answer)


def own_paths() -> list[str]:
    """List the folders of the user's own modules, which a worker's Python does not know.

    Returns:
        Absolute paths.
    """
    python = {Path(sys.prefix), Path(sys.base_prefix)}
    paths = dict.fromkeys(Path(one).resolve() for one in sys.path)
    return [str(one) for one in paths if python.isdisjoint(one.parents)]


def _check(cpus: float, gpus: float) -> None:
    if not cpus > 0:
        raise UserError(f"Ablation.run(cpus={cpus!r}) must be above 0: the CPUs that a node takes.")
    if not gpus >= 0 or (gpus > 1 and gpus != int(gpus)):
        raise UserError(f"Ablation.run(gpus={gpus!r}) must be a share of one GPU, from 0 to 1, or a whole number.")


def _describe(found: list[Mapping[str, float]]) -> str:
    return "; ".join(f"{one.get('CPU', 0.0):g} CPUs and {one.get('GPU', 0.0):g} GPUs" for one in found) or "none"


def _death(error: Exception) -> str:
    first = str(error).strip().splitlines()[0]
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return f"The worker was killed for memory: let a node take more CPUs, so that fewer share a machine. {first}"
    return f"The worker died, and so did those that tried again ({RETRIES} times). {first}"
