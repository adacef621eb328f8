"""Which boundary of a trajectory to sample next: ask and tell, so that any engine can serve it.

    search = adaptive(num_steps=S, outcome=0.0, step_tokens=lengths, budget_tokens=20_000)
    while asks := search.ask(width=1):
        for boundary, num in asks:           # boundary 0..S-1: the state before that step
            search.tell(boundary, successes, num)
    search.result()                          # the critical step, or None if none is credible

Many searches run in lock-step: all their asks form one batch. `uniform` is the paper's allocation, `bisect`
that of OmegaPRM (arXiv 2406.06592) and Pivotal Token Search, and `adaptive` asks where a rollout should
improve the decision most per token.
"""

from __future__ import annotations

from typing import Unpack

from gpo.search.adaptive import Adaptive
from gpo.search.allocated import Bisect, Uniform
from gpo.search.base import CREDIBLE, Search, Settings

__all__ = ["CREDIBLE", "Adaptive", "Bisect", "Search", "Settings", "Uniform", "adaptive", "bisect", "uniform"]


def uniform(n: int, *, pooled: bool = False, **settings: Unpack[Settings]) -> Uniform:
    """The paper's allocation and estimator, or with the pooled one."""
    return Uniform(n, pooled=pooled, **settings)


def bisect(n: int, threshold: float = 0.2, **settings: Unpack[Settings]) -> Bisect:
    """Recursive bisection of the largest change, `n` rollouts per boundary."""
    return Bisect(n, threshold, **settings)


def adaptive(**settings: Unpack[Settings]) -> Adaptive:
    """The search to use. Without `budget_tokens` it ends when settled, or after 40 traces of tokens."""
    return Adaptive(**settings)
