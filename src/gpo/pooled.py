"""What the pooled estimator says of a path: its critical step by each rule, and the curve it believes."""

from __future__ import annotations

import math

import numpy as np

from gpo.curve import Estimate, Floats
from gpo.levels import LEVELS
from gpo.paths import PathPosterior
from gpo.rules import VALUE_RULES
from gpo.types import CriticalStep

SCORES: dict[str, Floats] = {
    rule: score(LEVELS[:, None], LEVELS[None, :])
    for rule, score in VALUE_RULES.items()
    if rule != "as-released"
}
"""Rules as functions [K, K] of a step's two levels; `as-released` takes the level before the step."""

NUM_DRAWS = 1000
"""Paths behind `probability`: a Monte Carlo error of at most 1.6 points."""


def rule_scores(path: PathPosterior, rule: str) -> Floats:
    """[S] posterior mean of what the rule takes the argmax of; nan for a last step of unknown outcome."""
    if rule == "as-released":
        return path.marginals @ LEVELS
    return path.expect(SCORES[rule], _end(path, SCORES[rule]))


def path_scores(path: PathPosterior, drawn_SM: Floats, rule: str) -> Floats:
    """[S, M] the same quantity on drawn paths."""
    last = np.full((1, drawn_SM.shape[1]), np.nan if path.outcome is None else path.outcome)
    return VALUE_RULES[rule](drawn_SM, np.vstack([drawn_SM[1:], last]))


def named_step(path: PathPosterior, rule: str, *, min_effect: float = 0.2, seed: int = 0) -> CriticalStep:
    """The step with the highest posterior mean of the rule's quantity.

    Advantage, interval (2.5 to 97.5 %) and credibility are those of the step's posterior, which is shrunk
    towards the prior: no further correction for the choice is needed. `probability` counts drawn paths.
    """
    scores = rule_scores(path, rule)
    index = int(np.nanargmax(scores))
    effects, weights = path.effect(index)
    chances = probabilities(path, rule, seed)
    return CriticalStep(
        index=index,
        advantage=float(effects @ weights),
        interval=path.interval(index),
        probability=chances[index],
        credibility=float(weights[np.abs(effects) >= min_effect].sum()),
        rule=rule,
        within_one=sum(chances[max(0, index - 1) : index + 2]),
    )


def probabilities(path: PathPosterior, rule: str, seed: int = 0) -> list[float]:
    """[S] probability that each step is the rule's argmax; 0 for a last step whose outcome is not known."""
    drawn = path_scores(path, path.draw(NUM_DRAWS, np.random.default_rng(seed)), rule)
    drawn = drawn[: len(drawn) - int(np.isnan(drawn[-1, 0]))]
    return [float(count) / NUM_DRAWS for count in np.bincount(drawn.argmax(0), minlength=path.num_steps)]


def pooled_estimate(path: PathPosterior) -> Estimate:
    """Posterior means of values and advantages, with their 95 % intervals."""
    values = [*(path.marginals @ LEVELS).tolist(), math.nan if path.outcome is None else path.outcome]
    num = path.num_steps - (path.outcome is None)
    effects = [path.effect(index) for index in range(num)]
    missing = path.num_steps - num
    end = (0.0, 1.0) if path.outcome is None else (path.outcome, path.outcome)
    return Estimate(
        values,
        [float(changes @ weights) for changes, weights in effects] + [math.nan] * missing,
        [path.interval(index) for index in range(num)] + [(-1.0, 1.0)] * missing,
        [*path.value_intervals(), end],
    )


def _end(path: PathPosterior, function_KK: Floats) -> Floats | None:
    """[K] a rule's function of the last step, from each level to the known outcome."""
    if path.outcome is None:
        return None
    return np.asarray(function_KK[:, -1 if path.outcome else 0])
