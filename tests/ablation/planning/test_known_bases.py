"""Configs that differ in callbacks are resolved from a known base: to the same, and with the same errors."""

import pytest
from studies import study

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.config.arm_changes import changed
from lightning_prune.ablation.planning import known_bases
from lightning_prune.ablation.planning.arm_runs import lay_out
from lightning_prune.ablation.planning.known_bases import KnownBases
from lightning_prune.ablation.planning.node_content import notes_of
from lightning_prune.ablation.planning.resolving import resolve, with_seed

ARMS = {
    "default policy": {},
    "fine-tuned": {"policy": "FineTune"},
    "rewound": {"start": {"class_path": "WeightRewind", "init_args": {"to": "1ep"}}},
    "redrawn": {"start": "Reinitialize", "pruning.retrain": None},
    "clock": {"pruning": {"cycles": 3, "sparsity": {"class_path": "Geometric", "init_args": {"fraction": 0.5}}}},
    "criterion": {"pruning.criterion": "movement", "policy": "OneCycleRetrain"},
    "during": {"pruning": {"during": "0ep:2ep", "retrain": "1ep"}},
    "steps": {"pruning.retrain": "5it"},
    "saving": {"trainer.callbacks+": "CycleCheckpoint"},
    "stopping": {
        "callbacks": {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/loss"}}
    },
    "other model": {"model.network.width": 8},
}


def config_of(changes, seed=3):
    return with_seed(changed(study({})["base"], changes, "arm"), seed)


@pytest.fixture(scope="module")
def known():
    found = KnownBases()
    found.resolve(config_of({"policy": "LRRewind"}), "first")
    return found


@pytest.mark.parametrize("name", [name for name in ARMS if name != "saving"])
def test_a_config_resolved_from_a_known_base_is_that_of_a_whole_parsing(name, known):
    config = config_of(ARMS[name])
    quick, whole = known.resolve(config, "arm"), resolve(config, "arm")
    assert quick.config == whole.config
    assert quick.stretches == whole.stretches
    assert [type(one) for one in quick.callbacks] == [type(one) for one in whole.callbacks]
    assert (quick.code, quick.data, quick.data_settings, quick.shapes) == (
        whole.code,
        whole.data,
        whole.data_settings,
        whole.shapes,
    )
    assert notes_of(quick) == notes_of(whole)


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy": {"class_path": "OneCycleRetrain", "init_args": {"max_lr": -1.0}}},
        {"pruning.cycles": -2},
        {"pruning.retrain": "15 apples"},
    ],
)
def test_an_error_is_that_of_a_whole_parsing(wrong, known):
    config, said = config_of(wrong), []
    for one in (known.resolve, resolve):
        with pytest.raises(ValueError, match="arm 'x'") as error:
            one(config, "arm 'x'")
        said.append(str(error.value))
    assert said[0] == said[1]


def test_arms_with_other_callbacks_are_not_parsed_as_a_whole(monkeypatch):
    parsed, whole = [], known_bases.resolve_whole
    monkeypatch.setattr(known_bases, "resolve_whole", lambda *given: parsed.append(given[1]) or whole(*given))
    policies = ("FineTune", "LRRewind", "OneCycleRetrain", "ScaledRestart")
    arms = Ablation.from_config(study({one: {"policy": one} for one in policies}, seeds=[0, 1])).config
    runs = lay_out(arms.base, arms.arms, arms.seeds)
    assert len(runs) == 8
    assert len(parsed) == 1
    assert runs[0].nodes() == runs[0].nodes()
    assert runs[0].nodes()[0].key == runs[2].nodes()[0].key, "the dense run is shared"
