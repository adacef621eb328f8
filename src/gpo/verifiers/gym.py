"""reasoning-gym's own verifiers, which know when several answers are right.

They give partial credit for almost anything ("the answer is 12" for 12 earns 0.125), so that only
a full score counts as a success here, and they want the bare answer, so that it is extracted first.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import reasoning_gym
from reasoning_gym.factory import DATASETS

from gpo.verifiers import answers

_TUPLE_GRIDS = ("arc_agi", "rearc")
"""Compare their grids with tuples, which JSON turns into lists."""


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError unless `columns` hold the item and the item's own answer, if any, scores 1.0."""
    del answer  # it is the entry's, or '' where the generator has no single one
    name, entry = columns.get("gym"), columns.get("entry")
    if not isinstance(name, str) or not isinstance(entry, Mapping):
        raise ValueError("needs the columns 'gym' (generator's name) and 'entry' (reasoning-gym's item)")
    missing = [key for key in ("answer", "metadata") if key not in entry]
    if missing:
        raise ValueError(f"reasoning-gym's item in column 'entry' has no '{missing[0]}'")
    gold = entry["answer"]
    if gold is not None and _credit(name, gold, entry) != 1.0:
        raise ValueError(f"{name}'s own verifier refuses the item's answer {str(gold)[:80]!r}")


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if the generator's verifier gives a reading of the final answer full credit, else 0.0."""
    del answer
    name, entry = columns["gym"], columns["entry"]
    readings = answers.readings(answers.visible(text))
    # Python's int() reads digits of every script, and many of these verifiers call it.
    plain = [one for one in readings if not any(c.isdecimal() and not c.isascii() for c in one)]
    return float(any(_credit(name, reading, entry) == 1.0 for reading in plain))


def read(text: str, columns: Mapping[str, Any]) -> str | None:
    """The final answer as it is written, on one line; None if there is nothing."""
    del columns
    readings = answers.readings(answers.visible(text))
    return " ".join(readings[-1].split()) if readings else None


def _credit(name: str, answer: str, entry: Mapping[str, Any]) -> float:
    item = dict(entry)
    if name in _TUPLE_GRIDS:
        output = tuple(tuple(row) for row in entry["metadata"]["output"])
        item["metadata"] = {**entry["metadata"], "output": output}
    scorer = _scorer(name)
    try:
        return float(scorer(answer, item))
    except Exception:  # noqa: BLE001 - a hundred verifiers, some of which raise on malformed answers
        return 0.0


@lru_cache
def _scorer(name: str) -> Callable[[str, Mapping[str, Any]], float]:
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        raise ValueError(
            f"reasoning-gym has no generator '{name}'" + (f"; did you mean '{near[0]}'?" if near else "")
        )
    scorer: Callable[[str, Mapping[str, Any]], float] = reasoning_gym.get_score_answer_fn(name)
    return scorer
