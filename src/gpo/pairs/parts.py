"""What rows are made from and of: settings, located trajectories, answers, pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gpo.curve import Estimate
from gpo.types import (
    CriticalStep,
    Ids,
    InputError,
    Labelled,
    Preference,
    Rollout,
    State,
    ValueCurve,
)

AT = ("critical", "both", "every", "prompt", "random", "entropy", "as-released")
"""Where the two continuations part. critical: before the critical step. both: there and nowhere, so that the
first rollouts part whole trajectories too. every: before each step that rollouts were sampled at, the
critical one first. prompt: nowhere, these are whole trajectories. random: before any.
entropy: before the step of the highest mean token entropy. as-released: before the step whose start has the
highest value (the authors' code)."""

SEARCHED = ("critical", "both", "every", "as-released")
"""Those that the search pays for, and that may use its rollouts."""

WEIGHTS = ("none", "advantage", "lower")
"""none: every pair counts 1. advantage: |A| of its step. lower: the bound of its 95 % interval next to 0."""

FirstStep = Callable[[Ids], int]
"""A continuation that ended by itself, to the number of tokens of its first step."""


@dataclass(frozen=True)
class Options:
    """How rows are built."""

    at: str = "critical"
    pairs_per_problem: int = 1
    """Of one trajectory, at most; with `both` and `every` they are spread over its states."""
    rows_per_problem: int = 8
    """Unpaired and fine-tuning rows of one trajectory, at most."""
    target: str = "full"
    """full: all that follows the state. step: the first step after it, which never ends the answer early."""
    length_ratio: float | None = None
    """Tokens of the longer answer over those of the shorter, at most; the closest lengths come first."""
    weight: str = "none"
    min_credibility: float = 0.0
    label_at: float = 0.2
    """A step of a process-reward row is good if the value after it is at least this."""
    success_at: float = 1.0

    def __post_init__(self) -> None:
        for name, known in (("at", AT), ("weight", WEIGHTS), ("target", ("full", "step"))):
            if getattr(self, name) not in known:
                raise InputError(f"{name}: {getattr(self, name)!r} is unknown; one of {', '.join(known)}")
        if self.weight != "none" and self.at not in SEARCHED:
            raise InputError(
                f"weight: {self.weight!r} needs a searched step, so not with at = {self.at!r}; use none"
            )
        if self.min_credibility > 0 and self.at != "critical":
            raise InputError(
                f"min_credibility: only a critical step has one, so not with at = {self.at!r}; leave it out"
            )


@dataclass(frozen=True)
class Trajectory:
    """A located trajectory and the rollouts of its problem."""

    curve: ValueCurve
    critical: CriticalStep | None
    estimate: Estimate
    explored: tuple[Rollout, ...]
    """Sampled at the prompt, whatever came after."""
    searched: tuple[Rollout, ...] = ()
    """Sampled to find the step, and at resets."""
    fresh: tuple[Rollout, ...] = ()
    """Sampled for the pairs, where a side was missing or a baseline spends what the search did."""

    @property
    def rollout(self) -> Rollout:
        if self.curve.rollout is None:
            raise ValueError("pairs need the curve's rollout")
        return self.curve.rollout

    def state_before(self, step: int) -> State:
        """The state that this step starts from."""
        return self.rollout.state_at(self.curve.bounds[step])

    @property
    def search_tokens(self) -> int:
        return sum(len(rollout.action_ids) for rollout in self.searched)


@dataclass(frozen=True)
class Answer:
    """A continuation of a state."""

    ids: Ids
    is_right: bool
    source: str
    """own: the trajectory's. state: sampled there or before. later: sampled further on in the trajectory."""
    is_ended: bool
    """Whether its last token is the one that ended it."""


@dataclass(frozen=True)
class Pair:
    """A right and a wrong continuation of the state before a step of a trajectory."""

    trajectory: Trajectory
    step: int
    chosen: Answer
    rejected: Answer
    weight: float

    @property
    def state(self) -> State:
        return self.trajectory.state_before(self.step)

    @property
    def preference(self) -> Preference:
        return Preference(self.state.ids, self.chosen.ids, self.rejected.ids, self.weight)


@dataclass(frozen=True)
class Unpaired:
    """One continuation of the state before a step, with its label."""

    trajectory: Trajectory
    step: int
    answer: Answer

    @property
    def labelled(self) -> Labelled:
        ids = self.trajectory.state_before(self.step).ids
        return Labelled(ids, self.answer.ids, self.answer.is_right)


@dataclass(frozen=True)
class Rows:
    """What trajectories gave, and `counts` of what was used and what was left out, by reason."""

    pairs: list[Pair]
    unpaired: list[Unpaired]
    fine_tuning: list[Rollout]
    """Right answers, each from the state that it was sampled from."""
    labelled: list[Trajectory]
    """Those whose steps can be labelled by the values after them."""
    counts: dict[str, int]
