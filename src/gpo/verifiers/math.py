r"""Mathematical equivalence by math-verify: \frac{1}{2}, 0.5 and 1/2 are one answer.

Equal strings are equal without algebra. What is compared symbolically is the last \boxed{}, else the
line with the final answer. math-verify's own time limits are off, since they work in a main thread
only and hide that they struck; the limit on the process is the one that holds.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from math_verify import parse, verify

from gpo.verifiers import answers

MAX_LENGTH = 1000
"""Characters; a longer answer is only compared as a string. MATH's longest gold answer has 159."""

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time limits are off

_SPACING = re.compile(r"\\left\b|\\right\b|\\[,;:! ]|[\s~$]")
_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z]{4,}(?:[ -][A-Za-z]+)*")


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError if math-verify cannot read the gold answer."""
    del columns
    gold = answers.gold(answer)
    if not gold:
        raise ValueError("the answer is empty")
    if len(gold) > MAX_LENGTH:
        raise ValueError(f"the answer has {len(gold)} characters, more than {MAX_LENGTH}")
    if not _parsed(_boxed(gold)):
        raise ValueError(f"math-verify cannot parse {gold[:80]!r}")


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if the final answer is equivalent to the gold answer, else 0.0."""
    check(answer, columns)
    gold, shown = answers.gold(answer), answers.visible(text)
    readings = answers.readings(shown)
    if any(normalise(reading) == normalise(gold) for reading in readings):
        return 1.0
    if _WORDS.fullmatch(_bare(gold)):  # algebra would multiply the letters, and find every anagram equal
        return 0.0
    is_boxed = answers.last_boxed(shown) is not None
    forms = [_boxed(reading) for reading in readings] + ([] if is_boxed else readings)
    return float(any(_is_equivalent(gold, form) for form in forms if len(form) <= MAX_LENGTH))


def normalise(answer: str) -> str:
    """Without spacing, sizes, dollar signs, a full stop; words without \\text and in one case."""
    bare = _bare(answer)
    if _WORDS.fullmatch(bare):
        return bare.casefold()
    return _SPACING.sub("", bare).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")


def _bare(answer: str) -> str:
    return _WRAPPED.sub(r"\1", answer).strip("$ ").rstrip(". ")


def _boxed(answer: str) -> str:
    """The form in which math-verify reads bare sets, intervals and letters too."""
    return f"\\boxed{{{answer}}}"


def _is_equivalent(gold: str, form: str) -> bool:
    return bool(verify(_parsed(_boxed(gold)), _parsed(form), timeout_seconds=None))


@lru_cache(maxsize=256)
def _parsed(text: str) -> list[Any]:
    expressions: list[Any] = parse(text, parsing_timeout=None)
    return expressions
