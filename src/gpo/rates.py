"""Rates over problems: errors clustered by problem, intervals, paired differences.

Samples of one problem are not independent, so the unit is always the problem, not the sample.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

import numpy as np

Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Rate:
    """A mean over problems with its standard error (nan for a single problem) and 95 % interval."""

    mean: float
    stderr: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Difference:
    """How much higher the first of two rates is on the same problems."""

    mean: float
    stderr: float
    interval: tuple[float, float]
    p_value: float
    """Two-sided, from the exact sign-flip test: how often swapping each problem's two rates by a coin flip
    puts the mean as far from 0. With one sample each it is McNemar's exact test."""
    num_problems: int
    num_better: int
    num_worse: int

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{100 * self.mean:+.1f} ± {100 * self.stderr:.1f} points, 95 % interval "
            f"{100 * low:+.1f} .. {100 * high:+.1f}, p = {self.p_value:.3g} (exact sign-flip test); "
            f"better on {self.num_better}, worse on {self.num_worse}"
        )


def mean_and_stderr(rates_P: Sequence[float]) -> tuple[float, float]:
    """Mean over problems and its standard error; nan if there are too few."""
    num = len(rates_P)
    mean = sum(rates_P) / num if num else math.nan
    if num < 2:
        return mean, math.nan
    return mean, math.sqrt(sum((rate - mean) ** 2 for rate in rates_P) / (num - 1) / num)


def rate(values_P: Sequence[float], samples_per_problem: int = 1) -> Rate:
    """The mean of values in [0, 1] with Wilson's interval for as many coin flips as have its standard error.

    Unlike mean +- 2 s.e. it stays inside [0, 1] and has a width even if all values are equal: all right or
    all wrong counts as one flip per problem. There are never more flips than samples.
    """
    mean, stderr = mean_and_stderr(values_P)
    return Rate(mean, stderr, _interval(mean, stderr, len(values_P), len(values_P) * samples_per_problem))


def mean_of(rates: Sequence[Rate], num_problems: int, samples_per_problem: int = 1) -> Rate:
    """The unweighted mean of independent rates over `num_problems` in all; its error comes from their own.

    If a rate covers a single problem it has no error, and neither has the mean: it counts as one flip per
    problem.
    """
    mean = sum(one.mean for one in rates) / len(rates)
    stderr = math.sqrt(sum(one.stderr**2 for one in rates)) / len(rates)
    least = len(rates) if math.isnan(stderr) else num_problems
    return Rate(mean, stderr, _interval(mean, stderr, least, num_problems * samples_per_problem))


def _interval(mean: float, stderr: float, least: int, most: int) -> tuple[float, float]:
    """Wilson's for as many flips as have this error, at most `most`; `least` where it tells nothing."""
    flips = float(least)
    if 0 < mean < 1 and not math.isnan(stderr):
        flips = most if stderr == 0 else min(most, mean * (1 - mean) / stderr**2)
    return wilson(mean, flips)


def wilson(mean: float, num: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `num` independent coin flips (Wilson 1927); nan for none."""
    if not num > 0:
        return math.nan, math.nan
    centre = (mean + Z**2 / (2 * num)) / (1 + Z**2 / num)
    half = Z / (1 + Z**2 / num) * math.sqrt(mean * (1 - mean) / num + Z**2 / (4 * num**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def pass_at(num: int, num_right: int, k: int) -> float:
    """Unbiased estimate of P(at least one of k samples is right), 1 - C(n-c, k) / C(n, k), from n >= k.

    Chen et al. 2021, arXiv 2107.03374; plugging the rate into 1 - (1-p)^k would be biased.
    """
    if not 1 <= k <= num:
        raise ValueError(f"k is {k} and there are {num} samples")
    return 1.0 - math.comb(num - num_right, k) / math.comb(num, k)


def majority_at(answers: Sequence[str | None], is_right: Sequence[float], k: int) -> float:
    """The rate at which the commonest answer of k samples is right, over the n // k disjoint blocks of k.

    A sample without an answer has no vote. A tie scores the chance that a random one of the tied answers is
    right. A block without votes is wrong.
    """
    if not 1 <= k <= len(answers):
        raise ValueError(f"k is {k} and there are {len(answers)} samples")
    blocks = [range(start, start + k) for start in range(0, len(answers) - k + 1, k)]
    return sum(_majority([(answers[i], is_right[i]) for i in block]) for block in blocks) / len(blocks)


def _majority(votes: Sequence[tuple[str | None, float]]) -> float:
    counts = Counter(answer for answer, _ in votes if answer is not None)
    most = max(counts.values(), default=0)
    winners = [answer for answer, count in counts.items() if count == most]
    shares = [[right for answer, right in votes if answer == winner] for winner in winners]
    return sum(sum(share) / len(share) for share in shares) / len(shares) if shares else 0.0


def paired(first_P: Sequence[float], second_P: Sequence[float]) -> Difference:
    """first - second on the same problems, in order.

    The interval is the mean +- 1.96 s.e. after adding two problems, one won and one lost (Agresti and Min
    2005), so it has a width even if no problem tells the two apart.
    """
    differences = [a - b for a, b in zip(first_P, second_P, strict=True)]
    num = len(differences)
    mean, stderr = mean_and_stderr(differences)
    padded = [*differences, 1.0, -1.0]
    middle = sum(padded) / len(padded)
    half = Z * math.sqrt(sum((d - middle) ** 2 for d in padded)) / len(padded)
    return Difference(
        mean,
        stderr,
        (max(-1.0, middle - half), min(1.0, middle + half)),
        sign_flip_p_value(differences),
        num,
        sum(d > 0 for d in differences),
        sum(d < 0 for d in differences),
    )


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Exact P(|sum of +-d| >= |sum of d|) for fair random signs: no sampling, no normal approximation.

    The differences are shares of small numbers of samples, so they are whole multiples of one unit, and the
    sum's distribution is the inverse Fourier transform of the product of cos(2 pi d_i t).
    """
    units = _in_units(differences)
    span = sum(abs(unit) for unit in units)
    if span == 0:
        return 1.0
    size = 2 * span + 1
    angles = 2 * np.pi * np.arange(size // 2 + 1) / size
    transform = np.ones_like(angles)
    for unit, count in Counter(abs(unit) for unit in units if unit).items():
        transform *= np.cos(unit * angles) ** count
    chances = np.fft.irfft(transform, n=size)  # of the sums 0, 1, ..., span, -span, ..., -1
    far = abs(sum(units))
    return float(min(1.0, max(0.0, chances[far : size - far + 1].sum() if far else 1.0)))


def _in_units(differences: Sequence[float]) -> list[int]:
    """The differences as whole multiples of their largest common unit."""
    fractions = [Fraction(d).limit_denominator(1_000_000) for d in differences]
    unit = math.lcm(*(fraction.denominator for fraction in fractions)) if fractions else 1
    return [int(fraction * unit) for fraction in fractions]
