"""Put the configs of the repository into the package, and make the links of its page on an index absolute.

Everything else is in pyproject.toml. The address of the repository is known where a release is made: it comes from the
variable ``REPOSITORY_URL``, or from the variables that GitHub sets in its workflows. Without an address, links to files
of the repository become plain text, so that no link leads nowhere.
"""

import os
import re
from pathlib import Path

from setuptools import find_namespace_packages, setup

CONFIGS = "lightning_prune.configs"  # in a wheel, a folder of the package; in a checkout, the folder configs/
HERE = Path(__file__).parent
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#|mailto:)([^)\s]+)\)")


def repository() -> str | None:
    """The address of the repository without a slash at its end. None if nobody says it."""
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    found = os.environ.get("REPOSITORY_URL") or (server and name and f"{server}/{name}")
    return found.rstrip("/") if found else None


def version() -> str:
    """The version of the package, without importing it."""
    found = re.search(r'^__version__ = "(.+)"', (HERE / "lightning_prune/__init__.py").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def absolute_links(text: str, address: str | None, tag: str) -> str:
    """Write the links to files of the repository in Markdown as absolute ones, or as plain text without an address."""

    def link(found: re.Match[str]) -> str:
        picture, words, path = found.groups()
        if address is None:
            return "" if picture else words
        return f"{picture}[{words}]({address}/{'raw' if picture else 'blob'}/{tag}/{path})"

    return LINK.sub(link, text)


def urls(address: str) -> dict[str, str]:
    """The links beside the page on an index."""
    tree = f"{address}/blob/v{version()}"
    return {
        "Source": address,
        "Documentation": f"{tree}/README.md#where-to-read-on",
        "Changelog": f"{tree}/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }


if __name__ == "__main__":
    setup(
        packages=[
            *find_namespace_packages(include=["lightning_prune", "lightning_prune.*"]),
            CONFIGS,
            *(f"{CONFIGS}.{folder}" for folder in find_namespace_packages("configs")),
        ],
        package_dir={CONFIGS: "configs"},
        long_description=absolute_links((HERE / "README.md").read_text("utf-8"), repository(), f"v{version()}"),
        long_description_content_type="text/markdown",
        project_urls=urls(repository()) if repository() else {},
    )
