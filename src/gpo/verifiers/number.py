r"""The number that answers a word problem, compared exactly: 18, 18.0, $18 and 36/2 are one number.

Marked answers give their first number, or what "3 + 15 = 18" comes to; without a marker it is the
last number of the text. Only ASCII digits are numbers; 10^2 and x2 are not 2; % and $ are units. What
goes on as an expression ("10^2", "3 + 15", "5:30"), names another number ("17 or 18", "3 hours and 30
minutes") or is denied ("not 17") is no number.
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
    r"(?P<sign>(?<![)\]}}])-)?\$?(?:(?P<whole>[0-9]+)\ (?=[0-9]+/))?"
    rf"(?P<top>{_DIGITS})(?:\ ?/\ ?(?P<bottom>[0-9]+(?:\.[0-9]+)?))?"
)
_FRACTION = re.compile(
    r"(?P<before>[0-9]?)\s?\\[dt]?frac(?:\{(?P<top>-?[0-9.,]+)\}\{(?P<bottom>[0-9.,]+)\}|(?P<digits>[0-9]{2})(?![0-9]))"
)
_SPELLINGS = (("\u2212", "-"), ("{,}", ","), ("\\,", ""), ("\\!", ""), ("\\$", "$"), ("$-", "-$"))
_SPACE_IN_NUMBER = re.compile(r"(?<=[0-9])[ \u00a0\u2009\u202f](?=[0-9]{3}(?![0-9/]))")
_GOES_ON = re.compile(
    r"\^(?!\{?\\circ)|_\{?[0-9]|[eE][-+]?[0-9]|\([0-9]"
    r"|\s?(?:[-+*/:x\u00d7\u00f7\u00b7\u2013]\s?[0-9(\\]|\\(?:times|cdot|div|sqrt|pi|pm|frac)(?![A-Za-z]))"
)
"""What makes the number before it a part of an expression, a range or a time of day."""
_BEGUN = re.compile(r"\\(?:sqrt|log|ln|sin|cos)\W{0,3}$|\b(?:between|either)\b.{0,30}$")
_DRESS = re.compile(r"\\(?:text|mathrm|,|;|quad|lor|vee)\b|[${}\\*%]")
_ANOTHER = re.compile(r"\s*(?:[A-Za-z.]+\s+)?(?:[,;&]|(?:or|and|to)\b)\s*(?:or\b|and\b)?\s*-?[0-9]")
_ANOTHER_BEFORE = re.compile(r"[0-9]\S{0,3}(?:\s[A-Za-z]{1,12})?\s(?:or|and)\s\W{0,3}$")
_WORD = re.compile(r"(?<!\\)\b(?!of\b)[A-Za-z]{2,}")
_NEAR = 60
"""Characters around a number that are looked at."""


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
        line = _spelled(shown)
        match = answers.last_match(_NUMBER, line)
        is_another = match and _ANOTHER_BEFORE.search(line[max(0, match.start() - _NEAR) : match.start()])
    else:
        line = _result(_SPACE_IN_NUMBER.sub("", _spelled(answers.first_line(marked))))
        match = _NUMBER.search(line)
        is_another = match and _ANOTHER.match(_DRESS.sub(" ", line[match.end() : match.end() + _NEAR]))
    is_alone = match and not is_another and _stands_alone(line, match)
    return _value(match) if match and is_alone else None


def _stands_alone(line: str, match: re.Match[str]) -> bool:
    """Whether the number is neither denied nor part of an expression."""
    before = line[max(0, match.start() - _NEAR) : match.start()]
    return not (_GOES_ON.match(line, match.end()) or _BEGUN.search(before) or answers.is_denied(before))


def _gold(answer: str) -> Fraction:
    gold = _spelled(answers.gold(answer)).strip().rstrip(".%\\ ").strip("$ ")
    match = _NUMBER.fullmatch(gold)
    number = _value(match) if match else None
    if number is None:
        raise ValueError(f"no number: {answers.gold(answer)[:80]!r}")
    return number


def _result(line: str) -> str:
    """What an equation comes to; other lines as they are, and nothing if its sides are different numbers."""
    left, equals, right = line.rpartition("=")
    first = _NUMBER.search(left)
    is_equation = equals and _NUMBER.search(right) and not _WORD.search(left, first.start() if first else 0)
    if not is_equation:
        return line
    sides = [_NUMBER.fullmatch(side.strip(" ${}")) for side in line.split("=")]
    return right if len({_value(side) for side in sides if side}) <= 1 else ""


def _spelled(text: str) -> str:
    """LaTeX and typographic spellings of numbers in plain characters."""
    for spelling, plain in _SPELLINGS:
        text = text.replace(spelling, plain)
    return _FRACTION.sub(_quotient, text)


def _quotient(fraction: re.Match[str]) -> str:
    """7/2 for its LaTeX; a mixed number keeps a space, or 1 1/2 would be 11/2."""
    digits = fraction["digits"]
    top, bottom = (digits[0], digits[1]) if digits else (fraction["top"], fraction["bottom"])
    return f"{fraction['before']} {top}/{bottom}" if fraction["before"] else f"{top}/{bottom}"


def _value(match: re.Match[str]) -> Fraction | None:
    """Exactly what is written; None if it is too long or divides by zero."""
    if len(match.group()) > MAX_DIGITS:
        return None
    top = Fraction(match["top"].replace(",", ""))
    bottom = Fraction(match["bottom"] or 1)
    if bottom == 0:
        return None
    value = Fraction(match["whole"] or 0) + top / bottom
    return -value if match["sign"] else value
