"""Compare arms over seeds with `Ablation`, and train only once what the arms share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from rich.console import Console
from rich.tree import Tree

from lightning_prune.ablation.answers import Answers
from lightning_prune.ablation.config.class_paths import is_of_main, refuse_main
from lightning_prune.ablation.config.from_objects import written, written_arms, written_base
from lightning_prune.ablation.config.study_config import StudyConfig, read_study
from lightning_prune.ablation.planning.arm_runs import ArmRun, lay_out
from lightning_prune.ablation.planning.dry_run import draw_tree, epochs_alone, epochs_shared
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
from lightning_prune.ablation.what_a_study_lacks import say_after, say_before
from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import sweep


class Ablation(Answers):
    """Compare arms over seeds. Each arm is a run that changes something in a base config.

    A run is a path in a tree. It begins with the dense run and goes on cycle by cycle. Each part of the tree is a node.
    Nodes that several arms have in common are trained once. The result of an arm equals, bit for bit, the result of
    training the arm alone in one fit.

    This equality needs a module and data that keep their state in checkpoints. A random generator or a counter that
    no checkpoint holds starts again in every node.

    Every finished node is kept. A study that was interrupted and is run again goes on where it stopped. Several
    processes, or several machines with one folder, can also work on it together.

    Args:
        config: The config of the study, which :meth:`from_config` reads. None: the study is given by ``base`` and
            ``arms``, which may hold Python objects.
        base: What the arms change: ``{"model": Net, "data": Data, "trainer": {"max_epochs": 4, "callbacks": [...]}}``.
            Modules are given by their classes, or by ``functools.partial(Net, width=20)``. Every run makes its own.
            Without ``data``, the module has loaders of its own. A change of their data is not seen by a study that is
            run again.
        arms: From the name of an arm to its callbacks, or to its changes by key.
        seeds: How many seeds, or a list of seeds.
        metric: The logged value that chooses the best epoch. None: the validation accuracy, else the validation loss.
        grid: Values by key. Every arm is combined with each of them.
        name: The name of the study in the report.

    Raises:
        ValueError: If a value is out of range, or nobody can tell how an object was made.

    Example:
        >>> from lightning_prune import FineTune, IterativePruning, LRRewind
        >>> callbacks = [IterativePruning(cycles=3, retrain="2ep")]
        >>> base = {"trainer": {"max_epochs": 4, "callbacks": callbacks}}
        >>> study = Ablation(base=base, arms={"rewound rates": [LRRewind()], "fine-tuned": [FineTune()]}, seeds=2)
        >>> [arm.name for arm in study.config.arms], study.config.seeds
        (['rewound rates', 'fine-tuned'], (0, 1))

    The same from a mapping as in a YAML file:

        >>> base = {"trainer": {"max_epochs": 4, "callbacks": ["IterativePruning"]}}
        >>> arms = {"FineTune": {}, "LRRewind": {"callbacks": "LRRewind"}}
        >>> study = Ablation.from_config({"base": base, "arms": arms})
        >>> [arm.name for arm in study.config.arms], study.config.seeds
        (['FineTune', 'LRRewind'], (0, 1, 2))
    """

    def __init__(
        self,
        config: StudyConfig | None = None,
        *,
        base: Mapping[str, Any] | str | Path | None = None,
        arms: Mapping[str, Any] | None = None,
        seeds: int | Sequence[int] = 3,
        metric: str | None = None,
        grid: Mapping[str, Any] | None = None,
        name: str = "ablation",
    ) -> None:
        if (config is None) is (base is None and arms is None):
            raise UserError("Ablation(...) takes base=... and arms=..., or the config of Ablation.from_config(...).")
        self._of_objects = config is None
        if config is None:
            given = {"name": name, "base": written_base(base), "arms": written_arms(arms), "seeds": seeds}
            config = read_study({**given, "metric": metric, **({"grid": written(grid, "grid")} if grid else {})})
        self.config = config
        self._runs: list[ArmRun] | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | Path) -> "Ablation":
        """Read a study from a YAML file, or from a mapping with the same keys.

        Args:
            config: The file or the mapping. See :func:`~lightning_prune.ablation.config.study_config.read_study`.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If a key is unknown or missing, or a value is out of range.
        """
        return cls(read_study(config))

    @property
    def runs(self) -> list[ArmRun]:
        """The runs, arm by arm and seed by seed. They are resolved at the first access."""
        if self._runs is None:
            self._runs = lay_out(self.config.base, self.config.arms, self.config.seeds, self.config.metric)
        return self._runs

    @property
    def epochs(self) -> tuple[int, int]:
        """The number of epochs to train, and the number that separate runs of all arms would need."""
        return epochs_shared(self.runs), epochs_alone(self.runs)

    def tree(self, out: str | Path | None = None, store: str | Path | None = None) -> Tree:
        """Draw the tree of the study for rich to print: the nodes to train, and the arms that share each node.

        Args:
            out: A folder that may hold finished nodes of the study.
            store: A folder of nodes that several studies share. None: the store that ``out`` has used so far.
        """
        say_before(self.runs)
        place = store if store is not None or out is None else recorded_store(Path(out)) or out
        nodes = [node for run in self.runs for node in run.nodes()]
        done = [] if place is None else [node.key for node in nodes if Store(place).result(node) is not None]
        return draw_tree(self.runs, done)

    def run(
        self,
        out: str | Path,
        workers: int | Literal["auto"] | None = None,
        engine: Literal["local", "ray"] = "local",
        force: bool = False,
        every: float = 30.0,
        command: str | None = None,
        console: Console | None = None,
        store: str | Path | None = None,
        errors: Literal["raise", "keep"] = "raise",
        **options: Any,
    ) -> pd.DataFrame:
        """Train every node that is not finished.

        Args:
            out: The folder of the study. It is made if it does not exist.
            workers: The number of nodes to train at once, each in its own process. 0 trains one node after the other
                in this process. With ray, 0 trains as many nodes as the cluster has room for. None: 1, and 0 with ray
                or where ``base`` and ``arms`` hold classes of the running program or notebook. ``"auto"`` tries 1, 2,
                4, ... on the first nodes, and goes on with the number that trains most images a second. It keeps this
                number in ``workers.json`` in ``out``.
            engine: ``"local"`` trains on this machine. ``"ray"`` trains on the cluster that this machine belongs to.
            force: Whether to go on in a folder that holds another study, a study of another version, or a study with
                another store.
            every: The seconds between savings of a node. An interruption loses at most so many seconds of work of each
                node. 0 saves after every epoch.
            command: The command that the report shows as the way to repeat the study.
            console: The console that shows the progress. None: the terminal.
            store: A folder of nodes that several studies share, also at the same time. Nodes that these studies have in
                common are trained once. None: the store of the last time, or ``out``. Tables and reports stay in
                ``out``. A dense run is trained again if a study needs more of it than other studies have kept, for
                example weights to rewind to.
            errors: The way to end a study with failed runs, after all other runs are trained. ``"raise"`` raises the
                first error. ``"keep"`` returns the table, with a row and its ``error`` for each failed run. In both
                cases the tables are written, and the traceback of each failed node is in ``logs`` in ``out``.
            options: Further arguments of the engine.

        Returns:
            The table, with a row for each arm, seed and cycle.

        Raises:
            ValueError: If an arm cannot be trained as it is written. If the folder belongs to another study or has
                another store. If other processes would have to import a class that only this process knows
                (``__main__.Net``).
            RunsFailed: If runs failed and ``errors`` is ``"raise"``. Its cause is the first error.
            DiskFull: If there is no space left. Finished nodes stay.
        """
        if workers is None:
            workers = int(engine == "local" and not (self._of_objects and is_of_main(self.config.given)))
        if errors not in ("raise", "keep"):
            raise UserError(f"Ablation.run(errors={errors!r}) is unknown. Give 'raise' or 'keep'.")
        self._out = out = Path(out)
        guard(out, self.config, force)
        root = choose_store(out, store, force)
        elsewhere = bool(workers) or engine != "local"
        if elsewhere:
            refuse_main(self.config.given, "Ablation.run")
        chosen, tracebacks = make_engine(engine, workers, out, options), Tracebacks(out)
        more = "" if store is None else f", store={str(store)!r}"
        said = command or f"Ablation.from_config(...).run({str(out)!r}, workers={workers}{more})"
        try:
            self._say_before(elsewhere)
            with said_of_disk(out):
                self._running = self._prepare(out, root, every, tracebacks)
                self._train(self._running, chosen, out, said, console)
        finally:
            chosen.close()
        say_after(self.runs, list(self._running.results.values()))
        if errors == "raise":
            raise_if_failed(self._running, tracebacks)
        return self.frame()

    def _say_before(self, elsewhere: bool) -> None:
        """Resolve the runs, and say what is known before the training.

        Args:
            elsewhere: Whether other processes train, which have to import what the configs name.
        """
        say_before(self.runs)
        if elsewhere:
            refuse_main([one.resolved.config for one in self.runs], "Ablation.run")

    def _prepare(self, out: Path, root: Path, every: float, tracebacks: Tracebacks) -> Running:
        """Write the configs of the arms into a folder, and make ready what trains them."""
        for folder in (out, out / "arms"):
            sweep(folder)
        write_arms(out, self.runs, root)
        root.mkdir(parents=True, exist_ok=True)
        self._store = seen_from(out, root)
        return Running(Store(root), self.runs, self.config.metric, every, tracebacks.take)

    def _train(self, running: Running, engine: Engine, out: Path, said: str, console: Console | None) -> None:
        running.advance()  # Before anything is written, because an earlier table holds the finished results.
        try:
            with Progress(console) as progress:
                write_record(out, self.config, said, running)
                running.run(engine, progress)
        finally:
            write_record(out, self.config, said, running)
            write_table(table_of(running, self._store), out)
