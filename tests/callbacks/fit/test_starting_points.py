"""Where a fit can start: from a dense run that is over, from a network that is sparse already, from a ticket."""

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from policies_in_runs import POLICIES
from resumed_runs import SCHEDULERS
from sparse_starts import PRUNABLE, SIZE, zeros
from toys import STEPS, Images, Rates, Toy, equal, fit, one_cycle_lr, step_decay, toy

from lightning_prune import (
    FineTune,
    Geometric,
    IterativePruning,
    LRRewind,
    OneCycleRetrain,
    OneShot,
    WeightRewind,
    layerwise,
    load_ticket,
    save_ticket,
)


def length(policy):
    return None if policy[0].rewind_point is not None else "2ep"


def dense(tmp_path, scheduler=step_decay, beside=(), pruning=True, **options):
    """Train a dense network, with or without the callbacks, and save it whole."""
    callbacks = [IterativePruning(cycles=0), *beside] if pruning else []
    trainer = fit(callbacks, toy(scheduler=scheduler, groups=(1.0, 0.5)), Images(shuffle=True), **options)
    trainer.save_checkpoint(tmp_path / "dense.ckpt")
    return tmp_path / "dense.ckpt"


@pytest.mark.parametrize("scheduler", ["steps", "one cycle", "plateau", "none"])
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_cycles_after_a_dense_run_of_another_fit_equal_those_of_one_fit(policy, scheduler, tmp_path):
    rates, later = Rates(), Rates()
    make = SCHEDULERS[scheduler]
    one = toy(scheduler=make, groups=(1.0, 0.5))
    fit([IterativePruning(cycles=2, retrain=length(policy())), *policy(), rates], one, Images(shuffle=True))
    rewinds = [callback for callback in policy() if isinstance(callback, WeightRewind)]
    path = dense(tmp_path, make, rewinds)
    other = toy(scheduler=make, groups=(1.0, 0.5))
    pruning = IterativePruning(cycles=2, retrain=length(policy()), dense_run=path)
    trainer = fit([pruning, *policy(), later], other, Images(shuffle=True), max_epochs=0)
    assert later.steps == rates.steps[4 * STEPS :]
    assert equal(one.state_dict(), other.state_dict())
    assert trainer.max_epochs == 0


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 4}])
@pytest.mark.parametrize("scheduler", [step_decay, one_cycle_lr, None])
@pytest.mark.parametrize("policy", [LRRewind, FineTune, OneCycleRetrain])
def test_the_rates_of_a_dense_run_are_found_without_training_it(policy, scheduler, options):
    rates, later = Rates(), Rates()
    fit([IterativePruning(cycles=2, retrain="2ep"), policy(), rates], toy(scheduler=scheduler), **options)
    pruning = IterativePruning(cycles=2, retrain="2ep", dense_run="4ep")
    fit([pruning, policy(), later], toy(scheduler=scheduler), max_epochs=0, **options)
    per_epoch = 2 if options else STEPS
    assert len(later.steps) == 4 * per_epoch
    assert later.steps == rates.steps[4 * per_epoch :]


def test_a_checkpoint_of_a_run_without_our_callbacks_has_its_rates_found_too(tmp_path):
    rates, later = Rates(), Rates()
    fit([IterativePruning(cycles=1, retrain="3ep"), LRRewind(), rates], toy(groups=(1.0, 0.5)))
    path = dense(tmp_path, pruning=False)
    module = toy(groups=(1.0, 0.5))
    fit([IterativePruning(cycles=1, retrain="3ep", dense_run=path), LRRewind(), later], module, max_epochs=0)
    assert later.steps == rates.steps[4 * STEPS :]
    assert zeros(module) == SIZE - round(0.8 * SIZE)


def test_a_fit_that_began_with_a_dense_run_of_before_resumes_bit_for_bit(tmp_path):
    path = dense(tmp_path)

    def run(folder, ckpt_path=None):
        keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        module = toy(groups=(1.0, 0.5))
        pruning = IterativePruning(cycles=2, retrain="2ep", dense_run=path)
        fit(
            [pruning, LRRewind(), keep],
            module,
            Images(shuffle=True),
            ckpt_path,
            max_epochs=0,
            enable_checkpointing=True,
        )
        return module.state_dict()

    whole = run(tmp_path / "whole")
    for epoch in range(3):
        assert equal(run(tmp_path / f"from {epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt"), whole)


def test_more_cycles_go_on_from_a_checkpoint_that_was_saved_after_the_fit(tmp_path):
    one, rates, later = toy(), Rates(), Rates()
    fit([IterativePruning(cycles=3, retrain="1ep"), rates], one, Images(shuffle=True))
    fit([IterativePruning(cycles=1, retrain="1ep")], toy(), Images(shuffle=True)).save_checkpoint(tmp_path / "x.ckpt")
    other = toy()
    fit([IterativePruning(cycles=3, retrain="1ep"), later], other, Images(shuffle=True), tmp_path / "x.ckpt")
    assert later.steps == rates.steps[5 * STEPS :]
    assert equal(one.state_dict(), other.state_dict())


def refused(message, *callbacks, module=None, **options):
    with pytest.raises(ValueError, match=message):
        fit([*callbacks], module or toy(), **{"max_epochs": 0, **options})


def test_dense_runs_that_cannot_serve_are_refused_before_training(tmp_path):
    path = dense(tmp_path)
    with pytest.raises(ValueError, match=r"dense_run='160 epochs'\) is neither a length, such as '160ep', nor a file"):
        IterativePruning(dense_run="160 epochs")
    given = IterativePruning(cycles=1, retrain="1ep", dense_run="4ep")
    refused(r"says that the dense run is over, but Trainer\(max_epochs=3", given, max_epochs=3)
    given = IterativePruning(cycles=1, dense_run=path)
    refused(
        r"WeightRewind\(to='1ep'\) needs the weights of that point",
        given,
        WeightRewind("1ep"),
        module=toy(groups=(1.0, 0.5)),
    )
    plateau = toy(scheduler=SCHEDULERS["plateau"])
    refused(
        "ReduceLROnPlateau depends on what is measured",
        IterativePruning(retrain="1ep", dense_run="4ep"),
        module=plateau,
    )
    fit([ModelCheckpoint(tmp_path, filename="weights", save_weights_only=True)], toy(), enable_checkpointing=True)
    with pytest.raises(ValueError, match="holds weights only .*dense_run='160ep'"):
        IterativePruning(dense_run=tmp_path / "weights.ckpt")
    fit([IterativePruning(cycles=1, retrain="1ep")], toy()).save_checkpoint(tmp_path / "pruned.ckpt")
    with pytest.raises(ValueError, match="is a checkpoint of cycle 1, whose network is pruned"):
        IterativePruning(dense_run=tmp_path / "pruned.ckpt")


def test_resuming_from_weights_alone_is_refused_with_the_way_to_start_from_them(tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="weights", save_weights_only=True)
    fit([IterativePruning(cycles=1, retrain="1ep"), keep], toy(), enable_checkpointing=True)
    callbacks = [IterativePruning(cycles=1, retrain="1ep")]
    message = (
        r"save_weights_only=True.*Trainer\(max_epochs=0\) with IterativePruning\(retrain='15ep', dense_run='160ep'\)"
    )
    with pytest.raises(ValueError, match=message):
        fit(callbacks, toy(), ckpt_path=tmp_path / "weights.ckpt")
    module = toy()
    module.load_state_dict(torch.load(tmp_path / "weights.ckpt", weights_only=True)["state_dict"])
    dead = zeros(module)
    pruning = IterativePruning(
        cycles=1, retrain="1ep", sparsity=Geometric(0.5, initial=dead / SIZE), dense_run="4ep", initial_masks="zeros"
    )
    fit([pruning, LRRewind()], module, max_epochs=0)
    assert zeros(module) == SIZE - round(0.5 * (SIZE - dead))


class StaySparse(Rates):
    """Notes how many weights are zero after every batch."""

    def __init__(self):
        super().__init__()
        self.zeros = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.zeros.append(zeros(pl_module))


def sparse():
    """A network with zeros, and how many."""
    module = toy()
    with torch.no_grad():
        module.net[4].weight[:, ::2] = 0
        module.net[0].weight[0] = 0
    return module, 329


def test_a_network_that_is_sparse_already_keeps_its_zeros_and_is_pruned_further():
    module, dead = sparse()
    dead_before = {name: module.get_parameter(name) == 0 for name in PRUNABLE}
    watch = StaySparse()
    schedule = Geometric(fraction=0.2, initial=dead / SIZE)
    pruning = IterativePruning(cycles=2, retrain="1ep", sparsity=schedule, initial_masks="zeros")
    fit([pruning, LRRewind(), watch], module)
    alive = SIZE - dead
    expected = [dead] * 4 * STEPS + [SIZE - round(0.8 * alive)] * STEPS + [SIZE - round(0.64 * alive)] * STEPS
    assert watch.zeros == expected
    for name, mask in dead_before.items():
        assert not module.get_parameter(name)[mask].any()


def test_a_schedule_that_would_bring_weights_back_is_refused():
    module, _ = sparse()
    pruning = IterativePruning(cycles=2, retrain="1ep", initial_masks="zeros")
    with pytest.raises(
        ValueError, match=r"asks for sparsity 0.2 in cycle 1, but .*0.466 .*Geometric\(fraction=0.2, initial=0.466\)"
    ):
        fit([pruning], module)


def test_a_dense_network_said_to_be_sparse_is_pointed_out():
    with pytest.warns(UserWarning, match="finds no zeros in the prunable weights"):
        fit([IterativePruning(cycles=1, retrain="1ep", initial_masks="zeros")], toy())


@pytest.mark.parametrize("of", ["callback", "checkpoint"])
def test_a_ticket_brings_masks_and_the_rewind_point_to_another_run(of, tmp_path):
    path = tmp_path / "ticket.safetensors"
    first = toy()
    initial = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    pruning = IterativePruning(cycles=2)
    trainer = fit([pruning, WeightRewind(0)], first)
    if of == "callback":
        pruning.save_ticket(path)
    else:
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        save_ticket(path, tmp_path / "last.ckpt")
    ticket = load_ticket(path)
    assert ticket.header["cycle"] == 2
    assert ticket.header["rewind_point"] == "0ep"
    assert ticket.header["sparsity"] == pruning.measured_sparsity
    assert ticket.header["settings"]["sparsity"] == "Geometric(fraction=0.2, initial=0.0)"
    assert equal(dict(ticket.masks), {name: first.get_parameter(name) != 0 for name in PRUNABLE})
    assert equal(dict(ticket.weights), initial)

    second, watch = Toy(), StaySparse()
    ticket.apply_(second)
    expected = {name: tensor * ticket.masks.get(name, torch.ones(())) for name, tensor in initial.items()}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in second.state_dict().items())
    fit([IterativePruning(cycles=0, initial_masks=path), watch], second)
    assert watch.zeros == [SIZE - round(0.64 * SIZE)] * 4 * STEPS
    assert all(not second.get_parameter(name)[~mask].any() for name, mask in ticket.masks.items())


def test_a_ticket_of_another_network_and_a_file_that_is_none_are_refused(tmp_path):
    path = tmp_path / "ticket.safetensors"
    pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5))
    fit([pruning], toy())
    pruning.save_ticket(path)
    other = toy(plain=True)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(
        ValueError, match="of another network than this Toy: it has no, or another shape of, net.0.weight"
    ):
        load_ticket(path).apply_(other)
    assert equal(dict(other.state_dict()), before)
    with pytest.raises(
        ValueError, match="has masks for net.0.weight, net.4.weight, net.7.weight, which is not prunable"
    ):
        fit([IterativePruning(cycles=0, initial_masks=path)], other)
    (tmp_path / "text").write_text("no ticket")
    with pytest.raises(ValueError, match="is not a ticket"):
        load_ticket(tmp_path / "text")
    fit([], toy()).save_checkpoint(tmp_path / "dense.ckpt")
    with pytest.raises(ValueError, match="holds no masks, because it was made without IterativePruning"):
        save_ticket(path, tmp_path / "dense.ckpt")


def test_a_ticket_is_one_bit_a_weight_and_no_code(tmp_path):
    pruning = IterativePruning(cycles=1, retrain="1ep", allocation=layerwise)
    fit([pruning], toy())
    pruning.save_ticket(tmp_path / "ticket.safetensors")
    content = (tmp_path / "ticket.safetensors").read_bytes()
    header = int.from_bytes(content[:8], "little")
    assert len(content) - 8 - header == sum(-(-size // 8) for size in (36, 640, 30))
    assert b"pickle" not in content
