r"""The number that answers a word problem, compared exactly: 18, 18.0, $18, 36/2 and 1.8e1 are one number.

Marked answers give their first number, or what "3 + 15 = 18" comes to; without a marker it is the last number
of the text. What a number is worth, `worth` says: "18!", "17 or 18", "5:30" and "3 hours and 30 minutes" are
worth nothing, "18 thousand" is 18,000. A number that is denied ("not 17", "17 is wrong") is no answer. Units
and currencies are not compared; 18 % is 18, and also 0.18.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from gpo.verifiers import answers, worth
from gpo.verifiers.plain import DRESS, plain

_REACH = 2000
"""Characters of a marked line from its start, and of an unmarked text from its end, that are read."""
_WORD = re.compile(r"(?<!\\)\b(?!of\b)[A-Za-z]{2,}")


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError unless the answer is one number, alone or after GSM8K's '####'."""
    del columns
    _gold(answer)


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if the completion's number equals the gold number, else 0.0."""
    del columns
    found, gold = _number(text), _gold(answer)
    return float(found is not None and bool(_worths(found) & _worths(gold)))


def read(text: str, columns: Mapping[str, Any]) -> str | None:
    """The completion's number in lowest terms; None if there is none."""
    del columns
    number = _number(text)
    return None if number is None else str(number.value)


def _worths(number: worth.Number) -> set[Fraction]:
    """The values that a number may stand for: a question that asks for a percentage leaves the sign out."""
    value = number.value or Fraction(0)
    return {value, value / 100} if number.unit == "%" else {value}


def _number(text: str) -> worth.Number | None:
    shown = answers.visible(text)
    marked = answers.marked(shown, lambda box: next(worth.scan(plain(box[:_REACH])), None) is not None)
    if marked is None:
        line = _result(plain(answers.without_bullets(shown[-_REACH:])))
        found = answers.last_of(worth.scan(line))
    else:
        line = _result(plain(answers.first_line(marked.text)[:_REACH]))
        found = next(worth.scan(line), None)
    if found is None or found.value is None:
        return None
    before, behind = line[: found.start].rstrip(f" {DRESS}"), line[found.end :]
    return None if answers.is_denied(before) or answers.is_denied_after(behind) else found


def _gold(answer: str) -> worth.Number:
    gold = answers.gold(answer)
    number = worth.whole(gold)
    if number is None or number.unit not in ("", "%"):
        raise ValueError(f"no number: {gold[:80]!r}")
    return number


def _result(line: str) -> str:
    """What an equation comes to; other lines as they are, and nothing if its sides are different numbers."""
    left, equals, right = line.rpartition("=")
    if not equals or next(worth.scan(right), None) is None:
        return line
    first = next(worth.scan(left), None)
    if _WORD.search(left, first.start if first else 0):
        return line
    sides = [worth.whole(side) for side in line.split("=")]
    return right if len({side.value for side in sides if side}) <= 1 else ""
