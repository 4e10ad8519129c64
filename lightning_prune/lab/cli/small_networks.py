"""Let ``validate``, ``test`` and ``predict`` take the file of a small network as ``--ckpt_path``."""

from pathlib import Path

from lightning.pytorch import LightningModule

from lightning_prune.basics.user_error import NothingThere, UserError
from lightning_prune.shrinking.small_file import is_small_file, load_small, read_small


def check_small(command: str, given: str | None) -> bool:
    """Check the file of a small network before anything is made.

    Args:
        command: The command, such as ``test``.
        given: The value of ``--ckpt_path``.

    Returns:
        Whether it is such a file. False for a checkpoint, for ``last``, and for none.

    Raises:
        UserError: If the file cannot be read, or the command trains.
    """
    if given is None or not is_small_file(given):
        return False
    if not Path(given).exists():
        raise NothingThere(f"`--ckpt_path {given}` does not exist. Give a checkpoint, `last`, or a small network.")
    if command == "fit":
        raise UserError(
            f"`--ckpt_path {given}` is a small network without optimizers and masks, and `fit` cannot go on from it. "
            "Give a checkpoint of the run. `validate`, `test` and `predict` take a small network."
        )
    read_small(given)
    return True


def make_small(module: LightningModule, path: str) -> None:
    """Make a module small, and load its weights.

    Args:
        module: The module of the config, whole.
        path: The file of the small network.
    """
    module.configure_model()
    load_small(path, module)
