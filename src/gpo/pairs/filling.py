"""More rollouts for pairs: where a side is missing, and where a baseline spends what the search did."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpo import pairs
from gpo.pairs import FirstStep, Options, Trajectory
from gpo.pool import Pool
from gpo.types import State

Whole = Callable[[State], State]
"""A state with its problem as the verifier needs it."""


def filled(
    pool: Pool,
    trajectories: Sequence[Trajectory],
    options: Options,
    num: int,
    *,
    seed: int,
    first_step: FirstStep | None,
    whole: Whole,
) -> list[Trajectory]:
    """The trajectories, with `num` more rollouts of the state wherever only one side is there."""
    lacking = {}
    for i, one in enumerate(trajectories):
        if state := pairs.missing_side(one, options, seed=seed, first_step=first_step):
            lacking[i] = whole(state)
    before = {state: len(pool.at(state)) for state in lacking.values()}
    pool.fill({state: have + num for state, have in before.items()}, "fill")
    return [
        pairs.with_fresh(one, pool.at(lacking[i])[before[lacking[i]] :]) if i in lacking else one
        for i, one in enumerate(trajectories)
    ]


def matched(
    pool: Pool, trajectories: Sequence[Trajectory], at: str, *, seed: int, whole: Whole
) -> list[Trajectory]:
    """The trajectories, each with rollouts of its own baseline state for the tokens that its search cost."""
    places = {}
    for i, one in enumerate(trajectories):
        step = pairs.step_before_which(one, at, seed)
        if step is not None:
            places[i] = whole(one.state_before(step))
    budgets = {state: trajectories[i].search_tokens for i, state in places.items()}
    before = {state: len(pool.at(state)) for state in budgets}
    while wanted := {
        state: len(pool.at(state)) + more
        for state, budget in budgets.items()
        if (more := _affordable(pool, state, before[state], budget)) > 0
    }:
        pool.fill(wanted, "matching the search")
    return [
        pairs.with_fresh(one, pool.at(places[i])[before[places[i]] :]) if i in places else one
        for i, one in enumerate(trajectories)
    ]


def _affordable(pool: Pool, state: State, before: int, budget: int) -> int:
    """Rollouts that the rest of the budget pays for, by the length of those so far; 0 if it is spent."""
    rollouts = pool.at(state)[before:]
    if not rollouts:
        return min(4, budget)
    spent = sum(len(rollout.action_ids) for rollout in rollouts)
    return (budget - spent) * len(rollouts) // spent if spent else 0
