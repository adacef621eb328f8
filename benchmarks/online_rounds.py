"""Rounds of benchmarks/online.py that no recipe expresses: tried here before any of them becomes a setting.

- `pilot`: k rollouts first; the rest of the group follows only where not all k succeeded. Rewards decide how
  many rollouts a state gets, so those that follow are compared with the pilot's mean and with each other, the
  pilot's only with each other, and only these are evidence for the trajectory before a reset.
- `second`: so many rollouts at the step of second-highest entropy too; they are compared with each other.
- `base_from`: groups at prompts, as `base` samples them, once this share of the tokens is spent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np

from gpo.curve import mean_entropies
from gpo.gpo import Memory, Round, explore, find, learnable, problem_order, reset
from gpo.located import Located, reset_state
from gpo.pool import Pool
from gpo.recipe import Recipe
from gpo.seeds import derive_seed
from gpo.types import State

BASE = {"group_size": 8, "rule": "base", "credit": "group"}
"""What makes groups at prompts of a recipe."""


def rounds(
    policy: Any,
    verifier: Any,
    problems: list[Any],
    recipe: Recipe,
    way: Mapping[str, Any],
    *,
    seed: int,
    budget_tokens: float,
) -> Iterator[Round]:
    """As `gpo.rounds`, the `way` that is asked for."""
    memory, index, left = Memory(), 1, budget_tokens
    while left >= recipe.group_size * policy.max_tokens:
        is_base = left <= (1 - way.get("base_from", 1.0)) * budget_tokens and left >= 8 * policy.max_tokens
        order = problem_order(len(problems), recipe.problems_per_round, index - 1, seed)
        pool = Pool(policy, verifier, derive_seed(seed, "round", index), budget_tokens=left)
        batch = [problems[i] for i in order]
        data = one_round(pool, batch, recipe.changed(**BASE) if is_base else recipe, way, memory, index)
        yield data
        memory = data.memory
        left -= sum(data.tokens.values())
        index += 1


def one_round(
    pool: Pool, batch: list[Any], recipe: Recipe, way: Mapping[str, Any], memory: Memory, index: int
) -> Round:
    pilot = way.get("pilot")
    is_base = recipe.rule == "base"
    explored = explore(pool, batch, recipe.changed(group_size=pilot) if pilot and is_base else recipe)
    if pilot and is_base:
        commit(pool, [group.state for group in explored], recipe.group_size, recipe)
    located, prior = find(pool, explored, recipe, memory.prior)
    if not is_base:
        size = pilot or recipe.reset_size - way.get("second", 0)
        reset(pool, located, recipe.changed(reset_size=size), recipe.most_resets(len(explored)))
        if pilot:
            places = [place[0] for one in located if (place := reset_state(one, recipe))]
            commit(pool, places, recipe.reset_size, recipe)
        if second := way.get("second"):
            pool.fill({s: second for one in located if (s := second_step(one))}, "values")
    groups, ease = learnable(pool, explored, located, recipe, memory.ease)
    return Round(index, groups, explored, located, Memory(prior, ease), {}, pool)


def commit(pool: Pool, states: list[State], size: int, recipe: Recipe) -> None:
    """Fills the groups of `states` whose pilot failed once; no baseline knows its own rollout's reward."""
    believed = {
        state: fmean(r.reward for r in pool.at(state))
        for state in states
        if any(r.reward < recipe.success_at for r in pool.at(state))
    }
    num = {state: len(pool.at(state)) for state in believed}
    pool.fill(dict.fromkeys(believed, size), "values", baselines=believed)
    for state, kept in ((state, pool.rollouts[state]) for state in believed):
        total = sum(one.rollout.reward for one in kept)
        pool.rollouts[state] = [
            replace(one, baseline=(total - one.rollout.reward) / (len(kept) - 1))
            if place >= num[state]
            else one
            for place, one in enumerate(kept)
        ]


def second_step(one: Located) -> State | None:
    """The state before the step of second-highest entropy; None where there is one step alone."""
    if one.curve.rollout is None or one.critical is None or one.curve.num_steps < 2:
        return None
    scores = np.array(mean_entropies(one.curve))
    scores[one.critical.index] = -np.inf
    return one.curve.rollout.state_at(one.curve.bounds[int(np.nanargmax(scores))])
