"""Execute notebooks afresh and keep their outputs as they are to be read: no times, no addresses, small pictures.

The picture that a notebook opens with is written, too: ``docs/images/notebooks/<name>.png`` is its first picture.

From the root of the repository, for some notebooks or, without arguments, for all::

    .venv/bin/python notebooks/refresh.py notebooks/03_schedules.ipynb
"""

import base64
import io
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

FOLDER = Path(__file__).parent
OPENINGS = FOLDER.parent / "docs" / "images" / "notebooks"
COLORS = 64  # lines, shades and text need no more, and a picture takes half of the space
WIDEST = 1100  # pixels


def refresh(path: Path) -> None:
    """Execute a notebook in its own folder, as Jupyter does, and write it back.

    Args:
        path: The notebook.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, kernel_name="python3", timeout=600, resources={"metadata": {"path": FOLDER}}).execute()
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number:02d}", NotebookNode()
        for output in cell.get("outputs", []):
            _tidy(output)
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    write_opening(notebook, OPENINGS / f"{path.stem}.png")


def write_opening(notebook: NotebookNode, picture: Path) -> None:
    """Write the picture that a notebook opens with. A notebook that opens with another picture has none.

    Args:
        notebook: The notebook, with its outputs.
        picture: The file, as the first cell names it.
    """
    if f"{OPENINGS.name}/{picture.name}" not in notebook.cells[0].source:
        return
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    picture.parent.mkdir(exist_ok=True)
    picture.write_bytes(base64.b64decode(next(data["image/png"] for data in outputs if "image/png" in data)))


def _tidy(output: NotebookNode) -> None:
    """Take what nobody reads from an output."""
    data = output.get("data", {})
    if "image/png" in data:
        data["image/png"] = _smaller(data["image/png"])
        data.pop("text/plain", None)  # the address of the figure


def _smaller(png: str) -> str:
    """The same picture in few colors, and no larger than it is shown."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    picture.quantize(COLORS, method=Image.Quantize.MAXCOVERAGE).save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    for notebook in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(FOLDER.glob("*.ipynb")):
        refresh(notebook)
