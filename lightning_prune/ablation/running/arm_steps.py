"""Walk an arm from node to node. A search goes on with the best of the nodes that it tried."""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightning_prune.ablation.config.arm_changes import changed
from lightning_prune.ablation.config.arms import Search
from lightning_prune.ablation.config.averaged_copies import AveragedCopies, spelled
from lightning_prune.ablation.planning.arm_runs import ArmRun, reseeded
from lightning_prune.ablation.planning.resolving import resolve
from lightning_prune.ablation.running.chosen import chosen_of, rank_of
from lightning_prune.ablation.sharing.node import Node, key_of
from lightning_prune.ablation.sharing.stretches import Stretch
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.metric_names import lower_is_better

Results = Mapping[str, Mapping[str, Any]]
Steps = Generator[list[Node], Results, None]


@dataclass(frozen=True)
class Tried:
    """The values that a search tried in a cycle, with their scores.

    Args:
        values: The combinations.
        scores: The validation metric of each combination. None where no metric was measured.
        chosen: The index of the combination with which the arm went on. In a soup: of the best copy.
        soup: What came of their mean, in a soup.
        epochs: The trained epochs of each combination, where the search chooses by them too.
    """

    values: Sequence[Mapping[str, Any]]
    scores: Sequence[float | None]
    chosen: int
    soup: Mapping[str, Any] | None = None
    epochs: Sequence[int | None] = ()

    def to_json(self) -> str:
        """Write the values and scores as JSON, for a cell of the table."""
        single = [next(iter(one.values())) if len(one) == 1 else dict(one) for one in self.values]
        argument = ", ".join(self.values[0])
        content = {"argument": argument, "values": single, "scores": list(self.scores), "chosen": single[self.chosen]}
        content |= {"epochs": list(self.epochs)} if self.epochs else {}
        return json.dumps(content if self.soup is None else {**content, "soup": dict(self.soup)})


def nothing(error: str) -> Mapping[str, Any]:
    """Make the result that stands for a failed training in a search.

    Args:
        error: The reason of the failure.
    """
    return {"rows": [{"val_last": None, "metric": None}], "error": error}


def walk(run: ArmRun, note: Callable[[Node, Tried | None], None]) -> Steps:
    """Go through the nodes of an arm. The generator yields the next nodes to train, and takes their results.

    Args:
        run: The run of the arm.
        note: Called with each finished node of the run, and with the values that a search tried to choose the node.
    """
    parent: Node | None = None
    for stretch in run.resolved.stretches:
        if run.search is None or parent is None:
            node = run.node(stretch, parent)
            yield [node]
            note(node, None)
        else:
            node, tried = yield from _best_of(run, run.search, stretch, parent)
            note(node, tried)
        parent = node


def _best_of(run: ArmRun, search: Search, stretch: Stretch, parent: Node) -> Generator[list[Node], Results, Any]:
    propose = _grid if search.sampler == "grid" else _optuna
    nodes, results = yield from propose(run, search, stretch, parent)
    scores = [_score(results[node.key]) for node in nodes]
    metric = next((row["metric"] for result in results.values() for row in result["rows"] if row["metric"]), None)
    if all("error" in result for result in results.values()):
        raise UserError(next(result["error"] for result in results.values()))
    if metric is None:
        raise UserError(f"arm {run.arm!r} searches, but no validation metric is logged to choose by.")
    if not any(score == score for score in scores if score is not None):
        raise UserError(f"arm {run.arm!r}: every value that its search tried came to {metric} = nan.")
    lower, tolerance = lower_is_better(metric), search.tolerance
    epochs = [] if tolerance is None else [results[node.key].get("epochs") for node in nodes]
    chosen = chosen_of(scores, lower, epochs, tolerance)
    tried = Tried([dict(node.tried or {}) for node in nodes], scores, chosen, epochs=epochs)
    if isinstance(search, AveragedCopies):
        copies = [node for node, score in zip(nodes, scores, strict=True) if rank_of(score, lower) > float("-inf")]
        mean = mean_node(run, stretch, parent, copies, search.greedy)
        mixed = (yield [mean])[mean.key]
        return mean, replace(tried, soup=mixed.get("soup"))
    return nodes[chosen], tried


def _grid(run: ArmRun, search: Search, stretch: Stretch, parent: Node) -> Generator[list[Node], Results, Any]:
    nodes = [candidate(run, stretch, parent, values) for values in search.combinations()]
    results = yield nodes
    return nodes, {node.key: results[node.key] for node in nodes}


def _optuna(run: ArmRun, search: Search, stretch: Stretch, parent: Node) -> Generator[list[Node], Results, Any]:
    from lightning_prune.ablation.running.optuna_sampler import Sampler  # Optuna is an extra.

    sampler = Sampler(search, seed=int(key_of([run.seed, stretch.first])[:8], 16))
    nodes: list[Node] = []
    results: dict[str, Mapping[str, Any]] = {}
    for _ in range(search.trials):
        node = candidate(run, stretch, parent, sampler.propose())
        results[node.key] = (yield [node])[node.key]
        metric = next((row["metric"] for row in results[node.key]["rows"] if row["metric"]), "loss")
        sampler.learn(_score(results[node.key]), lower_is_better(metric))
        nodes.append(node)
    return nodes, results


def mean_node(run: ArmRun, stretch: Stretch, parent: Node, copies: Sequence[Node], greedy: bool) -> Node:
    """Make the node of the mean of copies.

    Args:
        run: The run of the soup.
        stretch: The cycles.
        parent: The node from which the copies were retrained.
        copies: Their nodes.
        greedy: Whether a copy is left out if the mean with it is worse.
    """
    content = {"parent": parent.key, "seed": run.seed, "copies": [one.key for one in copies], "greedy": greedy}
    node = replace(run.node(stretch, parent), key=key_of(content), epochs=0, notes={})
    return replace(node, copies=tuple(one.name for one in copies), greedy=greedy)


def candidate(run: ArmRun, stretch: Stretch, parent: Node, values: Mapping[str, Any]) -> Node:
    """Make the node in which a search tries some values.

    Args:
        run: The run of the search.
        stretch: The cycles.
        parent: The node before this one.
        values: The values by argument.
    """
    owner = f"Ablation(arms): arm {run.arm!r}"
    known, key = run.candidates, json.dumps(dict(values), sort_keys=True, default=str)
    if key not in known:  # Parsing takes a third of a second, and runs differ only in the seed.
        known[key] = resolve(changed(run.resolved.config, spelled(values, run.resolved.config), owner), owner)
    resolved = replace(known[key], config=reseeded(known[key].config, run.resolved.config))
    return replace(run.node(stretch, parent, resolved), tried=dict(values))


def _score(result: Mapping[str, Any]) -> float | None:
    value = result["rows"][-1]["val_last"]
    return None if value is None else float(value)
