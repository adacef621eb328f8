"""What the scheduler is given and what it yields: tasks in, rollouts, curves and finished problems out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gpo.explore.work import Ask
from gpo.located import Located
from gpo.proposals import Scores
from gpo.types import RECORDED_DIGITS, Group, Problem, Rollout, State

Row = tuple[State, int]


@dataclass(frozen=True)
class Task:
    """A problem at its place in the queue; `given` are trajectories of it to search instead of new ones."""

    place: int
    problem: Problem
    given: tuple[Rollout, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """A rollout that was sampled just now, what it was asked for, and the seed that names it."""

    task: Task
    ask: Ask
    rollout: Rollout
    seed: int


@dataclass(frozen=True)
class Found:
    """A located trajectory, and the proposal's scores that its search started from."""

    task: Task
    index: int
    """Which of its task's trajectories it is."""
    located: Located
    scores: Scores


@dataclass(frozen=True)
class Finished:
    """A problem that nothing more is sampled for: its groups at the prompt, and its tokens by purpose."""

    task: Task
    groups: tuple[Group, ...]
    located: tuple[Located, ...]
    tokens: Mapping[str, int]


Event = Drawn | Found | Finished


def as_recorded(rollout: Rollout) -> Rollout:
    """The rollout with its log-probabilities and entropies as its record will have them."""
    logprobs = tuple(round(one, RECORDED_DIGITS) for one in rollout.logprobs)
    entropies = tuple(round(one, RECORDED_DIGITS) for one in rollout.entropies)
    return replace(rollout, logprobs=logprobs, entropies=entropies)
