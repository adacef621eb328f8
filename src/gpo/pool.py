"""The one verb: sample continuations of states and verify them; and the pool that keeps every rollout.

A fresh start, a value estimate and a reset differ only in the state they sample from, and share rollouts: a
state is never sampled again for rollouts that exist.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from gpo.protocols import ForwardingPolicy, Policy, ValueModel, Verifier
from gpo.seeds import derive_seed
from gpo.types import Group, Request, Rollout, Sample, State, ValueCurve

Purpose = Literal["explore", "values", "resets"]
PURPOSES: tuple[str, ...] = get_args(Purpose)
"""What a rollout was sampled for, in the order of a round; evaluation is counted separately."""

Look = Callable[[Policy, Sequence[ValueCurve]], list[list[float] | None]]
"""What a proposal is."""

Watch = Callable[[str, int, int], None]
"""Called with (purpose, rollouts done, rollouts in all) during a round."""


def sample(policy: Policy, verifier: Verifier, requests: Sequence[Request]) -> list[list[Rollout]]:
    """The verified rollouts of each request; every rollout is made here."""
    pairs = [
        (request.state, one)
        for request, samples in zip(requests, policy.sample(requests), strict=True)
        for one in samples
    ]
    rollouts = iter(verified(policy, verifier, pairs))
    return [[next(rollouts) for _ in range(request.num)] for request in requests]


def predicted(critic: ValueModel | None, sampled: Sequence[Sequence[Rollout]]) -> list[list[Rollout]]:
    """The rollouts with what the critic reads of them."""
    given = [(one.state, one.action_ids) for some in sampled for one in some]
    if critic is None:
        return [[*some] for some in sampled]
    read = iter(critic.read(given))
    return [[replace(one, predicted=tuple(next(read))) for one in some] for some in sampled]


def verified(policy: Policy, verifier: Verifier, pairs: Sequence[tuple[State, Sample]]) -> list[Rollout]:
    """What was sampled from these states, with its reward."""
    texts = [policy.completion_text(state, one.action_ids) for state, one in pairs]
    rewards = verifier.score([state.problem for state, _ in pairs], texts)
    return [
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
    ]


class Metered(ForwardingPolicy):
    """A policy that counts what a proposal samples from it, by problem, and samples no more than it may."""

    def __init__(self, policy: Policy, most: float) -> None:
        """At most `most` tokens: a request that might exceed them, and every later one, gets no samples."""
        super().__init__(policy)
        self.most, self.tokens, self.has_sampled = most, Counter[str](), False

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        self.has_sampled = True
        sizes = [one.num * (self.max_tokens if one.most is None else one.most) for one in requests]
        num = next((i for i in range(len(sizes)) if sum(sizes[: i + 1]) > self.most), len(sizes))
        found = self.policy.sample(requests[:num]) if num else []
        for request, samples in zip(requests, found, strict=False):
            self.tokens[request.state.problem.id] += sum(len(one.action_ids) for one in samples)
        self.most -= sum(sizes[:num])
        return [*found, *([] for _ in requests[num:])]


@dataclass(frozen=True, slots=True)
class Kept:
    """A rollout, its purpose, and the value estimated for its state when it was requested."""

    rollout: Rollout
    purpose: str
    baseline: float | None = None
    """None if no reward decided the number of rollouts there."""


@dataclass
class Pool:
    """Every rollout of one policy version by the state it was sampled from, in order of sampling."""

    policy: Policy
    verifier: Verifier
    seed: int
    watch: Watch | None = None
    budget_tokens: float = math.inf
    """Tokens that may be generated, never exceeded: a request that might not fit is not started."""
    rollouts: dict[State, list[Kept]] = field(default_factory=dict)
    critic: ValueModel | None = None
    """Reads what is sampled, for a rule that names steps by it."""
    num_denied: int = 0
    """Rollouts that the budget did not allow."""
    num_judged: int = 0
    """Tokens that proposals sampled."""
    num_unscored: int = 0
    """Trajectories of which a proposal that samples said nothing."""

    def at(self, state: State) -> list[Rollout]:
        return [kept.rollout for kept in self.rollouts.get(state, [])]

    def fill(
        self,
        wanted: Mapping[State, int],
        purpose: str,
        *,
        baselines: Mapping[State, float | None] | None = None,
        is_whole: bool = False,
    ) -> None:
        """Sample until each state has as many rollouts as wanted; existing ones count.

        `baselines` are the current estimated values, kept with the rollouts. With `is_whole` a state whose
        rollouts do not all fit into the budget gets none.
        """
        requests, left = [], self.left
        for state, num in wanted.items():
            have = len(self.rollouts.get(state, []))
            missing = max(0, num - have)
            worst = max(1, self.policy.max_tokens - len(state.prefix_ids))
            granted = int(min(missing, max(0.0, left) // worst))
            if is_whole and granted < missing:
                granted = 0
            self.num_denied += missing - granted
            left -= granted * worst
            if granted:
                requests.append(Request(state, granted, derive_seed(self.seed, state.key, have)))
        if self.watch:
            self.watch(purpose, 0, sum(request.num for request in requests))
        believed = baselines or {}
        sampled = predicted(self.critic, sample(self.policy, self.verifier, requests))
        for request, rollouts in zip(requests, sampled, strict=True):
            kept = [Kept(rollout, purpose, believed.get(request.state)) for rollout in rollouts]
            self.rollouts.setdefault(request.state, []).extend(kept)

    def look(self, proposal: Look, traces: Sequence[ValueCurve]) -> list[list[float] | None]:
        """A proposal's scores of trajectories; what it samples counts, and stays within the budget."""
        policy = Metered(self.policy, self.left)
        scores = proposal(policy, traces)
        if policy.has_sampled:
            self.num_unscored += sum(one is None for one in scores)
        self.num_judged += policy.tokens.total()
        return scores

    @property
    def left(self) -> float:
        """Tokens that the budget still allows."""
        return self.budget_tokens - sum(self.tokens().values())

    def tokens(self) -> dict[str, int]:
        """Generated tokens by purpose; `judge` is there where a proposal sampled."""
        ledger = dict.fromkeys(PURPOSES, 0) | ({"judge": self.num_judged} if self.num_judged else {})
        for kept in self.rollouts.values():
            for one in kept:
                ledger[one.purpose] = ledger.get(one.purpose, 0) + len(one.rollout.action_ids)
        return ledger

    def groups(self, purposes: Iterable[str] = PURPOSES) -> list[Group]:
        """One group per state and kind of baseline, from the rollouts sampled for these purposes.

        Rollouts whose number depended on rewards are separate from those whose number was fixed: only the
        latter may be each other's baseline.
        """
        wanted, groups = set(purposes), []
        for state, kept in self.rollouts.items():
            chosen = [one for one in kept if one.purpose in wanted]
            for purposes_of in (("explore",), ("values", "resets")):
                fixed = tuple(o.rollout for o in chosen if o.purpose in purposes_of and o.baseline is None)
                if fixed:
                    groups.append(Group(state, fixed))
            asked = [one for one in chosen if one.baseline is not None]
            if asked:
                baselines = tuple(one.baseline for one in asked if one.baseline is not None)
                groups.append(Group(state, tuple(one.rollout for one in asked), baselines))
        return groups
