"""Rules: which step of a value curve is the critical one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from gpo.curve import (
    NUM_DRAWS,
    Floats,
    drawn_values,
    mean_entropies,
    paired_estimate,
    predicted_values,
)
from gpo.seeds import derive_seed
from gpo.types import CriticalStep, InputError, ValueCurve

Score = Callable[[Floats, Floats], Floats]
"""Values [..., S] before and after each step to the quantity [..., S] whose argmax a rule takes."""

VALUE_RULES: dict[str, Score] = {
    "signed": lambda before, after: after - before,
    "absolute": lambda before, after: np.abs(after - before),
    "drop": lambda before, after: before - after,
    "as-released": lambda before, _: before,
}
"""signed: the paper's text, the largest advantage. absolute: the largest change of either sign.
drop: the largest fall. as-released: the authors' code, the highest value at a step's start.
The pooled estimator takes them from here too."""

ADVANTAGE_RULES = ("signed", "absolute", "drop")

Rule = Literal[
    "signed", "absolute", "drop", "as-released", "entropy", "random", "critic", "critic-half", "base"
]
RULES: tuple[Rule, ...] = get_args(Rule)
"""All rules; base names no step, which leaves the base algorithm."""
CRITIC_RULES = ("critic", "critic-half")
"""Those that read a critic: the largest change of its V; the state whose V it puts nearest to one half."""
FREE_RULES = ("entropy", "random", *CRITIC_RULES)
"""Rules that cost no rollouts; `entropy` is the highest mean token entropy, `random` Satori's restart."""


def critical_step(
    curve: ValueCurve, rule: str, *, min_effect: float = 0.2, seed: int = 0
) -> CriticalStep | None:
    """The step that `rule` names, or None.

    The first of equal steps wins; a step with an unsampled end is skipped. A rule on advantages names no step
    if none moved the value in its direction. The advantage comes from the same counts that chose the step, so
    it is biased away from 0, and its interval does not correct for that. The probabilities come from
    independent Jeffreys posteriors.
    """
    index = named_step(curve, rule, seed=seed)
    if index is None:
        return None
    estimate = paired_estimate(curve)
    drawn = drawn_values(curve, seed)
    chances = probabilities(curve, rule, seed=seed)
    return CriticalStep(
        index=index,
        advantage=estimate.advantages[index],
        interval=estimate.intervals[index],
        probability=chances[index],
        credibility=float(np.mean(np.abs(drawn[:, index + 1] - drawn[:, index]) >= min_effect)),
        rule=rule,
        within_one=sum(chances[max(0, index - 1) : index + 2]),
    )


def named_step(curve: ValueCurve, rule: str, *, seed: int = 0) -> int | None:
    """The index of the step that `critical_step` names."""
    if rule not in RULES:
        raise InputError(f"rule: {rule!r} is unknown; one of {', '.join(RULES)}")
    values = np.array(curve.values)
    is_valued = rule in VALUE_RULES
    scores = VALUE_RULES[rule](values[:-1], values[1:]) if is_valued else _free_scores(curve, rule, seed)
    if np.all(np.isnan(scores)):
        return None
    index = int(np.nanargmax(scores))
    return None if rule in ADVANTAGE_RULES and scores[index] <= 0 else index


def probabilities(curve: ValueCurve, rule: str, *, seed: int = 0) -> list[float]:
    """[S] probability that each step is the rule's argmax; they sum to 1, or to 0 for `base`."""
    if rule in VALUE_RULES:
        drawn = drawn_values(curve, seed)
        picks = VALUE_RULES[rule](drawn[:, :-1], drawn[:, 1:]).argmax(1)
        return [float(count) / NUM_DRAWS for count in np.bincount(picks, minlength=curve.num_steps)]
    if rule == "random":
        return [1 / curve.num_steps] * curve.num_steps
    scores = _free_scores(curve, rule, seed)
    chances = [0.0] * curve.num_steps
    if not np.all(np.isnan(scores)):
        chances[int(np.nanargmax(scores))] = 1.0
    return chances


def _free_scores(curve: ValueCurve, rule: str, seed: int) -> Floats:
    """[S] what a rule that needs no values takes the argmax of."""
    if rule == "entropy":
        return np.array(mean_entropies(curve))
    if rule == "random":
        return np.random.default_rng(derive_seed(seed, "random rule")).random(curve.num_steps)
    if rule in CRITIC_RULES:
        values = np.array(predicted_values(curve))
        return np.abs(np.diff(values)) if rule == "critic" else -np.abs(values[:-1] - 0.5)
    return np.full(curve.num_steps, np.nan)
