"""The eight claims, in the order of docs/evidence.md."""

from benchmarks.evidence import questions
from benchmarks.evidence.claim import Claim

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
            "for": "Replay the learning rate: `LRRewind()` stores nothing and gained on fine-tuning everywhere here.",
            "mixed": "Replay the learning rate (`LRRewind`): where it was decided, it or weight rewinding beat "
            "fine-tuning. That cycles widen the gap is not to be relied on at this size.",
            "against": "Fine-tune (`FineTune`), and compare with `LRRewind` when your dense run is longer.",
            "undecided": "Either will do at this size; `LRRewind` costs the same and is what larger networks need.",
        },
        (
            "Three cycles for ResNet-8, ten for LeNet-300-100; each retrains for 60 % of the dense run.",
            "ResNet-8 has not learned all it can when it is pruned: LR rewinding goes on training, up to 3 points "
            "above the dense network, and part of its gain is that. Weight rewinding repeats the same steps.",
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
            "momentum alone: the rate does it, the momentum adds nothing that would last.",
            "mixed": "Raise the rate where there are steps enough for it to come down again; the table says for which "
            "budgets. The momentum matters little.",
            "against": "Do not raise the rate when the budget is this short; fine-tune.",
            "undecided": "Any of them: the budget matters more than its schedule.",
        },
        ("LR rewinding within the last plateau of the dense schedule is fine-tuning, by definition: up to 20 % here.",),
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
            "mixed": "Choose both: a large rate makes up for a random choice where half of the weights or more are "
            "left, and not below. Magnitude with the same large rate is the better of both worlds.",
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
            "mixed": "Choose the peak well, and large at low density; then one constant peak "
            "(`WarmupSteps(max_lr=...)`) does what the S does.",
            "against": "Use one high peak (`WarmupSteps(max_lr=...)`); the S adds nothing.",
            "undecided": "Any peak of the Oracle's interval will do; one constant peak is the simplest.",
        },
        (
            "Weights are drawn anew in every cycle, as in the authors' scripts.",
            "Two studies: in one SILO's ends are the best peaks of a wider search, in the other (low peaks) those of "
            "the paper's ResNets, which are too low for this network at every density.",
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
            "for": "If weights are to come from the dense run, rewind to 5 or 10 % of it (`WeightRewind(to=...)`) "
            "rather than to its start.",
            "mixed": "Rewind late (`WeightRewind` to 5 or 10 % of the dense run); a ticket of the very start is not "
            "always better than fresh weights.",
            "against": "Draw weights anew (`Reinitialize`); the masks carry what there is to gain.",
            "undecided": "The masks carry most of it: where the weights start was not decided.",
        },
        (
            "One prune of the dense network, retrained for as long as the dense run, so that all arms have the same "
            "masks.",
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
            "against": "Restart the schedule (`ScheduleRestart`) as on other networks, as long as accuracy grows with "
            "it: the loss belongs to long training, which this is not.",
            "undecided": "Either; watch the accuracy over the first cycles.",
        },
        (
            "The network is far narrower than the paper's, and at 50 % accuracy far from trained when it is first "
            "pruned: "
            "every restart trains it on. The paper suspects overtraining, of which this size can say nothing.",
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
            "for": "Use `LinearRestart()`: it has nothing to set, and gained on every schedule that steps. Between it "
            "and "
            "the cyclic restart nothing was decided; the adaptive one won and lost against it by some half a point.",
            "mixed": "Use `LinearRestart()` or `CyclicRestart()` instead of schedules that step; between them look at "
            "your own budget.",
            "against": "Use `CyclicRestart()`.",
            "undecided": "Any schedule that raises the rate and brings it down.",
        },
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
            "for": "If you only want the small network, train it from scratch; it takes four to forty times the "
            "epochs.",
            "mixed": "Train whole filters from scratch if time is no matter (`ScratchTrain`); else fine-tune.",
            "against": "Keep the weights: fine-tune, or better, replay the rate (`LRRewind`).",
            "undecided": "Fine-tune: it takes a quarter of the epochs, or less, for the same accuracy.",
        },
        ("Fine-tuning has 25 % of the dense run, as in the paper.",),
    ),
)
