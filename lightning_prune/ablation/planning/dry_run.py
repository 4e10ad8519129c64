"""Draw the tree of a study before the study is run, and count the epochs that sharing saves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.markup import escape
from rich.tree import Tree as Picture

from lightning_prune.ablation.config.averaged_copies import AveragedCopies
from lightning_prune.ablation.planning.arm_runs import ArmRun, first_values
from lightning_prune.ablation.sharing.node import Node


@dataclass
class Planned:
    """A place in the plan: one node to train, or all the nodes that a search tries there.

    Attributes:
        node: The node.
        arms: The arms that go through the node.
        times: The number of nodes that a search tries there. 1 without a search.
        untrained: How many of them are means of the others, and take no epoch.
    """

    node: Node
    arms: list[str] = field(default_factory=list)
    times: int = 1
    untrained: int = 0

    @property
    def epochs(self) -> int:
        """The number of epochs to train, as far as it is known."""
        return (self.node.epochs or 0) * (self.times - self.untrained)


def plan_tree(runs: Sequence[ArmRun]) -> dict[str, Planned]:
    """Put the nodes of all arms together.

    Args:
        runs: The runs.

    Returns:
        The nodes to train by key, parents before children. The nodes of a search have the name of its arm in their
        key.
    """
    planned: dict[str, Planned] = {}
    for run in runs:
        for node in run.nodes():
            times, means = (_times(run), _means(run)) if is_searched(run, node) else (1, 0)
            one = planned.setdefault(place_of(run, node), Planned(node, times=times + means, untrained=means))
            one.arms.append(run.arm)
    return planned


def place_of(run: ArmRun, node: Node) -> str:
    """Name the place of a node in the plan: its key, or one place for all nodes that a search tries there.

    Args:
        run: A run.
        node: A node of the run, or a node that its search tried.
    """
    return f"{run.arm}/{run.seed}/{node.last}" if is_searched(run, node) else node.key


def is_searched(run: ArmRun, node: Node) -> bool:
    """Whether a search tries several nodes in the place of this one."""
    return run.search is not None and node.parent is not None


def epochs_alone(runs: Iterable[ArmRun]) -> int:
    """Count the epochs that separate runs of all arms would need. A search repeats nothing of its own run."""
    return sum(planned.epochs for run in runs for planned in plan_tree([run]).values())


def epochs_shared(runs: Sequence[ArmRun]) -> int:
    """Count the epochs to train when arms share the nodes that they have in common."""
    return sum(planned.epochs for planned in plan_tree(runs).values())


def draw_tree(runs: Sequence[ArmRun], done: Iterable[str] = ()) -> Picture:
    """Draw the tree of the first seed. The trees of the other seeds look the same.

    Args:
        runs: The runs.
        done: Keys of nodes that are finished.

    Returns:
        A tree for rich to print. Each stretch that the same arms go through is a line.
    """
    seeds = list(dict.fromkeys(run.seed for run in runs))
    more = f", and the same for {len(seeds) - 1} more" if len(seeds) > 1 else ""
    root = Picture(f"seed {seeds[0]}{more}")
    _branch(root, [run for run in runs if run.seed == seeds[0]], 0, set(done))
    return root


def _branch(picture: Picture, runs: Sequence[ArmRun], depth: int, done: set[str]) -> None:
    """Add the nodes after the first ``depth`` nodes to the picture."""
    groups: dict[str, list[ArmRun]] = {}
    for run in runs:
        if depth < len(run.nodes()):
            groups.setdefault(_keys(run)[depth], []).append(run)
    for group in groups.values():
        end = depth + 1
        while all(len(_keys(run)) > end for run in group) and len({_keys(run)[end] for run in group}) == 1:
            end += 1
        longest = any(len(_keys(run)) > end for run in group)
        cut = depth + 1 if depth == 0 and (len(group) > 1 or longest) else end
        _branch(picture.add(_label(group, depth, cut, done)), group, cut, done)


def _label(group: Sequence[ArmRun], first: int, end: int, done: set[str]) -> str:
    nodes = group[0].nodes()[first:end]
    begin, last = nodes[0].first, nodes[-1].last
    cycles = "dense" if last == 0 else f"cycle {begin}" if begin == last else f"cycles {begin}-{last}"
    times = _times(group[0]) if begin else 1
    epochs = sum(node.epochs or 0 for node in nodes)
    most = "at most " * any(node.at_most for node in nodes)
    length = f"{most}{epochs} epochs" if all(node.epochs is not None for node in nodes) else "epochs not known yet"
    kind = "copies averaged" if _means(group[0]) else "tried"
    tried = f", {times} {kind}{'' if most else ' in each'}" if times > 1 else ""
    arms = ", ".join(run.arm for run in group)
    leader = group[0].leader
    arms += f", masks of {leader.arm}" if leader is not None and len(group) == 1 and begin else ""
    shared = f"[bold]shared by {len(group)}[/]" if len(group) > 1 else f"[cyan]{escape(arms)}[/]"
    finished = sum(node.key in done for node in nodes)
    mark = "" if not finished else " [green]done[/]" if finished == len(nodes) else f" [green]{finished} done[/]"
    return f"{cycles}: {length}{tried}, {shared}{mark}"


def _keys(run: ArmRun) -> list[str]:
    """The keys of the nodes of a run. A search shares with no other arm the nodes that it tries."""
    searched = run.search is not None
    return [f"{run.arm}/{node.key}" if searched and node.parent else node.key for node in run.nodes()]


def _means(run: ArmRun) -> int:
    """How many means of its copies a run makes in each cycle."""
    return int(isinstance(run.search, AveragedCopies))


def _times(run: ArmRun) -> int:
    search = run.search
    if search is None:
        return 1
    return search.trials if search.sampler == "optuna" else len(first_values(search))
