"""Which continuations of a state there are, right and wrong, and at which state to look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from gpo.curve import mean_entropies
from gpo.pairs.parts import SEARCHED, Answer, FirstStep, Options, Trajectory
from gpo.seeds import derive_seed
from gpo.types import OFF_POLICY, Ids, Rollout


def step_before_which(trajectory: Trajectory, at: str, seed: int = 0) -> int | None:
    """The step at whose start the two answers part; None where the trajectory has no such step."""
    num = trajectory.curve.num_steps
    if at in ("critical", "every"):
        return trajectory.critical.index if trajectory.critical else None
    if at == "both":
        return trajectory.critical.index if trajectory.critical else 0
    if at == "prompt":
        return 0
    if at == "random":
        rng = np.random.default_rng(derive_seed(seed, "random prefix", trajectory.rollout.state.key))
        return int(rng.integers(num))
    scores = mean_entropies(trajectory.curve) if at == "entropy" else trajectory.estimate.values[:num]
    return None if np.all(np.isnan(scores)) else int(np.nanargmax(scores))


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
    is_ours, is_first = own.policy_version != OFF_POLICY, offset == trajectory.curve.bounds[0]
    rollouts = paid_for(trajectory, options)
    if is_ours and not any(_same(rollout, own) for rollout in rollouts):
        rollouts = (own, *rollouts)
    for rollout in rollouts:
        ids = rollout.completion_ids
        if ids[:offset] != own.completion_ids[:offset] or len(ids) == offset:
            continue
        start = len(rollout.state.prefix_ids)
        if is_ours and _same(rollout, own):
            yield "own", rollout
        elif start != offset and (options.at == "every" or (options.at == "both" and is_first)):
            continue  # it stands at its own state
        elif start <= offset:
            yield "state", rollout
        elif is_ours:
            yield "later", rollout


def paid_for(trajectory: Trajectory, options: Options) -> tuple[Rollout, ...]:
    """The rollouts that rows parted there may use: a baseline has none of the search's."""
    searched = trajectory.searched if options.at in SEARCHED else ()
    return (*trajectory.explored, *searched, *trajectory.fresh)


def _same(a: Rollout, b: Rollout) -> bool:
    return a.state.prefix_ids == b.state.prefix_ids and a.action_ids == b.action_ids
