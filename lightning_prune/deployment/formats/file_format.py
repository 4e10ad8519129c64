"""What a format of files is: how it is written, and how its runtime opens it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_prune.deployment.ready_network import ReadyNetwork

# Runs an opened file on a batch of a size. None: the example as it is.
Run = Callable[[int | None], Any]


@dataclass(frozen=True)
class Wishes:
    """What the user wants of a file.

    Args:
        batch: The one batch size that the file takes. None: any.
        largest_batch: The largest batch, where the runtime has to know it.
        opset: The version of the operators of ONNX. None: the exporter's own choice.
        half_values: Whether weights are written in float16.
    """

    batch: int | None = None
    largest_batch: int = 64
    opset: int | None = None
    half_values: bool = False


@dataclass(frozen=True)
class FileFormat:
    """A format of files.

    Args:
        file_name: The name of a file whose name nobody gave.
        runtime: What opens it, in words.
        write: Writes a network into a path.
        open: Opens a file. The runtime gets its inputs from the samples of the network.
        modules: The libraries that both need.
        extra: The extra for pip that installs them.
        takes: Those of the user's wishes that it can fulfill, by name.
        weights_only: It holds weights without a ``forward``, in their own precision.
        whole: It holds the whole network, with its dead units.
    """

    file_name: str
    runtime: str
    write: Callable[[ReadyNetwork, Path, Wishes], None]
    open: Callable[[Path, ReadyNetwork], Run]
    modules: tuple[str, ...] = ()
    extra: str = ""
    takes: tuple[str, ...] = ()
    weights_only: bool = False
    whole: bool = False

    @property
    def ending(self) -> str:
        """The ending of its files, such as ``.onnx``."""
        return Path(self.file_name).suffix
