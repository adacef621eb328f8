"""Estimators over a value curve: intervals, and the rules that name a critical step.

The estimator here is the paper's paired one: the advantage of a step is the difference of the
means at its two ends (arXiv 2509.16456), here with an interval that holds at 0/n and n/n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpo.types import CriticalStep, InputError, ValueCurve, derive_seed

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """What is believed of a curve: values [S+1], advantages [S], their 95 % intervals [S]; nan if nothing."""

    values: list[float]
    advantages: list[float]
    intervals: list[tuple[float, float]]


Z95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""

NUM_DRAWS = 4000
"""Posterior draws behind `probability` and `credibility`: a Monte Carlo error of at most 0.8 points."""


def wilson(successes: int, trials: int) -> tuple[float, float]:
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

    Newcombe's hybrid score interval (1998, method 10): the distances of each mean to its Wilson
    bounds are added in squares. Never empty at 0/n or n/n, where Wald's interval has no width.
    Unsampled ends count as anywhere in [0, 1].
    """
    bounds = value_intervals(curve)
    means = [sum(b) / 2 if math.isnan(v) else v for v, b in zip(curve.values, bounds, strict=True)]
    intervals = []
    for (v0, (low0, high0)), (v1, (low1, high1)) in zip(
        zip(means, bounds, strict=True), zip(means[1:], bounds[1:], strict=True), strict=False
    ):
        below, above = math.hypot(v1 - low1, high0 - v0), math.hypot(high1 - v1, v0 - low0)
        intervals.append((max(-1.0, v1 - v0 - below), min(1.0, v1 - v0 + above)))
    return intervals


def paired_estimate(curve: ValueCurve) -> Estimate:
    """The paper's estimator: means at each boundary and their differences."""
    return Estimate(curve.values, curve.advantages, advantage_intervals(curve))


def posterior_values(curve: ValueCurve, seed: int = 0) -> Floats:
    """[NUM_DRAWS, S+1] draws from independent Jeffreys posteriors; the known outcome is exact."""
    successes, trials = np.array(curve.successes), np.array(curve.trials)
    draws = np.random.default_rng(seed).beta(
        successes + 0.5, trials - successes + 0.5, size=(NUM_DRAWS, len(trials))
    )
    if curve.trials[-1]:
        draws[:, -1] = curve.values[-1]
    return draws


def mean_entropies(curve: ValueCurve) -> list[float]:
    """[S] mean token entropy of each step, nats; mean surprisal where the engine gave no entropies.

    Tokens that were given rather than sampled have neither, and a step of such tokens is nan.
    """
    rollout = curve.rollout
    if rollout is None:
        raise ValueError("entropies need the curve's rollout")
    uncertainty = rollout.entropies or tuple(-logprob for logprob in rollout.logprobs)
    start = len(rollout.state.prefix_ids)
    spans = zip(curve.bounds, curve.bounds[1:], strict=False)
    return [_mean(uncertainty[max(0, a - start) : max(0, b - start)]) for a, b in spans]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


Score = Callable[[Floats], Floats]
"""Values [..., S+1] to the quantity [..., S] whose argmax a rule takes."""

VALUE_RULES: dict[str, Score] = {
    "signed": lambda values: np.diff(values, axis=-1),
    "absolute": lambda values: np.abs(np.diff(values, axis=-1)),
    "drop": lambda values: -np.diff(values, axis=-1),
    "as-released": lambda values: values[..., :-1],
}
"""signed: the paper's text, the largest advantage. absolute: the largest change of either sign.
drop: the largest fall. as-released: the authors' code, the highest value at a step's start."""

ADVANTAGE_RULES = ("signed", "absolute", "drop")

FREE_RULES = ("entropy", "random")
"""Rules that cost no rollouts: the highest mean token entropy; any step (Satori's restart)."""

RULES = (*VALUE_RULES, *FREE_RULES, "base")
"""All rules; base names no step, so that nothing is reset and the base algorithm remains."""


def critical_step(
    curve: ValueCurve, rule: str, *, min_effect: float = 0.2, seed: int = 0
) -> CriticalStep | None:
    """The step that `rule` names; None where it names none.

    The first of equal steps wins, and a step with an unsampled end is passed over. A rule on advantages
    names no step where none changed the value the way it looks for. The advantage is
    the plain difference of the counts that also chose the step, so it is biased away from 0; its
    interval does not correct for the choice. `probability` and `credibility` come from independent
    Jeffreys posteriors.
    """
    if rule not in RULES:
        raise InputError(f"rule: {rule!r} is unknown; one of {', '.join(RULES)}")
    scores, probability = _scores(curve, rule, seed)
    if np.all(np.isnan(scores)):
        return None
    index = int(np.nanargmax(scores))
    if rule in ADVANTAGE_RULES and scores[index] <= 0:
        return None
    draws = posterior_values(curve, seed)
    if rule in VALUE_RULES:
        probability = float(np.mean(np.argmax(VALUE_RULES[rule](draws), axis=1) == index))
    return CriticalStep(
        index=index,
        advantage=curve.advantages[index],
        interval=advantage_intervals(curve)[index],
        probability=probability,
        credibility=float(np.mean(np.abs(draws[:, index + 1] - draws[:, index]) >= min_effect)),
        rule=rule,
    )


def _scores(curve: ValueCurve, rule: str, seed: int) -> tuple[Floats, float]:
    """[S] what the rule takes the argmax of, and the probability of a rule that needs no values."""
    if rule in VALUE_RULES:
        return VALUE_RULES[rule](np.array(curve.values)), math.nan
    if rule == "entropy":
        return np.array(mean_entropies(curve)), 1.0
    if rule == "random":
        return np.random.default_rng(derive_seed(seed, "random rule")).random(curve.num_steps), (
            1 / curve.num_steps
        )
    return np.full(curve.num_steps, np.nan), 0.0
