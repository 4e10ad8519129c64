"""Where things lie: the repository, and the modules that tests share, for processes that import them."""

from pathlib import Path

HELPERS = Path(__file__).parent
ROOT = HELPERS.parents[1]
