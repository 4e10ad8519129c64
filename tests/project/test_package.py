"""What an index shows of the package: the page, the names of the extras, the versions, the citation."""

import os
import re
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from readme_renderer import markdown

import lightning_prune
from lightning_prune.cli import LAB, STUDIES

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(lightning_prune.__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
SETUP = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")
IMPORTED_AS = {"scikit-learn": "sklearn", "vl-convert-python": "vl_convert"}


def targets(text):
    """The targets of all links and pictures of the rendered page."""
    return re.findall(r'(?:href|src)="([^"]*)"', markdown.render(text))


@pytest.mark.parametrize("address", ["https://example.org/owner/name", None])
def test_the_page_on_an_index_has_no_relative_link(address):
    text = SETUP["absolute_links"](README, address, "v0.1.0")
    found = targets(text)
    assert [one for one in found if not one.startswith(("https://", "#"))] == []
    ours = [one for one in found if address and one.startswith(address)]
    relative = [one for one in targets(README) if not one.startswith(("http", "#"))]
    assert len(ours) == (len(relative) if address else 0)
    assert len(relative) > 30
    assert text.split("```")[1] == README.split("```")[1], "code stays as it is"
    for one in ours:
        kind, tag, path = re.fullmatch(rf"{address}/(blob|raw)/(v[\d.]+)/([^#]*).*", one).groups()
        assert (ROOT / path).exists()
        assert tag == "v0.1.0"
        assert (kind == "raw") == path.endswith((".svg", ".png"))


def test_the_address_comes_from_the_variables_of_a_release(monkeypatch):
    for name in ("REPOSITORY_URL", "GITHUB_SERVER_URL", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    assert SETUP["repository"]() is None
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://example.org")
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    assert SETUP["repository"]() == "https://example.org/owner/name"
    monkeypatch.setenv("REPOSITORY_URL", "https://example.com/other/")
    assert SETUP["repository"]() == "https://example.com/other"
    assert SETUP["urls"](SETUP["repository"]())["Issues"] == "https://example.com/other/issues"


def names(extra):
    """The distributions that an extra brings, with those of the extras that it names."""
    found = set()
    for one in EXTRAS[extra]:
        name, inner = re.match(r"([\w-]+)(?:\[([\w,]+)\])?", one).groups()
        found |= set.union(*(names(other) for other in inner.split(","))) if name == PROJECT["name"] else {name}
    return found


def test_the_extras_bring_what_the_commands_ask_for():
    imported = {extra: {IMPORTED_AS.get(one, one) for one in names(extra)} for extra in ("cli", "studies")}
    assert imported["cli"] == set(LAB)
    assert imported["studies"] == {*LAB, *STUDIES}
    assert names("lab") == names("studies"), "the former name"
    assert names("dev") >= set.union(*(names(extra) for extra in EXTRAS if extra not in ("dev", "docs")))


def test_every_extra_that_is_named_to_a_user_exists():
    texts = [
        README,
        *(
            path.read_text()
            for folder in ("docs", "lightning_prune")
            for path in (ROOT / folder).rglob("*.*")
            if path.suffix in (".py", ".md")
        ),
    ]
    named = {
        one for text in texts for found in re.findall(r"lightning-prune\[([\w,]+)\]", text) for one in found.split(",")
    }
    assert named >= {"cli", "onnx", "openvino", "executorch"}
    assert named <= set(EXTRAS)


def test_versions_agree_and_the_python_versions_are_those_of_the_workflow():
    version = lightning_prune.__version__
    assert SETUP["version"]() == version
    assert re.search(
        rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    listed = [one.rsplit(" ", 1)[1] for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)]
    assert listed[0] == PROJECT["requires-python"].removeprefix(">=")
    assert "Typing :: Typed" in PROJECT["classifiers"]
    workflow = ROOT / ".github" / "workflows" / "tests.yml"
    if workflow.is_file():  # a source distribution has none
        tested = yaml.safe_load(workflow.read_text())["jobs"]["tests"]["strategy"]["matrix"]["python"]
        assert set(tested) <= set(listed)
        assert {listed[0], listed[-1]} <= set(tested)


def test_the_workflow_runs_every_environment_of_the_bounds_with_its_python():
    workflow = ROOT / ".github" / "workflows" / "tests.yml"
    if not workflow.is_file():
        pytest.skip("a source distribution has no workflows")
    environments = runpy.run_path(str(ROOT / "tests" / "bounds.py"))["ENVIRONMENTS"]
    listed = yaml.safe_load(workflow.read_text())["jobs"]["bounds"]["strategy"]["matrix"]["include"]
    assert {one["environment"]: one["python"] for one in listed} == {
        name: version for name, (version, _) in environments.items()
    }


def test_the_citation_has_what_the_format_asks_for():
    """Citation File Format 1.2.0: the required keys, and types and values of those that are given."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["cff-version"] == "1.2.0"
    assert cited["type"] == "software"
    assert cited["license"] == PROJECT["license"]
    assert [one["name"] for one in cited["authors"]] == [one["name"] for one in PROJECT["authors"]]
    assert cited["version"] == lightning_prune.__version__
    (released,) = re.findall(
        rf"^## {re.escape(cited['version'])} \((.*)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert str(cited["date-released"]) == released
    known = {
        "cff-version",
        "message",
        "title",
        "type",
        "version",
        "license",
        "authors",
        "keywords",
        "date-released",
        "abstract",
    }
    assert cited.keys() <= known
    assert all(isinstance(one, str) for one in cited["keywords"])


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The source distribution of the files of the repository, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    tree = folder / "tree"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("this is no checkout of the repository")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    code = f"from setuptools.build_meta import build_sdist; build_sdist({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (packed,) = folder.glob("*.tar.gz")
    with tarfile.open(packed) as file:
        file.extractall(folder, filter="data")
    return packed, next(one for one in folder.glob("lightning_prune-*") if one.is_dir())


@pytest.mark.slow
def test_a_source_distribution_tests_itself(sdist, tmp_path):
    packed, unpacked = sdist
    assert packed.stat().st_size < 15e6
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "OMP_NUM_THREADS": "1"}
    some = [
        "tests/masks/test_multiply.py",
        "tests/allocation",
        "tests/project/test_package.py",
        "tests/project/test_configs.py",
    ]
    words = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-m", "not slow", "-p", "no:cacheprovider", *some]
    done = subprocess.run(words, cwd=unpacked, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    where = [sys.executable, "-c", "import lightning_prune; print(lightning_prune.__file__)"]
    found = subprocess.run(where, cwd=unpacked, env=environment, capture_output=True, text=True)
    assert Path(found.stdout.strip()).is_relative_to(unpacked)


@pytest.mark.slow
def test_a_source_distribution_builds_its_site(sdist, tmp_path):
    unpacked = sdist[1]
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "NO_MKDOCS_2_WARNING": "1"}
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=unpacked, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.slow
def test_the_page_is_rendered_by_an_index(sdist):
    pytest.importorskip("twine", reason="pip install twine")
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(sdist[0])], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    metadata = (sdist[1] / "PKG-INFO").read_text()
    assert "Description-Content-Type: text/markdown" in metadata
    assert "Author: The lightning_prune authors" in metadata
