"""The one verb: sample continuations of states and verify them; and the pool that keeps every rollout.

A fresh start, a value estimate and a reset differ only in the state they sample from, and what was
sampled for one serves the others: a state is never sampled again for rollouts that are there already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gpo.types import Group, Policy, Request, Rollout, State, Verifier, derive_seed

PURPOSES = ("explore", "values", "resets")
"""What a rollout was sampled for, in the order of a round; evaluation is counted apart."""

Watch = Callable[[str, int, int], None]
"""Told (purpose, rollouts done, rollouts in all) as a round goes on."""


def sample(policy: Policy, verifier: Verifier, requests: Sequence[Request]) -> list[list[Rollout]]:
    """For each request its rollouts, verified: the only way in which rollouts come to be."""
    pairs = [
        (request.state, one)
        for request, samples in zip(requests, policy.sample(requests), strict=True)
        for one in samples
    ]
    texts = [policy.text(state.prefix_ids + one.action_ids) for state, one in pairs]
    rewards = verifier.score([state.problem for state, _ in pairs], texts)
    rollouts = iter(
        Rollout(
            state=state,
            action_ids=one.action_ids,
            logprobs=one.logprobs,
            entropies=one.entropies,
            text=text,
            finished=one.finished,
            # A rollout that the limit cut has no answer, whatever its text holds so far.
            reward=reward if one.finished else 0.0,
            policy_version=policy.version,
        )
        for (state, one), text, reward in zip(pairs, texts, rewards, strict=True)
    )
    return [[next(rollouts) for _ in range(request.num)] for request in requests]


@dataclass
class Pool:
    """Every rollout of one policy version by the state it was sampled from, in order of sampling."""

    policy: Policy
    verifier: Verifier
    seed: int
    watch: Watch | None = None
    rollouts: dict[State, list[tuple[str, Rollout]]] = field(default_factory=dict)
    """With each rollout the purpose it was sampled for."""

    def at(self, state: State) -> list[Rollout]:
        return [rollout for _, rollout in self.rollouts.get(state, [])]

    def fill(self, wanted: dict[State, int], purpose: str) -> None:
        """Sample until each state has as many rollouts as wanted; what is there is not sampled again."""
        requests = []
        for state, num in wanted.items():
            have = len(self.rollouts.get(state, []))
            if num > have:
                requests.append(Request(state, num - have, derive_seed(self.seed, state.key, have)))
        if self.watch:
            self.watch(purpose, 0, sum(request.num for request in requests))
        for request, rollouts in zip(requests, sample(self.policy, self.verifier, requests), strict=True):
            self.rollouts.setdefault(request.state, []).extend((purpose, r) for r in rollouts)

    def tokens(self) -> dict[str, int]:
        """Generated tokens by purpose."""
        ledger = dict.fromkeys(PURPOSES, 0)
        for rollouts in self.rollouts.values():
            for purpose, rollout in rollouts:
                ledger[purpose] += len(rollout.action_ids)
        return ledger

    def groups(self, without: str | None = None) -> list[Group]:
        """One group for each state, leaving out rollouts of the purpose `without`."""
        kept = (
            Group(state, tuple(r for purpose, r in rollouts if purpose != without))
            for state, rollouts in self.rollouts.items()
        )
        return [group for group in kept if group.rollouts]
