"""What rows are made from and of: settings, located trajectories, answers, pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gpo.curve import Estimate
from gpo.protocols import Splitter, Tokenizer
from gpo.rules import Rule
from gpo.settings import FirstIn, Success
from gpo.types import CriticalStep, Ids, Labelled, Preference, Rollout, State, ValueCurve

At = Literal["critical", "both", "every", "prompt", "random", "entropy", "as-released"]

SEARCHED = ("critical", "both", "every", "as-released")
"""Those that the search pays for, and that may use its rollouts."""

FirstStep = Callable[[Ids], int]
"""A continuation that ended by itself, to the number of tokens of its first step."""


def first_step_by(splitter: Splitter, tokenizer: Tokenizer) -> FirstStep:
    """Tokens of a continuation's first step; what ends it is never a step of its own."""

    def first_step(ids: Ids) -> int:
        bounds = splitter(ids[:-1] if len(ids) > 1 else ids, tokenizer)
        return bounds[1] if len(bounds) > 2 else len(ids)

    return first_step


def rule_for(at: At, rule: Rule) -> Rule:
    """The rule to locate by for rows parted `at`: a baseline searches nothing."""
    own: dict[str, Rule] = {
        "as-released": "as-released",
        "entropy": "entropy",
        "random": "random",
        "prompt": "random",
    }
    return own.get(at, rule)


class Options(Success):
    """How rows are built."""

    section = "Rows"

    at: Annotated[At, FirstIn("pairs")] = Field(
        "critical",
        description="Where the two answers of a pair diverge: before the critical step (critical), there and "
        "at the prompt (both), before every searched step (every); the others are baselines",
    )
    """random: before any step. entropy: before the step of the highest mean token entropy. as-released:
    before the step whose start has the highest value (the authors' code)."""
    pairs_per_problem: int = Field(1, ge=1, description="Maximum number of pairs per trajectory")
    """With `both` and `every` they are spread over its states."""
    rows_per_problem: int = Field(
        8, ge=1, description="Maximum number of unpaired and of fine-tuning rows per trajectory"
    )
    target: Literal["full", "step"] = Field(
        "full", description="Train on all text after the state (full), or only on the next step (step)"
    )
    """The first step never ends the answer early."""
    length_ratio: float | None = Field(
        None, ge=1, description="Maximum length ratio of the two answers; the closest lengths come first"
    )
    weight: Literal["none", "advantage", "lower"] = Field(
        "none",
        description="Weight of a pair: 1 (none), its step's |A| (advantage), or the end of A's 95 % interval "
        "that is closer to 0 (lower)",
    )
    min_credibility: float = Field(
        0.0, ge=0, le=1, description="Minimum credibility of a critical step that rows are built at"
    )
    label_at: float = Field(
        0.2, gt=0, le=1, description="Lowest value after a step that a process-reward row labels as good"
    )

    @model_validator(mode="after")
    def _searched_only(self) -> Self:
        if self.weight != "none" and self.at not in SEARCHED:
            raise ValueError(
                f"weight: {self.weight!r} needs a searched step, so not with at = {self.at!r}; use none"
            )
        if self.min_credibility > 0 and self.at != "critical":
            raise ValueError(
                f"min_credibility: only a critical step has one, so not with at = {self.at!r}; leave it out"
            )
        return self


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

    @property
    def left_out(self) -> dict[str, int]:
        """What was not used, by reason."""
        return {name: num for name, num in self.counts.items() if num and name not in USED}

    def why_none(self) -> str:
        """Why no row is left, by the filters that removed them."""
        reasons = ", ".join(f"{num} {name}" for name, num in self.left_out.items())
        return f"all {self.counts['trajectories']} trajectories were filtered out: {reasons}"


USED = ("trajectories", "pairs", "unpaired", "fine_tuning", "steps")
"""Counts of what was used; all others are of what was left out."""
