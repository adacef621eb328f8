r"""Whether an answer equals a gold answer by algebra, and names that value alone.

math-verify reads leniently: of "5 or 7", "3 = 4", "x > 3" or "not 7" it takes some number. So what names
several values, a relation or a denial does not come before it unless the gold answer is of that kind. Its own
time limits are off, since they work in a main thread only and hide that they struck; the limit on the process
is the one that holds.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

from gpo.verifiers import answers
from gpo.verifiers.latex import normalise, plain_number, tidied

MAX_LENGTH = 1000
"""Characters; a longer answer is only compared as a string. MATH's longest gold answer has 159."""

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time limits are off

_RELATION = re.compile(
    r"[<>\u2260\u2264\u2265]|\\(?:n?eq?|not|[gl]eq?q?|[gl]t|to|implies|iff|\w*arrow)(?![A-Za-z])"
)
_RANGE = re.compile(r"\\infty|\\cup|[\[(].*,.*[\])]")
_JOINER = re.compile(
    r"\\(?:q?quad|[lv]or|vee|land|wedge|mid|sim|equiv|[lc]?dots|[bp]?mod|pm|mp|cup|cap|in)(?![A-Za-z])|\\\\"
    r"|[;:&]|\b(?:or|and)\b|(?<=[\w)}%])\s*\\(?:text|mathrm|mbox)\s*\{[^{}]*\}(?=\s*[-\w\\(])"
)
"""What stands between two values; text does if a value precedes and follows it."""
_WORD = re.compile(r"[a-z]+")
_WORDS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_OF_LISTS = {"or", "and", ";", "\\pm"}
_OF_RANGES = {*_OF_LISTS, "\\in", "\\cup", "\\cap", "\\lor", "\\vee"}
_LIST = re.compile(r",(?![0-9]{3})|\\,\s|;|\\text|\b(?:or|and)\b")
_SIGN = re.compile(r"=|\\approx(?![A-Za-z])")
_VARIABLE = re.compile(r"(?<![A-Za-z\\])[A-Za-z]|\\(?:text|angle|triangle|overline|alpha|beta|theta)")
_NUMBER = re.compile(r"(?<![\w.^_{(/\\])-?[0-9][\w.,/^{}()*+\\-]*")
_IN_BASE = re.compile(r"-?\(?[0-9A-Za-z.,]+\)?_\{?([0-9]+)\}?")
_TINY = 1e-3
_BOXED = (LatexExtractionConfig(try_extract_without_anchor=False, boxed_match_priority=0),)
_ANYWHERE = (LatexExtractionConfig(), ExprExtractionConfig())


def can_be_read(gold: str) -> bool:
    """Whether algebra makes anything of a gold answer."""
    return bool(_parsed(_boxed(gold)))


def is_equal(gold: str, reading: str, *, is_sentence: bool) -> bool:
    """Whether the reading of a completion comes to the gold answer; in a sentence it is looked for."""
    if not _is_answer(reading, gold):
        return False
    if not _LIST.search(reading) and _is_chain(reading, gold):
        return _all_sides_are(gold, _SIGN.split(reading))
    if _is_equivalent(gold, _boxed(reading), reading):
        return True
    has_words = is_sentence and "\\" not in reading and _WORDS.search(reading) is not None
    is_one = len(_NUMBER.findall(reading)) < 2 and "," not in reading
    return has_words and (is_one or "," in gold) and _is_equivalent(gold, reading, reading)


def _is_chain(reading: str, gold: str) -> bool:
    """Whether it has more sides than the gold answer, or equates values where that names one: y = 2x."""
    first, *more = _SIGN.split(reading)
    gold_first, *gold_more = _SIGN.split(gold)
    has_name, should_have = _VARIABLE.search(first), gold_more and _VARIABLE.search(gold_first)
    return len(more) > len(gold_more) or bool(more and should_have and not has_name)


def _is_answer(reading: str, gold: str) -> bool:
    """Whether it may go to algebra: not endless, no digits of other scripts, not denied, one value."""
    if len(reading) > MAX_LENGTH or any(char.isdecimal() and not char.isascii() for char in reading):
        return False
    is_range = _RELATION.search(gold) or _RANGE.search(gold)
    if not is_range and _RELATION.search(reading):
        return False
    words = reading.rsplit(maxsplit=1)
    if len(words) == 2 and answers.is_denied(words[0]):
        return False
    allowed = _joiners(gold) | (_OF_RANGES if is_range else _OF_LISTS if _names_several(gold) else set())
    return _joiners(reading) <= allowed


def _names_several(gold: str) -> bool:
    return plain_number(gold) is None and re.search(r",|\\pm|\b(?:or|and)\b", gold) is not None


def _joiners(answer: str) -> set[str]:
    r"""The joiners in an answer; \text{, and } is 'and'."""
    found = [joiner.strip() for joiner in _JOINER.findall(answer)]
    return {" ".join(_WORD.findall(one)[1:]) if "{" in one else one for one in found}


def _all_sides_are(gold: str, sides: Sequence[str]) -> bool:
    """Whether every side of "x = 2/3 = 0.67" comes to the gold answer, but for a name at the left."""
    if _VARIABLE.search(sides[0]) and not _is_equivalent(gold, _boxed(sides[0]), sides[0]):
        sides = sides[1:]
    are_equal = [_is_equivalent(gold, _boxed(side), side) for side in sides]
    return any(are_equal) and all(
        is_equal or _is_rounded(gold, side) for is_equal, side in zip(are_equal, sides, strict=True)
    )


def _is_rounded(gold: str, side: str) -> bool:
    """Whether the side is the gold answer's value, rounded to the places that it shows."""
    value, shown = _value(_parsed(_boxed(gold))), plain_number(side)
    places = len(normalise(side).partition(".")[2])
    if value is None or shown is None or not places:
        return False
    return bool(abs(value - shown) <= Fraction(1, 2 * 10**places))


def _boxed(answer: str) -> str:
    """The form in which math-verify reads bare sets, intervals and letters too."""
    return f"\\boxed{{{tidied(answer.strip().rstrip('. '))}}}"


def _is_equivalent(gold: str, form: str, reading: str) -> bool:
    base = _base(reading)
    if base is not None and base != (_base(gold) or "10"):  # math-verify drops the base
        return False
    golds, forms = _parsed(_boxed(gold)), _parsed(form)
    is_equal = bool(verify(golds, forms, timeout_seconds=None, allow_set_relation_comp=True))
    return is_equal and _are_close(golds, forms)


def _base(answer: str) -> str | None:
    """The base of 1011_2, as it is written; None without one."""
    match = _IN_BASE.fullmatch(normalise(answer))
    return match and match[1]


def _are_close(golds: Sequence[Any], forms: Sequence[Any]) -> bool:
    """Whether tiny numbers agree to six digits of their own: math-verify rounds to six decimals."""
    one, other = _value(golds), _value(forms)
    if one is None or other is None or max(abs(one), abs(other)) > _TINY:
        return True
    return bool(abs(one - other) <= max(abs(one), abs(other)) * 1e-6)


def _value(parsed: Sequence[Any]) -> Any:
    """The first number among what was parsed; None without one."""
    return next((one.evalf() for one in parsed if getattr(one, "is_comparable", False)), None)


@lru_cache(maxsize=256)
def _parsed(text: str) -> list[Any]:
    where = _BOXED if text.startswith("\\boxed{") else _ANYWHERE
    expressions: list[Any] = parse(text, where, parsing_timeout=None)
    return expressions
