"""Claims 1 to 8: how a pruned network is retrained, and from which weights."""

from benchmarks.claims.catalog import retraining_questions as questions
from benchmarks.claims.claim import Claim

RENDA = "[Renda, Frankle & Carbin 2020](https://arxiv.org/abs/2003.02389)"
LE_HUA = "[Le & Hua 2021](https://arxiv.org/abs/2105.03193)"
SILO = "[Liu, Ghosh, Tan & Motani 2023](https://arxiv.org/abs/2212.06144)"
FRANKLE_CARBIN = "[Frankle & Carbin 2019](https://arxiv.org/abs/1803.03635)"
FRANKLE = "[Frankle et al. 2020](https://arxiv.org/abs/1912.05671)"
MIKLER = "[Mikler 2021](https://arxiv.org/abs/2109.09670)"
ZIMMER = "[Zimmer, Spiegel & Pokutta 2023](https://arxiv.org/abs/2111.00843)"
LIU = "[Liu et al. 2019](https://arxiv.org/abs/1810.05270)"

CLAIMS = (
    Claim(
        1,
        "Rewinding against fine-tuning",
        "At about 10 % density, LR rewinding and weight rewinding are more accurate than fine-tuning at the last "
        "learning rate. The gap is wider after several cycles than after one prune.",
        f"{RENDA}. In the authors' published runs, LR rewinding gains 0.7 points over fine-tuning after one prune and "
        "1.7 points after several cycles (ResNet-20, 10.7 % density, mean over budgets of 50 to 93 % of the dense "
        "run).",
        "rewinding",
        questions.of_rewinding,
        {
            "for": "Replay the learning rate with `LRRewind()`. It stores no weights, and at 10.7 % density it is more "
            "accurate than fine-tuning with both networks. Only ResNet-8 shows a wider gap after several cycles.",
            "mixed": "Replay the learning rate with `LRRewind()`, or rewind the weights. Both beat fine-tuning with "
            "every network, also where the dense network was trained to its end. Do not expect a wider gap after "
            "several cycles: only the ResNet-8 that was not fully trained shows one.",
            "against": "Fine-tune with `FineTune()`. Compare it with `LRRewind()` if your dense run is longer.",
            "undecided": "Use either at this size. `LRRewind()` costs the same, and larger networks need it.",
        },
        (
            "ResNet-8 is pruned in three cycles, LeNet-300-100 in ten. Each cycle retrains for 60 % of the dense run.",
            "The ResNet-8 of 32 pixels is not fully trained when it is pruned, and LR rewinding trains it further. The "
            "last row measures this gain alone: the same extra epochs with nothing pruned. Weight rewinding does not "
            "train longer than the dense run.",
            "The ResNet-8 of 16 pixels has learned its 5,000 training images by heart. With nothing pruned, none of "
            "the three arms makes it better. So what they gain over fine-tuning is not longer training.",
        ),
    ),
    Claim(
        2,
        "The cyclic restart at short budgets",
        "With little retraining, one rise to the largest rate and back down (CLR) beats fine-tuning, the scaled "
        "restart and LR rewinding.",
        f"{LE_HUA}. They gain about half a point at 40 of 160 epochs, read off a figure (ResNet-56, 14 % of the "
        "weights removed in filters). The authors' code cycles the momentum together with the rate, so their runs do "
        "not tell which of the two helps.",
        "budgets",
        questions.of_cyclic,
        {
            "for": "With little time, retrain with `CyclicRestart()`. `OneCycleRetrain()` is the same with a constant "
            "momentum. The momentum made hardly a difference here.",
            "mixed": "With little time, raise the rate and bring it down again: `CyclicRestart()` beats fine-tuning at "
            "every short budget. Whether it falls along a line or in steps matters less. `ScaledRestart`, changed "
            "with every step, is better by half a point for one network.",
            "against": "Do not raise the rate when the budget is this short. Fine-tune instead.",
            "undecided": "Use any of them. The budget matters more than the schedule.",
        },
        (
            "Up to a budget of 20 %, LR rewinding is the same as fine-tuning, because the last plateau of the dense "
            "schedule is longer than the budget.",
            "Here the scaled restart changes its rate with every step. The authors' code changes the rate once an "
            "epoch. Changed so, the scaled restart would be fine-tuning at 2.5 %, and at 5 % it would never reach the "
            "large rate. Changed with every step, it comes close to the cyclic restart.",
        ),
    ),
    Claim(
        3,
        "Random pruning with a large rate",
        "A network that is pruned at random and retrained with a large learning rate beats a network that is pruned by "
        "magnitude and fine-tuned.",
        f'{LE_HUA}. Their repository says "in many scenarios". We could not confirm a figure.',
        "random",
        questions.of_random,
        {
            "for": "Choose the learning rate first. The schedule matters more than the criterion.",
            "mixed": "Prune by magnitude, and retrain with a large rate. Random pruning with a large rate beat "
            "magnitude pruning with fine-tuning only at 80 % density. There, random pruning was not better than "
            "magnitude pruning at the same large rate.",
            "against": "Prune by magnitude. No learning rate makes up for a random choice, unless hardly anything is "
            "removed.",
            "undecided": "Prune by magnitude. It costs nothing more.",
        },
    ),
    Claim(
        4,
        "SILO's growing peak",
        "Let the peak rate grow along an S while the network gets sparser. This beats a constant low peak, a constant "
        "high peak and the reversed S. It stays within 0.5 points of the best peak that a search finds.",
        f"{SILO}. The abstract says 2 to 4 points over the baselines. We do not know whether a constant high peak is "
        "among these baselines.",
        "silo",
        questions.of_silo,
        {
            "for": "Use `SILOSchedule`. You do not need to search for a peak.",
            "mixed": "Search for one peak at the density that you want, and keep the peak constant "
            "(`WarmupSteps(max_lr=...)`). The height of the peak matters. A growing peak did not help.",
            "against": "Use one high peak (`WarmupSteps(max_lr=...)`). The S adds nothing.",
            "undecided": "Use any peak of the Oracle's interval. One constant peak is the simplest.",
        },
        (
            "Every cycle starts from fresh weights, as in the authors' scripts.",
            "There are two studies of digits, and one of a ResNet-8, which has no search. In the first, SILO starts "
            "and ends at the best validation peaks of the first and the last density. These peaks come from an earlier "
            "search over four of the same seeds, so at these two densities SILO lies in the interval by construction. "
            "The densities between them test the claim.",
            "In the second study (low peaks), SILO grows from 0.03 to 0.1, as in the authors' scripts (ResNet-20: 0.03 "
            "to 0.07; VGG-19: 0.04 to 0.1). For this network these peaks are too low at every density.",
            "At the first and the last density, SILO has the same peak as one of the controls. There the two arms "
            "differ only in the earlier cycles.",
            "In the third study every arm also trains with nothing pruned. The same peaks then differ as much or more: "
            "SILO's over the low peak by 2.01 and 1.96 points, where with pruning they gain 1.58 and 0.93. So the gain "
            "over the low peak tells that this network likes a high peak, and not that sparsity asks for one. The best "
            "peak is 0.3 with nothing pruned and with 80 % left. At 10.7 % it is 0.4, the highest that was tried, and "
            "0.3 is within half a point of it.",
        ),
    ),
    Claim(
        5,
        "Tickets against fresh weights",
        "Under the same masks, weights rewound to the dense run are more accurate than fresh ones.",
        f"{FRANKLE_CARBIN} rewind to the start. {FRANKLE} rewind to a point shortly after it (ResNet-20: about 3 % of "
        "the dense run).",
        "tickets",
        questions.of_tickets,
        {
            "for": "Keep the weights of the dense run (`WeightRewind`). From almost every point in its first tenth "
            "they beat fresh weights. Hardly any difference between the points is significant.",
            "mixed": "Rewind (`WeightRewind`) to a point after the start of the dense run. Weights from the very start "
            "are not always better than fresh weights.",
            "against": "Draw fresh weights (`Reinitialize`). The masks alone give the gain.",
            "undecided": "The masks give most of the gain. Which weights you start from makes no significant "
            "difference.",
        },
        (
            'The arm "drawn anew" starts from fresh random weights. The dense network is pruned once and retrained for '
            "as long as the dense run, so all arms have the same masks.",
            "Weights from 10 % of the dense run are trained for a tenth longer than fresh weights. This extra tenth is "
            "at the last learning rate.",
        ),
    ),
    Claim(
        6,
        "A Wide ResNet under full restarts",
        "A Wide ResNet loses accuracy at low sparsity if every cycle repeats the whole dense schedule on the weights "
        "that are left. With weight rewinding it loses none.",
        f"{MIKLER}. WRN-16-8 loses 1.3 points after three cycles of 30 %, and gains 0.1 with weight rewinding (read "
        "off a figure).",
        "restarts",
        questions.of_wide,
        {
            "for": "Rewind the weights of wide networks (`WeightRewind`), or restart from a lower rate.",
            "mixed": "Watch the accuracy over the first cycles. If it falls, rewind the weights (`WeightRewind`).",
            "against": "Restart the schedule (`DenseScheduleRestart`) as on other networks. Watch the accuracy over "
            "the first cycles.",
            "undecided": "Use either. Watch the accuracy over the first cycles.",
        },
        (
            "Both arms run the whole dense schedule in every cycle, as in the paper's code. They differ only in the "
            "weights that a cycle starts from.",
            "The network is far narrower than the paper's. The paper suspects overtraining, so we train on few images "
            "until the network gets 99 % of them right.",
        ),
    ),
    Claim(
        7,
        "Linear restarts",
        "A rate that warms up and then falls linearly to zero beats the other schedules at every budget. Its peak "
        "is the largest dense rate or (adaptive) a rate that grows with the weight norm that the prune removed.",
        f'{ZIMMER}. The abstract says that retraining "can be massively shortened". We could not confirm a figure.',
        "budgets",
        questions.of_linear,
        {
            "for": "Use `LinearRestart()` as it is. It beat fine-tuning and LR rewinding at every budget, and the "
            "scaled restart at some. No difference between `LinearRestart` and `CyclicRestart` is significant. The "
            "adaptive restart beat `LinearRestart` once and lost three times.",
            "mixed": "Use `LinearRestart()` as it is. It beats fine-tuning and LR rewinding at every budget. Only "
            "`ScaledRestart`, changed with every step, was better once, at the longest budget of the ResNet-8 that is "
            "trained to its end. The adaptive rate loses more often than it gains.",
            "against": "Use `CyclicRestart()`.",
            "undecided": "Use any schedule that raises the rate and brings it down.",
        },
        (
            "The adaptive rate takes the larger of two values: one from the weight norm that the prune removed, and "
            "one from the budget. Here the first was larger at every budget, so the second was not tested.",
        ),
    ),
    Claim(
        8,
        "Fine-tuned against from scratch",
        "Train the pruned network from scratch, for the epochs of the dense run (Scratch-E) or for the operations of "
        "the dense run (Scratch-B). It is then more accurate than fine-tuned.",
        f"{LIU}. This holds for whole filters (ResNet-34 on ImageNet: 72.6 fine-tuned, 72.8 and 73.1 from scratch). "
        "For single weights, fine-tuning is ahead in the authors' tables (ResNet-50, 60 % removed: 76.1 fine-tuned, "
        "73.7 and 74.9 from scratch).",
        "scratch",
        questions.of_scratch,
        {
            "for": "If you prune whole filters, train the remaining network from scratch (`ScratchTrain`). This takes "
            "four to eight times the epochs. If you prune single weights, fine-tune: no difference there is "
            "significant.",
            "mixed": "Train whole filters from scratch if you have the time (`ScratchTrain`). Otherwise fine-tune.",
            "against": "Keep the weights. Fine-tune, or replay the rate (`LRRewind`), which is better.",
            "undecided": "Fine-tune if you have the dense network: it takes a quarter of the epochs, or less. No "
            "difference between the two is significant.",
        },
        (
            "Fine-tuning runs for 25 % of the dense run at its last rate, as in the paper.",
            "ResNet-8 is not fully trained at the end of the dense run. A part of Scratch-B's gain is longer training.",
        ),
    ),
)
