"""The callbacks: when things happen. What happens is in the functions and values above this folder."""

from typing import TYPE_CHECKING

from lightning_prune.basics.late_names import late_names

if not TYPE_CHECKING:
    __getattr__ = late_names(__name__, {})  # after `import lightning_prune`, its modules are found as attributes
