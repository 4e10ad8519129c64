"""Random configurations: a case is a handful of words and numbers, drawn from one seed."""

from dataclasses import asdict, dataclass, replace
from random import Random


@dataclass(frozen=True)
class Case:
    """What one fit is made of; the defaults are the plainest."""

    network: str = "mlp"
    dropout: float = 0.0
    optimizer: str = "sgd"
    groups: int = 1
    scheduler: str = "none"
    interval: str = "epoch"
    policy: str = "fine-tune"
    start: str = "kept"
    beside: tuple[str, ...] = ()
    criterion: str = "magnitude"
    allocation: str = "globally"
    sparsity: str = "geometric"
    cycles: int = 2
    retrain: str | None = "1ep"
    epochs: int | None = 2
    steps: int | None = None
    min_epochs: int | None = None
    accumulate: int | str = 1
    clip: float | None = None
    precision: str = "32-true"
    val_interval: float | int | None = None
    val_every: int | None = 1
    val_batches: float | int = 1.0
    train_batches: int | None = None
    patience: int | None = None
    stops: str = "cycle"
    average: str | None = None
    during: str | None = None
    dense_run: str | None = None
    optimizer_state: str = "mask"
    loader: str = "keeps its place"
    reload: int = 0
    sanity: int = 0
    samples: int = 32
    batch: int = 8
    granularity: str = "weights"
    measure: str = "weights"

    def __str__(self) -> str:
        plain = asdict(Case())
        return ", ".join(f"{name}={value!r}" for name, value in asdict(self).items() if value != plain[name])


def draw(seed: int) -> Case:
    """The case of a seed."""
    random = Random(seed)
    drawn = {**_network(random), **_training(random), **_pruning(random), **_length(random), **_around(random)}
    return Case(**_without_retraining(_sensible(drawn, random), random))


def draw_units(seed: int) -> Case:
    """The case of a seed with larger units than weights, drawn apart so that the other cases stay what they are."""
    case, random = draw(seed), Random(f"units {seed}")
    plain = {"criterion": "magnitude"} if case.criterion == "filters" else {}
    plain |= {"allocation": "globally"} if case.allocation == "whole" else {}
    measures = ["weights", "units"] if case.network in ("recurrent", "twins") else ["weights", "units", "flops"]
    units = random.choice(["filters", "filters l2", "blocks", "blocks max", "structures", "structures 2"])
    if case.network in ("twins", "shared") and "structures" in units:  # has no groups, or no loss to follow
        units = "filters"
    return replace(case, **plain, granularity=units, measure=random.choice(measures))


def _network(r: Random) -> dict:
    return {
        "network": r.choice(["mlp", "mlp", "conv", "recurrent", "shared", "twins"]),
        "dropout": r.choice([0.0, 0.2]),
        "samples": r.choice([32, 29, 24]),
    }


def _training(r: Random) -> dict:
    optimizers = ["sgd", "sgd", "adamw", "adamw", "adam", "nesterov", "rmsprop", "nadam", "asgd", "radam", "adagrad",
                  "adamax", "adadelta", "rprop", "adafactor", "lbfgs"]  # fmt: skip
    schedulers = ["none", "steps", "plateau", "plateau", "one cycle", "cosine", "exponential", "warm", "in turn"]
    return {
        "optimizer": r.choice(optimizers),
        "groups": r.choice([1, 1, 2]),
        "scheduler": r.choice(schedulers),
        "interval": r.choice(["epoch", "step"]),
        "accumulate": r.choice([1, 1, 1, 2, 3, "schedule"]),
        "clip": r.choice([None, None, 0.5]),
        "precision": r.choice(["32-true"] * 5 + ["bf16-mixed", "64-true", "bf16-true", "scaled"]),
    }


def _pruning(r: Random) -> dict:
    policies = ["fine-tune", "fine-tune at", "rewind", "rewind to", "constant", "restart", "scaled", "scaled steps",
                "cyclic", "one cycle", "linear", "adaptive", "cosine", "silo", "warm", "cyclical", "s-cyclical",
                "aware", "own"]  # fmt: skip
    criteria = ["magnitude", "magnitude", "random", "gradient", "taylor", "snip", "grasp", "synflow", "movement",
                "epoch change", "increase", "batches", "filters"]  # fmt: skip
    return {
        "policy": r.choice(policies),
        "start": r.choice(["kept", "kept", "rewound", "rewound to", "rewound steps", "fresh", "scratch"]),
        "beside": tuple(one for one in ("norm", "some") if r.random() < 0.15),
        "criterion": r.choice(criteria),
        "allocation": r.choice(["globally", "globally", "layerwise", "erk", "lamp", "floor", "rates"]),
        "sparsity": r.choice(["geometric", "once", "linear", "cubic", "levels", "flat"]),
        "cycles": r.choice([1, 2, 2, 3]),
        "optimizer_state": r.choice(["mask", "mask", "reset", "keep"]),
    }


def _length(r: Random) -> dict:
    epochs, steps = r.choice([(2, None), (2, None), (3, None), (None, 7), (None, 5), (2, 6), (2, 100)])
    return {
        "epochs": epochs,
        "steps": steps,
        "retrain": r.choice(["1ep", "1ep", "2ep", "3it", "6it", None]),
        "min_epochs": r.choice([None, None, None, 2]),
        "during": r.choice(["1ep:3ep", "2it:6it", "0ep:2ep"]) if r.random() < 0.12 else None,
        "dense_run": r.choice(["file", "length"]) if r.random() < 0.12 else None,
    }


def _around(r: Random) -> dict:
    interval, every = r.choice([(None, 1)] * 4 + [(0.5, 1), (2, 1), (3, 1), (None, 2), (3, None), (5, None)])
    return {
        "val_interval": interval,
        "val_every": every,
        "val_batches": r.choice([1.0, 1.0, 1.0, 0, 1]),
        "train_batches": r.choice([None, None, None, 3]),
        "patience": r.choice([None, None, 0, 0, 1]),
        "stops": r.choice(["cycle", "cycle", "run"]),
        "average": r.choice([None, None, None, "exponential", "mean"]),
        "loader": r.choice(["keeps its place", "keeps its place", "keeps its place", "plain"]),
        "reload": r.choice([0, 0, 0, 1]),
        "sanity": r.choice([0, 0, 1]),
    }


def _sensible(case: dict, r: Random) -> dict:
    """The same, without most of what is refused anyway."""
    if case["during"]:
        case |= {"policy": "fine-tune", "start": "kept", "retrain": None, "dense_run": None}
        case |= {"epochs": None, "steps": 11} if "it" in case["during"] else {"epochs": 4, "steps": None}
    if case["dense_run"]:
        case |= {"epochs": 2, "steps": None, "min_epochs": None}
    if case["policy"] in ("rewind", "rewind to") or case["start"] == "scratch":
        case["retrain"] = None
    if case["policy"] == "scaled":
        case |= {"retrain": "2ep", "epochs": 2, "steps": None}
    if case["accumulate"] == "schedule":
        case |= {"epochs": case["epochs"] or 2, "steps": None, "start": "kept"}
        case["retrain"] = case["retrain"] if "ep" in str(case["retrain"]) else "2ep"
    if case["network"] not in ("mlp", "conv"):
        case["beside"] = tuple(one for one in case["beside"] if one != "norm")
    if case["criterion"] == "filters":
        case["allocation"] = r.choice(["globally", "whole"])
    if case["optimizer"] == "lbfgs":
        case |= {"groups": 1, "clip": None, "precision": "32-true"}
    return case | (_by_hand(case, r) if case["network"] == "twins" else {})


def _without_retraining(case: dict, r: Random) -> dict:
    """Some of those that may prune at the end of the dense run and train no more, drawn last of all."""
    if r.random() < 0.1 and not case["during"] and case["start"] != "scratch" and "rewind" not in case["policy"]:
        case |= {"cycles": 1, "retrain": "0ep", "policy": "fine-tune" if case["policy"] == "scaled" else case["policy"]}
    return case


def _by_hand(case: dict, r: Random) -> dict:
    """What two optimizers allow."""
    criterion = r.choice(["magnitude", "random", "movement", "increase"])
    plain = {"accumulate": 1, "clip": None, "groups": 1, "steps": None, "epochs": case["epochs"] or 2}
    optimizer = "sgd" if case["optimizer"] == "lbfgs" else case["optimizer"]
    scheduler = "none" if case["scheduler"] == "none" else "steps"
    allocation = "globally" if case["allocation"] == "whole" else case["allocation"]
    beside = tuple(one for one in case["beside"] if one != "norm")
    during = case["during"] if "ep" in str(case["during"]) else None
    return plain | {"criterion": criterion, "optimizer": optimizer, "scheduler": scheduler, "allocation": allocation,
                    "beside": beside, "during": during}  # fmt: skip
