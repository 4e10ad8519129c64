"""Propose values from ranges that are too large for a grid, with Optuna, which learns from earlier results."""

from collections.abc import Mapping
from typing import Any

import optuna

from lightning_prune.ablation.config.arms import Search


class Sampler:
    """Propose values for one cycle of a search. A repeated study gets the same values again.

    Args:
        search: The ranges.
        seed: The seed of the proposals.

    Example:
        >>> ranges = Search({"peak": {"low": 0.01, "high": 0.1, "log": True}}, "optuna", trials=1)
        >>> 0.01 <= Sampler(ranges, seed=0).propose()["peak"] <= 0.1
        True
    """

    def __init__(self, search: Search, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search = search
        self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        self._trial: optuna.Trial | None = None

    def propose(self) -> dict[str, Any]:
        """Ask for values by argument."""
        self._trial = self._study.ask()
        return {name: self._suggest(self._trial, name, given) for name, given in self.search.values.items()}

    def learn(self, score: float | None, lower_is_better: bool) -> None:
        """Tell Optuna the result of the last proposal.

        Args:
            score: The validation metric. None if the training failed.
            lower_is_better: Whether the metric is a loss or an error.
        """
        if self._trial is None:
            raise RuntimeError("Sampler.learn comes after Sampler.propose.")
        if score is None or score != score:
            self._study.tell(self._trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(self._trial, score if lower_is_better else -score)

    @staticmethod
    def _suggest(trial: optuna.Trial, name: str, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return trial.suggest_categorical(name, list(given))
        low, high, log = given["low"], given["high"], bool(given.get("log", False))
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(name, low, high, log=log)
        return trial.suggest_float(name, float(low), float(high), log=log)
