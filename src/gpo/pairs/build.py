"""Trajectories to rows, with a count of what was left out and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from gpo.pairs.parts import SEARCHED, Answer, FirstStep, Options, Pair, Rows, Trajectory, Unpaired
from gpo.pairs.sides import paid_for, sides, step_before_which
from gpo.types import OFF_POLICY, Ids, Rollout, State

T = TypeVar("T")


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
        made: list[list[Pair]] = []
        answers: list[list[Unpaired]] = []
        missing: list[str] = []
        for step in _usable_steps(trajectory, options, seed, counts):
            right, wrong = sides(trajectory, step, options, first_step, counts)
            answers.append([Unpaired(trajectory, step, answer) for answer in _by_turns([right, wrong])])
            if right and wrong:
                made.append(_pairs(trajectory, step, right, wrong, options))
            missing.append("right" if wrong else "wrong")
        pairs += _by_turns(made)[: options.pairs_per_problem]
        unpaired += _by_turns(answers)[: options.rows_per_problem]
        if missing and not made:
            counts[f"trajectories without a {missing[0]} answer"] += 1
        elif missing and not any(made):
            counts["trajectories whose answers differ in length by more than length_ratio"] += 1
    tuning = [rollout for one in trajectories for rollout in _right(one, options)]
    labelled = [one for one in trajectories if _has_step_labels(one, options)]
    counts["trajectories without step labels"] = len(trajectories) - len(labelled)
    distinct = _distinct(pairs, counts)
    counts.update(pairs=len(distinct), unpaired=len(unpaired), fine_tuning=len(tuning), steps=len(labelled))
    return Rows(distinct, unpaired, tuning, labelled, dict(counts))


def missing_side(
    trajectory: Trajectory, options: Options, *, seed: int = 0, first_step: FirstStep | None = None
) -> State | None:
    """The state to sample more from, where no state has both sides; None if one has or no step is usable."""
    steps = _usable_steps(trajectory, options, seed, Counter())
    for step in steps:
        right, wrong = sides(trajectory, step, options, first_step, Counter())
        if right and wrong:
            return None
    return trajectory.state_before(steps[0]) if steps else None


def with_fresh(trajectory: Trajectory, rollouts: Sequence[Rollout]) -> Trajectory:
    return replace(trajectory, fresh=trajectory.fresh + tuple(rollouts))


def _usable_steps(trajectory: Trajectory, options: Options, seed: int, counts: Counter[str]) -> list[int]:
    """The steps before which answers may part, the one that was asked for first."""
    first = step_before_which(trajectory, options.at, seed)
    critical = trajectory.critical
    if first is None:
        counts["trajectories without such a step"] += 1
        return []
    if options.at == "critical" and critical and critical.credibility < options.min_credibility:
        counts["trajectories below min_credibility"] += 1
        return []
    steps = [first]
    others = {"both": 1, "every": trajectory.curve.num_steps}.get(options.at, 0)
    steps += [step for step in range(others) if step != first]
    weighty = [step for step in steps if weight_of(trajectory, step, options.weight) > 0]
    if not weighty:
        counts["trajectories of weight 0"] += 1
    return weighty


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


def _has_step_labels(trajectory: Trajectory, options: Options) -> bool:
    values = trajectory.estimate.values
    is_searched = options.at in SEARCHED and not any(math.isnan(value) for value in values)
    return is_searched and trajectory.rollout.finished


def _pairs(
    trajectory: Trajectory,
    step: int,
    right: Sequence[Answer],
    wrong: Sequence[Answer],
    options: Options,
) -> list[Pair]:
    # First every right answer once, then each again with the next wrong one: no combination twice.
    both = [
        (right[i], wrong[(i + shift) % len(wrong)]) for shift in range(len(wrong)) for i in range(len(right))
    ]
    if options.length_ratio is not None:
        kept = [one for one in both if _ratio(one) <= options.length_ratio]
        both = sorted(kept, key=_ratio)
    weight = weight_of(trajectory, step, options.weight)
    return [
        Pair(trajectory, step, chosen, rejected, weight)
        for chosen, rejected in both[: options.pairs_per_problem]
    ]


def _ratio(both: tuple[Answer, Answer]) -> float:
    lengths = [len(answer.ids) for answer in both]
    return max(lengths) / min(lengths)


def _by_turns(lists: Sequence[Sequence[T]]) -> list[T]:
    """The first of each, the second of each, and so on: a bound on their number keeps some of all."""
    num = max(map(len, lists), default=0)
    return [one[i] for i in range(num) for one in lists if i < len(one)]


def _right(trajectory: Trajectory, options: Options) -> list[Rollout]:
    """Distinct right answers of the problem, whatever state they come from."""
    found: dict[Ids, Rollout] = {}
    for rollout in paid_for(trajectory, options):
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
