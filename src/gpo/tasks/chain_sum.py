"""The demo's main task: reasoning-gym's `chain_sum`, and demonstrations of it with a human flaw.

Questions and their verifier are reasoning-gym's own; only the setting (two-digit numbers, 5 to 7 of
them) is ours. A demonstration writes one running sum a line. Its flaw: whoever wrote it misremembers
some sums and differences of two digits, so that a completion which fails has a clear first wrong line.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gpo.tasks.gym import gym_rows
from gpo.tasks.row import Row
from gpo.types import derive_seed

NAME = "chain_sum"
OPTIONS = {"min_terms": 5, "max_terms": 7, "min_digits": 2, "max_digits": 2}
HARD_FRAC = 0.25
"""The share of the 200 digit facts (7 + 8, 15 - 8, ...) that are misremembered."""
WRONG_FRAC = 0.55
"""How often a misremembered fact is written wrong."""


def _misremembered() -> dict[tuple[int, int, int], int]:
    rng = random.Random(derive_seed("chain_sum", "misremembered"))  # noqa: S311
    facts = [(a, sign, b) for a in range(10) for sign in (1, -1) for b in range(10)]
    hard = rng.sample(facts, round(HARD_FRAC * len(facts)))
    return {(a, sign, b): (a + sign * b + rng.randint(1, 9)) % 10 for a, sign, b in hard}


MISREMEMBERED = _misremembered()
"""{(last digit of the larger number, sign, last digit of the smaller): the wrong last digit}"""


def chain_sum_rows(split: str, size: int, seed: int, options: Mapping[str, Any]) -> list[Row]:
    """reasoning-gym's rows with one more column: 'steps', the gold completion's lines."""
    rows = gym_rows(NAME, NAME, split, size, seed, {**OPTIONS, **options})
    return [replace(row, columns={**row.columns, "steps": demonstration(row.question)}) for row in rows]


def demonstration(question: str, rng: random.Random | None = None) -> list[str]:
    """The completion's lines, the answer's line last; without `rng` the right ones, else with the flaw.

    ['38 + 17 = 55', '55 - 12 = 43', 'Answer: 43']
    """
    (_, first), *terms = re.findall(r"(?:([+-]) )?(-?\d+)", question.partition(":")[2])
    lines, current = [], int(first)
    for sign, digits in terms:
        term = -int(digits) if sign == "-" else int(digits)
        is_wrong = rng is not None and rng.random() < WRONG_FRAC
        result = misremembered_sum(current, term) if is_wrong else current + term
        lines.append(f"{current} {sign} {digits} = {result}")
        current = result
    return [*lines, f"Answer: {current}"]


def misremembered_sum(a: int, b: int) -> int:
    """a + b as whoever misremembers writes it: right but for the last digit of a hard fact."""
    larger, smaller = sorted((a, b), key=abs, reverse=True)
    sign = 1 if (a < 0) == (b < 0) else -1
    size = abs(larger) + sign * abs(smaller)
    last = MISREMEMBERED.get((abs(larger) % 10, sign, abs(smaller) % 10), size % 10)
    return (-1 if larger < 0 else 1) * (size - size % 10 + last)
