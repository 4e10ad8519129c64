"""Keep parsed configs and loaded images in a process from node to node. Every node still makes its own objects."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lightning_prune.ablation.config.parser_errors import named_errors
from lightning_prune.ablation.planning.resolving import parse
from lightning_prune.ablation.sharing.node import key_of
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.cli.kept_line import KeptLine, are_parsed_alike, free_values, without
from lightning_prune.lab.cli.sections import in_full
from lightning_prune.lab.data.data_module import ImageData, ImageSource
from lightning_prune.lab.data.image_set import ImagesInMemory
from lightning_prune.lab.runs.quiet import quiet

MOST_CONFIGS = 16


class Kept:
    """What a process keeps while it trains the nodes of one study.

    It keeps the parsed configs of the last arms, and the images of the last data set. It keeps no network, no trainer
    and no random state. Images are kept only for the data modules of this package, which never change them, and only
    as long as nobody else has changed them.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, KeptLine] = OrderedDict()
        self._images: tuple[str, ImageSource, list[int]] | None = None

    def parse(self, config: Mapping[str, Any], owner: str) -> CommandLine:
        """Make trainer, model and data from a config, as :func:`parse` does.

        Args:
            config: The config.
            owner: The node's name for errors.

        Raises:
            ValueError: If the config cannot be parsed.
        """
        whole = in_full(config)
        values = free_values(whole)
        key = key_of(without(whole, values))
        if (line := self._lines.get(key)) is not None:
            self._lines.move_to_end(key)
            with quiet(), named_errors(owner):
                return line.make(values)
        made = parse(config, owner)
        if are_parsed_alike(made, values):
            self._lines[key] = KeptLine(made)
            if len(self._lines) > MOST_CONFIGS:
                self._lines.popitem(last=False)
        return made

    def lend_images(self, data: Any, config: Any) -> None:
        """Give a data module the images that an equal one has loaded in this process.

        Args:
            data: The data module of a node.
            config: Its config.
        """
        known = self._images
        if known is not None and _is_ours(data) and known[0] == key_of(config) and known[2] == _changes(known[1]):
            data.reuse(known[1])

    def take_images(self, data: Any, config: Any) -> None:
        """Keep the images of a data module for the next node.

        Args:
            data: The data module of a node that was trained.
            config: Its config.
        """
        if _is_ours(data) and data._source is not None:
            self._images = (key_of(config), data._source, _changes(data._source))


def _is_ours(data: Any) -> bool:
    return isinstance(data, ImageData) and type(data).__module__.startswith("lightning_prune.")


def _changes(source: ImageSource) -> list[int]:
    """Count how often each tensor of images was changed in place. Torch counts it."""
    parts = [part for part in (source.train, source.validation, source.test) if isinstance(part, ImagesInMemory)]
    tensors: list[Tensor] = [tensor for part in parts for tensor in (part.images, part.labels)]
    return [tensor._version for tensor in tensors]
