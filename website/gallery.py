"""Show the notebooks with the outputs that are stored in them. Nothing is executed."""

import functools
import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from site_paths import ROOT

STYLE = re.compile(r"<style scoped>.*?</style>\n?", re.DOTALL)  # of pandas; tables look as everywhere on the site
PICTURE = re.compile(r"^!\[png\]\(([^)]+)\)$", re.MULTILINE)
OPENING = re.compile(r"!\[[^\]]*\]\([^)\s]+\)")  # the first picture of a notebook
TOP = "# Gallery\n\nNotebooks with their results. Each takes seconds to minutes on a laptop without a GPU."


@functools.cache
def shown_notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as a page, and the pictures of its outputs by their names."""
    notebook = nbformat.read(path, as_version=4)
    where = {"unique_key": path.stem, "output_files_dir": ""}
    text, resources = MarkdownExporter().from_notebook_node(notebook, resources=where)
    text = STYLE.sub("", text).replace(' border="1" class="dataframe"', "")
    text = PICTURE.sub(r"![A result of the cell above](\1)", text)
    return OPENING.sub(r"\g<0>{.opening}", text.strip(), count=1) + "\n", resources["outputs"]


@functools.cache
def gallery_pages() -> dict[str, str]:
    """The pages by their place on the site, the list of all first."""
    shown = {path: shown_notebook(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    cards = "\n".join(_card(path, text) for path, (text, _) in shown.items())
    pages = {f"gallery/{path.stem}.md": text for path, (text, _) in shown.items()}
    return {"gallery/index.md": f'{TOP}\n\n<div class="grid cards" markdown>\n\n{cards}\n</div>\n', **pages}


def _card(path: Path, text: str) -> str:
    """The title of a notebook and the picture that it opens with. Its links lead on from this page as from its own."""
    title, link = text.partition("\n")[0].removeprefix("# "), f"{path.stem}.md"
    opening = OPENING.search(text)
    assert opening is not None, f"{path.name} does not open with a picture"
    return f"- [{opening[0]}]({link})\n\n    **[{title}]({link})**\n"


def gallery_pictures() -> dict[str, bytes]:
    """The pictures of all notebooks by their place on the site."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    return {f"gallery/{name}": one for path in notebooks for name, one in shown_notebook(path)[1].items()}
