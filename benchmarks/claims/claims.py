"""The eight claims, in the order of docs/claims.md."""

from benchmarks.claims import questions
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
        "learning rate, and the gap is wider after several cycles than after one prune.",
        f"{RENDA}. In the authors' published runs LR rewinding gains 0.7 points over fine-tuning in one step and 1.7 "
        "in several (ResNet-20, 10.7 % density, mean over budgets of 50 to 93 % of the dense run).",
        "rewinding",
        questions.of_rewinding,
        {
            "for": "Replay the learning rate: `LRRewind()` stores nothing and gained on fine-tuning at 10.7 % of the "
            "weights with both networks. That cycles widen the gap was seen with ResNet-8 only.",
            "mixed": "Replay the learning rate (`LRRewind`): where it was decided, it or weight rewinding beat "
            "fine-tuning. That cycles widen the gap is not to be relied on at this size.",
            "against": "Fine-tune (`FineTune`), and compare with `LRRewind` when your dense run is longer.",
            "undecided": "Either will do at this size; `LRRewind` costs the same and is what larger networks need.",
        },
        (
            "Three cycles for ResNet-8, ten for LeNet-300-100; each retrains for 60 % of the dense run.",
            "ResNet-8 has not learned all it can when it is pruned, and LR rewinding goes on training: the last row is "
            "what it gains so without any pruning. Weight rewinding trains for no more steps than the dense run.",
        ),
    ),
    Claim(
        2,
        "The cyclic restart at short budgets",
        "With little retraining, up to the largest rate and down again once (CLR) beats fine-tuning, the scaled "
        "restart and LR rewinding.",
        f"{LE_HUA}: half a point at 40 of 160 epochs, read off a figure (ResNet-56, 14 % of the weights removed in "
        "filters). The authors' code cycles the momentum with the rate, so that the two cannot be told apart there.",
        "budgets",
        questions.of_cyclic,
        {
            "for": "With little time, retrain with `CyclicRestart()`, or `OneCycleRetrain()`, which leaves the "
            "momentum alone: that it is cycled made hardly a difference here.",
            "mixed": "Raise the rate where there are steps enough for it to come down again; the table says for which "
            "budgets. The momentum matters little.",
            "against": "Do not raise the rate when the budget is this short; fine-tune.",
            "undecided": "Any of them: the budget matters more than its schedule.",
        },
        (
            "LR rewinding within the last plateau of the dense schedule is fine-tuning, by definition: up to 20 %.",
            "The scaled restart changes its rate with every step here: once an epoch, as in the authors' code, it "
            "would be fine-tuning at 2.5 % and never reach the large rate at 5 %. With every step it comes close "
            "to the cyclic one.",
        ),
    ),
    Claim(
        3,
        "Random pruning with a large rate",
        "Pruned at random and retrained with a large learning rate, a network beats one that was pruned by magnitude "
        "and fine-tuned.",
        f'{LE_HUA}: "in many scenarios" (their repository); no figure of theirs could be confirmed.',
        "random",
        questions.of_random,
        {
            "for": "The schedule decides more than the criterion: choose the rate first.",
            "mixed": "Prune by magnitude, and retrain with a large rate. Random pruning with it beat magnitude with "
            "fine-tuning only where most weights were left, and there magnitude with the same rate did no worse.",
            "against": "Prune by magnitude: no rate makes up for a random choice, except where hardly anything is "
            "removed.",
            "undecided": "Prune by magnitude, which costs nothing more.",
        },
    ),
    Claim(
        4,
        "SILO's growing peak",
        "A peak rate that grows along an S as the network gets sparser beats a constant low peak, a constant high "
        "peak and the S upside down, and stays within 0.5 points of the best peak that a search finds.",
        f"{SILO}: 2 to 4 points over its baselines (abstract), among which a constant high peak is not known to be.",
        "silo",
        questions.of_silo,
        {
            "for": "Use `SILOSchedule`; a search over peaks is not needed.",
            "mixed": "Search one peak at the density that you want, and keep it constant "
            "(`WarmupSteps(max_lr=...)`): how high it is decides, and that it grows was not seen to help.",
            "against": "Use one high peak (`WarmupSteps(max_lr=...)`); the S adds nothing.",
            "undecided": "Any peak of the Oracle's interval will do; one constant peak is the simplest.",
        },
        (
            "Weights are drawn anew in every cycle, as in the authors' scripts.",
            "Two studies. In one SILO's ends are the best peaks on validation at the first and the last density, of an "
            "earlier search over four of these seeds: that SILO lies in the interval there is so by construction, and "
            "the densities between them test it. In the other (low peaks) they are 0.03 and 0.1, about those of the "
            "authors' scripts (ResNet-20 0.03 to 0.07, VGG-19 0.04 to 0.1), too low for this network at every density.",
            "Where SILO's peak is that of the low or the high control, as at the first and the last density, they "
            "differ only in the cycles before.",
        ),
    ),
    Claim(
        5,
        "Tickets against fresh weights",
        "Under the same masks, weights rewound to the dense run are more accurate than fresh ones.",
        f"{FRANKLE_CARBIN}, from the start; {FRANKLE}, from a point after it (ResNet-20: some 3 % of the dense run).",
        "tickets",
        questions.of_tickets,
        {
            "for": "Keep the weights of the dense run (`WeightRewind`): from most points of its first tenth they beat "
            "fresh ones. Which point is best was hardly decided here.",
            "mixed": "Rewind (`WeightRewind`) to a point after the start of the dense run; a ticket of the very start "
            "is not always better than fresh weights.",
            "against": "Draw weights anew (`Reinitialize`); the masks carry what there is to gain.",
            "undecided": "The masks carry most of it: where the weights start was not decided.",
        },
        (
            "One prune of the dense network, retrained for as long as the dense run, so that all arms have the same "
            "masks. A point at 10 % has a tenth more training behind it than the start or fresh weights; that tenth is "
            "at the last rate.",
        ),
    ),
    Claim(
        6,
        "A Wide ResNet under full restarts",
        "A Wide ResNet that is retrained with the whole dense schedule in every cycle, on the weights that are there, "
        "loses accuracy at low sparsity; with weight rewinding it does not.",
        f"{MIKLER}: WRN-16-8 after three cycles of 30 %: -1.3 points, and +0.1 with weight rewinding (read off a "
        "figure).",
        "restarts",
        questions.of_wide,
        {
            "for": "Rewind the weights of wide networks (`WeightRewind`), or restart from a lower rate.",
            "mixed": "Watch the accuracy over the first cycles; if it falls, rewind the weights (`WeightRewind`).",
            "against": "Restart the schedule (`DenseScheduleRestart`) as on other networks, and watch the accuracy "
            "over the first cycles.",
            "undecided": "Either; watch the accuracy over the first cycles.",
        },
        (
            "Both arms run the whole dense schedule in every cycle, as in the paper's code; they differ only in the "
            "weights it starts on.",
            "The network is far narrower than the paper's. It is trained on few images until it gets 99 % of them "
            "right, since the paper suspects overtraining.",
        ),
    ),
    Claim(
        7,
        "Linear restarts",
        "A rate that warms up and falls linearly to zero, from the largest dense rate or (adaptive) as high as the "
        "prune has hurt, beats the other schedules at every budget.",
        f'{ZIMMER}: retraining "can be massively shortened" by it (abstract); no figure of theirs could be confirmed.',
        "budgets",
        questions.of_linear,
        {
            "for": "Use `LinearRestart()` as it is: it beat fine-tuning and LR rewinding at every budget, the scaled "
            "restart at some. Between it and `CyclicRestart` nothing was decided; the adaptive one won against it "
            "once and lost three times.",
            "mixed": "Use `LinearRestart()` or `CyclicRestart()` instead of schedules that step; between them look at "
            "your own budget.",
            "against": "Use `CyclicRestart()`.",
            "undecided": "Any schedule that raises the rate and brings it down.",
        },
        (
            "The adaptive rate follows the harm of the prune or the budget, whichever asks for more; here it was the "
            "prune at every budget, so that its following the budget was not tested.",
        ),
    ),
    Claim(
        8,
        "Fine-tuned against from scratch",
        "Trained from scratch, for the epochs of the dense run (Scratch-E) or for its operations (Scratch-B), the "
        "pruned network is more accurate than fine-tuned.",
        f"{LIU}: so for whole filters (ResNet-34 on ImageNet: 72.6 fine-tuned, 72.8 and 73.1); with single weights the "
        "authors' tables have fine-tuning ahead (ResNet-50, 60 % removed: 76.1, 73.7 and 74.9).",
        "scratch",
        questions.of_scratch,
        {
            "for": "Of whole filters, train what is left from scratch (`ScratchTrain`), which takes four to eight "
            "times the epochs. Of single weights fine-tune: nothing was decided there.",
            "mixed": "Train whole filters from scratch if time is no matter (`ScratchTrain`); else fine-tune.",
            "against": "Keep the weights: fine-tune, or better, replay the rate (`LRRewind`).",
            "undecided": "If the dense network is there, fine-tune: it takes a quarter of the epochs, or less. Whether "
            "scratch would be more accurate was not decided.",
        },
        (
            "Fine-tuning has 25 % of the dense run, as in the paper, at its last rate.",
            "ResNet-8 has not learned all it can in the dense run: Scratch-B gains, too, because it trains longer.",
        ),
    ),
)
