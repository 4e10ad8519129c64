"""Compare what an opened file computes with what the network computed."""

from collections.abc import Callable
from dataclasses import dataclass

from lightning_prune.deployment.formats.file_format import Run
from lightning_prune.deployment.ready_network import ReadyNetwork
from lightning_prune.shrinking.quiet_calls import explained
from lightning_prune.shrinking.verification import distance, tensors_in


@dataclass(frozen=True)
class Agreement:
    """How far the outputs of a file are from those of the network.

    Args:
        batches: The batch sizes that were compared. None stands for the example as it is.
        error: The largest difference, relative to the largest output. Infinity, if the file does not run.
        failure: Why the file does not run. None: it runs.
    """

    batches: tuple[int | None, ...]
    error: float
    failure: str | None = None


def agreement(open_file: Callable[[], Run], ready: ReadyNetwork) -> Agreement:
    """Open a file, run it on each batch, and compare.

    Args:
        open_file: Opens the file with its runtime.
        ready: The network.
    """
    batches, errors = tuple(ready.expected), [0.0]
    try:
        run = open_file()
        for number, expected in ready.expected.items():
            errors.append(distance(expected, tensors_in(run(number))))
    except Exception as error:  # a runtime may raise anything
        return Agreement(batches, float("inf"), explained(error))
    return Agreement(batches, max(errors))
