"""Refuse a file of ours that another version wrote in another format."""

from lightning_prune import __version__
from lightning_prune.basics.user_error import UserError

RECORD_FORMAT = 1  # of pruning.json


def refuse_format(found: object, known: int, what: str) -> None:
    """Refuse a file whose format is not the one that this version reads.

    Args:
        found: The format that the file names.
        known: The format that this version reads.
        what: The file, for the error.

    Raises:
        ValueError: If the two formats differ.

    Example:
        >>> refuse_format(1, 1, "ticket.safetensors")
    """
    if type(found) is int and found == known:
        return
    newer = type(found) is int and found > known
    advice = (
        "A newer version wrote it: install that one (pip install -U lightning-prune)."
        if newer
        else "It is damaged, or was not written by lightning_prune."
    )
    raise UserError(f"{what} has format {found!r}, and lightning_prune {__version__} reads {known}. {advice}")
