"""Rewards of steps to advantages of their tokens, beside the advantage of the outcome.

Process supervision as in GRPO (DeepSeekMath, arXiv 2402.03300, section 4.1.3): the rewards of all steps of a
group are normalised together, and a token is credited with those of its own step and of all that follow. A
token cannot change what was rewarded before it, so the rewards before would only be noise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gpo.learn.advantages import LEAST_STD, Floats, trajectory_key
from gpo.types import Group, Rollout


@dataclass(frozen=True, slots=True)
class StepRewards:
    """Rewards [S] of a rollout's sampled steps, whose bounds [S+1] are offsets into its completion.

    The steps may go on after the rollout's end: a head that was split off is credited with its tail's.
    """

    rollout: Rollout
    bounds: tuple[int, ...]
    rewards: tuple[float, ...]

    @property
    def own(self) -> tuple[float, ...]:
        """Those of the steps within the rollout."""
        end = len(self.rollout.completion_ids)
        return tuple(r for r, b in zip(self.rewards, self.bounds, strict=False) if b < end)


def process_advantages(
    groups: Sequence[Group], step_rewards: Sequence[StepRewards]
) -> dict[tuple[object, ...], Floats]:
    """The advantages [T] of the sampled tokens of every rewarded rollout, by its trajectory's key.

    Steps are compared with those of the rollouts from the same state; with those of the same problem where
    there is only one rollout; 0 where nothing is left to compare with, or nothing differs.
    """
    known = {trajectory_key(one.rollout): one for one in step_rewards}
    of_state, of_problem = defaultdict(list), defaultdict(list)
    for rollout in (rollout for group in groups for rollout in group.rollouts):
        if one := known.get(trajectory_key(rollout)):
            of_state[rollout.state].append(one)
            of_problem[rollout.state.problem.id].append(one)
    found = {}
    for state, some in of_state.items():
        compared = some if len(some) > 1 else of_problem[state.problem.id]
        pool = [reward for one in compared for reward in one.own] if len(compared) > 1 else []
        for one in some:
            found[trajectory_key(one.rollout)] = _to_go(one, pool)
    return found


def _to_go(one: StepRewards, pool: Sequence[float]) -> Floats:
    """[T] on every token the sum of the normalised rewards from its step on; zeros for an equal pool."""
    if len(set(pool)) < 2:
        return np.zeros(len(one.rollout.action_ids))
    normalised = (np.array(one.rewards) - np.mean(pool)) / (np.std(pool, ddof=1) + LEAST_STD)
    lengths = [after - before for before, after in pairwise(one.bounds)]
    to_go = np.cumsum(normalised[::-1])[::-1]
    return np.repeat(to_go, lengths)[: len(one.rollout.action_ids)]
