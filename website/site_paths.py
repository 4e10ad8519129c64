"""Where the files of the repository are on the site, and the other way round."""

import os
import posixpath
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "inside/adding.md", "CHANGELOG.md": "inside/changes.md"}
PAPERS = "configs/papers/README.md"


def config_page(folder: str) -> str:
    """The page that shows the configs of a folder.

    Example:
        >>> config_page("configs/digits"), config_page("configs/papers")
        ('configs/digits.md', 'configs/papers/index.md')
    """
    return "configs/papers/index.md" if folder == "configs/papers" else f"{folder}.md"


def page_of(path: str) -> str | None:
    """The page of a file or folder of the repository, with an anchor if the page shows several files.

    Example:
        >>> page_of("docs/start/choosing.md"), page_of("notebooks/03_schedules.ipynb")
        ('start/choosing.md', 'gallery/03_schedules.md')
        >>> page_of("configs/digits/silo.yaml"), page_of("configs/digits"), page_of("pyproject.toml")
        ('configs/digits.md#silo', 'configs/digits.md', None)
    """
    folder, name = posixpath.split(path)
    stem, suffix = posixpath.splitext(name)
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if folder == "notebooks" and suffix == ".ipynb":
        return f"gallery/{stem}.md"
    if path == PAPERS:
        return config_page("configs/papers")
    if path.startswith("configs/"):
        return f"{config_page(folder)}#{stem}" if suffix == ".yaml" else config_page(path)
    return None


def origin_of(page: str) -> str:
    """The file of the repository that a page is made of.

    Example:
        >>> origin_of("variants.md"), origin_of("gallery/03_schedules.md"), origin_of("inside/adding.md")
        ('docs/variants.md', 'notebooks/03_schedules.ipynb', 'CONTRIBUTING.md')
    """
    if page == config_page("configs/papers"):
        return PAPERS
    if page.startswith("gallery/"):
        return f"notebooks/{Path(page).stem}.ipynb"
    others = {place: path for path, place in PAGES.items() if place != "index.md"}
    return others.get(page, f"docs/{page}")


def relative(target: str, page: str) -> str:
    """A link from a page to another.

    Example:
        >>> relative("configs/digits.md#silo", "start/choosing.md")
        '../configs/digits.md#silo'
    """
    return Path(os.path.relpath(target, posixpath.dirname(page) or ".")).as_posix()
