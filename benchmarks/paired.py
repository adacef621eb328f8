"""Differences paired by seed: Student's t, its intervals and p-values, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


def two_sided(t: float, freedom: int) -> float:
    """P(|T| > |t|) with so many degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(abs(t) / math.sqrt(freedom))
    cosine2, is_odd = math.cos(angle) ** 2, freedom % 2
    term, total = math.cos(angle) if is_odd else 1.0, 0.0
    for j in range(1, (freedom - is_odd) // 2 + 1):
        total += term
        term *= cosine2 * (2 * j / (2 * j + 1) if is_odd else (2 * j - 1) / (2 * j))
    inside = math.sin(angle) * total
    return 1 - ((2 / math.pi) * (angle + inside) if is_odd else inside)


def quantile(freedom: int, level: float = 0.95) -> float:
    """The t that |T| stays below with this probability."""
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > 1 - level else (low, middle)
    return high


@dataclass(frozen=True)
class Difference:
    """A mean over seeds with its 95 % interval, and the p-value of no difference; nan of one seed."""

    mean: float
    low: float
    high: float
    p: float
    num: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Difference:
        mean, num = fmean(values), len(values)
        if num < 2:
            return cls(mean, math.nan, math.nan, math.nan, num)
        error = stdev(values) / math.sqrt(num)
        half = quantile(num - 1) * error
        p = two_sided(mean / error, num - 1) if error else float(mean == 0)
        return cls(mean, mean - half, mean + half, p, num)

    def __str__(self) -> str:
        if self.num < 2:
            return f"{self.mean:+.3f}"
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def holm(p_values: Sequence[float]) -> list[float]:
    """[N] p-values of N comparisons that hold together (Holm 1979); nan stays and is not counted."""
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted, largest = list(p_values), 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[i] = largest
    return adjusted
