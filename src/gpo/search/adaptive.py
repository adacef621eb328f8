"""The search to use: it asks where a rollout is expected to improve the decision most for its tokens."""

from __future__ import annotations

import math
from typing import Unpack

import numpy as np

from gpo import pooled
from gpo.curve import Estimate, Floats
from gpo.paths import PathPosterior
from gpo.pooled import named_step, path_scores, pooled_estimate, rule_scores
from gpo.search.base import Search, Settings
from gpo.types import CriticalStep

SETTLED = 0.99
"""A search is settled at this probability of its step, or of there being none."""
MAX_TRACES = 40
"""Without a budget a search ends after the tokens of this many trajectories."""
LOOK_AHEAD = (4, 16)
"""Numbers of rollouts to imagine when a boundary is weighed; the better rate counts."""
NUM_PATHS = 256
"""Paths drawn per ask."""
COST_FLOOR = 0.1
"""Share of a trajectory added to a rollout's cost, or the cheap last boundaries would be asked forever."""
TRIALS_PER_ASK = 6
"""An ask is for one rollout, plus one for every this many trials at its boundary."""


class Adaptive(Search):
    """Asks where rollouts should improve the decision most per token.

    The decision is the step with the highest posterior mean of the rule's quantity under the pooled estimator
    (gpo.paths). A boundary's worth is the knowledge gradient: the expected rise of the best posterior mean
    after a few rollouts there (Frazier, Powell, Dayanik 2008).
    """

    def __init__(self, **settings: Unpack[Settings]) -> None:
        super().__init__(**settings)
        if self.budget_tokens == math.inf:
            self.budget_tokens = MAX_TRACES * self.bounds[-1]
        self.path: PathPosterior = self._unfitted()
        remaining = np.array([self.expected_tokens(b) for b in range(self.num_steps)])
        self._costs_S = remaining / self.bounds[-1]
        self._is_fitted, self._is_settled = True, False
        self._rates_S: Floats = np.zeros(0)

    def tell(self, boundary: int, successes: int, num: int, tokens: int | None = None) -> None:
        super().tell(boundary, successes, num, tokens)
        self._is_fitted = False
        self._rates_S = np.zeros(0)

    @property
    def done(self) -> bool:
        if not self._is_open([self.num_steps - 1]):  # the cheapest boundary
            return True
        if not self._pending:
            self._weigh()
        return self._is_settled

    def ask(self, width: int = 1) -> list[tuple[int, int]]:
        self._weigh()
        if self._is_settled:
            return []
        order = np.argsort(-self._rates_S, kind="stable").tolist()
        return self._issue([(b, 1 + self.trials[b] // TRIALS_PER_ASK) for b in order], width)

    @property
    def estimate(self) -> Estimate:
        self._fit()
        return pooled_estimate(self.path)

    def best(self) -> CriticalStep | None:
        self._fit()
        return named_step(self.path, self.rule, min_effect=self.min_effect, seed=self.seed)

    def _path(self) -> PathPosterior:
        self._fit()
        return self.path

    def probabilities(self, rule: str | None = None) -> list[float]:
        self._fit()
        return pooled.probabilities(self.path, rule or self.rule, self.seed)

    def _fit(self) -> None:
        if not self._is_fitted:
            self.path.fit(self.successes, self.trials)
            self._is_fitted = True

    def _weigh(self) -> None:
        """The gain per cost [S] of asking at each boundary, and whether the decision is settled."""
        if len(self._rates_S):
            return
        self._fit()
        drawn_SM = self.path.draw(NUM_PATHS, np.random.default_rng((self.seed, sum(self.trials))))
        scores_SM = path_scores(self.path, drawn_SM, self.rule)
        means_S = rule_scores(self.path, self.rule)
        known = slice(None) if self.outcome is not None else slice(None, -1)
        scores_SM, means_S = scores_SM[known], means_S[known]
        gains = (_knowledge_gradient(drawn_SM, scores_SM, means_S, num) for num in LOOK_AHEAD)
        self._rates_S = np.max(
            [
                np.maximum(gain_S, 1e-7) / (num / LOOK_AHEAD[0] * self._costs_S + COST_FLOOR)
                for gain_S, num in zip(gains, LOOK_AHEAD, strict=True)
            ],
            axis=0,
        )
        index = int(means_S.argmax())
        is_sure = float(np.mean(scores_SM.argmax(0) == index)) >= SETTLED
        effects, weights = self.path.effect(index)
        is_credible = float(weights[np.abs(effects) >= self.min_effect].sum()) >= SETTLED
        largest_M = np.abs(path_scores(self.path, drawn_SM, "absolute")[known]).max(0)
        is_flat = float(np.mean(largest_M >= self.min_effect)) <= 1 - SETTLED
        is_unseen = self.means is not None and self.say is None and not self.tokens
        self._is_settled = ((is_sure and is_credible) or is_flat) and not is_unseen


def _knowledge_gradient(drawn_SM: Floats, scores_SM: Floats, means_S: Floats, num: int) -> Floats:
    """[S] expected rise of the best posterior mean after `num` rollouts at each boundary.

    By importance weights on drawn paths; the exact means replace the drawn ones as a control variate.
    """
    rates_SM = drawn_SM.clip(1e-6, 1 - 1e-6)
    shift_S = means_S - scores_SM.mean(1)
    total_S = np.full(len(drawn_SM), -means_S.max())
    for wins in range(num + 1):
        weights_SM = math.comb(num, wins) * rates_SM**wins * (1 - rates_SM) ** (num - wins)
        after_SS = weights_SM @ scores_SM.T / drawn_SM.shape[1] + weights_SM.mean(1)[:, None] * shift_S
        total_S += after_SS.max(1)
    return total_S
