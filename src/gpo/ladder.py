"""Ladders: problems that are almost never solved are practised backward, from a success that they once had.

What comes last in it is practised first, and the reset moves towards the prompt as the rest is mastered (a
reverse curriculum, arXiv 1707.05300). A rung is where the trajectory's own probability since the rung before
fell to one half, so that about every other rollout succeeds and the group has a signal. The kept prefix is
given, never trained; only what follows is. Rounds whose prompts bring successes need no ladders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from gpo.located import bounds_of
from gpo.pool import Pool
from gpo.recipe import Recipe
from gpo.types import Group, Problem, Rollout, State

RUNG = math.log(2)
"""Nats between two rungs."""
CLIMBED = 0.75
"""Mean reward from which the rung before is next, and at the prompt none."""
MOST = 1024
"""Ladders kept in all; those practised the longest ago go first."""


@dataclass(frozen=True)
class Ladder:
    """A success [T tokens, S steps], and the step before which it is practised next."""

    ids: tuple[int, ...]
    bounds: tuple[int, ...]
    """[S + 1]"""
    surprisals: tuple[float, ...]
    """[S] nats of each step when it was sampled; those of a rung where the engine gave none."""
    rung: int
    seen: int = 0
    """The round in which it was last practised, or found."""

    @classmethod
    def of(cls, rollout: Rollout, bounds: Sequence[int], index: int) -> Ladder:
        """A success, sampled from the prompt in this round, on its last rung."""
        steps = (-sum(rollout.logprobs[start:end]) for start, end in pairwise(bounds))
        known = tuple(one if math.isfinite(one) else RUNG for one in steps)
        return cls(rollout.action_ids, tuple(bounds), known, len(known), index).moved(-1)

    @classmethod
    def from_json(cls, content: Any) -> Ladder:
        """What `dataclasses.asdict` took apart; KeyError, TypeError or ValueError for anything else."""
        ids, bounds = (tuple(map(int, content[name])) for name in ("ids", "bounds"))
        found = cls(
            ids, bounds, tuple(map(float, content["surprisals"])), int(content["rung"]), int(content["seen"])
        )
        num = len(found.surprisals)
        is_split = len(bounds) == num + 1 and (bounds[0], bounds[-1]) == (0, len(ids))
        if not (is_split and all(a < b for a, b in pairwise(bounds)) and 0 <= found.rung < num):
            raise ValueError(f"rung {found.rung} of a ladder of {num} steps, cut at {bounds}")
        if not all(map(math.isfinite, found.surprisals)):
            raise ValueError(f"surprisals {found.surprisals}")
        return found

    def moved(self, by: int) -> Ladder:
        """One rung towards the prompt (-1) or the end (+1), where it stays at least one step away."""
        rung, fallen = self.rung, 0.0
        while fallen < RUNG and 0 <= rung + by < len(self.surprisals):
            rung += by
            fallen += self.surprisals[rung if by < 0 else rung - 1]
        return replace(self, rung=rung)

    @property
    def given_frac(self) -> float:
        """The share of its tokens that lie before its rung; 0 at the prompt."""
        return self.bounds[self.rung] / len(self.ids)

    def state(self, problem: Problem) -> State:
        return State(problem, self.ids[: self.bounds[self.rung]])

    def after(self, value: float, index: int) -> Ladder | None:
        """What is next after a group of this mean reward in this round; None when the prompt is mastered."""
        if value >= CLIMBED:
            return replace(self.moved(-1), seen=index) if self.rung else None
        return replace(self.moved(+1) if value == 0 else self, seen=index)


Ladders = Mapping[str, Ladder]
"""By problem id."""


def practise(
    pool: Pool, ladders: Ladders, known: Mapping[str, Problem], recipe: Recipe, index: int
) -> dict[str, Ladder]:
    """Samples a group on each of the `recipe.ladders` practised the longest ago; the ladders after that."""
    after = dict(ladders)
    order = sorted((one.seen, problem) for problem, one in ladders.items() if problem in known)
    states = {problem: ladders[problem].state(known[problem]) for _, problem in order[: recipe.ladders]}
    pool.fill(dict.fromkeys(states.values(), recipe.reset_size), "resets", is_whole=True)
    for problem, state in states.items():
        if rollouts := pool.at(state):
            left = after.pop(problem).after(Group(state, tuple(rollouts)).value, index)
            after |= {problem: left} if left else {}
    return after


def with_found(
    ladders: Ladders, explored: Sequence[Group], recipe: Recipe, pool: Pool, index: int
) -> dict[str, Ladder]:
    """With the first success of each problem that has no ladder and mostly fails, as far as is known."""
    found = dict(ladders)
    for group in explored:
        wins = [r for r in group.rollouts if r.reward >= recipe.success_at and r.action_ids]
        is_hard = len(group.rollouts) == 1 or 2 * len(wins) < len(group.rollouts)
        if wins and is_hard and group.state.problem.id not in found:
            bounds = bounds_of(wins[0], recipe.step_splitter(), pool.policy)
            found[group.state.problem.id] = Ladder.of(wins[0], bounds, index)
    latest = sorted(found, key=lambda problem: (-found[problem].seen, problem))[:MOST]
    return {problem: found[problem] for problem in latest}
