"""ThiNet's two selections and the channels of a lasso, against rewrites on the samples themselves."""

import numpy as np
import pytest
import torch

from lightning_prune import criteria
from lightning_prune.criteria import Evidence


@pytest.fixture
def terms():
    """What 7 channels add to 200 outputs: some are alike, and one is dead."""
    generator = np.random.default_rng(0)
    made = generator.normal(size=(200, 7)) * np.array([1, 2, 0.5, 1, 1.5, 1, 0.7])
    made[:, 3] = -0.8 * made[:, 1] + 0.3 * made[:, 3]
    made[:, 5] = 0
    made[:, 6] += 0.5 * made[:, 0]
    return made


def scored(criterion, terms):
    gram = torch.from_numpy(terms.T @ terms / len(terms)).float()
    return criterion(torch.zeros(terms.shape[1], 3), Evidence(torch.Generator(), {"contribution_gram": gram}))


def test_the_greedy_selection_is_that_of_the_paper(terms):
    dead = []
    while len(dead) < terms.shape[1]:
        left = [c for c in range(terms.shape[1]) if c not in dead]
        dead.append(min(left, key=lambda c: (terms[:, [*dead, c]].sum(1) ** 2).sum()))
    assert scored(criteria.reconstruction_error, terms).argsort().tolist() == dead


def test_the_forward_selection_fits_anew_each_time(terms):
    chosen, target = [], terms.sum(1)

    def error(columns):
        factors = np.linalg.lstsq(terms[:, columns], target, rcond=None)[0]
        return ((target - terms[:, columns] @ factors) ** 2).sum()

    while len(chosen) < terms.shape[1] - 1:  # the dead one changes nothing, and comes last
        left = [c for c in range(terms.shape[1]) if c not in (*chosen, 5)]
        chosen.append(min(left, key=lambda c: error([*chosen, c])))
    found = scored(criteria.reconstruction_error_forward, terms).argsort(descending=True).tolist()
    assert found == [*chosen, 5]


def lasso(terms, penalty):
    """Coordinate descent."""
    factors, target = np.zeros(terms.shape[1]), terms.sum(1)
    for _ in range(60):
        for c in range(len(factors)):
            rest = target - terms @ factors + terms[:, c] * factors[c]
            pull, size = terms[:, c] @ rest / len(terms), (terms[:, c] ** 2).mean()
            factors[c] = np.sign(pull) * max(abs(pull) - penalty, 0) / size if size else 0
    return factors


def test_a_channel_scores_the_penalty_at_which_the_lasso_takes_it(terms):
    found = scored(criteria.lasso_channels, terms).numpy()
    assert found[5] == 0
    for c, penalty in enumerate(found):
        if penalty > 0:
            assert lasso(terms, 1.02 * penalty)[c] == 0
            assert lasso(terms, 0.98 * penalty)[c] != 0
    order = np.argsort(-found)
    for kept in (2, 4):  # the penalty that leaves as many as are wanted leaves these
        penalty = (found[order[kept - 1]] + found[order[kept]]) / 2
        assert set(np.flatnonzero(lasso(terms, penalty))) == set(order[:kept])


def test_of_two_channels_that_do_the_same_one_goes_early():
    generator = np.random.default_rng(1)
    made = generator.normal(size=(100, 4))
    made[:, 3] = made[:, 2]
    for criterion in (criteria.reconstruction_error_forward, criteria.lasso_channels):
        score = scored(criterion, made)
        assert min(score[2], score[3]) == score.min()
        assert score.isfinite().all()
