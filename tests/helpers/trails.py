"""Who trained what: a callback that writes it beside the node's checkpoints, and waits to be killed where it has to."""

import os
import signal
from pathlib import Path

from lightning.pytorch.callbacks import Callback

DOOMED = "PIPE_OF_A_MACHINE_THAT_IS_KILLED"  # in the environment of the machine: where to say that it is time
TOO_LONG = 120  # seconds


class Trail(Callback):
    """Notes every epoch that begins, and the process that trains it."""

    def on_train_epoch_start(self, trainer, pl_module):
        trail = Path(trainer.log_dir, "trail.txt")
        begun = len(trail.read_text().splitlines()) if trail.exists() else 0
        with trail.open("a") as file:
            file.write(f"{trainer.current_epoch} {os.getpid()}\n")
        if DOOMED in os.environ and begun == 2:  # two epochs are trained and saved
            Path(os.environ[DOOMED]).write_text(str(os.getpid()))
            signal.alarm(TOO_LONG)
            signal.pause()


class Deadly(Callback):
    """Kills the process that trains, as the system does when memory runs out."""

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def trails(out, state="nodes"):
    """The epochs that began in each node of a study, and the processes that trained them."""
    found = {}
    for path in sorted(out.glob(f"{state}/*/trail.txt")):
        found[path.parent.name] = [tuple(map(int, line.split())) for line in path.read_text().splitlines()]
    return found
