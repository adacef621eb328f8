"""The work on one trajectory as a generator: what it needs next goes out, what it was given comes in.

It is given its rollouts in the order in which it asked for them, whatever order they were sampled in, and
the k-th rollout of a state is the same one for whoever asks. So a curve depends on the rollouts and on
nothing else: not on what else is searched, on how fast the engine is, or on where a run was interrupted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gpo.located import (
    Located,
    bounds_of,
    choose,
    first_evidence,
    result_of,
    start_search,
    unsampled,
    without_search,
)
from gpo.paths import PathPosterior, PathPrior
from gpo.proposals import Scores
from gpo.protocols import Policy
from gpo.recipe import Recipe
from gpo.rules import VALUE_RULES
from gpo.search import Adaptive, Search
from gpo.types import Group, Problem, Rollout, State, ValueCurve

WIDTH = 2
"""Boundaries that a search may ask for at once. One finds a little more with the same tokens (67 against
66 % of first errors, and 59 % with four), but halves the batches that the searches share."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One rollout that is needed: the `row`-th of its state, counted from 0."""

    state: State
    row: int
    purpose: str
    baseline: float | None = None
    """The state's current estimated value; None if rewards do not decide how many are requested."""
    most: int | None = None
    """Maximum number of new tokens, where that is less than the policy's own limit leaves."""


@dataclass(frozen=True, slots=True)
class Look:
    """A proposal's scores are needed for this trajectory."""

    trace: ValueCurve


class Await:
    """What earlier searches have taught is needed."""


Need = tuple[Ask, ...] | Look | Await
T = TypeVar("T")
Work = Generator[Need, Any, T]
"""Sent a rollout for each Ask, in their order, the scores for a Look, the prior for an Await.

A rollout that no budget is left for is None: then the search ends with what it has."""


@dataclass(frozen=True, slots=True)
class Searched:
    """A finished search: what it found, the scores it started from, and what it can teach."""

    located: Located
    scores: Scores = None
    path: PathPosterior | None = None


def explored(problem: Problem, num: int) -> Work[Group]:
    """The rollouts at a problem's prompt."""
    state = State(problem)
    rollouts = yield from _given(tuple(Ask(state, row, "explore") for row in range(num)))
    return Group(state, rollouts)


def chosen(group: Group, recipe: Recipe) -> list[Rollout]:
    """The trajectory of a group to explore, if there is one."""
    return [] if recipe.rule == "base" else choose([group], recipe, seed=0, most=1)


def searched(
    trajectory: Rollout,
    group: Sequence[Rollout],
    recipe: Recipe,
    policy: Policy,
    seed: int,
    *,
    is_ahead: bool,
) -> Work[Searched]:
    """The search of one trajectory; `group` holds the existing rollouts at its first state.

    With `is_ahead` the next ask is made as soon as the oldest is answered, with the others still on their
    way, which keeps a streaming engine busy; without it, when all are, which fits waves. Rules that need no
    values ask for nothing: their curves hold the outcome alone.
    """
    bounds = bounds_of(trajectory, recipe.step_splitter(), policy)
    if recipe.rule not in VALUE_RULES:
        return Searched(without_search(trajectory, bounds, recipe, seed))
    trace, scores, prior = unsampled(trajectory, bounds), None, PathPrior()
    if recipe.search == "adaptive":
        scores = yield Look(trace)
        prior = yield Await()
    run = start_search(trace, scores, recipe, prior)
    yield from _answered(run, trajectory, bounds, group, recipe.success_at, is_ahead)
    path = run.path if isinstance(run, Adaptive) else None
    return Searched(result_of(run, trajectory, bounds), scores, path)


def _answered(
    run: Search,
    trajectory: Rollout,
    bounds: Sequence[int],
    group: Sequence[Rollout],
    success_at: float,
    is_ahead: bool,
) -> Work[None]:
    """Answers the search's asks one after the other until it asks for nothing more."""

    def tell(boundary: int, rollouts: Sequence[Rollout], tokens: int | None = None) -> None:
        run.tell(boundary, sum(one.reward >= success_at for one in rollouts), len(rollouts), tokens)

    rows = [len(group)] + [0] * (run.num_steps - 1)
    waiting: deque[tuple[int, int]] = deque()

    def asked() -> tuple[Ask, ...]:
        needs = []
        for boundary, num in run.ask(WIDTH - len(waiting)):
            waiting.append((boundary, num))
            state, baseline = trajectory.state_at(bounds[boundary]), run.believed(boundary)
            needs += [Ask(state, rows[boundary] + i, "values", baseline) for i in range(num)]
            rows[boundary] += num
        return tuple(needs)

    tell(0, group[first_evidence(group, trajectory) :], tokens=0)
    needs, is_spent = asked(), False
    while waiting:
        boundary, num = waiting.popleft()
        rollouts = yield from _given(needs, num)
        tell(boundary, rollouts)
        is_spent |= len(rollouts) < num
        needs = asked() if not is_spent and (is_ahead or not waiting) else ()


def _given(needs: tuple[Ask, ...], num: int | None = None) -> Work[tuple[Rollout, ...]]:
    """Sends out what is needed and takes the next `num` rollouts, by default as many, less those denied."""
    rollouts = []
    for _ in range(len(needs) if num is None else num):
        rollouts.append((yield needs))
        needs = ()
    return tuple(one for one in rollouts if one is not None)
