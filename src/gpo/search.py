"""Which boundary of a trajectory to sample next: ask and tell, so that any engine can serve it.

    search = adaptive(num_steps=S, outcome=0.0, step_tokens=lengths, budget_tokens=20_000)
    while asks := search.ask(width=1):
        for boundary, num in asks:           # boundary 0..S-1: the state before that step
            search.tell(boundary, successes, num)
    search.result()                          # the critical step, or None if none is credible

Many searches run in lock-step: the asks of all of them make one batch. `uniform` is the paper's
allocation, `bisect` what OmegaPRM (arXiv 2406.06592) and Pivotal Token Search do, and `adaptive` asks
where a rollout is expected to improve the decision most for its tokens.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Required, TypedDict, Unpack

import numpy as np

from gpo import curve as curves
from gpo import paths
from gpo.curve import VALUE_RULES, Estimate, Floats
from gpo.paths import LEVELS, PathPosterior, PathPrior, named_step, path_scores, pooled_estimate, rule_scores
from gpo.types import CriticalStep, InputError, ValueCurve

CREDIBLE = 0.9
"""`result` names a step if P(|A| >= min_effect) is at least this."""
SETTLED = 0.99
"""A search is settled if it is so sure of its step, or that there is none."""
MAX_TRACES = 40
"""Without a budget a search ends after the tokens of so many trajectories."""
LOOK_AHEAD = (4, 16)
"""Rollouts that one is imagined to ask for when a boundary is weighed up: the better rate counts."""
NUM_PATHS = 256
"""Paths drawn for an ask."""
COST_FLOOR = 0.1
"""Of a trajectory, added to a rollout's cost: near-free boundaries at the end would be asked for ever."""
TRIALS_PER_ASK = 6
"""An ask is for one rollout, and one more for each so many trials that its boundary has."""


class Settings(TypedDict, total=False):
    """What every search is started with; the first two are needed."""

    num_steps: Required[int]
    outcome: Required[float | None]
    """1 success, 0 failure, None if the trace has none."""
    step_tokens: Sequence[int] | None
    """[S] lengths; all 1 if None."""
    proposal: Sequence[float] | None
    """[S] scores from a cheap look at the steps, higher is likelier critical."""
    prior: PathPrior | None
    """What earlier searches have taught; shared between searches."""
    budget_tokens: int | None
    rule: str
    min_effect: float
    """The |A| that `credibility` is about."""
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
        self.proposal, self.prior = proposal, prior
        """What the pooled estimator starts from; the paired one, and bisection, have no use for them."""
        self.min_effect, self.seed = min_effect, seed
        self.bounds = tuple(accumulate(lengths, initial=0))
        self.budget_tokens = budget_tokens or math.inf
        self.successes, self.trials = [0] * num_steps, [0] * num_steps
        self.tokens = 0
        """Asked for so far: as told where told, else as expected."""
        self._pending: dict[int, int] = {}

    @abstractmethod
    def ask(self, width: int = 1) -> list[tuple[int, int]]:
        """Up to `width` (boundary, number of rollouts) to sample now, none that is on its way already.

        [] if the search is done, or if it waits for answers.
        """

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether the search is settled or its budget is spent."""

    @abstractmethod
    def best(self) -> CriticalStep | None:
        """The best answer so far; None only where there is no evidence at all."""

    def probabilities(self, rule: str | None = None) -> list[float]:
        """[S] probability that each step is the argmax of `rule`, the search's own if None."""
        return curves.probabilities(self.curve, rule or self.rule, seed=self.seed)

    def believed(self, boundary: int) -> float | None:
        """The value believed of a boundary now; None if rewards do not decide where rollouts are asked for.

        It is the pooled estimator's, whatever names the step: it knows something even of a single rollout.
        """
        return float((self._path().marginals @ LEVELS)[boundary])

    def _path(self) -> PathPosterior:
        path = PathPosterior(self.num_steps, self.outcome, self.prior, self.proposal)
        path.fit(self.successes, self.trials)
        return path

    @property
    def estimate(self) -> Estimate:
        """Values, advantages and intervals by the estimator that names the step."""
        return curves.paired_estimate(self.curve)

    def result(self) -> CriticalStep | None:
        """The best answer if it is credible, else None: no step is."""
        best = self.best()
        return best if best and best.credibility >= CREDIBLE else None

    @property
    def curve(self) -> ValueCurve:
        """Every count so far; the outcome, if known, is the one trial of the last boundary."""
        known = int(self.outcome is not None)
        return ValueCurve(self.bounds, (*self.successes, int(self.outcome or 0)), (*self.trials, known))

    def expected_tokens(self, boundary: int) -> int:
        """Tokens of one rollout from there: what the trajectory had left."""
        return self.bounds[-1] - self.bounds[boundary]

    def tell(self, boundary: int, successes: int, num: int, tokens: int | None = None) -> None:
        """Count `successes` of `num` rollouts, asked for or not.

        It answers what was asked for at the boundary, however few came: the rest is lost. `tokens` are
        those that the rollouts took, in place of the expected ones.
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


class Uniform(Search):
    """`n` rollouts at every boundary: about n (S + 1) / 2 trajectories of tokens."""

    def __init__(self, n: int, *, width: int = 1, pooled: bool = False, **settings: Unpack[Settings]) -> None:
        super().__init__(**settings)
        if n < 1 or width < 1:
            raise ValueError(f"n and width must be at least 1, got {n} and {width}")
        self.n, self.width, self.pooled = n, width, pooled

    @property
    def done(self) -> bool:
        return not self._is_open(boundary for boundary, _ in self._missing())

    def ask(self, width: int = 1) -> list[tuple[int, int]]:
        return self._issue(self._missing(), width)

    def _missing(self) -> list[tuple[int, int]]:
        return [(b, self.n - trials) for b, trials in enumerate(self.trials) if trials < self.n]

    @property
    def estimate(self) -> Estimate:
        if self.pooled:
            return pooled_estimate(self._path())
        return curves.paired_estimate(self.curve, self.width)

    def best(self) -> CriticalStep | None:
        if self.pooled:
            return named_step(self._path(), self.rule, min_effect=self.min_effect, seed=self.seed)
        return curves.critical_step(
            self.curve, self.rule, width=self.width, min_effect=self.min_effect, seed=self.seed
        )

    def probabilities(self, rule: str | None = None) -> list[float]:
        if self.pooled:
            return paths.probabilities(self._path(), rule or self.rule, self.seed)
        return curves.probabilities(self.curve, rule or self.rule, width=self.width, seed=self.seed)

    def believed(self, boundary: int) -> None:  # noqa: ARG002 - as many everywhere, whatever comes of it
        return None


class Bisect(Search):
    """Halves the segment across which the value changes most, with `n` rollouts a boundary.

    A segment that changes by less than `threshold` is left whole, so changes that cancel are missed.
    """

    def __init__(self, n: int, threshold: float = 0.2, **settings: Unpack[Settings]) -> None:
        super().__init__(**settings)
        if n < 1 or not 0 <= threshold <= 1:
            raise ValueError(f"n must be at least 1 and threshold in 0..1, got {n} and {threshold}")
        self.n, self.threshold = n, threshold

    @property
    def done(self) -> bool:
        return not self._is_open(self._wanted())

    def ask(self, width: int = 1) -> list[tuple[int, int]]:
        return self._issue([(b, self.n - self.trials[b]) for b in self._wanted()], width)

    def _ends(self) -> list[int]:
        """Boundaries whose value is known: enough trials, or the outcome."""
        ends = [b for b, trials in enumerate(self.trials) if trials >= self.n]
        return ends + [self.num_steps] * (self.outcome is not None)

    def _wanted(self) -> list[int]:
        """The first and last boundary, then the middle of each segment that changes enough, largest first."""
        ends = self._ends()
        first = [b for b in (0, self.num_steps - 1) if self.trials[b] < self.n]
        if first:
            return first
        values = self.curve.values
        changes = {(a, b): abs(values[b] - values[a]) for a, b in pairwise(ends) if b - a > 1}
        found = [segment for segment, change in changes.items() if change >= self.threshold]
        return [(a + b) // 2 for a, b in sorted(found, key=lambda segment: -changes[segment])]

    def best(self) -> CriticalStep | None:
        """The rule on the boundaries that were sampled; in the middle of the segment that it names."""
        coarse = self._coarse()
        if coarse is None:
            return None
        step = curves.critical_step(coarse, self.rule, min_effect=self.min_effect, seed=self.seed)
        if step is None:
            return None
        ends, chances = self._ends(), self.probabilities()
        index = (ends[step.index] + ends[step.index + 1] - 1) // 2
        within_one = sum(chances[max(0, index - 1) : index + 2])
        return replace(step, index=index, probability=chances[index], within_one=within_one)

    def probabilities(self, rule: str | None = None) -> list[float]:
        """[S] as for every search; a segment's probability is spread evenly over its steps."""
        coarse, chances = self._coarse(), [0.0] * self.num_steps
        if coarse is not None:
            of_segments = curves.probabilities(coarse, rule or self.rule, seed=self.seed)
            for (start, end), chance in zip(pairwise(self._ends()), of_segments, strict=True):
                chances[start:end] = [chance / (end - start)] * (end - start)
        return chances

    def _coarse(self) -> ValueCurve | None:
        """The curve at the boundaries that were sampled; None before there are two."""
        full, ends = self.curve, self._ends()
        if len(ends) < 2:
            return None
        picked = ([counts[b] for b in ends] for counts in (full.bounds, full.successes, full.trials))
        bounds, successes, trials = map(tuple, picked)
        return ValueCurve(bounds, successes, trials)


class Adaptive(Search):
    """Asks where rollouts are expected to improve the decision most for each token they cost.

    The decision is the step with the highest posterior mean of the rule's quantity under the pooled
    estimator (gpo.paths). A boundary's worth is the knowledge gradient: by how much, on average over what
    a few rollouts there may show, the best posterior mean rises (Frazier, Powell, Dayanik 2008).
    """

    def __init__(self, **settings: Unpack[Settings]) -> None:
        super().__init__(**settings)
        if self.budget_tokens == math.inf:
            self.budget_tokens = MAX_TRACES * self.bounds[-1]
        self.path = PathPosterior(self.num_steps, self.outcome, self.prior, self.proposal)
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
        return paths.probabilities(self.path, rule or self.rule, self.seed)

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
        self._is_settled = (is_sure and is_credible) or is_flat


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


def uniform(n: int, *, width: int = 1, pooled: bool = False, **settings: Unpack[Settings]) -> Uniform:
    """The paper's allocation and estimator; or a windowed one (`width` above 1), or the pooled one."""
    return Uniform(n, width=width, pooled=pooled, **settings)


def bisect(n: int, threshold: float = 0.2, **settings: Unpack[Settings]) -> Bisect:
    """Recursive bisection of the largest change, `n` rollouts a boundary."""
    return Bisect(n, threshold, **settings)


def adaptive(**settings: Unpack[Settings]) -> Adaptive:
    """The search to use. Without `budget_tokens` it ends when settled, or after 40 traces of tokens."""
    return Adaptive(**settings)
