"""How many tokens search and archive get: as many as they repay, measured in signal.

The signal of a rollout is the variance of the reward at its state, V(1 - V): where it is 0 there is no
advantage and no gradient. An arm's rate is the signal of its rollouts averaged over the tokens that were
generated for it, thrown away or not. An arm that beats fresh prompts by a margin grows, one that does not
shrinks to an occasional probe, and its tokens go back to fresh prompts. And an arm gets at
most the part of its states that is the share of unsolved prompts, those whose rollouts all fail, and nothing
while they are few: where most prompts teach something, or are mastered, a token is best spent on another one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gpo.types import Group

ARMS = ("search", "archive")
MARGIN = 1.5
"""A fresh prompt is worth more than its signal says: it is new, and all of the trajectory trains."""
DECAY = 0.8
"""Factor on earlier measurements each round."""
START = 0.5
REGROWTH = 0.25
"""Where an arm that repays its tokens again begins, and where one that does not has its last chance."""
LEAST_UNSOLVED = 0.25
"""Least unsolved share of fresh prompts; below it states cost more than they gave (docs/training.md)."""
PROBE_ROUNDS = 4
"""An arm without a share is tried with a single state every so many rounds."""

Measured = tuple[float, float]
"""Signal times tokens, and tokens."""


def signal(group: Group) -> float:
    """The estimated variance of the reward at the group's state; a baseline counts as two rollouts."""
    num, total = len(group.rollouts), sum(group.rewards_G)
    if group.baselines is None:
        mean = total / num
        return mean * (1 - mean) * num / (num - 1) if num > 1 else 0.0
    mean = (total + 2 * sum(group.baselines) / num) / (num + 2)
    return mean * (1 - mean)


def measured(groups: Iterable[Group], num_tokens: int) -> Measured:
    """The signal of what trains over all tokens that were generated for it."""
    weighted = sum(signal(group) * sum(len(r.action_ids) for r in group.rollouts) for group in groups)
    return weighted, float(num_tokens)


@dataclass(frozen=True)
class Share:
    """Each arm's level in [0, 1], and the decayed sums behind it."""

    levels: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(ARMS, START))
    sums: Mapping[str, Measured] = field(default_factory=dict)

    def num(self, arm: str, most: int, round_index: int, unsolved_frac: float) -> int:
        """How many of at most `most` states the arm may sample in this round.

        `unsolved_frac` is the share of the round's fresh prompts of which no rollout succeeded.
        """
        if unsolved_frac < LEAST_UNSOLVED:
            return 0
        num = math.ceil(self.levels[arm] * unsolved_frac * most)
        return num if num else min(most, int(round_index % PROBE_ROUNDS == 0))

    def rate(self, arm: str) -> float:
        """Signal per token; nan before anything was measured."""
        weighted, tokens = self.sums.get(arm, (0.0, 0.0))
        return weighted / tokens if tokens else math.nan

    def after(self, found: Mapping[str, Measured]) -> Share:
        """The share after a round that measured this of `fresh` and of each arm."""
        old = {arm: self.sums.get(arm, (0.0, 0.0)) for arm in found}
        sums = {
            arm: (DECAY * old[arm][0] + weighted, DECAY * old[arm][1] + tokens)
            for arm, (weighted, tokens) in found.items()
        }
        share = replace(self, sums=sums)
        levels = {arm: share._level(arm) for arm in ARMS}
        return replace(share, levels=levels)

    def _level(self, arm: str) -> float:
        level, rate, fresh = self.levels[arm], self.rate(arm), self.rate("fresh")
        if math.isnan(rate) or math.isnan(fresh):
            return level
        if rate > MARGIN * fresh:
            return min(1.0, max(REGROWTH, 2 * level))
        return REGROWTH if level > REGROWTH else 0.0
