"""A training script as people write it: Lightning starts the other processes by calling it again."""

import sys
import warnings
from pathlib import Path

from runs_on_processes import run

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run(Path(sys.argv[1]), int(sys.argv[2]), strategy="ddp")
