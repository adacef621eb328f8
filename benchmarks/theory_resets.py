"""What do resets save? The project's own rounds train a table whose values are known exactly.

The regret is 1 - V of the policy that sampled, averaged over the generated tokens, with resets where the
advantage is largest, where the entropy is, at random, and without resets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from online_tables import table_head
from paired import Difference

import gpo
from gpo.learn.advantages import ALGORITHMS, credit
from gpo.protocols import Capabilities
from gpo.seeds import derive_seed
from gpo.types import CompletionText, Problem, Request, Sample, State

LINES, BRANCHES = 12, 4
NEWLINE = BRANCHES
"""Tokens 0 to 3 are the options of a line, of which 0 is right."""


@dataclass(frozen=True)
class Chain:
    """Lines with four options each. One wrong option loses; on idle lines every option is right."""

    decision: int
    idle: tuple[int, ...]

    def start(self) -> np.ndarray:
        """[LINES, BRANCHES] logits: easy lines are right with .97, the decision and idle lines by chance."""
        logits = np.full((LINES, BRANCHES), 0.0)
        logits[:, 0] = math.log(0.97 / 0.03 * (BRANCHES - 1))
        logits[[self.decision, *self.idle], 0] = 0.0
        return logits

    def is_right(self, line: int, option: int) -> bool:
        return option == 0 or line in self.idle


CHAINS = {
    "entropy names the decision": Chain(decision=8, idle=()),
    "entropy is as high elsewhere": Chain(decision=8, idle=(2, 5)),
}


class Digits:
    """Decodes ids as the splitter and the verifier need them."""

    def decode(self, ids: Sequence[int]) -> str:
        return "".join("\n" if i == NEWLINE else str(i) for i in ids)


class TablePolicy(Capabilities):
    """Samples a chain's lines; in place of entropies it may tell the exact size of each line's advantage."""

    def __init__(self, chain: Chain, *, tells_advantages: bool) -> None:
        self.chain, self.tells_advantages = chain, tells_advantages
        self.logits, self.version = chain.start(), 0
        self.max_tokens, self.tokenizer = 2 * LINES, Digits()

    @property
    def probabilities(self) -> np.ndarray:
        """[LINES, BRANCHES]"""
        made = np.exp(self.logits - self.logits.max(1, keepdims=True))
        return made / made.sum(1, keepdims=True)

    def values(self) -> np.ndarray:
        """[LINES + 1] V before each line, were nothing wrong so far."""
        right = np.array([1.0 if i in self.chain.idle else p[0] for i, p in enumerate(self.probabilities)])
        return np.append(np.cumprod(right[::-1])[::-1], 1.0)

    def text(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids)

    def completion_text(self, state: State, action_ids: tuple[int, ...]) -> CompletionText:
        text = self.text((*state.prefix_ids, *action_ids))
        return CompletionText(text, text)

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        return [list(self._some(request)) for request in requests]

    def _some(self, request: Request) -> Iterator[Sample]:
        first = len(request.state.prefix_ids) // 2
        rng, chances = np.random.default_rng(request.seed), self.probabilities[first:]
        options = (
            (rng.random((request.num, LINES - first, 1)) > chances.cumsum(1)).sum(2).clip(max=BRANCHES - 1)
        )
        given = request.state.prefix_ids[::2]
        was_right = all(self.chain.is_right(i, option) for i, option in enumerate(given))
        for drawn in options.tolist():
            logs = [math.log(chances[i][option]) for i, option in enumerate(drawn)]
            told = (
                self._advantages(first, drawn, was_right) if self.tells_advantages else self._entropies(first)
            )
            ids = tuple(token for option in drawn for token in (option, NEWLINE))
            yield Sample(ids, _spread(logs, 0.0), _spread(told, 0.0), True)

    def _entropies(self, first: int) -> list[float]:
        made = self.probabilities[first:]
        return (-made * np.log(made)).sum(1).tolist()

    def _advantages(self, first: int, drawn: Sequence[int], was_right: bool) -> list[float]:
        values = self.values()
        believed = [float(was_right) * values[first]]
        for line, option in enumerate(drawn, start=first):
            was_right &= self.chain.is_right(line, option)
            believed.append(float(was_right) * values[line + 1])
        return np.abs(np.diff(believed)).tolist()

    def learn(self, groups: Sequence[gpo.Group], rate: float) -> None:
        """One step up the policy gradient, the mean over the trained lines, with RLOO's advantages."""
        gradient, chances, num = np.zeros_like(self.logits), self.probabilities, 0
        for group, advantages in zip(groups, credit(groups, ALGORITHMS["rloo"]), strict=True):
            for rollout, advantages_T in zip(group.rollouts, advantages, strict=True):
                lines = len(rollout.state.prefix_ids) // 2 + np.arange(len(rollout.action_ids) // 2)
                num += len(lines) * bool(advantages_T.any())
                gradient[lines] -= advantages_T[::2, None] * chances[lines]
                gradient[lines, list(rollout.action_ids[::2])] += advantages_T[::2]
        self.logits += rate * gradient / max(1, num)
        self.version += 1


def _spread(numbers: Sequence[float], between: float) -> tuple[float, ...]:
    """Each line's number on its first token, and another on its newline."""
    return tuple(x for number in numbers for x in (number, between))


class Whole:
    """Right where every line of a chain is."""

    num_timeouts = 0

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        del problems
        return [
            float(all(self.chain.is_right(i, int(option)) for i, option in enumerate(text.split())))
            for text in texts
        ]

    def check(self, problem: Problem) -> None:
        del problem


RESETS: dict[str, dict[str, Any]] = {
    "no resets": {"recipe": "base"},
    "a random line": {"recipe": "pivot", "rule": "random"},
    "the highest entropy": {"recipe": "pivot"},
    "the largest advantage, known exactly": {"recipe": "pivot"},
}
RATES = (1000.0, 3000.0, 10000.0)
"""Learning rates; each kind of resets has the best by seeds of its own. At the highest
the regret has nearly stopped falling: plain ascent on a table does not overshoot below it."""
RATE_SEEDS = 2


def regret(name: str, resets: str, rate: float, seed: int, tokens: int) -> float:
    """1 - V of the policy, averaged over the generated tokens: the best V is 1."""
    policy = TablePolicy(CHAINS[name], tells_advantages="known" in resets)
    changes = dict(RESETS[resets])
    recipe = gpo.Recipe.named(changes.pop("recipe"), splitter=gpo.steps.newline(min_tokens=1), **changes)
    problems = [Problem(str(i), (), "") for i in range(64)]
    spent, lost = 0, 0.0
    seed = derive_seed("regret", seed)
    for data in gpo.rounds(policy, Whole(policy.chain), problems, recipe, seed=seed, budget_tokens=tokens):
        num = sum(data.tokens.values())
        lost += num * (1 - float(policy.values()[0]))
        spent += num
        policy.learn(data.groups, rate)
    return lost / spent


def tuned(name: str, resets: str, tokens: int) -> float:
    """The learning rate of least regret."""
    seeds = range(1000, 1000 + RATE_SEEDS)
    return min(RATES, key=lambda rate: sum(regret(name, resets, rate, seed, tokens) for seed in seeds))


def page(seeds: int, tokens: int) -> list[str]:
    """The table: the mean regret, and by how much it is above that without resets."""
    lines = table_head([f"regret over {tokens:,} tokens, {seeds} seeds", *CHAINS])
    cells: dict[str, list[str]] = {resets: [] for resets in RESETS}
    for name in CHAINS:
        found = {}
        for resets in RESETS:
            rate = tuned(name, resets, tokens)
            found[resets] = [regret(name, resets, rate, seed, tokens) for seed in range(seeds)]
            above = [a - b for a, b in zip(found[resets], found["no resets"], strict=True)]
            shown = "" if resets == "no resets" else f", {Difference.of(above)}"
            cells[resets].append(f"{np.mean(found[resets]):.3f}{shown}, rate {rate:g}")
    lines += [f"| {resets} | {' | '.join(row)} |" for resets, row in cells.items()]
    return [*lines, ""]
