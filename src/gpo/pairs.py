"""Located trajectories to rows for offline training: pairs from one state, and what else they hold.

A pair is a right and a wrong continuation of the same state, so the prefix up to there is prompt and
only what differs is trained. The rollouts of the search are such continuations already. A continuation
that was sampled from a later step of the trajectory was made to pass through the steps before it, so it
says nothing for the other outcome: it stands only on the side that the trajectory itself is on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpo.curve import Estimate, mean_entropies
from gpo.types import (
    OFF_POLICY,
    CriticalStep,
    Ids,
    InputError,
    Labelled,
    Preference,
    Rollout,
    State,
    ValueCurve,
    derive_seed,
)

AT = ("critical", "prompt", "random", "entropy", "as-released")
"""Where the two continuations part: before the critical step; at the prompt (whole trajectories); before a
random step; before the step of the highest mean token entropy; before the step whose start has the highest
value (the authors' code). The search pays for `critical` and `as-released` only."""

SEARCHED = ("critical", "as-released")

WEIGHTS = ("none", "advantage", "lower")
"""none: every pair counts 1. advantage: |A| of its step. lower: the bound of its 95 % interval next to 0."""

FirstStep = Callable[[Ids], int]
"""A continuation that ended by itself, to the number of tokens of its first step."""


@dataclass(frozen=True)
class Options:
    """How rows are built."""

    at: str = "critical"
    pairs_per_problem: int = 1
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
            raise InputError(f"min_credibility: only a critical step has one, so not with at = {self.at!r}")


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
        return state_before(self.trajectory, self.step)

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
        ids = state_before(self.trajectory, self.step).ids
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


def step_before_which(trajectory: Trajectory, at: str, seed: int = 0) -> int | None:
    """The step at whose start the two answers part; None where the trajectory has no such step."""
    num = trajectory.curve.num_steps
    if at == "critical":
        return trajectory.critical.index if trajectory.critical else None
    if at == "prompt":
        return 0
    if at == "random":
        rng = np.random.default_rng(derive_seed(seed, "random prefix", trajectory.rollout.state.key))
        return int(rng.integers(num))
    scores = mean_entropies(trajectory.curve) if at == "entropy" else trajectory.estimate.values[:num]
    return None if np.all(np.isnan(scores)) else int(np.nanargmax(scores))


def state_before(trajectory: Trajectory, step: int) -> State:
    return trajectory.rollout.state_at(trajectory.curve.bounds[step])


def sides(
    trajectory: Trajectory, step: int, options: Options, first_step: FirstStep | None, counts: Counter[str]
) -> tuple[list[Answer], list[Answer]]:
    """Distinct right and wrong continuations of the state before `step`, the best evidence first.

    The side that the trajectory is on begins with its own continuation, which holds the step itself.
    """
    own, offset = trajectory.rollout, trajectory.curve.bounds[step]
    own_is_right = own.reward >= options.success_at
    order = {"own": 0, "state": 1, "later": 2}
    found: dict[Ids, Answer] = {}
    for source, rollout in sorted(_through(trajectory, offset, options), key=lambda one: order[one[0]]):
        is_right = rollout.reward >= options.success_at
        if not rollout.finished:
            counts["answers unfinished"] += 1
            continue
        if source == "later" and is_right != own_is_right:
            counts["answers led through the step to the other outcome"] += 1
            continue
        ids, is_ended = rollout.completion_ids[offset:], True
        if options.target == "step":
            if first_step is None:
                raise ValueError("the target `step` needs a way to find the first step")
            num = first_step(ids)
            ids, is_ended = ids[:num], num == len(ids)
        if ids in found:
            is_clear = found[ids].is_right == is_right
            counts["answers duplicate" if is_clear else "first steps seen with both outcomes"] += 1
        found.setdefault(ids, Answer(ids, is_right, source, is_ended))
    answers = list(found.values())
    return [a for a in answers if a.is_right], [a for a in answers if not a.is_right]


def _through(trajectory: Trajectory, offset: int, options: Options) -> Iterator[tuple[str, Rollout]]:
    """Each rollout that passes through the state at `offset`, and how it came there.

    Tokens that no policy of ours sampled are never an answer.
    """
    own = trajectory.rollout
    is_ours = own.policy_version != OFF_POLICY
    rollouts = _paid(trajectory, options)
    if is_ours and not any(_same(rollout, own) for rollout in rollouts):
        rollouts = (own, *rollouts)
    for rollout in rollouts:
        ids = rollout.completion_ids
        if ids[:offset] != own.completion_ids[:offset] or len(ids) == offset:
            continue
        if is_ours and _same(rollout, own):
            yield "own", rollout
        elif len(rollout.state.prefix_ids) <= offset:
            yield "state", rollout
        elif is_ours:
            yield "later", rollout


def _paid(trajectory: Trajectory, options: Options) -> tuple[Rollout, ...]:
    """The rollouts that rows parted there may use: a baseline has none of the search's."""
    searched = trajectory.searched if options.at in SEARCHED else ()
    return (*trajectory.explored, *searched, *trajectory.fresh)


def _has_step_labels(trajectory: Trajectory, options: Options) -> bool:
    values = trajectory.estimate.values
    is_searched = options.at in SEARCHED and not any(math.isnan(value) for value in values)
    return is_searched and trajectory.rollout.finished


def _same(a: Rollout, b: Rollout) -> bool:
    return a.state.prefix_ids == b.state.prefix_ids and a.action_ids == b.action_ids


def build(
    trajectories: Sequence[Trajectory],
    options: Options,
    *,
    seed: int = 0,
    first_step: FirstStep | None = None,
) -> Rows:
    """All rows of the trajectories; those of one problem stand together, in the order given."""
    counts: Counter[str] = Counter(trajectories=len(trajectories))
    pairs: list[Pair] = []
    unpaired: list[Unpaired] = []
    for trajectory in trajectories:
        step = _usable_step(trajectory, options, seed, counts)
        if step is None:
            continue
        right, wrong = sides(trajectory, step, options, first_step, counts)
        unpaired += [
            Unpaired(trajectory, step, answer) for answer in _mixed(right, wrong)[: options.rows_per_problem]
        ]
        pairs += _pairs(trajectory, step, right, wrong, options, counts)
    tuning = [rollout for one in trajectories for rollout in _right(one, options)]
    labelled = [one for one in trajectories if _has_step_labels(one, options)]
    counts["trajectories without step labels"] = len(trajectories) - len(labelled)
    distinct = _distinct(pairs, counts)
    counts.update(pairs=len(distinct), unpaired=len(unpaired), fine_tuning=len(tuning), steps=len(labelled))
    return Rows(distinct, unpaired, tuning, labelled, dict(counts))


def missing_side(
    trajectory: Trajectory, options: Options, *, seed: int = 0, first_step: FirstStep | None = None
) -> State | None:
    """The state to sample more from, where only one side is there; None if both are or no step is usable."""
    step = _usable_step(trajectory, options, seed, Counter())
    if step is None:
        return None
    right, wrong = sides(trajectory, step, options, first_step, Counter())
    return None if right and wrong else state_before(trajectory, step)


def with_fresh(trajectory: Trajectory, rollouts: Sequence[Rollout]) -> Trajectory:
    return replace(trajectory, fresh=trajectory.fresh + tuple(rollouts))


def _usable_step(trajectory: Trajectory, options: Options, seed: int, counts: Counter[str]) -> int | None:
    step = step_before_which(trajectory, options.at, seed)
    if step is None:
        counts["trajectories without such a step"] += 1
        return None
    critical = trajectory.critical
    if options.at == "critical" and critical and critical.credibility < options.min_credibility:
        counts["trajectories below min_credibility"] += 1
        return None
    if options.weight != "none" and weight_of(trajectory, step, options.weight) <= 0:
        counts["trajectories of weight 0"] += 1
        return None
    return step


def weight_of(trajectory: Trajectory, step: int, weight: str) -> float:
    """|A| of the step, or the end of its 95 % interval nearer to 0 (0 if that holds 0); 1 for none."""
    if weight == "none":
        return 1.0
    if weight == "advantage":
        value = abs(trajectory.estimate.advantages[step])
    else:
        low, high = trajectory.estimate.intervals[step]
        value = max(low, -high, 0.0)
    return 0.0 if math.isnan(value) else value


def _pairs(
    trajectory: Trajectory,
    step: int,
    right: Sequence[Answer],
    wrong: Sequence[Answer],
    options: Options,
    counts: Counter[str],
) -> list[Pair]:
    if not right or not wrong:
        counts[f"trajectories without a {'right' if wrong else 'wrong'} answer"] += 1
        return []
    # First every right answer once, then each again with the next wrong one: no combination twice.
    both = [
        (right[i], wrong[(i + shift) % len(wrong)]) for shift in range(len(wrong)) for i in range(len(right))
    ]
    if options.length_ratio is not None:
        kept = [one for one in both if _ratio(one) <= options.length_ratio]
        both = sorted(kept, key=_ratio)
        if not both:
            counts["trajectories whose answers differ in length by more than length_ratio"] += 1
    weight = weight_of(trajectory, step, options.weight)
    return [
        Pair(trajectory, step, chosen, rejected, weight)
        for chosen, rejected in both[: options.pairs_per_problem]
    ]


def _ratio(both: tuple[Answer, Answer]) -> float:
    lengths = [len(answer.ids) for answer in both]
    return max(lengths) / min(lengths)


def _mixed(right: Sequence[Answer], wrong: Sequence[Answer]) -> list[Answer]:
    """Right and wrong by turns, so that a bound on their number keeps both."""
    num = max(len(right), len(wrong))
    return [side[i] for i in range(num) for side in (right, wrong) if i < len(side)]


def _right(trajectory: Trajectory, options: Options) -> list[Rollout]:
    """Distinct right answers of the problem, whatever state they come from."""
    found: dict[Ids, Rollout] = {}
    for rollout in _paid(trajectory, options):
        if rollout.finished and rollout.reward >= options.success_at and rollout.policy_version != OFF_POLICY:
            found.setdefault(rollout.completion_ids, rollout)
    return list(found.values())[: options.rows_per_problem]


def _distinct(pairs: Sequence[Pair], counts: Counter[str]) -> list[Pair]:
    found: dict[tuple[Ids, Ids, Ids], Pair] = {}
    for pair in pairs:
        one = pair.preference
        key = (one.prompt_ids, one.chosen_ids, one.rejected_ids)
        if key in found:
            counts["pairs duplicate"] += 1
        found.setdefault(key, pair)
    return list(found.values())
