"""Which trajectories are explored, and where their critical steps are: all searched in lock-step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from gpo import curve as curves
from gpo import search as searches
from gpo.paths import PathPrior
from gpo.pool import Pool
from gpo.proposals import Scores
from gpo.recipe import Recipe
from gpo.types import (
    CriticalStep,
    Group,
    Policy,
    Rollout,
    Splitter,
    State,
    StepValues,
    ValueCurve,
    as_html,
    derive_seed,
)

WIDTH = 2
"""Boundaries that a search may ask for at once. One finds a little more with the same tokens (67 against
66 % of first errors, and 59 % with four), but halves the batches that the searches share."""


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

    @property
    def step_values(self) -> StepValues | None:
        """What the search believes of the trajectory's values; None where a value is missing."""
        rollout, values = self.curve.rollout, tuple(self.estimate.values)
        if rollout is None or not np.isfinite(values).all():
            return None
        return StepValues(rollout, self.curve.bounds, values)

    def _repr_html_(self) -> str:
        return as_html("located", self)


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


def locate(
    pool: Pool, trajectories: Sequence[Rollout], recipe: Recipe, prior: PathPrior | None = None
) -> tuple[list[Located], PathPrior]:
    """Each trajectory's value curve and critical step, all searched in lock-step, and what they taught.

    Rules that need no values cost no rollouts: their curves hold the outcome alone.
    """
    prior = prior or PathPrior()
    bounds = [bounds_of(rollout, recipe.splitter, pool.policy) for rollout in trajectories]
    if recipe.rule not in curves.VALUE_RULES:
        return [
            without_search(one, b, recipe, pool.seed) for one, b in zip(trajectories, bounds, strict=True)
        ], prior
    traces = [unsampled(one, b) for one, b in zip(trajectories, bounds, strict=True)]
    proposed = recipe.proposal(pool.policy, traces) if recipe.search == "adaptive" else [None] * len(traces)
    runs = [
        start_search(trace, scores, recipe, prior) for trace, scores in zip(traces, proposed, strict=True)
    ]
    _run_searches(pool, trajectories, bounds, runs, recipe.success_at)
    found = []
    for rollout, b, run in zip(trajectories, bounds, runs, strict=True):
        found.append(result_of(run, rollout, b))
        if isinstance(run, searches.Adaptive):
            prior = prior.learn(run.path)
    return found, prior


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
    if recipe.search == "uniform":
        return searches.uniform(recipe.values, **settings)
    settings["budget_tokens"] = round(recipe.search_traces * (bounds[-1] - bounds[0]))
    if recipe.search == "bisect":
        return searches.bisect(recipe.values, **settings)
    return searches.adaptive(**settings)


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
    critical = curves.critical_step(curve, recipe.rule, seed=seed)
    chances = curves.probabilities(curve, recipe.rule, seed=seed)
    return Located(curve, critical, curves.paired_estimate(curve), chances)


def reset_state(one: Located, recipe: Recipe) -> tuple[State, float] | None:
    """Where a located trajectory is reset to, and the value believed there; None without a critical step."""
    if one.critical is None or one.curve.rollout is None:
        return None
    index = one.critical.index
    if recipe.reset_at == "signal":
        index = _most_signal(one, index)
    value = one.estimate.values[index]
    return one.curve.rollout.state_at(one.curve.bounds[index]), value


def _most_signal(one: Located, critical: int) -> int:
    """Of the critical step, its neighbours and steps half as probable, the one with the highest V(1 - V)."""
    floor = one.probabilities[critical] / 2
    near = [
        i
        for i, chance in enumerate(one.probabilities)
        if abs(i - critical) <= 1 or (chance >= floor and floor > 0)
    ]
    values = one.estimate.values
    return max(near, key=lambda i: values[i] * (1 - values[i]) if math.isfinite(values[i]) else -1.0)


def _run_searches(
    pool: Pool,
    trajectories: Sequence[Rollout],
    bounds: Sequence[Sequence[int]],
    runs: Sequence[searches.Search],
    success_at: float,
) -> None:
    """Answer the asks of all searches until all are done; equal states are sampled once.

    What was sampled at a state before, by whomever, is told to a search for nothing.
    """
    read: dict[tuple[int, int], int] = {}  # how far each search has read each state's rollouts

    def tell(i: int, boundary: int, num: int | None, tokens: int | None) -> None:
        evidence = pool.at(trajectories[i].state_at(bounds[i][boundary]))
        seen = read.get((i, boundary), first_evidence(evidence, trajectories[i]))
        news = evidence[seen:] if num is None else evidence[seen : seen + num]
        read[i, boundary] = seen + len(news)
        runs[i].tell(boundary, sum(r.reward >= success_at for r in news), len(news), tokens)

    for i, run in enumerate(runs):
        for boundary in range(run.num_steps):
            tell(i, boundary, None, 0)
    while asks := [(i, b, num) for i, run in enumerate(runs) for b, num in run.ask(width=WIDTH)]:
        wanted: dict[State, int] = {}
        believed: dict[State, float | None] = {}
        for i, boundary, num in asks:
            state = trajectories[i].state_at(bounds[i][boundary])
            wanted[state] = max(wanted.get(state, 0), read[i, boundary] + num)
            believed.setdefault(state, runs[i].believed(boundary))
        denied = pool.num_denied
        pool.fill(wanted, "values", baselines=believed)
        for i, boundary, num in asks:
            tell(i, boundary, num, None)
        if pool.num_denied > denied:
            return  # the budget is spent; what was found so far stands


def first_evidence(rollouts: Sequence[Rollout], trajectory: Rollout) -> int:
    """Where the rollouts begin that say something of their state's value to `trajectory`'s search.

    It was chosen as the first failure of its group, so those sampled before it are all successes: only
    the ones after it are independent of the choice.
    """
    return next((i + 1 for i, rollout in enumerate(rollouts) if rollout is trajectory), 0)


def bounds_of(rollout: Rollout, splitter: Splitter, policy: Policy) -> list[int]:
    """[S+1] step bounds as offsets into the completion; a given prefix is no step of the rollout.

    What ends a finished rollout is its last token, and is never a step of its own.
    """
    start, num = len(rollout.state.prefix_ids), len(rollout.action_ids)
    body = rollout.action_ids[:-1] if rollout.finished and num > 1 else rollout.action_ids
    bounds = splitter(body, policy.tokenizer)
    return [start + offset for offset in (*bounds[:-1], num)]
