"""Masks of another run: a cycle takes the recorded ones, as they are or shuffled, and scores nothing."""

import shutil

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from toys import Images, Toy, equal, fit, toy

from lightning_prune import (
    CycleCheckpoint,
    IterativePruning,
    Levels,
    Prunable,
    Recorded,
    Reinitialize,
    WeightRewind,
    random,
    save_ticket,
)

CYCLES = 3
LEVELS = Levels([0.3, 0.5, 0.7])


class Seen(Callback):
    """The masks and the weights with which every cycle begins, and its sparsity."""

    def __init__(self):
        self.masks, self.weights, self.sparsities = [], [], []

    def on_cycle_start(self, trainer, pl_module, cycle):
        clock = next(one for one in trainer.callbacks if isinstance(one, IterativePruning))
        self.masks.append({name: mask.clone() for name, mask in clock.masks.items()})
        self.sparsities.append(cycle.sparsity)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if len(self.weights) < len(self.masks):
            self.weights.append({name: one.clone() for name, one in pl_module.state_dict().items()})


class Forbidden(ModelCheckpoint):
    """Fails where a batch is trained."""

    def on_train_batch_end(self, *_):
        raise AssertionError("a batch was trained")


@pytest.fixture(scope="module")
def ticket(tmp_path_factory):
    """The folder of a run of lottery tickets, and what was seen in it."""
    folder, seen = tmp_path_factory.mktemp("runs") / "ticket", Seen()
    pruning = IterativePruning(cycles=CYCLES, retrain="2ep", sparsity=LEVELS)
    fit([pruning, WeightRewind(to=0), CycleCheckpoint(dirpath=str(folder)), seen], toy(), max_epochs=2)
    return folder, seen


def follow(masks_from, beside=(), cycles=CYCLES, retrain="2ep", **options):
    seen = Seen()
    pruning = IterativePruning(cycles=cycles, retrain=retrain, masks_from=masks_from, **options.pop("pruning", {}))
    trainer = fit([pruning, *beside, seen], **{"module": toy(), "max_epochs": 2, **options})
    return seen, trainer


def refused(match, masks_from, **options):
    with pytest.raises(ValueError, match=match):
        follow(masks_from, [Forbidden()], **options)


def test_a_control_has_the_masks_of_the_ticket_in_every_cycle_and_weights_of_its_own(ticket):
    folder, leader = ticket
    seen, _ = follow(folder, [Reinitialize(seed=1)])
    assert equal(seen.masks, leader.masks)
    assert seen.sparsities == leader.sparsities == [0.3, 0.5, 0.7]
    for mine, theirs in zip(seen.weights, leader.weights, strict=True):
        assert not torch.equal(mine["net.4.weight"], theirs["net.4.weight"])
        assert torch.equal(mine["net.4.weight"] == 0, theirs["net.4.weight"] == 0)
    other, _ = follow(folder, [Reinitialize(seed=2)])
    assert equal(other.masks, leader.masks)
    assert not equal(other.weights, seen.weights)
    pruned, _ = follow(None, [Reinitialize(seed=1)], pruning={"sparsity": LEVELS})
    assert equal(pruned.masks[0], leader.masks[0])
    assert not equal(pruned.masks[1], leader.masks[1]), "without it, the fresh weights decide"


@pytest.mark.parametrize("shuffle", ["layerwise", "globally", "even"])
def test_a_random_control_is_trained_with_the_shuffled_masks_of_every_cycle(ticket, shuffle):
    folder, leader = ticket
    source = Recorded(str(folder), shuffle)
    seen, _ = follow(source, [WeightRewind(to=0)], retrain="1ep", max_epochs=1, pruning={"seed": 1})
    chains = [
        source({name: toy().get_parameter(name).shape for name in leader.masks[0]}, CYCLES, seed) for seed in (0, 1)
    ]
    for cycle, masks in enumerate(seen.masks, start=1):
        assert equal(masks, chains[1].masks(cycle))
        assert not equal(masks, chains[0].masks(cycle))
        counts = [{name: int(mask.sum()) for name, mask in one.items()} for one in (masks, leader.masks[cycle - 1])]
        assert sum(counts[0].values()) == sum(counts[1].values())
        assert (counts[0] == counts[1]) == (shuffle == "layerwise")
    assert seen.sparsities == leader.sparsities


@pytest.mark.parametrize("epoch", [1, 3, 6])
def test_a_run_that_follows_resumes_exactly(ticket, tmp_path, epoch):
    def made():
        module = toy()
        saver = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, every_n_epochs=1)
        pruning = IterativePruning(cycles=CYCLES, retrain="2ep", masks_from=Recorded(str(ticket[0]), "globally"))
        return module, [pruning, Reinitialize(), saver]

    whole, callbacks = made()
    fit(callbacks, whole, Images(shuffle=True), max_epochs=2)
    resumed, callbacks = made()
    fit(callbacks, resumed, Images(shuffle=True), ckpt_path=tmp_path / f"epoch={epoch}.ckpt", max_epochs=2)
    assert equal(whole.state_dict(), resumed.state_dict())


def test_resumed_elsewhere_it_is_the_masks_that_have_to_be_the_same(ticket, tmp_path):
    folder = shutil.copytree(ticket[0], tmp_path / "moved")
    _, trainer = follow(ticket[0])
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    follow(folder, ckpt_path=tmp_path / "end.ckpt")
    with pytest.raises(ValueError, match=r"masks_from: the checkpoint has .*ticket.*, this run .*shuffle='even'"):
        follow(Recorded(str(folder), "even"), ckpt_path=tmp_path / "end.ckpt")
    with pytest.raises(ValueError, match=r"masks_from: the checkpoint has .*ticket.*, this run None"):
        follow(None, pruning={"sparsity": LEVELS}, ckpt_path=tmp_path / "end.ckpt")


def test_a_record_may_be_tickets_or_files_in_any_folders_under_any_names(ticket, tmp_path):
    folder, leader = ticket
    (tmp_path / "a").mkdir()
    for cycle, path in enumerate(sorted(folder.glob("cycle=0[1-3]*"))):
        if cycle:
            save_ticket(tmp_path / "a" / f"{3 - cycle}.safetensors", path)
        else:
            shutil.copy(path, tmp_path / "first.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "weights.ckpt")
    for run in (str(tmp_path), [str(tmp_path / "first.ckpt"), str(tmp_path / "a")]):
        assert equal(follow(Recorded(run))[0].masks, leader.masks)


def test_a_record_that_does_not_fit_is_refused_before_the_first_batch(ticket, tmp_path):
    folder, _ = ticket
    refused(r"masks_from='.*nowhere'\): there is no '.*nowhere'", tmp_path / "nowhere")
    refused(r"has no masks of cycle 1, 2, 3; it has those of none\. Record the run with CycleCheckpoint", tmp_path)
    refused(r"has no masks of cycle 4, 5; it has those of 1, 2, 3\. .*ask for fewer cycles", folder, cycles=5)
    refused(r"another network: .*net\.0\.weight", folder, module=Toy(plain=True))
    only = {"prunable": Prunable(exclude=["net.7"])}
    refused(r"another network: net\.7\.weight is prunable in one of the two only", folder, pruning=only)
    others = {"pruning": {"sparsity": Levels([0.3, 0.55, 0.7])}}
    refused(r"asks for sparsity 0\.55 in cycle 2, and the run that masks_from names has 0\.5 there", folder, **others)
    follow(folder, pruning={"sparsity": LEVELS})


def test_a_damaged_record_and_one_of_two_runs_are_refused(ticket, tmp_path):
    folder = shutil.copytree(ticket[0], tmp_path / "both")
    content = bytearray((path := next(folder.glob("cycle=02*"))).read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(r"cycle=02.*' is damaged", folder)
    path.unlink()
    follow(folder, cycles=1)
    pruning = IterativePruning(cycles=2, retrain="1ep", sparsity=Levels([0.3, 0.5]), criterion=random)
    fit([pruning, CycleCheckpoint(dirpath=str(folder / "other"))], toy(), max_epochs=1)
    refused(r"other masks of cycle 1 in '.*' than in '.*': they are of different runs", folder, cycles=2)
    for one in [*folder.glob("other/cycle=00*"), *folder.glob("other/cycle=01*"), *folder.glob("cycle=0[03]*")]:
        one.unlink()
    refused(r"dead in cycle 1 live in cycle 2\. They are not of one run", folder, cycles=2)


def test_masks_of_a_run_do_not_revive_what_is_dead_from_the_start(ticket):
    module = toy()
    with torch.no_grad():
        module.net[4].weight[:, :10] = 0
    refused(r"lets weights of 'net.4.weight' live in cycle 1 that are dead from the start", ticket[0],
            module=module, pruning={"initial_masks": "zeros"})  # fmt: skip


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (3, r"IterativePruning\(masks_from=3\) is no record of a run: give its folder"),
        ("", r"IterativePruning\(masks_from=''\) is no record"),
    ],
)
def test_what_is_no_record_is_refused_when_it_is_made(given, match):
    with pytest.raises(ValueError, match=match):
        IterativePruning(masks_from=given)
    with pytest.raises(ValueError, match=r"Recorded\(shuffle='random'\) is unknown: give 'layerwise', 'globally', 'e"):
        Recorded("runs/ticket", shuffle="random")


@pytest.mark.parametrize(
    "given",
    [
        "runs/ticket",
        Recorded("runs/ticket", shuffle="even"),
        Recorded(["a/cycle=01.ckpt", "b"], shuffle="layerwise"),
    ],
)
def test_a_config_carries_a_record_and_its_dump_makes_the_same(given):
    written = given if isinstance(given, str) else {
        "class_path": "lightning_prune.Recorded", "init_args": {"run": given.run, "shuffle": given.shuffle}
    }  # fmt: skip
    parser = ArgumentParser()
    parser.add_class_arguments(IterativePruning, "pruning")
    parsed = parser.parse_object({"pruning": {"masks_from": written}})
    again = parser.parse_string(parser.dump(parsed))
    make = getattr(parser, "instantiate", None) or parser.instantiate_classes  # its name before jsonargparse 4.49
    assert [make(one).pruning.masks_from for one in (parsed, again)] == [given, given]


def test_following_scores_nothing_and_runs_inside_the_dense_run_too(ticket):
    def fails(weight, evidence):
        raise AssertionError("asked")

    folder, leader = ticket
    seen = Seen()
    pruning = IterativePruning(cycles=3, retrain="1ep", during="0ep:3ep", criterion=fails, masks_from=str(folder))
    fit([pruning, seen], toy())
    assert equal(seen.masks, leader.masks)
