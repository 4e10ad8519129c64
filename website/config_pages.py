"""Show every config of configs/ on the page of its folder, so that a link to a config leads to its text."""

import functools

from site_paths import PAPERS, ROOT, config_page

FRONT = "---\nsearch:\n  boost: 0.3\n---\n\n"  # a search for a method finds the pages that explain it first
INTRODUCTION = "`lightning-prune configs copy {name}` writes one of them to change. Each has an anchor of its name."


@functools.cache
def config_pages() -> dict[str, str]:
    """The pages by their place on the site."""
    folders = sorted({path.parent for path in (ROOT / "configs").rglob("*.yaml")})
    pages = {config_page("configs/papers"): FRONT + (ROOT / PAPERS).read_text("utf-8")}
    for folder in folders:
        place = folder.relative_to(ROOT).as_posix()
        name = place.removeprefix("configs/")
        configs = sorted(folder.glob("*.yaml"))
        shown = [f"## {one.stem} {{#{one.stem}}}\n\n```yaml\n{one.read_text('utf-8')}```\n" for one in configs]
        introduction = INTRODUCTION.format(name=f"{name}/{configs[0].stem}")
        pages[config_page(place)] = "\n".join([f"{FRONT}# {name}\n", f"{introduction}\n", *shown])
    return pages
