"""Signs: fresh magnitudes with trained signs, flipped signs, rewound norms, and how many signs change."""

import json
import re

import pytest
import torch
from fresh_draws import by_hand
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from policies_in_runs import Watch
from resumed_runs import resume_from_every_epoch
from toys import STEPS, Images, Rates, equal, fit, toy

from lightning_prune import (
    CycleCheckpoint,
    FineTune,
    FlipSigns,
    IterativePruning,
    NormRewind,
    OneShot,
    Reinitialize,
    SignChanges,
    SignedReinitialize,
    Structures,
)
from lightning_prune.basics.random_state import seed_of
from lightning_prune.cli import main
from lightning_prune.masks.signs import Signs

NORMS = {"net.1.weight", "net.1.bias"}


class Ends(Callback):
    """The parameters right before each prune, and when the fit is over."""

    def __init__(self):
        self.weights = []

    def on_prune_start(self, trainer, pl_module):
        self.weights.append({name: one.detach().clone() for name, one in pl_module.named_parameters()})

    def on_train_end(self, trainer, pl_module):
        self.on_prune_start(trainer, pl_module)


def run(*callbacks, cycles=2, module=None, pruning=None, **options):
    watch, ends = Watch(), Ends()
    clock = IterativePruning(cycles=cycles, **(pruning or {}))
    fit([clock, *callbacks, watch, ends], module or toy(), **options)
    return clock, watch.at_start, ends.weights


def test_a_cycle_starts_at_fresh_magnitudes_with_the_trained_signs_of_what_lives():
    clock, starts, ends = run(SignedReinitialize(seed=5))
    assert len(starts) == 2
    for index, begun in enumerate(starts, start=1):
        fresh = by_hand(seed_of(5, index))
        for name, trained in ends[index - 1].items():
            if name in NORMS:
                assert torch.equal(begun[name], fresh[name]), "as a new network has them"
                continue
            living = begun[name] != 0
            assert torch.equal(begun[name][living].abs(), fresh[name][living].abs())
            assert torch.equal(begun[name][living].sign(), trained[living].sign())
        assert begun["net.1.running_mean"].abs().sum() == 0
    assert int((starts[1]["net.4.weight"] == 0).sum()) > 100
    assert {name: int(mask.sum()) for name, mask in clock.masks.items()} == {
        name: int((starts[1][name] != 0).sum()) for name in clock.masks
    }, "every weight that the mask keeps has a sign"


def test_the_control_has_the_same_mask_and_magnitudes_and_other_signs():
    signed, control = (run(start(seed=3), cycles=1)[1][0] for start in (SignedReinitialize, Reinitialize))
    for name in ("net.0.weight", "net.4.weight", "net.7.weight"):
        assert torch.equal(signed[name].abs(), control[name].abs())
        assert not torch.equal(signed[name], control[name])


def test_the_signs_of_a_recorded_run_are_those_that_each_of_its_cycles_ended_with(tmp_path):
    _, _, ends = run(
        FineTune(), CycleCheckpoint(dirpath=tmp_path), pruning={"retrain": "1ep"}, enable_checkpointing=True
    )
    _, starts, _ = run(SignedReinitialize(signs_from=tmp_path), FineTune(), pruning={"masks_from": tmp_path})
    for index, begun in enumerate(starts, start=1):
        trained = ends[index]  # the end of the dense run is the first
        for name in ("net.0.weight", "net.4.weight", "net.7.weight", "net.7.bias"):
            assert torch.equal(begun[name].sign(), trained[name].sign()), "dead weights, too"


def test_a_record_that_lacks_a_cycle_or_is_of_another_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"SignedReinitialize\(signs_from='.*none'\): there is no such folder"):
        run(SignedReinitialize(signs_from=tmp_path / "none"))
    run(FineTune(), CycleCheckpoint(dirpath=tmp_path), cycles=1, pruning={"retrain": "1ep"}, enable_checkpointing=True)
    with pytest.raises(ValueError, match=r"has no checkpoint of cycle 2; it has those of 1"):
        run(SignedReinitialize(signs_from=tmp_path))
    with pytest.raises(ValueError, match=r"is of another network: '.*' lacks net\.1\.weight"):
        run(SignedReinitialize(signs_from=tmp_path), cycles=1, module=toy(plain=True))


def test_flipped_signs_are_as_many_as_asked_for_of_living_weights_and_nothing_else():
    _, plain, _ = run(FineTune(), pruning={"retrain": "1ep"}, cycles=1)
    clock, flipped, _ = run(FlipSigns(fraction=0.25, seed=2), FineTune(), pruning={"retrain": "1ep"}, cycles=1)
    for name, mask in clock.masks.items():
        differ = plain[0][name] != flipped[0][name]
        assert int(differ.sum()) == round(0.25 * int(mask.sum()))
        assert torch.equal(plain[0][name].abs(), flipped[0][name].abs())
    assert torch.equal(plain[0]["net.0.bias"], flipped[0]["net.0.bias"])


def test_other_seeds_and_cycles_flip_other_weights():
    runs = [run(FlipSigns(0.5, seed), FineTune(), pruning={"retrain": "1ep"}, cycles=1)[1][0] for seed in (0, 0, 1)]
    assert equal(runs[0], runs[1])
    assert not torch.equal(runs[0]["net.4.weight"], runs[2]["net.4.weight"])


def test_rewound_norms_are_those_of_the_point_and_everything_else_is_kept():
    start, (_, starts, ends) = toy(), run(NormRewind())
    for index, begun in enumerate(starts):
        for name, parameter in start.named_parameters():
            living = begun[name] != 0
            kept = parameter if name in NORMS else ends[index][name]
            assert torch.equal(begun[name][living], kept[living].detach()), name
        assert begun["net.1.running_mean"].abs().sum() > 0, "statistics are kept"
    late = run(NormRewind(to="1ep"))[1][0]
    assert not torch.equal(late["net.1.weight"], torch.ones(4)), "one epoch of training has moved them"


def test_rewound_norms_replay_the_dense_run():
    rates = Rates()
    fit([IterativePruning(cycles=1), NormRewind(), rates], toy())
    assert rates.lr()[4 * STEPS :] == rates.lr()[: 4 * STEPS]


def test_a_network_without_norms_is_refused():
    with pytest.raises(ValueError, match="NormRewind has nothing to rewind: Toy has no normalization layer"):
        run(NormRewind(), module=toy(plain=True))


@pytest.mark.parametrize("make", [SignedReinitialize, NormRewind], ids=lambda make: make.__name__)
def test_stopped_at_any_epoch_end_it_ends_the_same(tmp_path, make):
    resume_from_every_epoch(tmp_path, make, retrain=None)


@pytest.mark.parametrize("make", [FlipSigns, SignChanges], ids=lambda make: make.__name__)
def test_what_stands_beside_them_ends_the_same_too(tmp_path, make):
    resume_from_every_epoch(tmp_path, make)


def by_hand_changes(one, other, masks):
    """The share, counted weight by weight."""
    changed = [
        now * then < 0
        for name in ("net.0.weight", "net.4.weight", "net.7.weight")
        for now, then, lives in zip(
            one[name].flatten().tolist(),
            other[name].flatten().tolist(),
            masks.get(name, torch.ones_like(one[name])).flatten().tolist(),
            strict=True,
        )
        if lives
    ]
    return sum(changed) / len(changed)


def test_the_shares_are_those_counted_by_hand_in_the_record_and_in_the_report(tmp_path, capsys):
    logger = CSVLogger(tmp_path, name="run", version=0)
    start = {name: one.detach().clone() for name, one in toy().named_parameters()}
    clock, starts, ends = run(SignChanges(), FineTune(), pruning={"retrain": "2ep"}, logger=logger)
    record = json.loads((tmp_path / "run" / "version_0" / "pruning.json").read_text())
    assert record["finished"]
    assert [one["cycle"] for one in record["signs"]] == [0, 1, 2]
    living = [{}, {name: starts[0][name] != 0 for name in clock.masks}, clock.masks]
    for cycle, one in enumerate(record["signs"]):
        assert one["signs_from_initial"] == pytest.approx(by_hand_changes(ends[cycle], start, living[cycle]))
        before = ends[cycle - 1] if cycle else start
        assert one["signs_from_before"] == pytest.approx(by_hand_changes(ends[cycle], before, living[cycle]))
    assert record["signs"][0]["signs_from_initial"] > 0
    main(["report", str(tmp_path / "run")])
    printed = capsys.readouterr().out
    assert re.search(r"signs +signs", printed)
    assert re.search(r"changed +changed in all", printed)
    table = (tmp_path / "run" / "version_0" / "report" / "cycles.csv").read_text().splitlines()
    assert "signs_from_initial" in table[0]
    page = (tmp_path / "run" / "version_0" / "report" / "index.html").read_text()
    assert ">signs changed in all<" in page


def test_measuring_signs_changes_nothing_of_the_training():
    ends = [run(*beside, FineTune(), pruning={"retrain": "1ep"})[2] for beside in ((), (SignChanges(),))]
    assert equal(ends[0], ends[1])


def test_zero_has_no_sign():
    signs = Signs.of({"w": torch.tensor([1.0, 0.0, -1.0, -1.0])})
    now = torch.tensor([0.0, -1.0, 1.0, 1.0])
    assert signs.share_differing({"w": now}, {}) == 0.5
    assert signs.share_differing({"w": now}, {"w": torch.tensor([1, 1, 1, 0])}) == pytest.approx(1 / 3)


@pytest.mark.parametrize("start", [SignedReinitialize(), NormRewind(), FlipSigns(0.3), SignChanges()], ids=repr)
def test_they_go_with_whole_structures(start):
    pruning = {
        "granularity": Structures(),
        "sparsity": OneShot(0.4),
        "retrain": None if hasattr(start, "to") else "1ep",
    }
    policy = () if hasattr(start, "to") else (FineTune(),)
    clock, starts, _ = run(start, *policy, cycles=1, pruning=pruning, data=Images())
    assert starts[0]["net.0.weight"].isfinite().all()
    assert any(int((~mask).sum()) for mask in clock.masks.values())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FlipSigns(fraction=0), r"FlipSigns\(fraction=0\) must lie above 0"),
        (lambda: FlipSigns(seed=-1), r"FlipSigns\(seed=-1\) is no seed"),
        (lambda: SignedReinitialize(seed=-1), r"SignedReinitialize\(seed=-1\) is no seed"),
        (lambda: NormRewind(to="soon"), r"NormRewind\(to='soon'\)"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
