"""What the package promises about itself: imports that point one way, short files, documented names."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import lightning_prune

ROOT = Path(lightning_prune.__file__).parent
MODULES = [module.name for module in pkgutil.walk_packages([str(ROOT)], "lightning_prune.")]
FILES = sorted(ROOT.rglob("*.py"))

# From the bottom to the top; a file imports only from layers below its own, or from its own.
LAYERS = [
    {
        "version",
        "durations",
        "extras",
        "scores",
        "schedules",
        "rates",
        "criteria",
        "optimizers",
        "sharding",
        "flops",
        "packing",
        "parameters",
        "shuffling",
        "chain",
        "layers",
        "filter_layout",
        "checkpoints",
        "saved_state",
    },
    {"reasons"},
    {"selection"},
    {"coverage"},
    {"ranking"},
    {"allocation", "masks"},
    {"ticket"},
    {"callbacks"},
    {""},  # the public names
    {"lab"},
    {"ablation"},
    {"cli"},
]


def layer(module: str) -> int:
    part = module.removeprefix("lightning_prune").lstrip(".").split(".")[0]
    return next(i for i, names in enumerate(LAYERS) if part in names)


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
    "path", [p for p in FILES if p.parent == ROOT and p.stem not in ("__init__", "cli")], ids=name_of
)
def test_the_mathematics_knows_no_lightning(path):
    assert not [name for name in imports(path) if name.split(".")[0] == "lightning"]


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
