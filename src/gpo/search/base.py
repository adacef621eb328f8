"""What every search shares: counts told, tokens asked for, budget, and its answer so far."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Required, TypedDict

import numpy as np

from gpo import curve as curves
from gpo import rules
from gpo.curve import Estimate
from gpo.levels import LEVELS
from gpo.paths import PathPosterior, PathPrior
from gpo.rules import VALUE_RULES
from gpo.types import CriticalStep, InputError, ValueCurve

CREDIBLE = 0.9
"""`result` names a step if P(|A| >= min_effect) is at least this."""


class Settings(TypedDict, total=False):
    """What every search starts with; the first two are required."""

    num_steps: Required[int]
    outcome: Required[float | None]
    """1 success, 0 failure, None if the trace has none."""
    step_tokens: Sequence[int] | None
    """[S] lengths; all 1 if None."""
    proposal: Sequence[float] | None
    """[S] cheap scores of the steps; higher means likelier critical."""
    means: Sequence[float] | None
    """[S] predicted values at the boundaries, whose say the prior has learned."""
    say: float | None
    """Rollouts that these count for where they are trusted: then a search may end without a single one."""
    prior: PathPrior | None
    """What earlier searches have taught; shared between searches."""
    budget_tokens: int | None
    rule: str
    min_effect: float
    """The |A| behind `credibility`."""
    seed: int


class Search(ABC):
    """One trajectory's search for its critical step: counts, tokens, budget; subclasses choose boundaries."""

    def __init__(
        self,
        *,
        num_steps: int,
        outcome: float | None,
        step_tokens: Sequence[int] | None = None,
        budget_tokens: int | None = None,
        rule: str = "absolute",
        min_effect: float = 0.2,
        seed: int = 0,
        proposal: Sequence[float] | None = None,
        prior: PathPrior | None = None,
        means: Sequence[float] | None = None,
        say: float | None = None,
    ) -> None:
        lengths = list(step_tokens) if step_tokens is not None else [1] * num_steps
        if num_steps < 1 or len(lengths) != num_steps or min(lengths) < 1:
            raise ValueError(f"{num_steps} steps need {num_steps} positive lengths, got {lengths}")
        if outcome not in (None, 0, 1):
            raise ValueError(f"outcome must be 0, 1 or None, got {outcome}")
        if rule not in VALUE_RULES:
            raise InputError(f"rule: {rule!r} needs no search; one of {', '.join(VALUE_RULES)}")
        if proposal is not None and (len(proposal) != num_steps or not np.isfinite(proposal).all()):
            raise ValueError(f"proposal must be {num_steps} finite scores, got {list(proposal)}")
        self.num_steps, self.outcome, self.rule = num_steps, outcome, rule
        if means is not None and (len(means) != num_steps or not all(0 <= one <= 1 for one in means)):
            raise ValueError(f"means must be {num_steps} values in [0, 1], got {list(means)}")
        self.proposal, self.prior, self.means, self.say = proposal, prior, means, say
        """The pooled estimator starts from these; the paired one and bisection ignore them."""
        self.min_effect, self.seed = min_effect, seed
        self.bounds = tuple(accumulate(lengths, initial=0))
        self.budget_tokens = budget_tokens or math.inf
        self.successes, self.trials = [0] * num_steps, [0] * num_steps
        self.tokens = 0
        """Tokens of all asks so far: as told, else as expected."""
        self._pending: dict[int, int] = {}

    @abstractmethod
    def ask(self, width: int = 1) -> list[tuple[int, int]]:
        """Up to `width` (boundary, number of rollouts) to sample now, none that is already under way.

        [] if the search is done or waits for answers.
        """

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether the search is settled or its budget is spent."""

    @abstractmethod
    def best(self) -> CriticalStep | None:
        """The best answer so far; None only without any evidence."""

    def probabilities(self, rule: str | None = None) -> list[float]:
        """[S] probability that each step is the argmax of `rule`, the search's own if None."""
        return rules.probabilities(self.curve, rule or self.rule, seed=self.seed)

    def believed(self, boundary: int) -> float | None:
        """A boundary's current estimated value; None if rewards do not decide where rollouts go.

        It comes from the pooled estimator, whatever names the step: that learns even from a single rollout.
        """
        return float((self._path().marginals @ LEVELS)[boundary])

    def _path(self) -> PathPosterior:
        path = self._unfitted()
        path.fit(self.successes, self.trials)
        return path

    def _unfitted(self) -> PathPosterior:
        return PathPosterior(self.num_steps, self.outcome, self.prior, self.proposal, self.means, self.say)

    @property
    def estimate(self) -> Estimate:
        """Values, advantages and intervals by the estimator that names the step."""
        return curves.paired_estimate(self.curve)

    def result(self) -> CriticalStep | None:
        """The best answer if it is credible, else None."""
        best = self.best()
        return best if best and best.credibility >= CREDIBLE else None

    @property
    def curve(self) -> ValueCurve:
        """Every count so far; the outcome, if known, is the one trial of the last boundary."""
        known = int(self.outcome is not None)
        return ValueCurve(self.bounds, (*self.successes, int(self.outcome or 0)), (*self.trials, known))

    def expected_tokens(self, boundary: int) -> int:
        """Expected tokens of one rollout from there: the trajectory's remaining length."""
        return self.bounds[-1] - self.bounds[boundary]

    def tell(self, boundary: int, successes: int, num: int, tokens: int | None = None) -> None:
        """Count `successes` of `num` rollouts, asked for or not.

        It closes what was asked at the boundary, even if fewer rollouts came. `tokens` are those that the
        rollouts took, instead of the expected ones.
        """
        if not 0 <= boundary < self.num_steps:
            raise ValueError(f"boundary {boundary} is not in 0..{self.num_steps - 1}")
        if not 0 <= successes <= num:
            raise ValueError(f"{successes} successes of {num} rollouts are not possible")
        if num == 0 and boundary not in self._pending:
            return
        asked = self._pending.pop(boundary, 0)
        if tokens is not None:
            self.tokens += tokens - asked * self.expected_tokens(boundary)
        elif asked > num:
            self.tokens -= (asked - num) * self.expected_tokens(boundary)
        self.successes[boundary] += successes
        self.trials[boundary] += num

    def _issue(self, wanted: Sequence[tuple[int, int]], width: int) -> list[tuple[int, int]]:
        """The first `width` of those asks that the budget allows and that are not on their way."""
        asks: list[tuple[int, int]] = []
        for boundary, num in wanted:
            num = min(num, self._affordable(boundary))
            if num > 0 and boundary not in self._pending and len(asks) < width:
                asks.append((boundary, num))
                self._pending[boundary] = num
                self.tokens += num * self.expected_tokens(boundary)
        return asks

    def _affordable(self, boundary: int) -> int:
        """Rollouts from there that are left in the budget."""
        left = min(self.budget_tokens - self.tokens, sys.maxsize)
        return int(left // self.expected_tokens(boundary))

    def _is_open(self, boundaries: Iterable[int]) -> bool:
        """Whether answers are awaited, or one of these boundaries can still be asked for."""
        return bool(self._pending) or any(self._affordable(b) > 0 for b in boundaries)
