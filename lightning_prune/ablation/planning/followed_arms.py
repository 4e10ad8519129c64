"""Let an arm follow the masks of another arm of the study, node by node, or of a run that was recorded before."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightning_prune.ablation.config.arm_changes import Config
from lightning_prune.ablation.config.arms import Arm
from lightning_prune.ablation.config.callback_objects import clock_in, entry_of
from lightning_prune.ablation.planning.resolving import Resolved
from lightning_prune.ablation.sharing.node import Node
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.basics.file_names import LAST
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.masking.follower import source_of
from lightning_prune.callbacks.masking.recorded_masks import Recorded
from lightning_prune.masks.chain import Chain, digest_of

RECORD = "masks_from"


@dataclass(frozen=True)
class SoFar(Recorded):
    """Take the masks that the followed arm has recorded so far. A node needs no masks of later cycles.

    Args:
        last: The last cycle of the node.
    """

    last: int = 0

    def __call__(self, shapes: Mapping[str, torch.Size], cycles: int, seed: int) -> Chain:
        return super().__call__(shapes, min(cycles, self.last), seed)


def followed(config: Mapping[str, Any]) -> str | None:
    """Find the arm or the path that the ``masks_from`` of a config names.

    Args:
        config: A config with its callbacks in full.

    Returns:
        The name. None if the config follows nothing, several files, or a source of the user's own.
    """
    run = _arguments(_clock(config)).get("run")
    return str(run) if isinstance(run, str | Path) else None


def leaders_of(arms: Sequence[Arm], configs: Mapping[str, Config]) -> dict[str, str]:
    """Find the arms that follow the masks of other arms.

    Args:
        arms: The arms.
        configs: Their configs by name.

    Returns:
        A mapping from the name of each following arm to the name of the followed arm.

    Raises:
        ValueError: If an arm names neither another arm nor a path, or names an arm that cannot be followed.
    """
    named = {arm.name: followed(configs[arm.name]) for arm in arms}
    found = [(arm.name, _find(arm, name, arms)) for arm in arms if (name := named[arm.name]) is not None]
    leaders = {follower: leader for follower, leader in found if leader is not None}
    for follower, leader in leaders.items():
        why = "follows masks itself" if leader.name in leaders else "is a search" if leader.search else None
        if why is not None:
            raise UserError(
                f"Ablation(arms): arm {follower!r} follows the masks of {leader.name!r}, which {why}. Follow an arm "
                "whose cycles prune, without a search."
            )
    return {follower: leader.name for follower, leader in leaders.items()}


def refuse_unlike(owner: str, follower: Resolved, name: str, leader: Resolved) -> None:
    """Refuse to follow an arm with other cycles, sparsities or weights.

    Args:
        owner: The name of the following arm, for the error.
        follower: The config of the following arm.
        name: The name of the followed arm.
        leader: The config of the followed arm.

    Raises:
        ValueError: If the two differ.
    """
    mine, theirs = (_levels(one) for one in (follower, leader))
    if len(mine) > len(theirs):
        raise UserError(
            f"{owner} has {len(mine)} cycles and follows the masks of {name!r}, which has {len(theirs)}. Give it as "
            "many at most."
        )
    differing = [cycle for cycle, level in enumerate(mine, start=1) if level != theirs[cycle - 1]]
    if differing:
        cycle = differing[0]
        raise UserError(
            f"{owner} asks for sparsity {mine[cycle - 1]:.5g} in cycle {cycle}, and {name!r}, whose masks it follows, "
            f"for {theirs[cycle - 1]:.5g}. Give both the same `sparsity`, for instance in the base."
        )
    if follower.shapes and leader.shapes and follower.shapes != leader.shapes:
        wrong = sorted(set(follower.shapes.items()) ^ set(leader.shapes.items()))
        raise UserError(
            f"{owner} prunes another network than {name!r}, whose masks it follows: "
            f"{', '.join(dict.fromkeys(one for one, _ in wrong))}."
        )


def recorded_before(owner: str, follower: Resolved) -> tuple[str, ...]:
    """Name the masks of each cycle that an arm takes from a run that was recorded before the study.

    Args:
        owner: The arm's name for the error.
        follower: The config of the arm.

    Returns:
        Short names of the masks. Empty if the arm takes no such masks.

    Raises:
        ValueError: If the record does not hold them.
    """
    clock = follower.clock
    source = None if clock is None else source_of(clock.masks_from)
    if clock is None or not isinstance(source, Recorded):
        return ()
    try:
        return tuple(digest_of(ticket.masks) for ticket in source.read(clock.cycles))
    except ValueError as error:
        raise UserError(f"{owner}: {error}") from error


def _levels(resolved: Resolved) -> list[float]:
    clock = resolved.clock
    return [] if clock is None else [clock.scheduled(cycle) for cycle in range(1, clock.cycles + 1)]


def _find(follower: Arm, name: str, arms: Sequence[Arm]) -> Arm | None:
    """Find the arm of a name, or the arm of this name with the same values of the study's grid. None for a path."""
    known = {arm.name: arm for arm in arms}
    leader = known.get(name) or known.get(f"{name} {follower.crossed}")
    if leader is None and not Path(name).exists():
        raise UserError(
            f"Ablation(arms): arm {follower.name!r}: `{RECORD}: {name}` is neither an arm of this study nor a path."
            f"{suggest(name, known, write=repr)}"
        )
    return leader


def identified(config: Config, of: Sequence[str] | str) -> Config:
    """Make a config whose ``masks_from`` identifies the masks by their content, not by name.

    Args:
        config: The config of a follower, or of an arm that follows nothing.
        of: The key of the other arm's node that made the masks, or names of the masks of each cycle.
    """
    clock = _clock(config)
    if clock is None or RECORD not in (clock.get("init_args") or {}):
        return config
    arguments = dict(clock["init_args"])
    if arguments[RECORD] is None:
        del arguments[RECORD]
    elif _arguments(clock):
        arguments[RECORD] = entry_of(Recorded, {**_arguments(clock), "run": of})
    own = {**clock, "init_args": arguments}
    entries = [own if one is clock else one for one in config["trainer"]["callbacks"]]
    return {**config, "trainer": {**config["trainer"], "callbacks": entries}}


def pointed(config: Config, files: Sequence[str], last: int | None = None) -> Config:
    """Make a config whose ``masks_from`` names the files with the masks of the other arm.

    Args:
        config: The config of a follower.
        files: The files.
        last: The last cycle whose masks exist. None if the masks of all cycles exist.
    """
    changed = deepcopy(config)
    cls, more = (Recorded, {}) if last is None else (SoFar, {"last": last})
    given = {**_arguments(_clock(config)), "run": list(files), **more}
    clock = _clock(changed)
    assert clock is not None, "who follows has a clock"
    clock["init_args"][RECORD] = entry_of(cls, given)
    return changed


def record_of(node: Node) -> list[str]:
    """Name the files with the masks of a node's cycles, relative to the folder of the nodes.

    Example:
        >>> record_of(Node("0123456789abcdef", "fe", seed=0, first=2, last=2, whole=False, epochs=1, config={}))
        ['seed=0-cycle=02-0123456789ab/last.ckpt']
    """
    if node.first == node.last:
        return [f"{node.name}/{LAST}"]
    return [f"{node.name}/{masks_name(cycle)}" for cycle in range(max(node.first, 1), node.last + 1)]


def masks_name(cycle: int) -> str:
    """Name the file of the masks of a cycle, for a node that has several cycles.

    Example:
        >>> masks_name(3)
        'masks-03.safetensors'
    """
    return f"masks-{cycle:02d}.safetensors"


def _clock(config: Mapping[str, Any]) -> Config | None:
    found: Config | None = clock_in((config.get("trainer") or {}).get("callbacks") or [])
    return found


def _arguments(clock: Config | None) -> Config:
    """The arguments of a clock's ``Recorded``, in whatever form the config has it. Empty for another source."""
    given = ((clock or {}).get("init_args") or {}).get(RECORD)
    if isinstance(given, str):
        return {"run": given, "shuffle": None}
    if isinstance(given, Mapping) and issubclass(class_at(given["class_path"]), Recorded):
        return {"shuffle": None, **(given.get("init_args") or {})}
    return {}
