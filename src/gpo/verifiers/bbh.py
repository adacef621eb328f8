"""BIG-Bench Hard: exact match, as each of its 27 tasks means it.

A gold answer "(B)" asks for the option: "B", "(B)" and the option's text are one answer. All others are
compared as the verifier `exact` does, and two tasks forgive what is no part of the answer: spaces between
the brackets of dyck_languages, commas between the words of word_sorting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpo.verifiers import answers, exact, option

_LETTER = re.compile(r"\([A-Z]\)")


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError if there is no gold answer."""
    exact.check(answer, columns)


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if the final answer is the gold answer, else 0.0."""
    if _LETTER.fullmatch(answer.strip()):
        return option.score(text, answer, columns)
    check(answer, columns)
    gold = _plain(answer, columns)
    return float(any(_plain(reading, columns) == gold for reading in answers.readings(answers.visible(text))))


def read(text: str, columns: Mapping[str, Any]) -> str | None:
    """The chosen letter where there are options, else the final answer, normalised; None if there is none."""
    if columns.get("options"):
        return option.read(text, columns)
    found = exact.read(text, columns)
    return found and _plain(found, columns)


def _plain(answer: str, columns: Mapping[str, Any]) -> str:
    plain = exact.normalise(answer.replace("\u2212", "-").replace("\\{", "{").replace("\\}", "}"))
    if columns.get("subject") == "dyck_languages":
        return plain.replace(" ", "")
    if columns.get("subject") == "word_sorting":
        return " ".join(plain.replace(",", " ").split())
    return plain
