"""Lay out the run of each arm as a path of nodes. Arms whose paths begin alike share these nodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from lightning_prune.ablation.config.arm_changes import Config, changed
from lightning_prune.ablation.config.arms import Arm, Search
from lightning_prune.ablation.config.averaged_copies import AveragedCopies, spelled
from lightning_prune.ablation.planning.followed_arms import (
    identified,
    leaders_of,
    record_of,
    recorded_before,
    refuse_unlike,
)
from lightning_prune.ablation.planning.known_bases import KnownBases
from lightning_prune.ablation.planning.node_content import cycle_content, dense_content, notes_of
from lightning_prune.ablation.planning.resolving import Resolved, draws_in_cycles, with_seed
from lightning_prune.ablation.sharing.node import Node, key_of
from lightning_prune.ablation.sharing.stretches import Stretch, leaves_out_cycles
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.basics.user_error import UserError


@dataclass(frozen=True)
class ArmRun:
    """The run of an arm with one seed.

    Args:
        arm: The name of the arm.
        seed: The seed.
        resolved: The config of the run.
        search: The search of the arm. None for an arm that does not search.
        metric: The logged value by which the study chooses. None: each run chooses.
        candidates: The resolved configs of the search so far, by their values. The seeds of the arm share them.
        leader: The run of another arm, if this run takes its masks.
        record: Short names of the masks of each cycle, if this run takes masks that were recorded before the study.
    """

    arm: str
    seed: int
    resolved: Resolved
    search: Search | None = None
    metric: str | None = None
    candidates: dict[str, Resolved] = field(default_factory=dict, compare=False, repr=False)
    leader: "ArmRun | None" = None
    record: tuple[str, ...] = ()

    def node(self, stretch: Stretch, parent: Node | None, resolved: Resolved | None = None) -> Node:
        """The node of a stretch.

        Args:
            stretch: A stretch of the run.
            parent: The node before this one. None for the first node.
            resolved: The config that a search tries in this node. None: the config of the run.
        """
        using = resolved or self.resolved
        whole = stretch == self.resolved.stretches[-1] and not (stretch.last == 0 and using.clock is not None)
        leading = self._leading(stretch)
        of = leading[-1].key if leading else list(self.record[: stretch.last])
        known = replace(using, config=identified(using.config, of))
        own = dense_content(known, whole) if parent is None else cycle_content(known, stretch)
        # The metric decides which network is the best and which values are measured. Later nodes inherit it with the
        # key of their parent.
        metric = {"metric": self.metric} if parent is None and self.metric is not None else {}
        key = key_of({"parent": parent.key if parent else None, "seed": self.seed, "content": own, **metric})
        notes = notes_of(using) if parent is None and not whole else {}
        return Node(
            key=key,
            parent=parent.key if parent else None,
            seed=self.seed,
            first=stretch.first,
            last=stretch.last,
            whole=whole,
            epochs=stretch.epochs,
            config=using.config,
            notes=notes,
            code=using.code,
            masks=self.masks(stretch),
            at_most=stretch.at_most,
        )

    def is_led_by(self, other: "ArmRun") -> bool:
        """Whether this run takes the masks of another run."""
        return self.leader is not None and (self.leader.arm, self.leader.seed) == (other.arm, other.seed)

    def masks(self, stretch: Stretch) -> tuple[str, ...]:
        """The files with the masks of another arm that a stretch takes, relative to the folder of the nodes."""
        return tuple(file for node in self._leading(stretch) for file in record_of(node))

    def _leading(self, stretch: Stretch) -> list[Node]:
        """The nodes of the run that this run follows, up to the cycles of a stretch."""
        if self.leader is None or stretch.last == 0:
            return []
        return [node for node in self.leader._laid_out if node.last > 0 and node.first <= stretch.last]

    @cached_property
    def _laid_out(self) -> list[Node]:
        """The nodes of the whole run, made once. They are asked for again and again."""
        found: list[Node] = []
        for stretch in self.resolved.stretches:
            found.append(self.node(stretch, found[-1] if found else None))
        return found

    def nodes(self) -> list[Node]:
        """The nodes of the whole run, in order. For a search they are the nodes of its first candidates."""
        return list(self._laid_out)


def lay_out(
    base: Mapping[str, Any], arms: Sequence[Arm], seeds: Sequence[int], metric: str | None = None
) -> list[ArmRun]:
    """Resolve every arm for every seed.

    Args:
        base: The base config.
        arms: The arms.
        seeds: The seeds.
        metric: The logged value by which the study chooses. None: each run chooses.

    Returns:
        A run for each arm and seed, arm by arm.

    Raises:
        ValueError: If a config cannot be parsed, or lengths do not fit together. The message names the arm.
    """
    runs, known = dict[str, list[ArmRun]](), KnownBases()
    configs = {arm.name: changed(base, arm.changes, f"Ablation(arms): arm {arm.name!r}") for arm in arms}
    leaders = leaders_of(arms, configs)
    for arm in sorted(arms, key=lambda one: one.name in leaders):  # An arm that is followed comes before its followers.
        owner, own = f"Ablation(arms): arm {arm.name!r}", configs[arm.name]
        found = _following(_of_seeds(arm, own, seeds, owner, known), runs.get(leaders.get(arm.name, "")), owner)
        if arm.search is not None:
            for values in first_values(arm.search):
                tried = known.resolve(with_seed(changed(own, spelled(values, own), owner), seeds[0]), owner)
                refuse_outside(found[0], values, tried, owner)
        refuse_without_validation(found[0], owner)
        runs[arm.name] = [replace(run, metric=metric) for run in found]
    return [run for arm in arms for run in runs[arm.name]]


def _following(runs: list[ArmRun], leading: list[ArmRun] | None, owner: str) -> list[ArmRun]:
    """Give the runs of an arm their leaders, which are runs of another arm, or the masks of an earlier record."""
    if leading is None:
        record = recorded_before(owner, runs[0].resolved)
        return [replace(run, record=record) for run in runs]
    refuse_unlike(owner, runs[0].resolved, leading[0].arm, leading[0].resolved)
    return [replace(run, leader=leader) for run, leader in zip(runs, leading, strict=True)]


def same_arms(runs: Sequence[ArmRun]) -> list[list[str]]:
    """Find arms that have the same config.

    Args:
        runs: The runs of a study.

    Returns:
        Groups of names of arms whose configs are equal once every default is filled in. Searches are left out.
    """
    seed = runs[0].seed
    groups: dict[str, list[str]] = {}
    for run in runs:
        if run.seed == seed and run.search is None:
            groups.setdefault(key_of(run.resolved.config), []).append(run.arm)
    return [arms for arms in groups.values() if len(arms) > 1]


def first_values(search: Search) -> list[dict[str, Any]]:
    """The values with which to check, at the start, whether a search can work. A range is checked at its ends."""
    if search.sampler == "grid":
        return search.combinations()
    ends = {
        key: value if isinstance(value, list) else [value["low"], value["high"]] for key, value in search.values.items()
    }
    return [{key: values[index % len(values)] for key, values in ends.items()} for index in range(2)]


def refuse_outside(run: ArmRun, values: Mapping[str, Any], tried: Resolved, owner: str) -> None:
    """Refuse a search for arguments that cannot differ from cycle to cycle while the network stays the same.

    Args:
        run: The run of the arm.
        values: The values that the search tries.
        tried: The config with these values.
        owner: The arm's name for the error.

    Raises:
        ValueError: If the values change the dense run or the lengths of the cycles.
    """
    old = run.resolved
    dense = dense_content(tried, whole=False) != dense_content(old, whole=False)
    notes = notes_of(tried).keys() != notes_of(old).keys()
    cycles = old.stretches[1] if old.clock is not None and len(old.stretches) > 1 else None
    if run.search is not None and run.search.tolerance is not None and not (cycles and cycles.at_most):
        raise UserError(
            f"{owner}: the `tolerance` of its search chooses by epochs, and all candidates train equally many. Leave "
            "it out, or let RetrainWhenNeeded leave out cycles."
        )
    if isinstance(run.search, AveragedCopies) and cycles is not None and cycles.at_most:
        why = "each copy would leave out cycles of its own"
    elif cycles is None or (cycles.first != cycles.last and not cycles.at_most):
        why = "its run has no cycles of whole epochs to choose in"
    elif dense or notes or tried.stretches != old.stretches:
        why = "the dense run or the lengths of the cycles would be others"
    else:
        return
    said = ", ".join(f"{key}: {value!r}" for key, value in values.items())
    raise UserError(
        f"{owner}: its search cannot try {{{said}}}: {why}. Search for what a cycle may change from the same network, "
        "such as the peak of a learning-rate policy. Compare other values as arms, with `grid`."
    )


def refuse_without_validation(run: ArmRun, owner: str) -> None:
    """Refuse an arm that chooses by validation and has none, before anything is trained.

    Args:
        run: The run of the arm.
        owner: The arm's name for the error.

    Raises:
        ValueError: If its run validates nothing, and it is a search, a soup, or may leave out cycles.
    """
    leaving = next((type(one).__name__ for one in run.resolved.callbacks if leaves_out_cycles(one)), None)
    chooser = "its soup" if isinstance(run.search, AveragedCopies) else "its search" if run.search else leaving
    if chooser is not None and (reason := run.resolved.unvalidated):
        raise UserError(f"{owner}: {chooser} chooses by a validation metric, and {reason}. Let the run validate.")


def _of_seeds(arm: Arm, config: Config, seeds: Sequence[int], owner: str, known: KnownBases) -> list[ArmRun]:
    first = known.resolve(with_seed(config, seeds[0]), owner)
    runs = [ArmRun(arm.name, seeds[0], first, arm.search)]
    for seed in seeds[1:]:
        # Only the seed differs, so the config is not parsed again. Each parsing makes a network.
        other = with_seed(config, seed)
        content = reseeded(first.config, other)
        runs.append(replace(runs[0], seed=seed, resolved=replace(first, config=content)))
    return runs


def reseeded(resolved: Config, other: Mapping[str, Any]) -> Config:
    """Give a resolved config the seeds of another config.

    Args:
        resolved: The resolved config of one seed.
        other: The config of another seed. Nothing else differs in it.
    """
    listed = other["trainer"].get("callbacks") or []
    seeds = {class_at(one["class_path"]): (one.get("init_args") or {}).get("seed") for one in listed}
    callbacks = []
    for one in resolved["trainer"].get("callbacks") or []:
        owner = class_at(one["class_path"])
        if owner in seeds and draws_in_cycles(owner):
            one = {**one, "init_args": {**one["init_args"], "seed": seeds[owner]}}
        callbacks.append(one)
    trainer = {**resolved["trainer"], "callbacks": callbacks}
    return {**resolved, "seed_everything": other["seed_everything"], "trainer": trainer}
