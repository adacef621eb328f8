r"""Exact match of the final answer, apart from case, spacing, markup and a full stop.

"**Valid.**" and "valid" are one answer, "(A)" and "A" are two: that is for the option verifier.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpo.verifiers import answers

MAX_UNMARKED = 80
"""Characters; a longer last line without a marker is taken for a sentence, not an answer."""

_TEXT = re.compile(r"\\(?:text\w*|math\w*)\s?\{(.*)\}", re.DOTALL)
_INLINE = re.compile(r"\\[(\[](.*)\\[)\]]", re.DOTALL)
_QUOTES = "\"'`*_$“” "


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError if there is no gold answer."""
    del columns
    if not answer.strip():
        raise ValueError("the answer is empty")


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if a reading of the final answer equals the gold answer, else 0.0."""
    check(answer, columns)
    gold = normalise(answer)
    return float(any(normalise(reading) == gold for reading in answers.readings(answers.visible(text))))


def read(text: str, columns: Mapping[str, Any]) -> str | None:
    """The final answer, normalised; None if nothing marks it and the last line is not a short answer."""
    del columns
    shown = answers.visible(text)
    marked = answers.marked(shown)
    readings = answers.delimited(shown, marked)
    if not readings or (marked is None and len(readings[-1]) > MAX_UNMARKED):
        return None
    return normalise(readings[-1])


def normalise(answer: str) -> str:
    """Case folded, spaces collapsed, without what only dresses it; what is all dressing stays as it is."""
    folded = " ".join(answer.split()).casefold()
    bare = _undressed(folded)
    for dress in (_INLINE, _TEXT):
        if dressed := dress.fullmatch(bare):
            bare = _undressed(dressed.group(1))
    return bare or folded


def _undressed(text: str) -> str:
    return answers.ended(text.strip(_QUOTES), ".").strip(_QUOTES)
