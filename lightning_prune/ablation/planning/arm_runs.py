"""From arms to the tree: which nodes the run of an arm goes through, and which of them others go through, too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from lightning_prune.ablation.config.arm_changes import changed
from lightning_prune.ablation.config.arms import Arm, Search
from lightning_prune.ablation.config.keys import Config
from lightning_prune.ablation.planning.followed_arms import (
    identified,
    leaders_of,
    record_of,
    recorded_before,
    refuse_unlike,
)
from lightning_prune.ablation.planning.node_content import cycle_content, dense_content, notes_of
from lightning_prune.ablation.planning.resolving import Resolved, draws_in_cycles, resolve, with_seed
from lightning_prune.ablation.sharing.node import Node, key_of
from lightning_prune.ablation.sharing.stretches import Stretch
from lightning_prune.basics.dotted_paths import class_at


@dataclass(frozen=True)
class Path:
    """The run of an arm with one seed.

    Args:
        arm: The name of the arm.
        seed: The seed.
        resolved: Its config.
        search: What it tries in each cycle, if it is a search.
        metric: The logged value that the study chooses by; None to let each run choose.
        candidates: What a search was resolved to so far, by its values; shared by the seeds of the arm.
        leader: The run of another arm whose masks it takes.
        record: Short names of the masks of each cycle, if it takes those of a run that was recorded before the study.
    """

    arm: str
    seed: int
    resolved: Resolved
    search: Search | None = None
    metric: str | None = None
    candidates: dict[str, Resolved] = field(default_factory=dict, compare=False, repr=False)
    leader: "Path | None" = None
    record: tuple[str, ...] = ()

    def node(self, stretch: Stretch, parent: Node | None, resolved: Resolved | None = None) -> Node:
        """The node of a stretch.

        Args:
            stretch: A stretch of the run.
            parent: The node before it; None for the first.
            resolved: Another config for it, of a search.
        """
        using = resolved or self.resolved
        whole = stretch == self.resolved.stretches[-1] and not (stretch.last == 0 and using.clock is not None)
        leading = self._leading(stretch)
        of = leading[-1].key if leading else list(self.record[: stretch.last])
        known = replace(using, config=identified(using.config, of))
        own = dense_content(known, whole) if parent is None else cycle_content(known, stretch)
        # The metric decides which network is the best and what was measured; what comes after has it from its parent.
        metric = {"metric": self.metric} if parent is None and self.metric is not None else {}
        key = key_of({"parent": parent.key if parent else None, "seed": self.seed, "content": own, **metric})
        notes = notes_of(using.entries) if parent is None and not whole else {}
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
        )

    def is_led_by(self, other: "Path") -> bool:
        """Whether it takes the masks of another run."""
        return self.leader is not None and (self.leader.arm, self.leader.seed) == (other.arm, other.seed)

    def masks(self, stretch: Stretch) -> tuple[str, ...]:
        """Where the masks of another arm lie that a stretch takes, in the folder of the nodes."""
        return tuple(file for node in self._leading(stretch) for file in record_of(node))

    def _leading(self, stretch: Stretch) -> list[Node]:
        """The nodes of the run that it follows, up to the cycles of a stretch."""
        if self.leader is None or stretch.last == 0:
            return []
        return [node for node in self.leader._laid_out if node.last > 0 and node.first <= stretch.last]

    @cached_property
    def _laid_out(self) -> list[Node]:
        """The nodes of the whole run, made once: every node of a run that follows this one asks for them."""
        return self.nodes()

    def nodes(self) -> list[Node]:
        """The nodes of the whole run, in order; for a search those of its first candidates."""
        found: list[Node] = []
        for stretch in self.resolved.stretches:
            found.append(self.node(stretch, found[-1] if found else None))
        return found


def lay_out(
    base: Mapping[str, Any], arms: Sequence[Arm], seeds: Sequence[int], metric: str | None = None
) -> list[Path]:
    """Resolve every arm for every seed.

    Args:
        base: The base config.
        arms: The arms.
        seeds: The seeds.
        metric: The logged value to choose by; None to let each run choose.

    Returns:
        A path for each arm and seed, arm by arm.

    Raises:
        ValueError: If a config cannot be parsed, or lengths do not fit together; names the arm.
    """
    paths, seen = dict[str, list[Path]](), dict[str, Any]()
    configs = {arm.name: changed(base, arm.changes, f"Ablation(arms): arm {arm.name!r}") for arm in arms}
    leaders = leaders_of(arms, configs)
    for arm in sorted(arms, key=lambda one: one.name in leaders):  # who is followed comes first
        owner, own = f"Ablation(arms): arm {arm.name!r}", configs[arm.name]
        found = _following(_of_seeds(arm, own, seeds, owner, seen), paths.get(leaders.get(arm.name, "")), owner)
        if arm.search is not None:
            for values in first_values(arm.search):
                refuse_outside(
                    found[0], values, resolve(with_seed(changed(own, values, owner), seeds[0]), owner, seen), owner
                )
        paths[arm.name] = [replace(path, metric=metric) for path in found]
    return [path for arm in arms for path in paths[arm.name]]


def _following(paths: list[Path], leading: list[Path] | None, owner: str) -> list[Path]:
    """The runs of an arm, with those of the arm whose masks they take, or what is known of a record."""
    if leading is None:
        record = recorded_before(owner, paths[0].resolved)
        return [replace(path, record=record) for path in paths]
    refuse_unlike(owner, paths[0].resolved, leading[0].arm, leading[0].resolved)
    return [replace(path, leader=leader) for path, leader in zip(paths, leading, strict=True)]


def same_arms(paths: Sequence[Path]) -> list[list[str]]:
    """Arms that come to the same, by their names.

    Args:
        paths: The runs of a study.

    Returns:
        The names of arms whose configs are equal once every default is filled in; searches are left out.
    """
    seed = paths[0].seed
    groups: dict[str, list[str]] = {}
    for path in paths:
        if path.seed == seed and path.search is None:
            groups.setdefault(key_of(path.resolved.config), []).append(path.arm)
    return [arms for arms in groups.values() if len(arms) > 1]


def first_values(search: Search) -> list[dict[str, Any]]:
    """Values to see at the start whether a search can work; of a range, its ends."""
    if search.sampler == "grid":
        return search.combinations()
    ends = {
        key: value if isinstance(value, list) else [value["low"], value["high"]] for key, value in search.values.items()
    }
    return [{key: values[index % len(values)] for key, values in ends.items()} for index in range(2)]


def refuse_outside(path: Path, values: Mapping[str, Any], tried: Resolved, owner: str) -> None:
    """Refuse a search for what its cycles cannot have each for itself, from the same network.

    Args:
        path: The run of the arm.
        values: What is tried.
        tried: The config with it.
        owner: Whose it is, for the error.

    Raises:
        ValueError: If the dense run or the lengths of the cycles would have to be others.
    """
    old = path.resolved
    dense = dense_content(tried, whole=False) != dense_content(old, whole=False)
    notes = notes_of(tried.entries).keys() != notes_of(old.entries).keys()
    if old.clock is None or len(old.stretches) < 2 or old.stretches[1].first != old.stretches[1].last:
        why = "its run has no cycles of whole epochs to choose in"
    elif dense or notes or tried.stretches != old.stretches:
        why = "the dense run or the lengths of the cycles would be others"
    else:
        return
    said = ", ".join(f"{key}: {value!r}" for key, value in values.items())
    raise ValueError(
        f"{owner}: its search cannot try {{{said}}}: {why}. Search for what a cycle may change from the same network, "
        "such as the peak of a learning-rate policy; compare the rest as arms, with `grid`."
    )


def _of_seeds(arm: Arm, config: Config, seeds: Sequence[int], owner: str, seen: dict[str, Any]) -> list[Path]:
    first = resolve(with_seed(config, seeds[0]), owner, seen)
    paths = [Path(arm.name, seeds[0], first, arm.search)]
    for seed in seeds[1:]:
        # Nothing but the seed differs, and parsing makes a network each time.
        other = with_seed(config, seed)
        content = reseeded(first.config, other)
        paths.append(replace(paths[0], seed=seed, resolved=replace(first, config=content)))
    return paths


def reseeded(resolved: Config, other: Mapping[str, Any]) -> Config:
    """A resolved config with the seeds of another one.

    Args:
        resolved: What the config of one seed was resolved to.
        other: The config of another seed, in which nothing else differs.
    """
    seeds = {class_at(one["class_path"]): one["init_args"].get("seed") for one in other["trainer"]["callbacks"]}
    callbacks = []
    for one in resolved["trainer"].get("callbacks") or []:
        owner = class_at(one["class_path"])
        if owner in seeds and draws_in_cycles(owner):
            one = {**one, "init_args": {**one["init_args"], "seed": seeds[owner]}}
        callbacks.append(one)
    trainer = {**resolved["trainer"], "callbacks": callbacks}
    return {**resolved, "seed_everything": other["seed_everything"], "trainer": trainer}
