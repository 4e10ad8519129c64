"""Write study.json and arms/, which describe a study to a reader of its folder and to the next run in it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_prune import __version__
from lightning_prune.ablation.config.averaged_copies import AveragedCopies
from lightning_prune.ablation.config.study_config import StudyConfig
from lightning_prune.ablation.planning.arm_runs import ArmRun
from lightning_prune.ablation.planning.followed_arms import pointed
from lightning_prune.ablation.running.loop import Course, Running
from lightning_prune.ablation.sharing.node import key_of
from lightning_prune.ablation.storage.files import read_json, see_writable
from lightning_prune.ablation.storage.folders import Store
from lightning_prune.ablation.storage.shared_store import WRITE_ANEW, seen_from
from lightning_prune.ablation.training.evaluation import name_on_test
from lightning_prune.basics.file_names import STUDY
from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.lab.metric_names import lower_is_better


def guard(out: Path, config: StudyConfig, force: bool) -> None:
    """Check that a folder belongs to this study, before anything is written into it.

    Args:
        out: The folder.
        config: The study.
        force: Whether another study, or another version, may go on in the folder.

    Raises:
        ValueError: If ``out`` is no folder, may not be written, or belongs to another version. If the config has
            changed. The message then names the changes.
    """
    see_writable(out, "out")
    if not (out / STUDY).is_file() or force:
        return
    try:
        saved = read_json(out / STUDY)
    except ValueError as error:
        raise UserError(f"{out / STUDY} is damaged ({error.__cause__}). {WRITE_ANEW}") from error
    way_out = (
        "Give a new folder (out=..., or --out), or go on in this one (force=True, or --force): what is still the same "
        "is not trained again."
    )
    if not isinstance(saved, Mapping) or not isinstance(saved.get("config"), Mapping):
        raise UserError(f"{out / STUDY} is not the record of a study. {way_out}")
    if saved.get("version") != __version__:
        raise UserError(
            f"{out} was written by version {saved.get('version')}, and this is {__version__}, which may train "
            f"otherwise. {way_out}"
        )
    given = json.loads(json.dumps(config.given, default=str))
    if adds_only(saved["config"], given):
        return
    if changes := list(differences(saved["config"], given)):
        raise UserError(f"{out} holds a study with another config:\n  " + "\n  ".join(changes) + f"\n{way_out}")


def adds_only(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a config only adds arms or seeds to an older config.

    Args:
        old: The older config.
        new: The newer config.

    Example:
        >>> adds_only({"seeds": [0], "arms": {"a": None}}, {"seeds": [0, 1], "arms": {"a": None, "b": None}})
        True
        >>> adds_only({"seeds": [0, 1], "arms": {"a": None}}, {"seeds": [0], "arms": {"a": None}})
        False
    """
    arms, more = old.get("arms"), new.get("arms")
    if not isinstance(arms, Mapping) or not isinstance(more, Mapping) or not isinstance(old.get("seeds"), list):
        return False
    if not all(seed in new["seeds"] for seed in old["seeds"]):
        return False
    grown = {**old, "seeds": new["seeds"], "arms": {**more, **arms}}
    return grown == {**new}


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield the differences of two configs, key by key.

    Args:
        old: The older config.
        new: The newer config.
        where: The key of both in a larger config. Empty for whole configs.

    Example:
        >>> list(differences({"seeds": [0], "arms": {"a": {}}}, {"seeds": [0], "arms": {"a": {"cycles": 2}, "b": {}}}))
        ['arms.a.cycles: new', 'arms.b: new']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            inner = f"{where}.{key}" if where else str(key)
            if key not in new:
                yield f"{inner}: gone"
            elif key not in old:
                yield f"{inner}: new"
            else:
                yield from differences(old[key], new[key], inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{where}.{index}")
    elif old != new:
        yield f"{where}: {_short(old)} became {_short(new)}"


def write_arms(out: Path, runs: Sequence[ArmRun], store: Path) -> None:
    """Write the config of every run, with which the run could be trained alone.

    The config of a run that takes the masks of another run can be used once the other run is finished.

    Args:
        out: The folder of the study.
        runs: The runs.
        store: The folder of the nodes.
    """
    (out / "arms").mkdir(parents=True, exist_ok=True)
    for run in runs:
        config, masks = dict(run.resolved.config), run.masks(run.resolved.stretches[-1])
        if masks:
            config = pointed(config, [str(Store(store).nodes / file) for file in masks])
        write_whole(out / config_path(run), yaml.safe_dump(config, sort_keys=False))


def config_path(run: ArmRun) -> str:
    """The path of a run's config, relative to the folder of the study.

    Two arms never share a file, even if their names differ only in a special character.
    """
    name = "".join(one if one.isalnum() or one in "-_=.,() " else f"%{ord(one):02x}" for one in run.arm)
    if len(name.encode()) > 150:  # File systems allow 255 bytes.
        name = f"{name.encode()[:130].decode(errors='ignore')}-{key_of(run.arm)}"
    return f"arms/{name}-seed={run.seed}.yaml"


def write_record(out: Path, config: StudyConfig, command: str, running: Running) -> None:
    """Write study.json.

    Args:
        out: The folder of the study.
        config: The study.
        command: The command that runs the study.
        running: The progress of the study.
    """
    metric = next((row["metric"] for r in running.results.values() for row in r["rows"] if row.get("metric")), None)
    metric = metric or config.metric
    tested = [row.get("test_metric") for result in running.results.values() for row in result["rows"]]
    store = seen_from(out, running.store.root)
    content = {
        "format": 1,
        "name": config.name,
        "command": command,
        "metric": metric,
        "mode": "min" if metric is not None and lower_is_better(metric) else "max",
        "test_metric": name_on_test(metric) if any(tested) else None,
        "version": __version__,
        "seeds": list(config.seeds),
        **({} if store == "." else {"store": store}),
        "config": config.given,
        "arms": [_arm(out, config, arm.name, running) for arm in config.arms],
        "paths": [_path(course) for course in running.courses],
        "planned": running.outlook([]).nodes,
        "to_go": running.to_go(),
        "nodes": _nodes(running),
    }
    write_whole(out / STUDY, json.dumps(content, indent=1, default=str))


def _arm(out: Path, config: StudyConfig, name: str, running: Running) -> dict[str, Any]:
    run = next(course.run for course in running.courses if course.run.arm == name)
    path = config_path(run)
    search = run.search
    tolerance = {} if search is None or search.tolerance is None else {"tolerance": search.tolerance}
    return {
        "name": name,
        "config": path,
        "command": f'lightning-prune fit --config "{out / path}"',
        "search": None
        if search is None
        else {"argument": ", ".join(search.values), "values": _tried(search.values), **tolerance},
        **({"soup": {"greedy": search.greedy}} if isinstance(search, AveragedCopies) else {}),
    }


def _tried(values: Mapping[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def _path(course: Course) -> dict[str, Any]:
    nodes = [node.key for node in course.nodes]
    return {
        "arm": course.run.arm,
        "seed": course.run.seed,
        "config": config_path(course.run),
        "nodes": nodes,
        "error": course.error,
    }


def _nodes(running: Running) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for course in running.courses:
        for node in course.candidates:
            result = running.results.get(node.key, {})
            status = "done" if result else "failed" if node.key in running.failed else "waiting"
            one = found.setdefault(
                node.key,
                {
                    "parent": node.parent,
                    "name": node.name,
                    "seed": node.seed,
                    "first": node.first,
                    "last": node.last,
                    "epochs": result.get("epochs", node.epochs),
                    **({"at_most": True} if node.at_most and not result else {}),
                    "seconds": result.get("seconds"),
                    "status": status,
                    "arms": [],
                    "tried": node.tried,
                },
            )
            one["arms"].append(course.run.arm)
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
