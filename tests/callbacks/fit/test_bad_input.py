"""Bad input is refused before training, by an error that names the class, the argument, the value and what to do."""

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from toys import Images, Toy, fit, make_trainer, toy

from lightning_prune import (
    Cubic,
    FineTune,
    Geometric,
    IterativePruning,
    Levels,
    Linear,
    LRRewind,
    OneCycleRetrain,
    OneShot,
    Prunable,
    SILOSchedule,
    WeightRewind,
    layerwise,
)
from lightning_prune.schedules.sparsity import SparsitySchedule


class Falls(SparsitySchedule):
    def __call__(self, cycle):
        return [0.0, 0.5, 0.4][cycle]

    def __repr__(self):
        return "Falls()"


AT_ONCE = {
    "a duration without a unit": (lambda: IterativePruning(retrain="15 epochs"), r"IterativePruning\(retrain='15 epochs'\) is not a duration: write '15ep'"),
    "a negative duration": (lambda: LRRewind(to=-1), r"LRRewind\(to=-1\) is not a duration"),
    "a fraction as a duration": (lambda: WeightRewind(to="0.5ep"), r"WeightRewind\(to='0.5ep'\) is not a duration"),
    "no retraining": (lambda: IterativePruning(retrain=0), r"IterativePruning\(retrain=0, cycles=10\) would prune 10 times and train nothing"),
    "fewer than no cycles": (lambda: IterativePruning(cycles=-1), r"IterativePruning\(cycles=-1\) must be a whole number, at least 0"),
    "an initial sparsity above the final one": (lambda: Cubic(final=0.5, cycles=2, initial=0.6), r"Cubic\(initial=0.6, final=0.5\) would rise from above its end"),
    "a rate of one": (lambda: Geometric(fraction=1.0), r"Geometric\(fraction=1.0\) must lie strictly between 0 and 1"),
    "a sparsity of one": (lambda: OneShot(final=1.0), r"OneShot\(final=1.0\) must lie in \[0, 1\): 0.9 removes 90 %"),
    "a percentage": (lambda: Linear(final=90, cycles=3), r"Linear\(final=90\) must lie in"),
    "no cycles to spread over": (lambda: Cubic(final=0.9, cycles=0), r"Cubic\(cycles=0\) must be at least 1"),
    "levels that fall": (lambda: Levels([0.5, 0.3]), r"Levels\(levels=\[0.5, 0.3\]\) falls from sparsity 0.5 to 0.3 at cycle 2: dead weights never come back"),
    "no levels": (lambda: Levels([]), r"Levels\(levels=\[\]\) is empty"),
    "a schedule that falls": (lambda: IterativePruning(cycles=2, sparsity=Falls()), r"IterativePruning\(sparsity=Falls\(\)\) falls"),
    "too few cycles for the schedule": (lambda: IterativePruning(cycles=3, sparsity=Cubic(0.9, 5)), r"cycles=3.*would never get to the last sparsity: it takes 5 cycles"),
    "an unknown treatment": (lambda: IterativePruning(optimizer_state="drop"), r"optimizer_state='drop'\) must be 'mask', 'reset' or 'keep'"),
    "a criterion by its name": (lambda: IterativePruning(criterion="magnitude"), r"IterativePruning\(criterion='magnitude'\) is not callable: give lightning_prune.criteria.magnitude"),
    "a number as a schedule": (lambda: IterativePruning(sparsity=0.5), r"IterativePruning\(sparsity=0.5\) is not callable: give lightning_prune.OneShot\(final=0.5\)"),
    "half a cycle": (lambda: IterativePruning(cycles=2.5), r"IterativePruning\(cycles=2.5\) must be a whole number"),
    "an unknown end": (lambda: IterativePruning(early_stopping="never"), r"early_stopping='never'\) must be 'cycle' or 'run'"),
    "a rate of zero": (lambda: FineTune(lr=0), r"FineTune\(lr=0\) must be greater than 0"),
    "a warm-up in percent": (lambda: OneCycleRetrain(warmup=10), r"OneCycleRetrain\(warmup=10\) is a fraction of the cycle: give 0 to 1"),
    "a divisor of zero": (lambda: OneCycleRetrain(final_div=0), r"OneCycleRetrain\(final_div=0\) must be greater than 0"),
    "drops out of order": (lambda: SILOSchedule(0.1, 0.1, drops=(0.8, 0.5)), r"SILOSchedule\(drops=\[0.8, 0.5\]\) must be positive and rise"),
    "a negative delay": (lambda: SILOSchedule(0.1, 0.1, delay=-1), r"delay=-1.*none may be negative"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), AT_ONCE.values(), ids=AT_ONCE)
def test_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class Untouched(Callback):
    """Fails if anything was trained."""

    def on_train_batch_start(self, *_):
        raise AssertionError("a batch was trained before the error")


WHEN_IT_STARTS = {
    "a rewind point after the end": ([IterativePruning, lambda: WeightRewind("4ep")], {}, r"WeightRewind\(to='4ep'\) lies at or after the end of the dense run \(4ep\)"),
    "a rewind step after the end": ([IterativePruning, lambda: WeightRewind("24it")], {}, r"WeightRewind\(to='24it'\) lies at or after the end of the dense run \(4ep, which is 24it\)"),
    "a replay that stops short": ([lambda: IterativePruning(retrain="2ep"), lambda: LRRewind("1ep")], {}, r"retrain='2ep'\) and LRRewind\(to='1ep'\) disagree: .*retrain='3ep'"),
    "a default replay that stops short": ([lambda: IterativePruning(retrain="2ep"), lambda: WeightRewind("1ep")], {}, r"retrain='2ep'\) and WeightRewind\(to='1ep'\) disagree"),
    "a replay longer than the run": ([lambda: IterativePruning(retrain="5ep"), LRRewind], {}, r"LRRewind\(\) cannot replay the last 5ep of a dense run of 4ep"),
    "two policies": ([lambda: IterativePruning(retrain="1ep"), LRRewind, OneCycleRetrain], {}, "LRRewind and OneCycleRetrain would both set the learning rate: keep one"),
    "two clocks": ([IterativePruning, lambda: Second()], {}, "IterativePruning and Second would both count the cycles"),
    "two rewinds": ([IterativePruning, lambda: WeightRewind(0), lambda: Rewind2("1ep")], {}, "WeightRewind and Rewind2 would both set the weights"),
    "a policy alone": ([LRRewind], {}, r"LRRewind does nothing without IterativePruning.*Add it: Trainer\(callbacks=\[IterativePruning"),
    "a rewind alone": ([lambda: WeightRewind(0)], {}, "WeightRewind does nothing without IterativePruning"),
    "a run without end": ([IterativePruning], {"max_epochs": -1}, r"Trainer\(max_epochs=-1\) never is"),
    "a pattern without a match": ([lambda: IterativePruning(prunable=Prunable(include=["bert"]))], {}, r"Prunable\(include=\['bert'\]\) matches no parameter"),
    "no dense run to replay": ([lambda: IterativePruning(retrain="1ep"), LRRewind], {"max_epochs": 0}, "there is none"),
    "a replay longer than the run, in steps": ([lambda: IterativePruning(retrain="100it"), LRRewind], {}, r"LRRewind\(\) cannot replay the last 100it of a dense run of 4ep"),
    "a criterion of another shape": ([lambda: IterativePruning(criterion=lambda weight, evidence: weight.sum())], {}, r"gave scores of shape \(\) for 'net.0.weight', which has shape \(4, 1, 3, 3\)"),
    "a criterion that fails": ([lambda: IterativePruning(criterion=lambda weight, evidence: weight / 0, allocation=layerwise)], {}, "NaN or infinite"),
    "a criterion that draws by itself": ([lambda: IterativePruning(criterion=lambda weight, evidence: torch.rand_like(weight))], {}, r"scored 'net.7.weight' differently when it was asked again.*random from `evidence.generator`"),
    "an allocation of more than there is": ([lambda: IterativePruning(allocation=greedy)], {}, r"cannot be met in net.4.weight \(keep 641 of 640 living\)"),
    "an allocation that forgets": ([lambda: IterativePruning(allocation=lambda scores, density: {})], {}, r"must name every prunable tensor once: missing \['net.0.weight', 'net.4.weight'"),
    "a sparsity that leaves nothing": ([lambda: IterativePruning(cycles=2, sparsity=Levels([0.5, 0.9999]))], {}, "keeps none of 706 prunable weights"),
    "no dense run to measure by": ([IterativePruning], {"max_epochs": 0}, "say how long each cycle lasts"),
}  # fmt: skip


def greedy(scores, density):
    return {name: shape.numel() for name, shape in scores.shapes.items()} | {"net.4.weight": 641}


class Second(IterativePruning):
    pass


class Rewind2(WeightRewind):
    pass


@pytest.mark.parametrize(("makes", "options", "message"), WHEN_IT_STARTS.values(), ids=WHEN_IT_STARTS)
def test_refused_before_the_first_batch(makes, options, message):
    module = toy()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trainer = make_trainer([*(make() for make in makes), Untouched()], **options)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        trainer.fit(module, datamodule=Images())
    assert all(tensor.equal(before[name]) for name, tensor in module.state_dict().items())
    assert trainer.max_epochs == options.get("max_epochs", 4)


def test_a_model_with_nothing_prunable_is_refused():
    module = Toy()
    module.net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36), nn.AvgPool1d(12))
    with pytest.raises(ValueError, match="Toy has nothing to prune: net.1.weight"):
        fit([IterativePruning()], module)


def test_steps_of_several_optimizers_are_no_length_of_a_dense_run():
    class Two(Toy):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def configure_optimizers(self):
            return [self.make_optimizer(self.net[0].parameters()), self.make_optimizer(self.net[4].parameters())]

    with pytest.raises(ValueError, match=r"Trainer\(max_steps=20\) counts the steps of all 2 optimizers"):
        fit([IterativePruning()], Two(), max_steps=20, max_epochs=None)
