"""Three families of problems that the tiny model solves less than 2 % of the time; every line must be right.

Six hard facts in a row; chain_sum of eight numbers, seven of them miscounted nearly every other time; and the
chains of `long_chain.py`, twelve steps with three decisions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import long_chain
import numpy as np


class EveryLine:
    """Right if every line is: on a rarely solved task an answer alone would be right by luck too often."""

    num_timeouts = 0

    def score(self, problems, texts):
        return [float(text.strip() == p.answer) for p, text in zip(problems, texts, strict=True)]

    def check(self, problem) -> None:
        del problem


def rare_rows(num: int, seed: int, taken: set[str]) -> list:
    """Chains whose six facts are all hard, none of them `taken`; the answer is every line."""
    from gpo.tasks.planted import HARD_FACTS, Chain, demonstration, result
    from gpo.tasks.row import Row

    rng, rows = np.random.default_rng(seed), []
    while len(rows) < num:
        start = value = int(rng.integers(10))
        operations = []
        while len(operations) < 6:
            facts = sorted(fact for fact in HARD_FACTS if fact[0] == value)
            fact = facts[rng.integers(len(facts))]
            operations.append(fact[1:])
            value = result(fact)
        question = Chain(start, tuple(operations)).question
        if question not in taken:
            taken.add(question)
            rows.append(Row(f"rare-{seed}-{len(rows)}", question, "\n".join(demonstration(question))))
    return rows


def sum_rows(num: int, seed: int, taken: set[str]) -> list:
    """chain_sum of eight numbers of which seven are miscounted nearly every other time."""
    from gpo.tasks.chain_sum import MISCOUNTED, demonstration
    from gpo.tasks.row import Row

    rng, rows = np.random.default_rng(seed), []
    while len(rows) < num:
        terms = "".join(f" {rng.choice(['+', '-'])} {rng.choice(MISCOUNTED)}" for _ in range(7))
        question = f"{SUM} {rng.integers(1, 10)}{terms} ="
        if question not in taken:
            taken.add(question)
            rows.append(Row(f"sum-{seed}-{len(rows)}", question, "\n".join(demonstration(question))))
    return rows


HARD: dict[str, Callable[[int, int, set[str]], list]] = {
    "rare": rare_rows,
    "hard sums": sum_rows,
    "long chain": long_chain.rows,
}
"""Rows of each family: how many, a seed, and questions that may not come again."""
MODELS: dict[str, Callable[[], Path]] = {"long chain": long_chain.folder}
"""Models of the families that the package's own cannot answer."""
SUM = "State the final answer to the following arithmetic problem:"
