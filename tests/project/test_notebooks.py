"""Every notebook runs from top to bottom with small numbers, and what is stored in it can be read on the web."""

import base64
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import lightning_prune

ROOT = Path(lightning_prune.__file__).parents[1]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}

# What is made smaller in each notebook: an old text, which has to be there, and what is put in its place.
SMALLER = {
    "01_your_own_module": [
        ("DENSE_EPOCHS = 12", "DENSE_EPOCHS = 2"),
        ("CYCLES = 8", "CYCLES = 2"),
        ('retrain="5ep"', 'retrain="1ep"'),
        ("SEEDS = (0, 1, 2)", "SEEDS = (0,)"),
    ],
    "02_retraining_variants": [
        ("max_epochs: 12", "max_epochs: 2"),
        ("cycles: 3", "cycles: 1"),
        ("retrain: 6ep", "retrain: 1ep"),
        ("to: 6ep", "to: 1ep"),
        ("seeds: 3", "seeds: 2"),
    ],
    "03_schedules": [("DENSE_EPOCHS, CYCLE_EPOCHS, STEPS = 20, 10, 10", "DENSE_EPOCHS, CYCLE_EPOCHS, STEPS = 4, 2, 2")],
    "04_what_is_pruned": [
        ("SEEDS = (0, 1, 2)", "SEEDS = (0,)"),
        ('DENSE_EPOCHS, RETRAIN = 8, "2ep"', 'DENSE_EPOCHS, RETRAIN = 1, "1ep"'),
        ("train_size=1000", "train_size=200"),
    ],
    "09_ablation_of_your_own_module": [
        ("DENSE_EPOCHS, CYCLES, SEEDS = 8, 4, 3", "DENSE_EPOCHS, CYCLES, SEEDS = 2, 1, 2"),
        ('retrain="4ep"', 'retrain="1ep"'),
        ('to="4ep"', 'to="1ep"'),
    ],
    "05_resume_and_share": [("max_epochs: 6", "max_epochs: 2"), ("retrain: 3ep", "retrain: 1ep")],
    "08_when_to_prune": [("EPOCHS = 12", "EPOCHS = 2"), ("POINTS = (1, 4, 12)", "POINTS = (1, 2)")],
    "07_transformers": [("SEEDS, EPOCHS, PIECES = (0, 1), 3, 1600", "SEEDS, EPOCHS, PIECES = (0,), 1, 320")],
    "06_smaller_and_faster": [("EPOCHS = 6", "EPOCHS = 1"), ("(0.5, 0.75, 0.9)", "(0.5, 0.9)")],
}
NOT_ON_THE_WEB = {
    "a path of this machine": re.compile(
        rf"(?<![\w.])/(home|root|tmp|work|Users|opt|usr|var)/|[A-Z]:\\|{ROOT}|{sys.prefix}"
    ),
    "an address": re.compile(r"\b0x[0-9a-f]{6,}"),
    "a progress bar": re.compile(r"\d+%\|"),
}


def every_notebook(**marks):
    cases = [pytest.param(name, marks=marks.get(name.split("_")[0], marks.get("others", []))) for name in NOTEBOOKS]
    return pytest.mark.parametrize("name", cases)


def read(name):
    return nbformat.read(NOTEBOOKS[name], as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(output):
    """What a reader sees of an output, pictures left out."""
    if output.output_type == "stream":
        return [output.text]
    return [text for kind, text in output.data.items() if kind.startswith("text/")]


def make_smaller(name, notebook):
    assert name in SMALLER, f"say in tests/project/test_notebooks.py what is made smaller in {name}"
    for old, new in SMALLER[name]:
        cells = [cell for cell in code_cells(notebook) if old in cell.source]
        assert cells, f"{name} no longer has the text {old!r}"
        for cell in cells:
            cell.source = cell.source.replace(old, new)


@pytest.fixture
def short_folder():
    """A folder for what notebooks write; Ray puts sockets there, whose paths have to be shorter than those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


# One starts a kernel in the quick tests, and shows that it can be done; each takes ten seconds, most of them imports.
@every_notebook(**{"01": []}, others=pytest.mark.slow)
def test_a_notebook_runs(name, short_folder, monkeypatch):
    notebook = read(name)
    make_smaller(name, notebook)
    for variable in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "TMPDIR"):  # the kernel of this environment, nobody's settings
        monkeypatch.setenv(variable, short_folder)
    before = set(NOTEBOOKS[name].parent.rglob("*"))

    where = {"metadata": {"path": NOTEBOOKS[name].parent}}
    NotebookClient(notebook, kernel_name="python3", timeout=300, resources=where).execute()

    assert set(NOTEBOOKS[name].parent.rglob("*")) == before, "a notebook leaves files where it lies"


def test_nothing_is_made_smaller_that_is_not_there():
    assert set(SMALLER) == set(NOTEBOOKS)


@every_notebook()
def test_the_outputs_are_those_of_one_run_from_top_to_bottom(name):
    cells = code_cells(read(name))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [kind for cell in cells for output in cell.outputs for kind in output.get("data", {})]
    assert "image/png" in kinds


@every_notebook()
def test_the_outputs_hold_results_and_nothing_else(name):
    outputs = [output for cell in code_cells(read(name)) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    for text in (text for output in outputs for text in texts(output)):
        found = [what for what, pattern in NOT_ON_THE_WEB.items() if pattern.search(text)]
        assert not found, f"{found} in {text[:200]!r}"


@every_notebook()
def test_a_notebook_is_small_and_without_times(name):
    notebook = read(name)
    assert NOTEBOOKS[name].stat().st_size < 400_000
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert not [cell.metadata for cell in notebook.cells if cell.metadata]


@every_notebook()
def test_a_notebook_begins_with_a_title_and_ends_with_what_to_try_next(name):
    first, *_, last = read(name).cells
    assert first.cell_type == last.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert "## What to try next" in last.source


@every_notebook()
def test_a_notebook_is_set_up_in_two_lines(name):
    lines = [line for line in code_cells(read(name))[0].source.splitlines() if line.strip()]
    assert lines[0] == "from lightning_prune.ablation.plots import set_up_notebook"
    assert len(lines) == 2
    assert lines[1].startswith("set_up_notebook(")
    assert not [cell for cell in code_cells(read(name)) if re.search(r"rcParams|filterwarnings", cell.source)]


@every_notebook()
def test_a_notebook_shows_our_functions_and_no_matplotlib(name):
    code = "\n".join(cell.source for cell in code_cells(read(name)))
    assert not re.search(r"matplotlib|\bplt\.|seaborn|plotly|\balt\.", code)


@every_notebook()
def test_a_notebook_opens_with_a_picture_that_is_there(name):
    """It stands in the first cell before any other heading, so it is seen wherever the file is shown."""
    notebook = read(name)
    opening = re.search(r"^!\[[^\]]{20,}\]\(([^)\s]+)\)$", notebook.cells[0].source.partition("\n## ")[0], re.MULTILINE)
    assert opening, "the first cell has no picture with a description"
    picture = NOTEBOOKS[name].parent / opening[1]
    assert picture.is_file(), f"{opening[1]}: notebooks/refresh.py writes it"
    if picture.parent.name == "notebooks":  # made of the outputs, so that both show the same
        outputs = [output.get("data", {}) for cell in code_cells(notebook) for output in cell.outputs]
        drawn = [base64.b64decode(data["image/png"]) for data in outputs if "image/png" in data]
        assert picture.read_bytes() == drawn[0], "run notebooks/refresh.py"


@every_notebook()
def test_the_links_of_a_notebook_lead_somewhere(name):
    text = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    relative = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    assert relative, "a notebook leads to others"
    for link in relative:
        assert (NOTEBOOKS[name].parent / link).exists(), link
