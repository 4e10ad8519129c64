"""Run a part of the quick tests on the oldest libraries that pyproject.toml allows, and on the ends of the Python versions.

``make test-bounds`` makes an environment for each in ``build/bounds`` (6 GB each), and says what it ran.
``make test-bounds BOUNDS=oldest`` makes one of them. The part leaves out tests that need libraries of the dev extra.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "bounds"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("cli", "studies")
TESTS = ["matplotlib", "psutil", "pytest>=8", "pytest-xdist>=3.6", "pytorch-lightning>=2.6", "tensorboard"]
OLD = ["matplotlib==3.9.*", "pyparsing<3.2"]  # a newer pyparsing warns of this matplotlib, and warnings are errors
FIRST = ("torch", "lightning", "jsonargparse")  # of these the first release of the version. Of others the last one
PART = [
    *(f"tests/{name}" for name in ("allocation", "criteria", "masks", "shrinking", "hostile", "lab/cli")),
    *(
        f"tests/callbacks/{name}"
        for name in ("fit", "policies", "resuming", "starting_points", "timing", "without_trainer")
    ),
]
OF_TIMM = "tests/callbacks/starting_points/test_reinitialize.py::test_the_network_inside_draws_what_its_layers_do_not"
WITHOUT = ["--ignore=tests/callbacks/without_trainer/test_operations_of_networks.py", f"--deselect={OF_TIMM}"]
OLD_TORCH = [
    # FSDP2 computes on CPUs since torch 2.7: torch 2.6 asks the CPU for a stream that has no events.
    "--deselect=tests/masks/test_sharded.py",
]
ENVIRONMENTS = {"oldest": ("3.11", True), "python-3.10": ("3.10", True), "python-3.13": ("3.13", False)}


def requirements(oldest: bool) -> list[str]:
    """What the package needs with its extras. ``>=`` becomes ``==`` for the oldest versions."""
    optional = PROJECT["optional-dependencies"]
    found = [*PROJECT["dependencies"], *(one for extra in EXTRAS for one in optional[extra])]
    found = [one for one in found if not one.startswith(PROJECT["name"])]
    if not oldest:
        return [*found, *TESTS]
    exact = [re.sub(r">=([\d.]+)", r"==\1.0" if one.startswith(FIRST) else r"==\1.*", one) for one in found]
    return [*exact, *OLD, *TESTS]


def interpreter(version: str) -> str | None:
    """The Python of a version. ``PYTHON_3_13`` names it where it has another name."""
    given = os.environ.get(f"PYTHON_{version.replace('.', '_')}")
    return given or (sys.executable if sys.version.startswith(f"{version}.") else shutil.which(f"python{version}"))


def run(name: str) -> bool:
    """Make an environment, run the part in it, and return whether all passed."""
    version, oldest = ENVIRONMENTS[name]
    python = interpreter(version)
    if python is None:
        print(f"{name}: there is no python{version} here. Name it with PYTHON_{version.replace('.', '_')}.", flush=True)
        return False
    place = PLACE / name
    own = place / "bin" / "python"
    subprocess.run([python, "-m", "venv", place], check=True)
    subprocess.run([own, "-m", "pip", "install", "--quiet", *requirements(oldest)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    # Warnings of libraries of another age are theirs.
    words = ["-m", "pytest", "-n", "0", "-m", "not slow", "-W", "default", *WITHOUT, *(OLD_TORCH if oldest else ())]
    return subprocess.run([own, *words, *PART], cwd=ROOT, env=environment).returncode == 0


if __name__ == "__main__":
    passed = {name: run(name) for name in sys.argv[1:] or ENVIRONMENTS}
    print("\n".join(f"{name}: {'passed' if one else 'FAILED'}" for name, one in passed.items()))
    sys.exit(not all(passed.values()))
