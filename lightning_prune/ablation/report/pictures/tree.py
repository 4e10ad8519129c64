"""Place the nodes of a seed's tree. Shared nodes span several rows, and each arm has its own row."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning_prune.ablation.report.reported_study import Facts, Study

TRIED = 0.4  # The height, in rows, of a node that a search tried and did not choose.


@dataclass(frozen=True)
class Box:
    """A node as a box, from its first cycle to its last, over the rows of the arms that use the node."""

    key: str
    top: float
    bottom: float
    ends: tuple[str, ...] = ()
    """The arms whose run ends here, a row each, at the bottom of the box."""


def lay_out(study: Study, seed: int) -> list[Box]:
    """Place the nodes of one seed so that none covers another.

    Args:
        study: The study.
        seed: One of its seeds.

    Returns:
        One box per node, over the rows of its children. The arms are in the order of the study, as far as sharing
        allows this order.
    """
    nodes = {key: node for key, node in study.nodes.items() if int(node["seed"]) == seed}
    ends = _ends(study, seed, nodes)
    order = {arm: index for index, arm in enumerate(study.arms)}
    children: dict[str | None, list[str]] = {}
    for key in sorted(nodes, key=lambda key: _rank(nodes[key], order)):
        parent = nodes[key]["parent"]
        children.setdefault(parent if parent in nodes else None, []).append(key)
    boxes: list[Box] = []
    top = 0.0
    for root in children.get(None, []):
        top = _place(root, top, children, ends, boxes)
    return boxes


def _place(
    key: str, top: float, children: Mapping[str | None, list[str]], ends: Mapping[str, list[str]], boxes: list[Box]
) -> float:
    """Place a node and everything below it. Return the start of the next row."""
    arms = tuple(ends.get(key, ()))
    bottom = top
    for child in children.get(key, []):
        bottom = _place(child, bottom, children, ends, boxes)
    bottom += len(arms) if arms or bottom > top else TRIED
    boxes.append(Box(key, top, bottom, arms))
    return bottom


def _ends(study: Study, seed: int, nodes: Mapping[str, Facts]) -> dict[str, list[str]]:
    """Node -> the arms whose run ends with it."""
    ends: dict[str, list[str]] = {}
    for path in study.paths:
        known = [key for key in path["nodes"] if key in nodes]
        if int(path["seed"]) == seed and known:
            ends.setdefault(known[-1], []).append(str(path["arm"]))
    return ends


def _rank(node: Facts, order: Mapping[str, int]) -> tuple[int, bool, int]:
    known = [order[arm] for arm in node["arms"] if arm in order]
    return (min(known, default=len(order)), bool(node["tried"]), int(node["first"]))
