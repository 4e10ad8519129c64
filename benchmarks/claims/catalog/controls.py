"""Claims 9 to 15: what signs, masks, repetition, soups, regrowth and repairs are worth, each with its control."""

from benchmarks.claims.catalog import controls_questions as questions
from benchmarks.claims.catalog.retraining import FRANKLE_CARBIN, RENDA
from benchmarks.claims.claim import Claim

OH = "[Oh et al. 2025](https://arxiv.org/abs/2504.05357)"
MASKS_SIGNS = "[Gadhikar & Burkholz 2024](https://arxiv.org/abs/2402.19262)"
CYCLIC = "[Gadhikar, Nelaturu & Burkholz 2024](https://arxiv.org/abs/2406.02773)"
SOUPS = "[Zimmer, Spiegel & Pokutta 2024](https://arxiv.org/abs/2306.16788)"
RIGL = "[Evci et al. 2020](https://arxiv.org/abs/1911.11134)"
ACDC = "[Peste et al. 2021](https://arxiv.org/abs/2106.12379)"
HE = "[He, Zhang & Sun 2017](https://arxiv.org/abs/1707.06168)"
FREE_LUNCH = "[Wagner et al. 2025](https://arxiv.org/abs/2510.14444)"

CLAIMS = (
    Claim(
        9,
        "What signs alone keep",
        "Under the same masks, fresh magnitudes with the signs of the trained network are more accurate than fresh "
        "weights.",
        f"{OH} and {MASKS_SIGNS}. Both say that the signs of a trained sparse network carry most of what it has "
        "learned. We could not confirm a figure for this comparison.",
        "signs",
        questions.of_signs,
        {
            "for": "If you start from fresh magnitudes, keep the trained signs (`SignedReinitialize`). At low "
            "densities they keep all that the initial weights are worth.",
            "mixed": "Keep the signs only where the table says that it helps (`SignedReinitialize`).",
            "against": "Draw the signs anew, too (`Reinitialize`).",
            "undecided": "Signs make no significant difference at this size. Choose by what you have.",
        },
        (
            "The dense network is pruned once, and all arms retrain for as long as the dense run. `SignedReinitialize` "
            "takes the signs from the dense network before the prune.",
            "The rows in italics say what the magnitudes are worth: those of the initial weights, and those of the "
            "trained network.",
        ),
    ),
    Claim(
        10,
        "Better masks or more training",
        "At equal epochs, iterative pruning is better than training the masks of one prune again and again. That is "
        "better than training them once.",
        f"{CYCLIC}. They report that repeating the schedule on a fixed mask makes up for a part of what iterative "
        "pruning gains, and that one prune by magnitude at the end (SCULPT) makes up for the rest.",
        "repeating",
        questions.of_repeating,
        {
            "for": "Prune in several cycles. The gain comes from the masks: repeating the schedule on the "
            "masks of one prune gains nothing significant at this size.",
            "mixed": "Compare iterative pruning with one prune that trains for as many epochs. The table says which "
            "part of the gain is more training.",
            "against": "Prune once, and retrain for longer.",
            "undecided": "Prune once. More cycles gain nothing significant at this size.",
        },
        (
            "All arms but one pass train for 240 epochs in all. The iterative arm is pruned in five cycles.",
            "SCULPT has no dense run. It trains a random mask for five cycles, and is pruned by magnitude before the "
            "sixth.",
        ),
    ),
    Claim(
        11,
        "Soups of retrained copies",
        "The mean of three retrained copies is more accurate than the best of them, and than one network that is "
        "retrained for three times as long.",
        f"{SOUPS}. They report gains over the best copy and over longer retraining on larger networks.",
        "soups",
        questions.of_soups,
        {
            "for": "Retrain copies and average them (`soup:` in a study, `lightning_prune.soup`).",
            "mixed": "Average copies if you can train them side by side. The table says where this beats longer "
            "training.",
            "against": "Retrain one network for longer.",
            "undecided": "Retrain one network, or copies if you can train them side by side. At this size the soup "
            "is as good as its best copy, as the ensemble, and as three times the training.",
        },
        ("The copies differ in the order of their data only. The best copy is chosen by validation.",),
    ),
    Claim(
        12,
        "LR rewinding and signs",
        "LR rewinding is more accurate than weight rewinding, and flipped signs harm it less.",
        f"{MASKS_SIGNS}. They explain the gain of LR rewinding ({RENDA}) by its ability to change signs, and to "
        "recover from signs that are flipped at random.",
        "flips",
        questions.of_flips,
        {
            "for": "Prefer `LRRewind()` to `WeightRewind()`. It recovers from wrong signs.",
            "mixed": "Prefer `LRRewind()` at low densities. Flipped signs do not explain its gain at this size: where "
            "few weights are left, they harm it more than weight rewinding.",
            "against": "Prefer `WeightRewind()` at this size. The explanation by signs was not seen.",
            "undecided": "Neither the gain nor its explanation is significant at this size.",
        },
        (
            "At the start of every cycle, 20 % of the signs are flipped. Both arms run the whole dense schedule in "
            "every cycle.",
            "Weight rewinding goes back to the initial weights, so flipped signs change random weights.",
            "`SignChanges` counted: with LR rewinding, a cycle changes fewer than 0.01 % of the signs of living "
            "weights, and weight rewinding at most 1.3 %. Signs that were flipped stay flipped.",
        ),
    ),
    Claim(
        13,
        "Regrowth against pruning",
        "At equal steps and density, networks in which weights grow again (RigL, AC/DC) are more accurate than "
        "iteratively pruned ones.",
        f"{RIGL}; {ACDC}. They compare with gradual pruning within one run. We did not find a comparison with "
        "iterative pruning and LR rewinding.",
        "regrowth",
        questions.of_regrowth,
        {
            "for": "If you train from scratch, let weights grow again (`RigL`, `ACDC`).",
            "mixed": "Choose by density: the table says where regrowth is better.",
            "against": "Prune a dense network in several cycles. If you train from scratch, `ACDC` comes closest. Use "
            "`RigL` if a dense network does not fit your memory, and let gradients choose what grows: `SET` is worse.",
            "undecided": "Prune the dense network that you have. Regrowth gains nothing significant at this size.",
        },
        (
            "Every arm trains for 160 epochs. RigL and SET are sparse in all of them, AC/DC in some. One-shot and "
            "iterative pruning have a dense run of 40 epochs.",
        ),
    ),
    Claim(
        14,
        "Tickets against fresh weights, level by level",
        "Under the masks that the ticket found, its own weights are more accurate than fresh ones, at every level.",
        f"{FRANKLE_CARBIN}. In claim 5, all arms take the masks of one prune of the dense network. Here the fresh "
        "weights take the masks of the iterative ticket, level by level.",
        "levels",
        questions.of_levels,
        {
            "for": "Keep the weights with the masks. Masks alone do not make a ticket.",
            "mixed": "Keep the weights with the masks at the levels where the table says that it helps.",
            "against": "Draw fresh weights (`Reinitialize`). The masks alone give the gain.",
            "undecided": "The masks give the gain. Which weights they hold makes no significant difference.",
        },
        ("Each level trains for as long as the dense run. The rows in italics shuffle the masks inside each layer.",),
    ),
    Claim(
        15,
        "Repairs before retraining",
        "A pruned network whose layers are fitted to the outputs of the dense network, without labels, is more "
        "accurate than one that is not repaired or has only its BatchNorm estimated again.",
        f"{HE} fit channels by least squares. {FREE_LUNCH} fit language models block by block, and say that this "
        "replaces most of the retraining.",
        "repairs",
        questions.of_repairs,
        {
            "for": "Repair before you retrain: `Reconstruct()` takes seconds, needs no labels, and was never worse.",
            "mixed": "Repair with `Reconstruct()` if you retrain little or not at all. With more retraining, the gain "
            "goes.",
            "against": "Estimate BatchNorm again (`EstimateBatchNorm`) and retrain.",
            "undecided": "Repairs make no significant difference at this size.",
        },
        (
            "Digits: ResNet-8, single weights, fine-tuned at the last rate. All repairs but adapters estimate "
            "BatchNorm again at the end of the cycle.",
            "Text: a decoder of two blocks on the docstrings of this package, 2:4 in each row. The points are of the "
            "next character's accuracy. It is retrained with `LRRewind`. Perplexities are in repairs.md.",
        ),
    ),
)
