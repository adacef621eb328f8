"""The demo's main task: reasoning-gym's `chain_sum`, and demonstrations of it with a human flaw.

Questions and their verifier are reasoning-gym's own; only the setting (6 to 8 numbers of one digit) is
ours. A demonstration writes one running sum a line. Its flaw: whoever wrote it is often one short when a
6, 7 or 8 is added or taken away, so that a completion which fails has a clear first wrong line.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gpo.tasks.gym import gym_rows
from gpo.tasks.row import Row

NAME = "chain_sum"
OPTIONS = {"min_terms": 6, "max_terms": 8, "min_digits": 1, "max_digits": 1}
MISCOUNTED = (6, 7, 8)
"""The digits that are hard to add and to take away."""
WRONG_FRAC = 0.45
"""How often one of them is miscounted."""


def chain_sum_rows(split: str, size: int, seed: int, options: Mapping[str, Any]) -> list[Row]:
    """reasoning-gym's rows with one more column: 'steps', the gold completion's lines."""
    rows = gym_rows(NAME, NAME, split, size, seed, {**OPTIONS, **options})
    return [replace(row, columns={**row.columns, "steps": demonstration(row.question)}) for row in rows]


def demonstration(question: str, rng: random.Random | None = None) -> list[str]:
    """The completion's lines, the answer's line last; without `rng` the right ones, else with the flaw.

    ['8 + 7 = 15', '15 - 9 = 6', 'Answer: 6']
    """
    (_, first), *terms = re.findall(r"(?:([+-]) )?(-?\d+)", question.partition(":")[2])
    lines, current = [], int(first)
    for sign, digits in terms:
        term = -int(digits) if sign == "-" else int(digits)
        is_wrong = rng is not None and rng.random() < WRONG_FRAC
        result = miscounted_sum(current, term) if is_wrong else current + term
        lines.append(f"{current} {sign} {digits} = {result}")
        current = result
    return [*lines, f"Answer: {current}"]


def miscounted_sum(a: int, b: int) -> int:
    """a + b as whoever miscounts writes it: one short for a hard digit, else right."""
    return a + b - 1 if abs(b) in MISCOUNTED else a + b
