"""Draw a run, a study, the masks of a network or a table with one call, for notebooks and papers."""

from typing import TYPE_CHECKING

from lightning_prune.basics.late_names import late_names

if TYPE_CHECKING:
    from lightning_prune.ablation.plots.lines_plot import plot_lines
    from lightning_prune.ablation.plots.map_plot import plot_map
    from lightning_prune.ablation.plots.masks_plot import plot_masks
    from lightning_prune.ablation.plots.notebook import set_up_notebook
    from lightning_prune.ablation.plots.plot import Plot
    from lightning_prune.ablation.plots.run_plot import plot_run
    from lightning_prune.ablation.plots.study_plot import plot_study

__all__ = ["Plot", "plot_lines", "plot_map", "plot_masks", "plot_run", "plot_study", "set_up_notebook"]
_PLACES = {
    "Plot": "plot",
    "plot_lines": "lines_plot",
    "plot_map": "map_plot",
    "plot_masks": "masks_plot",
    "plot_run": "run_plot",
    "plot_study": "study_plot",
    "set_up_notebook": "notebook",
}

if not TYPE_CHECKING:
    __getattr__ = late_names(__name__, _PLACES, extra="studies")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
