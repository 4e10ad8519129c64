"""Hold a picture that a notebook shows and that can be saved as a file."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import altair as alt

from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.lab.report.vega import Rows, Spec, png_of, svg_of

ENDINGS = (".svg", ".png", ".json")


@dataclass(frozen=True)
class Plot:
    """A picture. A notebook shows it as a PNG, :meth:`save` writes it, and :meth:`chart` gives it to altair.

    Args:
        spec: The picture in Vega-Lite, with its data.

    Example:
        >>> from torch import nn
        >>> from lightning_prune.ablation.plots import plot_masks
        >>> plot = plot_masks(nn.Linear(4, 2))
        >>> len(plot.rows), plot.svg[:4]
        (8, '<svg')
    """

    spec: Spec

    @property
    def rows(self) -> Rows:
        """The data of the picture: a mapping for each mark."""
        found: Rows = self.spec["datasets"]["rows"]
        return found

    @cached_property
    def svg(self) -> str:
        """The picture as SVG."""
        return svg_of(self.spec)

    def save(self, path: str | Path) -> Path:
        """Write the picture into a file. An earlier file is replaced.

        Args:
            path: The file. Its ending says the format: ``.svg``, ``.png`` with 150 dots per inch, or ``.json`` for
                Vega-Lite.

        Returns:
            The path.

        Raises:
            ValueError: If the ending is another one.
        """
        path = Path(path)
        if path.suffix not in ENDINGS:
            raise UserError(
                f"Plot.save({str(path)!r}) writes {', '.join(ENDINGS)}: give a name with one of the endings."
            )
        texts = {".svg": lambda: self.svg, ".json": lambda: json.dumps(self.spec)}
        return write_whole(path, self._repr_png_() if path.suffix == ".png" else texts[path.suffix]().encode())

    def chart(self) -> Any:
        """The picture as a chart of altair, to change it further."""
        return alt.Chart.from_dict(self.spec)

    def _repr_png_(self) -> bytes:
        """The picture for a notebook."""
        return png_of(self.svg)

    def __repr__(self) -> str:
        return f"Plot({len(self.rows)} marks)"
