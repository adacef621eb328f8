"""Searches that sample every boundary alike, or halve: the paper's allocation, and bisection."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Unpack

from gpo import curve as curves
from gpo import pooled, rules
from gpo.curve import Estimate
from gpo.pooled import named_step, pooled_estimate
from gpo.search.base import Search, Settings
from gpo.types import CriticalStep, ValueCurve


class Uniform(Search):
    """`n` rollouts at every boundary: about n (S + 1) / 2 trajectories of tokens."""

    def __init__(self, n: int, *, pooled: bool = False, **settings: Unpack[Settings]) -> None:
        super().__init__(**settings)
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        self.n, self.pooled = n, pooled

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
        return curves.paired_estimate(self.curve)

    def best(self) -> CriticalStep | None:
        if self.pooled:
            return named_step(self._path(), self.rule, min_effect=self.min_effect, seed=self.seed)
        return rules.critical_step(self.curve, self.rule, min_effect=self.min_effect, seed=self.seed)

    def probabilities(self, rule: str | None = None) -> list[float]:
        if self.pooled:
            return pooled.probabilities(self._path(), rule or self.rule, self.seed)
        return rules.probabilities(self.curve, rule or self.rule, seed=self.seed)

    def believed(self, boundary: int) -> None:  # noqa: ARG002 - as many everywhere, whatever comes of it
        return None


class Bisect(Search):
    """Halves the segment across which the value changes most, with `n` rollouts per boundary.

    A segment that changes by less than `threshold` is not split, so changes that cancel are missed.
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
        """The middle of the segment that the rule names among the sampled boundaries."""
        coarse = self._coarse()
        if coarse is None:
            return None
        step = rules.critical_step(coarse, self.rule, min_effect=self.min_effect, seed=self.seed)
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
            of_segments = rules.probabilities(coarse, rule or self.rule, seed=self.seed)
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
