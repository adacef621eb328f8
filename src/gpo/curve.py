"""Estimators over a value curve: values, advantages and their intervals.

The estimator here is the paper's paired one: the advantage of a step is the difference of the
means at its two ends (arXiv 2509.16456), here with an interval that holds at 0/n and n/n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gpo.types import ValueCurve

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Estimates of a curve: values [S+1], advantages [S], 95 % intervals [S]; nan without evidence."""

    values: list[float]
    advantages: list[float]
    intervals: list[tuple[float, float]]
    value_intervals: list[tuple[float, float]] = field(default_factory=list)
    """[S+1] 95 % intervals of the values; empty if they were not kept."""


Z95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""

NUM_DRAWS = 4000
"""Posterior draws behind `probability` and `credibility`: a Monte Carlo error of at most 0.8 points."""


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """95 % score interval of a success rate (Wilson 1927); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, Z95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def value_intervals(curve: ValueCurve) -> list[tuple[float, float]]:
    """[S+1] 95 % intervals of the values; the known outcome has width 0."""
    intervals = [wilson(s, n) for s, n in zip(curve.successes, curve.trials, strict=True)]
    if curve.trials[-1]:
        intervals[-1] = (curve.values[-1], curve.values[-1])
    return intervals


def advantage_intervals(curve: ValueCurve) -> list[tuple[float, float]]:
    """[S] 95 % intervals of A_i = V(s_{i+1}) - V(s_i).

    Newcombe's hybrid score interval (1998, method 10): the distances of each mean to its Wilson bounds are
    added in squares. Never empty at 0/n or n/n, where Wald's interval has no width. An unsampled end may be
    anywhere in [0, 1].
    """
    ends = [_mean_and_interval(s, n) for s, n in zip(curve.successes, curve.trials, strict=True)]
    before, after = ends[:-1], ends[1:]
    if curve.trials[-1]:
        after[-1] = (curve.values[-1],) * 3
    intervals = []
    for (v0, low0, high0), (v1, low1, high1) in zip(before, after, strict=True):
        below, above = math.hypot(v1 - low1, high0 - v0), math.hypot(high1 - v1, v0 - low0)
        intervals.append((max(-1.0, v1 - v0 - below), min(1.0, v1 - v0 + above)))
    return intervals


def _mean_and_interval(successes: float, trials: float) -> tuple[float, float, float]:
    low, high = wilson(successes, trials)
    return (successes / trials if trials else (low + high) / 2), low, high


def paired_estimate(curve: ValueCurve) -> Estimate:
    """The paper's estimator: means at each boundary and their differences."""
    return Estimate(curve.values, curve.advantages, advantage_intervals(curve), value_intervals(curve))


def drawn_values(curve: ValueCurve, seed: int) -> Floats:
    """[NUM_DRAWS, S+1] values from independent Jeffreys posteriors; the known outcome is exact."""
    successes, trials = np.array(curve.successes), np.array(curve.trials)
    rng = np.random.default_rng(seed)
    draws = rng.beta(successes + 0.5, trials - successes + 0.5, size=(NUM_DRAWS, len(trials)))
    if curve.trials[-1]:
        draws[:, -1] = curve.values[-1]
    return draws


def mean_over_steps(curve: ValueCurve, per_token: Sequence[float]) -> list[float]:
    """[S] means per step of a number per sampled token [T].

    Given tokens have none; a step of given tokens is nan.
    """
    if curve.rollout is None:
        raise ValueError("numbers of tokens need the curve's rollout")
    start = len(curve.rollout.state.prefix_ids)
    spans = zip(curve.bounds, curve.bounds[1:], strict=False)
    return [_mean(per_token[max(0, a - start) : max(0, b - start)]) for a, b in spans]


def mean_entropies(curve: ValueCurve) -> list[float]:
    """[S] mean token entropy of each step, nats; mean surprisal where the engine gave no entropies."""
    rollout = curve.rollout
    if rollout is None:
        raise ValueError("entropies need the curve's rollout")
    return mean_over_steps(curve, rollout.entropies or [-logprob for logprob in rollout.logprobs])


def predicted_values(curve: ValueCurve) -> list[float]:
    """[S+1] what a critic reads of V at the boundaries; nan without one, and before the sampled tokens."""
    if curve.rollout is None:
        raise ValueError("what a critic reads needs the curve's rollout")
    read, start = curve.rollout.predicted, len(curve.rollout.state.prefix_ids)
    return [read[b - start] if read and b >= start else math.nan for b in curve.bounds]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
