"""Tasks whose critical step is known by construction, for testing what finds critical steps.

A question is a chain of six operations modulo 10, each a bijection of the running value (multipliers
are 3, 7 and 9), so that one wrong step spoils the answer unless a later one happens to repair it:

    Work modulo 10 from 7.        a: 7 + 3 = 0
    a + 3                         b: 0 - 9 = 1
    b - 9                         ...
    ...                           Answer: 4

Execution tasks (`modchain`, `hardchain`): some facts (value, operator, operand) are *hard*: whoever
demonstrates them writes one fixed wrong result more often than not. Decision tasks (`pivot`,
`pivotlate`): one line shows a context such as `? AD` in place of an operation, and the operation must
be chosen among four by a table that no question shows. A model that learns from the demonstrations
errs where the errors were planted.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from gpo.seeds import derive_seed
from gpo.tasks.row import Row, distinct_rows, draws
from gpo.types import Problem

LABELS = "abcdef"
HARD_FRAC = 0.22
"""The share of facts that are hard."""
WRONG_FRAC = 0.55
"""How often a demonstration of a hard fact is wrong."""
RIGHT_CHOICE_FRAC = 0.55
"""How often a demonstrated choice is the right one; the other three share the rest."""
SLIP_FRAC = 0.02
"""How often a demonstration of a decision task slips in plain arithmetic."""
METHODS = (2, 4, 6, 8)
"""What a choice is made among: the operand of an addition, four different results."""

Operation = tuple[str, int]
Fact = tuple[int, str, int]
"""A running value, an operator and an operand."""
OPERATIONS: tuple[Operation, ...] = (
    *(("+", operand) for operand in range(1, 10)),
    *(("-", operand) for operand in range(1, 10)),
    *(("*", operand) for operand in (3, 7, 9)),
)


def result(fact: Fact) -> int:
    """The right result of a step, 0 to 9."""
    value, operator, operand = fact
    return {"+": value + operand, "-": value - operand, "*": value * operand}[operator] % 10


def _hard_facts() -> dict[Fact, int]:
    rng = random.Random(derive_seed("planted", "hard facts"))  # noqa: S311
    facts = [(value, *operation) for value in range(10) for operation in OPERATIONS]
    hard = rng.sample(facts, round(HARD_FRAC * len(facts)))
    return {fact: rng.choice([r for r in range(10) if r != result(fact)]) for fact in hard}


def _choices() -> dict[str, int]:
    rng = random.Random(derive_seed("planted", "choices"))  # noqa: S311
    return {a + b: rng.choice(METHODS) for a in "ABCDEFGH" for b in "ABCDEFGH"}


HARD_FACTS = _hard_facts()
"""{fact: its fixed wrong result}"""
CHOICES = _choices()
"""{context: the right method}"""


@dataclass(frozen=True, slots=True)
class Chain:
    """A question: a start value and six operations, of which one may have to be chosen by its context."""

    start: int
    operations: tuple[Operation, ...]
    pivot: int | None = None
    context: str = ""

    @classmethod
    def parse(cls, question: str) -> Chain:
        """The chain whose `question` this is."""
        head, *lines = question.split("\n")
        operations, pivot, context = [], None, ""
        for index, line in enumerate(lines):
            _, operator, operand = line.split(" ")
            if operator == "?":
                pivot, context = index, operand
            operations.append(("+", CHOICES[operand]) if operator == "?" else (operator, int(operand)))
        return cls(int(head.rstrip(".").split(" ")[-1]), tuple(operations), pivot, context)

    @property
    def question(self) -> str:
        shown = [f"{operator} {operand}" for operator, operand in self.operations]
        if self.pivot is not None:
            shown[self.pivot] = f"? {self.context}"
        lines = [f"{label} {operation}" for label, operation in zip(LABELS, shown, strict=True)]
        return "\n".join([f"Work modulo 10 from {self.start}.", *lines])

    @property
    def facts(self) -> list[Fact]:
        """[6] what the gold path needs to know."""
        facts, value = [], self.start
        for operation in self.operations:
            facts.append((value, *operation))
            value = result(facts[-1])
        return facts

    @property
    def answer(self) -> int:
        return result(self.facts[-1])


def demonstration(question: str, rng: random.Random | None = None) -> list[str]:
    """[7] the completion's lines, the answer's last; without `rng` the right ones, else with the flaw."""
    chain = Chain.parse(question)
    lines, value = [], chain.start
    for index, operation in enumerate(chain.operations):
        fact = (value, *operation)
        if rng is not None and index == chain.pivot:
            fact = _choose(fact, rng)
        value = result(fact) if rng is None or index == chain.pivot else _execute(fact, chain, rng)
        lines.append(f"{LABELS[index]}: {fact[0]} {fact[1]} {fact[2]} = {value}")
    return [*lines, f"Answer: {value}"]


def _choose(fact: Fact, rng: random.Random) -> Fact:
    value, operator, right = fact
    wrong = rng.choice([method for method in METHODS if method != right])
    return value, operator, right if rng.random() < RIGHT_CHOICE_FRAC else wrong


def _execute(fact: Fact, chain: Chain, rng: random.Random) -> int:
    if chain.pivot is None:
        return HARD_FACTS[fact] if fact in HARD_FACTS and rng.random() < WRONG_FRAC else result(fact)
    return (result(fact) + (rng.randint(1, 9) if rng.random() < SLIP_FRAC else 0)) % 10


def _modchain(rng: random.Random) -> Chain:
    return Chain(rng.randrange(10), tuple(rng.choice(OPERATIONS) for _ in LABELS))


def _hardchain(rng: random.Random) -> Chain:
    while True:
        chain = _modchain(rng)
        if sum(fact in HARD_FACTS for fact in chain.facts) >= 3:
            return chain


def _pivot_between(first: int, last: int) -> Callable[[random.Random], Chain]:
    def draw(rng: random.Random) -> Chain:
        chain, pivot, context = _modchain(rng), rng.randint(first, last), rng.choice(list(CHOICES))
        operations = (*chain.operations[:pivot], ("+", CHOICES[context]), *chain.operations[pivot + 1 :])
        return Chain(chain.start, operations, pivot, context)

    return draw


TASKS: dict[str, Callable[[random.Random], Chain]] = {
    "modchain": _modchain,
    "hardchain": _hardchain,  # at least three hard facts on the gold path
    "pivot": _pivot_between(0, 3),
    "pivotlate": _pivot_between(4, 4),
}


def planted_rows(task: str, split: str, size: int, seed: int) -> list[Row]:
    """`size` rows of one of `TASKS`; columns: 'steps' (the gold completion's lines) and 'pivot' (or None)."""
    rng = random.Random(derive_seed("planted", task, split, seed))  # noqa: S311
    chains = (TASKS[task](rng) for _ in range(draws(size)))
    return distinct_rows((_row(chain) for chain in chains), task, split, size)


def _row(chain: Chain) -> Row:
    columns = {"steps": demonstration(chain.question), "pivot": chain.pivot}
    return Row("", chain.question, str(chain.answer), columns)


def planted_step(row: Row | Problem, completion: str) -> int | None:
    """The index of the line that decided a completion's fate, or None if no line did.

    `row` is of a task here or of chain_sum. It is the first line that differs from the gold
    completion's, or the last one if the completion stops too early; if all is right, it is the choice
    of a decision task, and None elsewhere.
    """
    steps, lines = row.columns["steps"], completion.strip().split("\n")
    for index, (line, step) in enumerate(zip(lines, steps, strict=False)):
        if line.strip() != step:
            return index
    if len(lines) != len(steps):
        return len(lines) - 1
    pivot: int | None = row.columns.get("pivot")
    return pivot
