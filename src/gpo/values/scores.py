"""How well predicted values agree with what was counted, each figure with an interval over problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gpo.curve import Floats

DRAWS = 500
"""Resamples of the problems behind an interval."""
BINS = 10
"""Of the calibration error, with equally many states each."""


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval over problems (percentile bootstrap); nan where it is not defined."""

    value: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.interval[0]:.3f} to {self.interval[1]:.3f})"


@dataclass(frozen=True)
class States:
    """Counted states [N]: predicted values, wins, trials, and the number of each one's problem."""

    predicted_N: Floats
    wins_N: Floats
    trials_N: Floats
    problem_N: np.ndarray


def scores(states: States, seed: int = 0) -> dict[str, Figure]:
    """Log loss and Brier score of a trial beside those of one rate for all, AUC, and calibration error."""
    return bootstrapped(
        lambda weights_P: _scores(states, weights_P[states.problem_N]), states.problem_N, seed
    )


def bootstrapped(
    function: Callable[[Floats], dict[str, float]], problem_N: np.ndarray, seed: int
) -> dict[str, Figure]:
    """Each figure of `function`, which is given a weight of each problem, with its interval."""
    num = int(problem_N.max()) + 1
    rng = np.random.default_rng(seed)
    whole = function(np.ones(num))
    drawn = [function(rng.multinomial(num, np.full(num, 1 / num)).astype(float)) for _ in range(DRAWS)]
    found = {}
    for name, value in whole.items():
        some = np.array([one[name] for one in drawn])
        low, high = np.nanquantile(some, [0.025, 0.975]) if np.isfinite(some).any() else (np.nan, np.nan)
        found[name] = Figure(value, (float(low), float(high)))
    return found


def _scores(states: States, weights_N: Floats) -> dict[str, float]:
    wins, trials = states.wins_N * weights_N, states.trials_N * weights_N
    losses, v = trials - wins, states.predicted_N.clip(1e-6, 1 - 1e-6)
    rate = wins.sum() / trials.sum()
    known = rate.clip(1e-6, 1 - 1e-6)
    return {
        "log_loss": float(-(wins * np.log(v) + losses * np.log(1 - v)).sum() / trials.sum()),
        "log_loss_of_rate": float(-(known * np.log(known) + (1 - known) * np.log(1 - known))),
        "brier": float((wins * (1 - v) ** 2 + losses * v**2).sum() / trials.sum()),
        "brier_of_rate": float(rate * (1 - rate)),
        "auc": auc(v, wins, losses),
        "calibration_error": calibration_error(v, wins, trials),
    }


def auc(v_N: Floats, wins_N: Floats, losses_N: Floats) -> float:
    """P(a success was predicted higher than a failure), ties half; nan without both."""
    if not (wins_N.sum() and losses_N.sum()):
        return float("nan")
    _, place = np.unique(v_N, return_inverse=True)
    wins, losses = np.bincount(place, wins_N), np.bincount(place, losses_N)
    below = np.cumsum(losses) - losses / 2
    return float((wins * below).sum() / (wins.sum() * losses.sum()))


def calibration_error(v_N: Floats, wins_N: Floats, trials_N: Floats) -> float:
    """Mean distance of predicted value and rate over BINS of states, weighed by their trials."""
    gap = 0.0
    for bin_ in np.array_split(np.argsort(v_N, kind="stable"), BINS):
        trials = trials_N[bin_].sum()
        if trials:
            gap += abs(float((trials_N[bin_] * v_N[bin_]).sum() - wins_N[bin_].sum()))
    return gap / float(trials_N.sum())


def first_errors(
    values: Sequence[Sequence[float]], labels: Sequence[int], problems: Sequence[int], seed: int = 0
) -> dict[str, Figure]:
    """How often the first step whose value falls below a threshold is the first wrong one (ProcessBench).

    `values` [S] are those after each step, a label is the first wrong step or -1. Accuracy on wrong and on
    right solutions, and their harmonic mean F1 (arXiv 2412.06559). Each half of the problems takes the
    threshold that suits the other half.
    """
    names, labels_R = np.array(problems), np.array(labels)
    is_first_R = names % 2 == 0
    steps = sorted({float(one) for some in values for one in some})
    candidates = [0.0, *(steps[i] for i in np.linspace(0, len(steps) - 1, 60).astype(int)), 1.1]
    hits_CR = np.array(
        [[named(some, t) == label for some, label in zip(values, labels, strict=True)] for t in candidates]
    )
    hit_R = np.empty(len(labels_R), bool)
    for is_half_R in (is_first_R, ~is_first_R):
        best = max(
            range(len(candidates)), key=lambda c: _f1(hits_CR[c], labels_R, (~is_half_R).astype(float))["f1"]
        )
        hit_R[is_half_R] = hits_CR[best, is_half_R]
    return bootstrapped(lambda weights_P: _f1(hit_R, labels_R, weights_P[names]), names, seed)


def named(values: Sequence[float], threshold: float) -> int:
    """The first step after which the value is below the threshold; -1 if none is."""
    return next((i for i, value in enumerate(values) if value < threshold), -1)


def _f1(hit_R: np.ndarray, labels_R: np.ndarray, weights_R: Floats) -> dict[str, float]:
    rates = []
    for is_kind_R in (labels_R >= 0, labels_R < 0):
        total = weights_R[is_kind_R].sum()
        rates.append(float((weights_R * hit_R)[is_kind_R].sum() / total) if total else 0.0)
    both = sum(rates)
    return {"wrong": rates[0], "right": rates[1], "f1": 2 * rates[0] * rates[1] / both if both else 0.0}
