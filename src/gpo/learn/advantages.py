"""Groups to advantages of their sampled tokens, one short function per algorithm. Rewards in, numbers out.

The advantage of a rollout compares it with the others from the same state, so a reset group has a baseline
of its own. Two things replace the comparison where more is known: the value believed when a rollout was asked
for (`Group.baselines`), and the values believed along an explored trajectory (`StepValues`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gpo.types import Group, Rollout, StepValues

Floats = NDArray[np.float64]
Advantages = Callable[[Sequence[float]], list[float]]
"""Rewards [G] to advantages [G]."""
LEAST_STD = 1e-4
"""Added to a standard deviation before it divides."""


def rloo(rewards_G: Sequence[float]) -> list[float]:
    """[G] reward minus the mean of the others (REINFORCE leave-one-out, arXiv 2402.14740).

    One rollout alone has nothing to be compared with: 0.
    """
    num, total = len(rewards_G), sum(rewards_G)
    return [r - (total - r) / (num - 1) if num > 1 else 0.0 for r in rewards_G]


def grpo(rewards_G: Sequence[float]) -> list[float]:
    """[G] (reward - mean) / (standard deviation + 1e-4) (GRPO, arXiv 2402.03300); 0 for one."""
    if len(rewards_G) < 2:
        return [0.0] * len(rewards_G)
    mean, std = float(np.mean(rewards_G)), float(np.std(rewards_G, ddof=1))
    return [(r - mean) / (std + LEAST_STD) for r in rewards_G]


def dr_grpo(rewards_G: Sequence[float]) -> list[float]:
    """[G] reward minus mean, not scaled (Dr. GRPO, arXiv 2503.20783): (G - 1) / G of RLOO's; 0 for one."""
    mean = sum(rewards_G) / max(1, len(rewards_G))
    return [r - mean for r in rewards_G]


@dataclass(frozen=True)
class Algorithm:
    """What an advantage is compared with and scaled by, and how a loss is normalised by default."""

    advantages: Advantages | None
    """None: the critic's (PPO)."""
    is_round_wide: bool = False
    """Compared with all rollouts of the round, not with those from the same state."""
    is_scaled: bool = False
    """Divided by a standard deviation."""
    normalisation: str = "tokens"


ALGORITHMS = {
    "ppo": Algorithm(None),
    "grpo": Algorithm(grpo, is_scaled=True),
    "dr-grpo": Algorithm(dr_grpo, normalisation="constant"),
    "rloo": Algorithm(rloo),
    # REINFORCE with a baseline (Williams 1992): the same for all states, the mean of the round's others.
    "reinforce": Algorithm(rloo, is_round_wide=True),
}


def credit(
    groups: Sequence[Group], algorithm: Algorithm, step_values: Sequence[StepValues] = ()
) -> list[list[Floats]]:
    """For each group and rollout the advantages [T] of its sampled tokens; zeros for the critic to fill."""
    steps = {trajectory_key(one.rollout): one for one in step_values}
    compared = _compared(groups, algorithm)
    return [
        [
            _of_steps(steps[trajectory_key(rollout)], algorithm)
            if algorithm.advantages and trajectory_key(rollout) in steps
            else np.full(len(rollout.action_ids), advantage)
            for rollout, advantage in zip(group.rollouts, advantages_G, strict=True)
        ]
        for group, advantages_G in zip(groups, compared, strict=True)
    ]


def _compared(groups: Sequence[Group], algorithm: Algorithm) -> list[list[float]]:
    """[G] of each group: one number for a whole rollout."""
    if algorithm.advantages is None:
        return [[0.0] * len(group.rollouts) for group in groups]
    if algorithm.is_round_wide:
        rewards_N = [r for group in groups if group.baselines is None for r in group.rewards_G]
        pooled = iter(algorithm.advantages(rewards_N))
    return [
        believed(group.rewards_G, group.baselines, is_scaled=algorithm.is_scaled)
        if group.baselines is not None
        else [next(pooled) for _ in group.rollouts]
        if algorithm.is_round_wide
        else algorithm.advantages(group.rewards_G)
        for group in groups
    ]


def believed(rewards_G: Sequence[float], baselines_G: Sequence[float], *, is_scaled: bool) -> list[float]:
    """[G] reward minus the value estimated when the rollout was requested.

    Where a search that saw rewards decided how many there are, the others are no fair baseline: a search
    that stops at the first success makes every success the last. A belief held before is independent of
    the reward, so each term is unbiased, and so is their sum (optional stopping); it must not be divided
    by how many there are.
    """
    return [
        (r - b) / (_deviation(b) if is_scaled else 1.0) for r, b in zip(rewards_G, baselines_G, strict=True)
    ]


def _deviation(value: float) -> float:
    """Standard deviation of a reward of 0 or 1 whose estimated mean is `value`, at least 0.22.

    The bound is that of a value of 0.05: a belief close to 0 or 1 must not make one surprise huge.
    """
    value = min(max(value, 0.05), 0.95)
    return math.sqrt(value * (1 - value))


def _of_steps(steps: StepValues, algorithm: Algorithm) -> Floats:
    """[T] A_t = V(s_{t+1}) - V(s_t) on every token of step t (VinePPO's credit, arXiv 2410.01679).

    They sum to outcome - V(s_0) over the steps.
    """
    start, num = len(steps.rollout.state.prefix_ids), len(steps.rollout.action_ids)
    if steps.bounds[0] != start or steps.bounds[-1] != start + num:
        raise ValueError(f"bounds {steps.bounds} do not span the sampled tokens {start} to {start + num}")
    lengths = [end - begin for begin, end in pairwise(steps.bounds)]
    changes = [after - before for before, after in pairwise(steps.values)]
    scale = _deviation(steps.values[0]) if algorithm.is_scaled else 1.0
    return np.repeat(np.array(changes) / scale, lengths)


def trajectory_key(rollout: Rollout) -> tuple[object, ...]:
    """What makes two rollouts the same trajectory; rewards may be shaped in between."""
    return rollout.state, rollout.action_ids
