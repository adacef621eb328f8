"""What each rule would have named, from one trajectory's own counts: the rules on the same rollouts."""

from __future__ import annotations

from functools import partial

import numpy as np

from gpo.curve import VALUE_RULES, probabilities
from gpo.paths import NUM_DRAWS, PathPosterior, path_scores, rule_scores
from gpo.report.lines import CurveLine
from gpo.types import ValueCurve

Picks = dict[str, tuple[int, float]]
"""Rule to the step it names and P(that step is the rule's argmax)."""


def picks(line: CurveLine, is_pooled: bool) -> Picks:
    """The step of every value rule; none where nothing was sampled.

    The recorded step stands for its own rule. The others are read from the recorded counts by the run's
    estimator: pooled, here without what a proposal had added to it, or paired (the uniform search's).
    """
    if not any(line.trials[:-1]):
        return {line.critical.rule: _recorded(line)} if line.critical else {}
    found = _pooled(line) if is_pooled else _paired(line)
    if line.critical:
        found[line.critical.rule] = _recorded(line)
    return found


def _recorded(line: CurveLine) -> tuple[int, float]:
    assert line.critical is not None  # noqa: S101 - for the type checker
    return line.critical.index, line.critical.probability


def _pooled(line: CurveLine) -> Picks:
    outcome = line.successes[-1] / line.trials[-1] if line.trials[-1] else None
    path = PathPosterior(line.num_steps, outcome)
    path.fit(line.successes[:-1], line.trials[:-1])
    drawn_SM = path.draw(NUM_DRAWS, np.random.default_rng(0))
    found: Picks = {}
    for rule in VALUE_RULES:
        index = int(np.nanargmax(rule_scores(path, rule)))
        scores_SM = path_scores(path, drawn_SM, rule)
        known_SM = scores_SM[: len(scores_SM) - int(np.isnan(scores_SM[-1, 0]))]
        found[rule] = index, float(np.mean(known_SM.argmax(0) == index))
    return found


def _paired(line: CurveLine) -> Picks:
    curve = ValueCurve(line.bounds, line.successes, line.trials)
    found: Picks = {}
    chances = partial(probabilities, curve)
    values = np.array(curve.values)
    for rule, score in VALUE_RULES.items():
        scores_S = score(values[:-1], values[1:])
        if not np.all(np.isnan(scores_S)):
            index = int(np.nanargmax(scores_S))
            found[rule] = index, chances(rule)[index]
    return found


def agreement(all_picks: list[Picks]) -> dict[str, list[list[int]]]:
    """For every two rules, [R, R]: how often both named a step, and how often the same one."""
    named = [
        [sum(a in picks and b in picks for picks in all_picks) for b in VALUE_RULES] for a in VALUE_RULES
    ]
    same = [
        [
            sum(a in picks and b in picks and picks[a][0] == picks[b][0] for picks in all_picks)
            for b in VALUE_RULES
        ]
        for a in VALUE_RULES
    ]
    return {"named": named, "same": same}
