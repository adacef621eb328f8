r"""The number that answers a word problem, compared exactly: 18, 18.0, $18 and 36/2 are one number.

Marked answers give their first number, or what "3 + 15 = 18" comes to; without a marker it is the
last number of the text. Only ASCII digits are numbers; 10^2 and x2 are not 2; % and $ are units.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from gpo.verifiers import answers

MAX_DIGITS = 400
"""A longer number is none: beyond a few thousand digits Python refuses to read it."""

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|(?<!\.)\.[0-9]+"
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_^])(?<!\^\{)"  # neither part of a name nor an exponent
    rf"(?P<sign>(?<![)\]}}])-)?\$?(?P<top>{_DIGITS})(?:\ ?/\ ?(?P<bottom>[0-9]+(?:\.[0-9]+)?))?"
)
_FRACTION = re.compile(r"\\[dt]?frac\{(-?[0-9.,]+)\}\{([0-9.,]+)\}")
_SPELLINGS = (("\u2212", "-"), ("{,}", ","), ("\\,", ""), ("\\!", ""), ("\\$", "$"), ("$-", "-$"))


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError unless the answer is one number, alone or after GSM8K's '####'."""
    del columns
    _gold(answer)


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if the completion's number equals the gold number, else 0.0."""
    del columns
    return float(_number(text) == _gold(answer))


def read(text: str, columns: Mapping[str, Any]) -> str | None:
    """The completion's number in lowest terms; None if there is none."""
    del columns
    number = _number(text)
    return None if number is None else str(number)


def _number(text: str) -> Fraction | None:
    shown = answers.visible(text)
    marked = answers.marked(shown)
    if marked is None:
        match = answers.last_match(_NUMBER, _spelled(shown))
    else:
        match = _NUMBER.search(_result(_spelled(answers.first_line(marked))))
    return match and _value(match)


def _gold(answer: str) -> Fraction:
    gold = _spelled(answers.gold(answer)).strip().rstrip(".%\\ ").strip("$ ")
    match = _NUMBER.fullmatch(gold)
    number = _value(match) if match else None
    if number is None:
        raise ValueError(f"no number: {answers.gold(answer)[:80]!r}")
    return number


def _result(line: str) -> str:
    """What an equation comes to; other lines as they are."""
    left, equals, right = line.rpartition("=")
    is_equation = equals and _NUMBER.search(right) and not re.search(r"[A-Za-z]{2}", left)
    return right if is_equation else line


def _spelled(text: str) -> str:
    """LaTeX and typographic spellings of numbers in plain characters."""
    for spelling, plain in _SPELLINGS:
        text = text.replace(spelling, plain)
    return _FRACTION.sub(r"\1/\2", text)


def _value(match: re.Match[str]) -> Fraction | None:
    """Exactly what is written; None if it is too long or divides by zero."""
    if len(match.group()) > MAX_DIGITS:
        return None
    top = Fraction(match["top"].replace(",", ""))
    bottom = Fraction(match["bottom"] or 1)
    if bottom == 0:
        return None
    return -top / bottom if match["sign"] else top / bottom
