"""Join a Ray cluster, and find how much room it has."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Mapping, Sequence

import ray
from ray._private.services import canonicalize_bootstrap_address_or_die

from lightning_prune.basics.user_error import UserError

PATIENCE = 10.0  # Seconds to wait for the answer of a cluster.


class NoCluster(UserError, ConnectionError):
    """Raised when no Ray cluster runs where the user says that one does."""


def connect(address: str | None) -> None:
    """Join a running cluster, without printing anything.

    Args:
        address: ``"host:port"`` of its head. None: the cluster of ``RAY_ADDRESS``, or of this machine.

    Raises:
        ConnectionError: If there is no running cluster.
    """
    asked = address or os.environ.get("RAY_ADDRESS") or "auto"
    try:
        if "://" not in asked:  # Ray itself would wait for a dead address for many minutes.
            found = canonicalize_bootstrap_address_or_die(asked)
            host, _, port = found.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
            asked = found
        _join(asked)
    except (OSError, ValueError) as error:
        place = "on this machine" if asked == "auto" else f"at {asked!r}"
        reason = str(error).partition(". ")[0]
        raise NoCluster(
            f"Ablation.run(engine='ray', address={address!r}) finds no running cluster {place} ({reason}). Start one "
            "with `ray start --head`, and let each further machine join: `ray start --address=<the first one>:6379`."
        ) from error


def _join(address: str) -> None:
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    finally:
        if main:  # Ray replaces the handler with its own.
            signal.signal(signal.SIGTERM, handler)


def machines() -> list[Mapping[str, float]]:
    """The resources of each machine that is alive."""
    return [one["Resources"] for one in ray.nodes() if one["Alive"]]  # type: ignore[no-untyped-call]


def room(machines: Sequence[Mapping[str, float]], cpus: float, gpus: float) -> int:
    """Count the nodes of a study that fit on a cluster at once.

    Args:
        machines: The resources of each machine.
        cpus: The CPUs that a node takes, above 0.
        gpus: The GPUs that a node takes, or the share of one GPU, at least 0.

    Example:
        >>> room([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 3.0}], cpus=1.0, gpus=0.0)
        11
        >>> room([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 3.0}], cpus=1.0, gpus=0.4)  # a share lies on one card
        4
    """
    found = 0
    for machine in machines:
        fitting = _times(machine.get("CPU", 0.0), cpus)
        if gpus:
            cards = machine.get("GPU", 0.0)
            fitting = min(fitting, int(cards) * _times(1.0, gpus) if gpus < 1 else _times(cards, gpus))
        found += fitting
    return found


def _times(available: float, needed: float) -> int:
    return int(available / needed + 1e-9)  # 0.3 / 0.1 is a little below 3.
