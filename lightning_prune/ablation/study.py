"""`Ablation`: compare arms over seeds, training what they share only once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from lightning.pytorch.utilities import rank_zero_warn
from rich.console import Console
from rich.tree import Tree

from lightning_prune.ablation.config.class_paths import refuse_main
from lightning_prune.ablation.config.study_config import StudyConfig, read_study
from lightning_prune.ablation.planning.arm_runs import Path as Run
from lightning_prune.ablation.planning.arm_runs import lay_out, same_arms
from lightning_prune.ablation.planning.dry_run import draw_tree, epochs_alone, epochs_shared
from lightning_prune.ablation.results import comparison
from lightning_prune.ablation.results.failed_runs import Tracebacks, raise_if_failed
from lightning_prune.ablation.results.study_json import guard, write_arms, write_record
from lightning_prune.ablation.results.table import table_of, write_table
from lightning_prune.ablation.running.engines.choice import make_engine
from lightning_prune.ablation.running.engines.engine import Engine
from lightning_prune.ablation.running.loop import Running
from lightning_prune.ablation.running.study_progress import Progress
from lightning_prune.ablation.storage.folders import Store
from lightning_prune.ablation.storage.shared_store import choose_store, recorded_store, seen_from
from lightning_prune.ablation.training.failures import said_of_disk
from lightning_prune.basics.write_whole import sweep
from lightning_prune.lab.metric_names import lower_is_better


class Ablation:
    """Arms over seeds: each arm is a run that changes something in a base config.

    A run is a path in a tree: the dense run, then cycle by cycle. What arms have in common is trained once, and the
    result of an arm is bit for bit the one of training it alone in one fit, as long as the module and the data keep
    their state in checkpoints: a random generator or a counter of their own that is in none starts afresh in every
    node. Everything finished is kept: interrupted and run again, a study goes on where it was, also in several
    processes or on several machines with one folder.

    Args:
        config: The config of the study; :meth:`from_config` reads one.

    Example:
        >>> base = {"trainer": {"max_epochs": 4, "callbacks": ["IterativePruning"]}}
        >>> arms = {"FineTune": {}, "LRRewind": {"callbacks": "LRRewind"}}
        >>> study = Ablation.from_config({"base": base, "arms": arms})
        >>> [arm.name for arm in study.config.arms], study.config.seeds
        (['FineTune', 'LRRewind'], (0, 1, 2))
    """

    def __init__(self, config: StudyConfig) -> None:
        self.config = config
        self._runs: list[Run] | None = None
        self._running: Running | None = None
        self._store = "."

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | Path) -> "Ablation":
        """Read a study from a YAML file, or from a mapping of what would be in one.

        Args:
            config: The file or the mapping; see :func:`~lightning_prune.ablation.config.study_config.read_study`.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If a key is unknown or missing, or a value out of range.
        """
        return cls(read_study(config))

    @property
    def runs(self) -> list[Run]:
        """The runs, arm by arm and seed by seed; resolved when they are first asked for."""
        if self._runs is None:
            self._runs = lay_out(self.config.base, self.config.arms, self.config.seeds, self.config.metric)
        return self._runs

    @property
    def epochs(self) -> tuple[int, int]:
        """How many epochs are to be trained, and how many it would be with every arm alone."""
        return epochs_shared(self.runs), epochs_alone(self.runs)

    def tree(self, out: str | Path | None = None, store: str | Path | None = None) -> Tree:
        """Draw what would be trained and what is shared, for rich to print.

        Args:
            out: A folder in which some of it may be finished.
            store: A folder of nodes that several studies share; None for the one that ``out`` has used so far.
        """
        self._warn_of_same_arms()
        place = store if store is not None or out is None else recorded_store(Path(out)) or out
        nodes = [node for run in self.runs for node in run.nodes()]
        done = [] if place is None else [node.key for node in nodes if Store(place).result(node) is not None]
        return draw_tree(self.runs, done)

    def run(
        self,
        out: str | Path,
        workers: int | None = None,
        engine: Literal["local", "ray"] = "local",
        force: bool = False,
        every: float = 30.0,
        command: str | None = None,
        console: Console | None = None,
        store: str | Path | None = None,
        errors: Literal["raise", "keep"] = "raise",
        **options: Any,
    ) -> pd.DataFrame:
        """Train what is missing.

        Args:
            out: The folder of the study; made if it does not exist.
            workers: How many nodes at once, each in a process of its own; 0 for one after the other in this process,
                with ray for as many as fit. Left out, 1, and with ray 0.
            engine: ``"local"``, or ``"ray"`` for the cluster that this machine belongs to.
            force: Whether to go on in a folder that holds another study, one of another version, or with another store.
            every: An interruption loses at most so many seconds of work of each node; 0 saves after every epoch.
            command: The command that does this, for the report.
            console: Where progress is shown; left out, the terminal.
            store: A folder of nodes that several studies share, also at the same time, so that what they have in common
                is trained once; None for the one of the last time, or ``out``. Tables and reports stay in ``out``.
                A dense run of which a study needs more than others have kept, such as weights to rewind to, is trained
                again.
            errors: What becomes of runs that failed, once all others are trained: ``"raise"`` raises the first error;
                ``"keep"`` returns the table, in which each of them has a row with its ``error``. In both cases
                tables are written, and the traceback of each node that failed is in ``logs`` in ``out``.
            options: Further arguments of the engine.

        Returns:
            The table: a row for each arm, seed and cycle.

        Raises:
            ValueError: If an arm cannot be trained as it is written, or the folder belongs to another study or has
                another store; if other processes are to train what only this one knows (``__main__.Net``).
            RunsFailed: If runs failed, and ``errors`` is ``"raise"``; its cause is the first error.
            DiskFull: If there is no space left; what is finished stays.
        """
        workers = int(engine == "local") if workers is None else workers
        if errors not in ("raise", "keep"):
            raise ValueError(f"Ablation.run(errors={errors!r}) is unknown. Give 'raise' or 'keep'.")
        out = Path(out)
        guard(out, self.config, force)
        root = choose_store(out, store, force)
        if workers or engine != "local":
            refuse_main(self.config.given, "Ablation.run")
        chosen = make_engine(engine, workers, out, options)
        more = "" if store is None else f", store={str(store)!r}"
        said = command or f"Ablation.from_config(...).run({str(out)!r}, workers={workers}{more})"
        try:
            runs = self.runs
            self._warn_of_same_arms()
            if workers or engine != "local":
                refuse_main([one.resolved.config for one in runs], "Ablation.run")
            tracebacks = Tracebacks(out)
            with said_of_disk(out):
                for folder in (out, out / "arms"):
                    sweep(folder)
                write_arms(out, runs, root)
                root.mkdir(parents=True, exist_ok=True)
                self._store = seen_from(out, root)
                self._running = Running(Store(root), runs, self.config.metric, every, tracebacks.take)
                self._train(self._running, chosen, out, said, console)
        finally:
            chosen.close()
        self._warn_of_generators()
        if errors == "raise":
            raise_if_failed(self._running, tracebacks)
        return self.frame()

    def _train(self, running: Running, engine: Engine, out: Path, said: str, console: Console | None) -> None:
        running.advance()  # before anything is written: an earlier table holds what is finished
        try:
            with Progress(console) as progress:
                write_record(out, self.config, said, running)
                running.run(engine, progress)
        finally:
            write_record(out, self.config, said, running)
            write_table(table_of(running, self._store), out)

    def frame(self) -> pd.DataFrame:
        """The table of the last :meth:`run`, a row for each arm, seed and cycle.

        Raises:
            RuntimeError: If nothing was run yet.
        """
        if self._running is None:
            raise RuntimeError("Ablation.frame() has nothing to show before Ablation.run(out).")
        return table_of(self._running, self._store)

    def failures(self) -> dict[str, str]:
        """What failed in the last :meth:`run`: where each error was raised, by the name of the node."""
        return {} if self._running is None else self._running.failures()

    def summary(self, metric: str | None = None, **options: Any) -> pd.DataFrame:
        """The mean of every arm at every cycle; see :func:`~lightning_prune.ablation.results.comparison.summary`.

        Args:
            metric: A measured column; None for ``test_last``, or ``val_last`` where nothing was tested.
            options: Further arguments.
        """
        return comparison.summary(self.frame(), metric or self._measured(), **options)

    def best(self, metric: str = "val_last", **options: Any) -> pd.DataFrame:
        """The best arm by validation at each density; see :func:`~lightning_prune.ablation.results.comparison.best`."""
        return comparison.best(self.frame(), metric, **{"mode": self._mode(metric), **options})

    def compare(self, a: str, b: str, metric: str | None = None, **options: Any) -> pd.DataFrame:
        """Two arms, paired by seed; see :func:`~lightning_prune.ablation.results.comparison.compare`.

        Args:
            a: An arm.
            b: Another one.
            metric: A measured column; None for ``test_last``, or ``val_last`` where nothing was tested.
            options: Further arguments.
        """
        metric = metric or self._measured()
        return comparison.compare(self.frame(), a, b, metric, **{"mode": self._mode(metric), **options})

    def _warn_of_same_arms(self) -> None:
        for arms in same_arms(self.runs):
            rank_zero_warn(
                f"Ablation(arms): {' and '.join(map(repr, arms))} come to the same config, are trained once, and have "
                "equal results. Change what they are meant to differ in, or leave one out."
            )

    def _warn_of_generators(self) -> None:
        results = self._running.results.values() if self._running is not None else ()
        names = dict.fromkeys(name for result in results for name in result.get("own_generators", ()))
        if names:
            rank_zero_warn(
                f"Ablation: {', '.join(names)} is a random generator that no checkpoint holds, and starts afresh in "
                "every node: arms do not come to what they come to alone, bit for bit. Draw from torch's generator "
                "(leave `generator` out), or keep its state in the `state_dict` of the data module."
            )

    def _measured(self) -> str:
        return "test_last" if self.frame()["test_last"].notna().any() else "val_last"

    def _mode(self, column: str) -> Literal["max", "min"]:
        metrics = self.frame()["metric"].dropna()
        lower = column.startswith("loss") or (len(metrics) > 0 and lower_is_better(str(metrics.iloc[0])))
        return "min" if lower else "max"
