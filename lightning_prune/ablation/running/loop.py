"""Run the loop of a study. Every node that can be trained is trained, and no finished node is trained again."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_prune.ablation.planning.arm_runs import ArmRun
from lightning_prune.ablation.planning.dry_run import Planned, place_of, plan_tree
from lightning_prune.ablation.running.arm_steps import Steps, Tried, nothing, walk
from lightning_prune.ablation.running.engines.engine import Engine
from lightning_prune.ablation.running.study_progress import Outlook, Progress
from lightning_prune.ablation.sharing.node import Node
from lightning_prune.ablation.storage.files import read_json
from lightning_prune.ablation.storage.folders import Store
from lightning_prune.ablation.training.failures import DiskFull
from lightning_prune.ablation.training.job import Job, Outcome
from lightning_prune.ablation.training.node_measurement import PROGRESS
from lightning_prune.lab.visible import visible

PATIENCE = 1.0  # Seconds between two looks at a node that another process trains.


@dataclass
class Course:
    """The progress of an arm with one seed.

    Attributes:
        run: The run of the arm.
        steps: The generator of its nodes.
        waiting: The nodes that have to be finished before the arm goes on. Empty at the end.
        nodes: The finished nodes of the run, in order.
        tried: The values that a search tried, by the key of the node that it chose.
        error: The reason of a failure. None if the run did not fail.
        candidates: Every node that the arm asked for, also the nodes that a search did not choose.
    """

    run: ArmRun
    steps: Steps
    waiting: list[Node] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    tried: dict[str, Tried] = field(default_factory=dict)
    error: str | None = None
    candidates: list[Node] = field(default_factory=list)


class Running:
    """Train the runs of a study.

    Args:
        store: The folder of the nodes.
        runs: The runs of the arms.
        metric: The logged value that chooses the best epoch. None: each run chooses.
        every: The seconds between savings of a node. An interruption loses at most so many seconds of work.
        tell: Called with each node after its training, and with its traceback. The traceback is empty if the node did
            not fail.
    """

    def __init__(
        self,
        store: Store,
        runs: Sequence[ArmRun],
        metric: str | None,
        every: float,
        tell: Callable[[Node, str], None] = lambda node, details: None,
    ) -> None:
        self.store, self.metric, self.every, self.tell = store, metric, every, tell
        self.results: dict[str, Mapping[str, Any]] = {}
        self.failed: dict[str, str] = {}
        self.details: dict[str, str] = {}
        self.trained: set[str] = set()
        self.nodes: dict[str, Node] = {}
        self._later: dict[str, float] = {}
        self.courses = [self._begin(run) for run in runs]

    def advance(self) -> None:
        """Let every arm go on as far as its nodes are finished."""
        for course in self.courses:
            while course.waiting and all(self._is_known(node) for node in course.waiting):
                self._step(course)
        for course in self.courses:
            self._give_up_without_masks(course)

    def run(self, engine: Engine, progress: Progress) -> None:
        """Train every node that is not finished.

        Args:
            engine: The engine that trains the nodes.
            progress: The display of the progress.

        Raises:
            DiskFull: If there is no space left.
        """
        running: dict[str, Job] = {}
        self.advance()
        while any(course.waiting for course in self.courses):
            for node in self._ready(running)[: max(engine.slots - len(running), 0)]:
                job = self._job(node)
                running[node.key] = job
                engine.submit(job)
            progress.show(self.outlook([job.node for job in running.values()]))
            if not running:
                time.sleep(PATIENCE / 4)
            for outcome in engine.collect(PATIENCE) if running else []:
                self._take(outcome, running.pop(outcome.key).node)
            self.advance()
        progress.show(self.outlook([]))

    def failures(self) -> dict[str, str]:
        """The traceback of each failed node, by the name of the node."""
        return {self.nodes[key].name: text for key, text in self.details.items()}

    def outlook(self, running: Sequence[Node]) -> Outlook:
        """Count what is done and what is left.

        Args:
            running: The nodes that are being trained.
        """
        planned = self._planned
        total = sum(one.epochs for one in planned.values())
        known = {node.key: node for course in self.courses for node in course.candidates}
        done = [node for key, node in known.items() if key in self.results]
        halves = sum(_epochs_begun(self.store.work(node) / PROGRESS) for node in running)
        left = total - sum(node.epochs or 0 for node in done) - halves
        nodes = sum(one.times for one in planned.values())
        fresh = sum(known[key].epochs or 0 for key in self.trained) + halves
        return Outlook(len(done), [node.name for node in running], nodes, len(self.failed), max(left, 0), total, fresh)

    def to_go(self) -> int:
        """The planned number of nodes that are still to be trained. Nodes after a failed one do not count."""
        going = {(course.run.arm, course.run.seed) for course in self.courses if course.waiting}
        over = {
            (place_of(course.run, node), node.key)
            for course in self.courses
            for node in course.candidates
            if node.key in self.results or node.key in self.failed
        }
        ended = Counter(place for place, _ in over)
        return sum(
            max(one.times - ended[place], 0)
            for place, one in self._planned.items()
            if any((arm, one.node.seed) in going for arm in one.arms)
        )

    @cached_property
    def _planned(self) -> Mapping[str, Planned]:
        """The plan of the study. It is made once, because laying out a run takes long."""
        return plan_tree([course.run for course in self.courses])

    def _begin(self, run: ArmRun) -> Course:
        nodes: list[Node] = []
        tried: dict[str, Tried] = {}

        def note(node: Node, what: Tried | None) -> None:
            nodes.append(node)
            if what is not None:
                tried[node.key] = what

        course = Course(run, walk(run, note), nodes=nodes, tried=tried)
        self._take_up(course, next(course.steps))
        return course

    def _step(self, course: Course) -> None:
        failed = [node for node in course.waiting if node.key in self.failed]
        if failed and failed[0].tried is None:  # One of the nodes of a search may fail.
            course.error, course.waiting = self.failed[failed[0].key], []
            return
        known = {node.key: self.results.get(node.key) or nothing(self.failed[node.key]) for node in course.waiting}
        try:
            self._take_up(course, course.steps.send(known))
        except StopIteration:
            course.waiting = []
        except ValueError as error:
            course.error, course.waiting = visible(str(error)), []

    def _take_up(self, course: Course, nodes: list[Node]) -> None:
        for node in nodes:
            old = self.nodes.get(node.key, node)
            self.nodes[node.key] = replace(old, notes={**old.notes, **node.notes})
        course.waiting = nodes
        course.candidates += nodes

    def _is_known(self, node: Node) -> bool:
        if node.key in self.failed:
            return True
        if node.key not in self.results:
            result = self.store.result(self.nodes[node.key])
            if result is None:
                return False
            self.results[node.key] = result
        return True

    def _ready(self, running: Mapping[str, Job]) -> list[Node]:
        """The nodes that can be trained now. The nodes for which most work waits come first."""
        now = time.monotonic()
        wanted: dict[str, int] = {}
        for course in self.courses:
            if course.waiting:
                left = len(course.run.resolved.stretches) - len(course.nodes)
                for node in course.waiting:
                    wanted[node.key] = wanted.get(node.key, 0) + left
        keys = [
            key
            for key in sorted(wanted, key=lambda one: -wanted[one])
            if key not in running and not self._is_known(self.nodes[key]) and self._later.get(key, 0.0) <= now
            if self.store.holds(self.nodes[key].masks)
        ]
        return [self.nodes[key] for key in keys]

    def _give_up_without_masks(self, course: Course) -> None:
        """Let an arm fail if it waits for the masks of an arm that has failed."""
        if course.run.leader is None or not course.waiting:
            return
        leader = next(one for one in self.courses if course.run.is_led_by(one.run))
        if leader.error is None:
            return
        unknown = [node for node in course.waiting if not self._is_known(node)]
        if any(not self.store.holds(node.masks) for node in unknown):
            course.error = f"arm {leader.run.arm!r}, whose masks it follows, failed: {leader.error}"
            course.waiting = []

    def _job(self, node: Node) -> Job:
        parent = self.nodes[node.parent].name if node.parent else None
        return Job(str(self.store.root), node, parent, self.metric, self.every)

    def _take(self, outcome: Outcome, node: Node) -> None:
        if outcome.fatal:
            raise DiskFull(outcome.error)
        if outcome.busy:
            self._later[node.key] = time.monotonic() + PATIENCE
        elif outcome.error is not None:
            self.failed[node.key] = outcome.error
            self.details[node.key] = outcome.details
            self.tell(node, outcome.details)
        else:
            self.trained.add(node.key)
            self.tell(node, "")


def _epochs_begun(path: Path) -> int:
    """The epochs that a node has trained so far. 0 if there is no record, or the node has just been finished."""
    try:
        return int(read_json(path)["epochs"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
