"""Real Ray clusters on this machine: every member is a raylet with processes of its own, as on several machines."""

import contextlib
import shutil
import tempfile

import psutil
import pytest
from ray.cluster_utils import Cluster

MEMORY = 80 * 2**20  # bytes that each member keeps objects in


@contextlib.contextmanager
def running(*members):
    """Start a cluster.

    Args:
        members: What is special about each machine, the head first.
    """
    folder = tempfile.mkdtemp(prefix="ray-")  # not pytest's: the paths of sockets have to be short
    options = {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(shutdown_at_exit=False)
        try:
            nodes = [cluster.add_node(**{**options, **special}) for special in members]
            yield cluster.address, nodes
        finally:
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def kill(node):
    """SIGKILL for every process of a machine; returns their ids."""
    started = [one.process.pid for kind in node.all_processes.values() for one in kind]
    doomed = [psutil.Process(pid) for pid in started if psutil.pid_exists(pid)]
    doomed += [child for one in doomed for child in one.children(recursive=True)]
    for one in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    return {one.pid for one in doomed}
