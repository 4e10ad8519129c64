"""``python -m lightning_prune``: the ``lightning-prune`` command, where its script is not on the path."""

from lightning_prune.cli import main

if __name__ == "__main__":
    main()
