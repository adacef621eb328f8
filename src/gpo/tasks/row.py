"""One row of a task before it is bound to a model: plain text, the gold answer and the other columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from gpo.types import InputError

SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class Row:
    """A question and its gold answer as text."""

    id: str
    question: str
    answer: str
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)
    """What else the row holds; a verifier or a truth check may need it."""
    source: str = ""
    """Where it came from, for messages: 'FILE row 3'."""
    named: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)
    """The columns that question and answer came from, as they were: for a verifier, no prompt."""


def draws(size: int) -> int:
    """How many generated questions are looked at, at most, for `size` distinct ones of one split."""
    return 4 * size + 200


def distinct_rows(generated: Iterable[Row], task: str, split: str, size: int) -> list[Row]:
    """The first `size` rows of the split whose questions differ, with ids 'TASK/<hash of the text>'.

    The text of a question alone decides its split, evenly: train and test share no question, whatever
    their seeds and sizes. Raises InputError if the first `draws(size)` rows hold too few.
    """
    rows: dict[str, Row] = {}
    for row in islice(generated, draws(size)):
        if len(rows) == size:
            break
        name, is_test = _name_and_split(row.question)
        if is_test == (split == "test"):
            rows.setdefault(name, replace(row, id=f"{task}/{name}"))
    if len(rows) < size:
        raise InputError(
            f"{task}: size={size}, but only {len(rows)} different {split} questions came up; ask for fewer"
        )
    return list(rows.values())


def _name_and_split(question: str) -> tuple[str, bool]:
    """12 hex digits and whether it is a test question, from independent bits."""
    name = hashlib.blake2b(question.encode(), digest_size=8).hexdigest()
    return name[:12], int(name[12:], 16) % 2 == 1
