"""What the package promises about itself: imports that point one way, short files, documented names."""

import ast
import importlib
import inspect
import pkgutil
from collections import Counter
from pathlib import Path

import pytest

import lightning_prune

ROOT = Path(lightning_prune.__file__).parent
MODULES = [module.name for module in pkgutil.walk_packages([str(ROOT)], "lightning_prune.")]
FILES = sorted(ROOT.rglob("*.py"))

# From the bottom to the top, by the longest name that fits; a file imports only from its own layer or from below.
LAYERS = [
    ["basics.user_error"],
    ["basics.renamed", "basics.checks", "basics.extras"],
    ["basics.late_names"],
    ["schedules"],
    ["basics"],
    ["selection"],
    ["criteria"],
    ["allocation"],
    ["masks"],
    ["regimes.sharpness"],
    ["structures"],
    ["granularity"],
    ["shrinking"],
    ["deployment"],
    ["callbacks.cycle", "callbacks.settings", "callbacks.compat.namespaces"],
    ["callbacks.timing"],
    ["callbacks.base"],
    ["callbacks.gathering"],
    ["callbacks.masking"],
    ["callbacks.companions.cycle_checkpoint"],
    ["callbacks.policies", "callbacks.starting_points", "callbacks.compat"],
    ["callbacks.resuming", "callbacks.resizing"],
    ["callbacks", "callbacks.companions"],
    ["callbacks.fit"],
    ["callbacks.iterative_pruning", "callbacks.without_trainer", "callbacks.dynamic"],
    ["regimes"],
    ["", "public_names"],
    ["lab"],
    ["lab.data", "lab.networks", "lab.report"],
    ["lab.configs_command", "lab.runs"],
    ["lab.cli"],
    ["lab.__init__", "lab.classifier", "lab.shrink_command", "lab.structures_command"],
    ["lab.export_command", "lab.profile_command"],
    ["ablation.config"],
    ["ablation.sharing"],
    ["ablation.planning"],
    ["ablation.storage"],
    ["ablation.training"],
    ["ablation.running"],
    ["ablation.results"],
    ["ablation.report"],
    ["ablation"],
    ["ablation.plots"],
    ["regimes.study"],
    ["lab.smaller_and_faster", "lab.compress"],
    ["cli", "lab.demo"],
    ["__main__"],
]
MATHEMATICS = (
    "schedules",
    "selection",
    "criteria",
    "allocation",
    "masks",
    "structures",
    "shrinking",
    "granularity",
    "deployment",
)
# Names that several folders have, because the file has the same part in each.
FAMILIES = {"base.py": "what all members of the folder share"}


def layer(module: str) -> int:
    """The place of a module in LAYERS."""
    name = module.removeprefix("lightning_prune").lstrip(".")
    if name == "lab":
        name = "lab.__init__"  # which names what lies in the rooms of the lab
    fits = [
        (len(prefix), place)
        for place, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if name == prefix or (prefix and name.startswith(f"{prefix}."))
    ]
    return max(fits)[1]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= modules or {node.module}
    return found


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path):
    for imported in imports(path):
        if imported.startswith("lightning_prune") and imported in {*MODULES, "lightning_prune"}:
            if imported == "lightning_prune":
                continue  # `from lightning_prune import rates` names the module beside it
            assert layer(imported) <= layer(name_of(path)), f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize(
    "path", [p for p in FILES if name_of(p).split(".")[1:2] and name_of(p).split(".")[1] in MATHEMATICS], ids=name_of
)
def test_the_mathematics_knows_no_lightning(path):
    assert not [name for name in imports(path) if name.split(".")[0] == "lightning"]


def folders():
    return sorted({path.parent for path in FILES})


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.relative_to(ROOT.parent).as_posix())
def test_a_folder_is_read_at_a_glance(folder):
    named_by_python = ("__init__.py", "__main__.py", "__pycache__", "py.typed")
    entries = [one for one in folder.iterdir() if one.name not in named_by_python]
    assert len(entries) <= 16, "a new file goes into the room of its question"


def test_a_file_name_occurs_once():
    names = Counter(path.name for path in FILES if path.name not in ("__init__.py", *FAMILIES))
    assert not [name for name, count in names.items() if count > 1]


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.relative_to(ROOT.parent).as_posix())
def test_a_folder_says_what_it_is_for(folder):
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))


def test_no_import_goes_in_a_circle():
    graph = {name_of(path): {i for i in imports(path) if i in MODULES} - {name_of(path)} for path in FILES}
    done: set[str] = set()
    while remaining := {name for name in graph if name not in done}:
        free = {name for name in remaining if not (graph[name] - done - {"lightning_prune"})}
        assert free, f"a circle among {remaining}"
        done |= free


def lines_of_code(path: Path) -> int:
    """The lines of a file without docstrings, imports and empty lines."""
    text = path.read_text()
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            left_out |= set(range(node.lineno, node.end_lineno + 1))
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            left_out |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return sum(bool(line.strip()) and number not in left_out for number, line in enumerate(text.splitlines(), 1))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_stay_short(path):
    assert lines_of_code(path) <= 200, "two files, or fewer lines"


def test_the_core_imports_without_the_lab():
    import subprocess
    import sys

    code = "import sys, lightning_prune; print([m for m in ('torchvision', 'pandas', 'matplotlib', 'jsonargparse', 'lightning_prune.lab') if m in sys.modules and m not in before])"
    before = "before = set(); import lightning.pytorch, torchmetrics, sys; before = set(sys.modules)\n"
    assert subprocess.check_output([sys.executable, "-c", before + code], text=True).strip() == "[]"


def public_objects():
    for module in MODULES:
        if not module.startswith("lightning_prune.lab"):
            for name, member in inspect.getmembers(importlib.import_module(module)):
                if not name.startswith("_") and getattr(member, "__module__", None) == module and callable(member):
                    yield pytest.param(member, id=f"{module}.{name}")


@pytest.mark.parametrize("member", list(public_objects()))
def test_public_names_are_documented(member):
    if getattr(member, "__origin__", None) is None:
        assert inspect.getdoc(member)
