"""How often a policy is right: success rate over problems, with its standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gpo.pool import sample
from gpo.types import Group, Policy, Problem, Request, State, Verifier, derive_seed


@dataclass(frozen=True)
class Evaluation:
    """Success rate over P problems with G samples each."""

    accuracy: float
    stderr: float
    """Clustered by problem; nan for a single problem."""
    truncated_frac: float
    """Share of samples that the token limit cut; they count as failures."""
    tokens: int
    groups: list[Group]


def evaluate(
    policy: Policy,
    verifier: Verifier,
    problems: Sequence[Problem],
    *,
    num: int = 1,
    seed: int = 0,
    success_at: float = 1.0,
) -> Evaluation:
    """Success rate of `num` samples for each problem, on random streams of its own."""
    requests = [Request(State(p), num, derive_seed(seed, "evaluation", p.id)) for p in problems]
    groups = [
        Group(request.state, tuple(rollouts))
        for request, rollouts in zip(requests, sample(policy, verifier, requests), strict=True)
    ]
    accuracy, stderr = mean_and_stderr([success_rate(group, success_at) for group in groups])
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    return Evaluation(
        accuracy=accuracy,
        stderr=stderr,
        truncated_frac=sum(not r.finished for r in rollouts) / len(rollouts),
        tokens=sum(len(r.action_ids) for r in rollouts),
        groups=groups,
    )


def success_rate(group: Group, success_at: float) -> float:
    """Share of the group's rollouts with a reward of at least `success_at`."""
    return sum(reward >= success_at for reward in group.rewards_G) / len(group.rollouts)


def mean_and_stderr(rates_P: Sequence[float]) -> tuple[float, float]:
    """Mean over problems and its standard error; nan where there are too few.

    Samples of one problem are not independent, so a problem, not a sample, is the unit.
    """
    num = len(rates_P)
    mean = sum(rates_P) / num if num else math.nan
    if num < 2:
        return mean, math.nan
    return mean, math.sqrt(sum((rate - mean) ** 2 for rate in rates_P) / (num - 1) / num)
