"""What a GPU can tell in nine minutes: guarantees, the cost of a step and of a prune, packing, 2:4, and a claim.

``python benchmarks/gpu.py --out FOLDER`` runs all parts, each in a process of its own and with a time limit. It writes
``FOLDER/<part>.json`` after every row, so that what was measured before a limit is kept. It needs torch, lightning,
torchvision, torchmetrics, numpy and safetensors. Without a GPU every part runs in small on the CPU.

``--part step event`` runs some of them, and ``--part regimes`` the three regimes, which take all of the time alone.
``--data FOLDER_OR_ARCHIVE`` gives ``claims`` and ``regimes`` the images of CIFAR-10.
``--write`` puts the tables of ``FOLDER`` into docs/gpu.md.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the package need not be installed

# The limits in seconds, which add up to nine minutes.
PARTS = {
    "guarantees": 130,
    "step": 80,
    "event": 50,
    "masks": 30,
    "launches": 30,
    "packing": 60,
    "nm": 50,
    "claims": 110,
}
LONGER = {"regimes": 480}  # runs only when it is asked for, alone, and goes on where an earlier call stopped
PAGE = ROOT / "docs" / "gpu.md"


def main() -> None:
    """Run the parts that were asked for, and say whether one has failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--part", nargs="+", choices=[*PARTS, *LONGER], default=list(PARTS), help="the parts to run; all but `regimes`"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "gpu", help="the folder of the results")
    parser.add_argument("--data", type=Path, help="CIFAR-10 as a folder or an archive of images, for claims")
    parser.add_argument("--small", action="store_true", help="small sizes; always so without a GPU")
    parser.add_argument("--seconds", type=float, help="a limit for each part in place of its own")
    parser.add_argument("--write", action="store_true", help=f"write the tables of --out to {PAGE.name}, run nothing")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.write:
        write_page(given.out)
    elif given.here:
        run_here(given)
    elif failed := [part for part in given.part if not run(part, given)]:
        sys.exit(f"Failed: {', '.join(failed)}.")


def run(part: str, given: argparse.Namespace) -> bool:
    """Run a part in a process of its own, whose memory and hang-ups are not ours. False if it has failed."""
    limit = given.seconds or {**PARTS, **LONGER}[part]
    command = [sys.executable, __file__, "--here", "--part", part, "--out", given.out, "--seconds", limit]
    command += ["--data", given.data] if given.data else []
    command += ["--small"] if given.small else []
    # For deterministic algorithms cuBLAS has to be told before it starts.
    environment = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "PYTHONWARNINGS": "ignore"}
    print(f"{part} (at most {limit:g} s)", flush=True)
    began = time.monotonic()
    (given.out / f"{part}.json").unlink(missing_ok=True)
    try:
        done = subprocess.run([str(word) for word in command], env=environment, timeout=limit + 20).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"  {part} was stopped at its limit.")
        done = (given.out / f"{part}.json").exists()
    print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return done


def run_here(given: argparse.Namespace) -> None:
    """Run one part in this process. Rows are written as they come."""
    import torch

    from benchmarks.gpu_parts.setting import Setting

    (part,) = given.part
    gpu = torch.cuda.is_available()
    setting = Setting(
        torch.device("cuda" if gpu else "cpu"), given.small or not gpu, given.out, given.data, given.seconds
    )
    card = torch.cuda.get_device_name() if gpu else "no GPU"
    result: dict[str, Any] = {"part": part, "card": card, "torch": torch.__version__, "small": setting.small}
    result["rows"] = rows = []
    for row in import_module(f"benchmarks.gpu_parts.{part}").rows(setting):
        print(f"  {shown(row.as_json())}", flush=True)
        rows.append(row.as_json())
        result["seconds"] = round(setting.seconds - setting.left, 1)
        (given.out / f"{part}.json").write_text(json.dumps(result, indent=1))


def shown(row: dict[str, Any]) -> str:
    """A row as a line."""
    met = {True: "met", False: "MISSED", None: ""}[row["met"]]
    return "  ".join(
        str(word) for word in (row["measured"], number(row["value"]), row["goal"], met, row["note"]) if word
    )


def number(value: float | str) -> str:
    """A figure with three digits."""
    return value if isinstance(value, str) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def write_page(folder: Path) -> None:
    """Put the tables of a folder into docs/gpu.md."""
    found = [json.loads(path.read_text()) for part in [*PARTS, *LONGER] if (path := folder / f"{part}.json").exists()]
    if not found:
        sys.exit(f"{folder} has no results: run `python benchmarks/gpu.py --out {folder}` first.")
    cards = sorted({f"{one['card']}, torch {one['torch']}" for one in found})
    lines = ["# What it costs on a GPU", "", f"`python benchmarks/gpu.py` measured this on: {'; '.join(cards)}."]
    if any(one["small"] for one in found):
        lines += ["", "**Small sizes: these figures only show that the script runs.**"]
    for one in found:
        lines += [
            "",
            f"## {one['part'].capitalize()}",
            "",
            "| measured | value | goal | met | note |",
            "|---|---|---|---|---|",
        ]
        for row in one["rows"]:
            met = {True: "yes", False: "**no**", None: ""}[row["met"]]
            lines.append(f"| {row['measured']} | {number(row['value'])} | {row['goal']} | {met} | {row['note']} |")
    PAGE.write_text("\n".join(lines) + "\n")
    print(PAGE)


if __name__ == "__main__":
    main()
