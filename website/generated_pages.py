"""Add the pages that are made of files outside docs/: notebooks, configs, CONTRIBUTING.md and CHANGELOG.md."""

from typing import Any

from config_pages import config_pages
from gallery import gallery_pages, gallery_pictures
from mkdocs.structure.files import File, InclusionLevel
from site_paths import PAGES, ROOT


def on_config(config: Any) -> Any:
    """Put the generated pages into the navigation, where it names their folder."""
    config.nav = [_filled(entry) for entry in config.nav]
    return config


def _filled(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {name: _filled(value) for name, value in entry.items()}
    if isinstance(entry, list):
        return [_filled(one) for one in entry]
    if entry == "gallery/":
        return list(gallery_pages())
    if entry == "configs/":
        return {"Configs": [page for page in config_pages() if page.count("/") == 1 or page.endswith("/index.md")]}
    return entry


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the site."""
    pages = {place: (ROOT / path).read_text("utf-8") for path, place in PAGES.items() if path != "README.md"}
    for place, content in {**pages, **gallery_pages(), **gallery_pictures(), **config_pages()}.items():
        files.append(File.generated(config, place, content=content, inclusion=InclusionLevel.NOT_IN_NAV))
    return files
