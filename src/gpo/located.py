"""Which trajectories are explored, and what a search starts from and says of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from gpo import curve as curves
from gpo import rules
from gpo import search as searches
from gpo.paths import PathPrior
from gpo.proposals import Predicted, Scores
from gpo.protocols import Policy, Splitter
from gpo.recipe import Recipe
from gpo.seeds import derive_seed
from gpo.types import CriticalStep, Group, Rollout, State, StepValues, ValueCurve


@dataclass(frozen=True)
class Located:
    """A trajectory, its value curve, and the step that the rule named, if it named one."""

    curve: ValueCurve
    critical: CriticalStep | None
    """The best answer, credible or not: see its `credibility`."""
    estimate: curves.Estimate
    probabilities: list[float]
    """[S] that each step is the rule's argmax."""
    tokens: int = 0
    """That its search took, a rollout that it shares with another search counted in both."""

    def __str__(self) -> str:
        """A line a step: V before it, rollouts there, what it changed with its 95 % interval; ▶ marks it."""
        lines = ["  step tokens     V     n      A           95 %"]
        for i, (start, end) in enumerate(pairwise(self.curve.bounds)):
            mark = "▶" if self.critical is not None and self.critical.index == i else " "
            value, change = self.estimate.values[i], self.estimate.advantages[i]
            low, high = self.estimate.intervals[i]
            counts = f"{mark} {i:>4} {end - start:>6} {value:>5.2f} {self.curve.trials[i]:>5}"
            lines.append(f"{counts} {change:>+6.2f} {low:>+6.2f} .. {high:+.2f}")
        return "\n".join(lines)

    @property
    def step_values(self) -> StepValues | None:
        """What the search believes of the trajectory's values; None where a value is missing."""
        rollout, values = self.curve.rollout, tuple(self.estimate.values)
        if rollout is None or not np.isfinite(values).all():
            return None
        return StepValues(rollout, self.curve.bounds, values)


def choose(groups: Sequence[Group], recipe: Recipe, seed: int, most: int | None = None) -> list[Rollout]:
    """The trajectories to explore: at most one of a group, at most `most`, drawn at random."""
    candidates = [one for group in groups for one in _explorable(group, recipe)[:1]]
    order = np.random.default_rng(derive_seed(seed, "choose")).permutation(len(candidates))
    return [candidates[i] for i in sorted(order[: recipe.max_located if most is None else most])]


def _explorable(group: Group, recipe: Recipe) -> list[Rollout]:
    failed = [r for r in group.rollouts if r.reward < recipe.success_at and r.action_ids]
    succeeded = [r for r in group.rollouts if r.reward >= recipe.success_at and r.action_ids]
    is_mixed = bool(failed and succeeded)
    return {
        "all": [r for r in group.rollouts if r.action_ids],
        "failed": failed,
        "mixed": failed if is_mixed else [],
        "unsolved": [] if succeeded else failed,
        "succeeded": succeeded if is_mixed else [],
    }[recipe.explored]


def unsampled(rollout: Rollout, bounds: Sequence[int]) -> ValueCurve:
    """The curve of a trajectory before anything is known of its values."""
    return ValueCurve(tuple(bounds), (0,) * len(bounds), (0,) * len(bounds), rollout)


def start_search(trace: ValueCurve, proposed: Scores, recipe: Recipe, prior: PathPrior) -> searches.Search:
    """The recipe's search over the steps of one trajectory, from a proposal's scores for them."""
    rollout, bounds = trace.rollout, trace.bounds
    assert rollout is not None  # noqa: S101 - for the type checker
    settings: searches.Settings = {
        "num_steps": len(bounds) - 1,
        "outcome": float(rollout.reward >= recipe.success_at),
        "step_tokens": [end - start for start, end in pairwise(bounds)],
        "rule": recipe.rule,
        "prior": prior,
        "proposal": proposed,
        "seed": derive_seed("search", rollout.state.key, len(rollout.action_ids)),
    }
    if isinstance(proposed, Predicted):
        settings["means"] = proposed.means
        settings["say"] = trusted_say(proposed.say, prior)
    if recipe.search == "uniform":
        return searches.uniform(recipe.values, **settings)
    settings["budget_tokens"] = round(recipe.search_traces * (bounds[-1] - bounds[0]))
    if recipe.search == "bisect":
        return searches.bisect(recipe.values, **settings)
    return searches.adaptive(**settings)


def trusted_say(say: float | None, prior: PathPrior) -> float | None:
    """What trusted predictions count for, at least as much as was learned; None where they are not."""
    return None if say is None else max(say, prior.say)


def result_of(run: searches.Search, rollout: Rollout, bounds: Sequence[int]) -> Located:
    """What a search found of its trajectory."""
    curve = replace(run.curve, bounds=tuple(bounds), rollout=rollout)
    return Located(curve, run.best(), run.estimate, run.probabilities(), run.tokens)


def without_search(rollout: Rollout, bounds: Sequence[int], recipe: Recipe, seed: int) -> Located:
    """What a rule that needs no values says of a trajectory."""
    num = len(bounds) - 1
    outcome = int(rollout.reward >= recipe.success_at)
    curve = ValueCurve(tuple(bounds), (*(0,) * num, outcome), (*(0,) * num, 1), rollout)
    seed = derive_seed(seed, "rule", rollout.state.key)
    critical = rules.critical_step(curve, recipe.rule, seed=seed)
    chances = rules.probabilities(curve, recipe.rule, seed=seed)
    return Located(curve, critical, curves.paired_estimate(curve), chances)


def reset_state(one: Located, recipe: Recipe) -> tuple[State, float] | None:
    """Where a located trajectory is reset to, and its estimated value; None without a critical step."""
    if one.critical is None or one.curve.rollout is None:
        return None
    index = one.critical.index
    if recipe.reset_at == "signal":
        index = _most_signal(one, index)
    value = one.estimate.values[index]
    return one.curve.rollout.state_at(one.curve.bounds[index]), value


def _most_signal(one: Located, critical: int) -> int:
    """The step with the highest V(1 - V) of the critical one, its neighbours and those half as probable."""
    floor = one.probabilities[critical] / 2
    near = [
        i
        for i, chance in enumerate(one.probabilities)
        if abs(i - critical) <= 1 or (chance >= floor and floor > 0)
    ]
    values = one.estimate.values
    return max(near, key=lambda i: values[i] * (1 - values[i]) if math.isfinite(values[i]) else -1.0)


def first_evidence(rollouts: Sequence[Rollout], trajectory: Rollout) -> int:
    """Where the rollouts begin that say something of their state's value to `trajectory`'s search.

    It was chosen as the first failure of its group, so those sampled before it are all successes: only
    the ones after it are independent of the choice.
    """
    return next((i + 1 for i, rollout in enumerate(rollouts) if rollout is trajectory), 0)


def bounds_of(rollout: Rollout, splitter: Splitter, policy: Policy) -> list[int]:
    """[S+1] step bounds as offsets into the completion; a given prefix is not a step of the rollout.

    What ends a finished rollout is its last token, and is never a step of its own.
    """
    start, num = len(rollout.state.prefix_ids), len(rollout.action_ids)
    body = rollout.action_ids[:-1] if rollout.finished and num > 1 else rollout.action_ids
    bounds = splitter(body, policy.tokenizer)
    return [start + offset for offset in (*bounds[:-1], num)]
