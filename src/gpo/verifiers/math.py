r"""Mathematical equivalence by math-verify: \frac{1}{2}, 0.5 and 1/2 are one answer.

What is compared is the last \boxed{}, else what the completion marks as its answer, else its last line.
Three stages, the cheap ones first: equal spelling is equal; two plain numbers are compared exactly, and
words as words; what is left is compared by algebra, a thousand times slower.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from gpo.verifiers import answers, symbolic
from gpo.verifiers.latex import is_words, normalise, plain_number, spelling

_SEGMENT = re.compile(
    r"(?<!\\)\$\$?((?:[^$\\]|\\.)+)\$|\\\(((?:(?!\\[()]).)+)\\\)"
)  # no \( in it: linear time
_ANOTHER = re.compile(r"\$?\s*(?:,|/|&|or\b|and\b)(?!\s*not\b)")
_JOINT = re.compile(r"\$?(?:\s|,|/|&|or\b|and\b)+")
_LAST_NUMBER = re.compile(r"(?<!\\)\b(?!(?:or|and|to|than|not)\b)[A-Za-z]{2,}:?\s(-?[0-9][0-9.,/]*)[\s.*]*$")
_NEAR = 60
"""Characters at the end of a line in which its last number is looked for."""
_CLOSE = Fraction(1, 10_000)
"""Numbers that differ by less, relatively, are left to math-verify, which rounds to six digits."""


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError if math-verify cannot read the gold answer."""
    del columns
    gold = answers.gold(answer)
    if not gold:
        raise ValueError("the answer is empty")
    if len(gold) > symbolic.MAX_LENGTH:
        raise ValueError(f"the answer has {len(gold)} characters, more than {symbolic.MAX_LENGTH}")
    if plain_number(gold) is None and not is_words(gold) and not symbolic.can_be_read(gold):
        raise ValueError(f"math-verify cannot parse {gold[:80]!r}")


def score(text: str, answer: str, columns: Mapping[str, Any], *, is_fast: bool = True) -> float:
    """1.0 if the final answer is equivalent to the gold answer, else 0.0."""
    gold, shown = answers.gold(answer), answers.visible(text)
    readings = _readings(shown)
    verdict = _fast_verdict(gold, readings) if is_fast else None
    if verdict is None:
        check(answer, columns)
        verdict = _symbolic_verdict(gold, readings, shown)
    return float(verdict)


def read(text: str, columns: Mapping[str, Any]) -> str | None:
    """The final answer in one spelling, by which equal answers are counted; None if there is none.

    Only an answer that is marked, or a formula or number in the last line, is one.
    """
    del columns
    shown = answers.visible(text)
    readings = _readings(shown)
    if not readings:
        return None
    is_marked = answers.marked(shown) is not None
    answer = readings[0] if is_marked and answers.last_boxed(shown) is not None else readings[-is_marked]
    is_answer = is_marked or "$" in shown.splitlines()[-1] or plain_number(answer) is not None
    return spelling(answer) if is_answer else None


def _fast_verdict(gold: str, readings: Sequence[str]) -> bool | None:
    """Whether an answer is right, as far as that shows without algebra; None if it does not."""
    spelled = normalise(gold)
    if any(normalise(reading) == spelled for reading in readings):
        return bool(spelled)
    if is_words(gold):  # algebra would multiply the letters, and find every anagram equal
        return False
    number = plain_number(gold)
    numbers = [plain_number(reading) for reading in readings]
    if number is None or any(value is None for value in numbers):
        return None
    distances = [abs(value - number) for value in numbers if value is not None]
    if any(distance == 0 for distance in distances):
        return True
    bound = _CLOSE * max(Fraction(1), abs(number))
    return None if any(distance < bound for distance in distances) else False


def _symbolic_verdict(gold: str, readings: Sequence[str], shown: str) -> bool:
    if is_words(gold):
        return any(normalise(reading) == normalise(gold) for reading in readings)
    is_sentence = answers.last_boxed(shown) is None
    return any(symbolic.is_equal(gold, one, is_sentence=is_sentence) for one in readings)


def _readings(shown: str) -> list[str]:
    """The ways to delimit the answer."""
    readings = answers.readings(shown)
    if not readings or answers.last_boxed(shown) is not None:
        return readings
    line = answers.first_line(readings[0])
    formulas = list(_SEGMENT.finditer(line))
    is_marked = answers.marked(shown) is not None
    chosen = formulas[0 if is_marked else -1] if formulas else None
    if chosen is None or _is_one_of_several(line, formulas, chosen):
        number = _LAST_NUMBER.search(line[-_NEAR:])  # algebra reads several answers as a set
        return (
            [*readings, number[1]] if number and not answers.is_denied(line[: -len(number[0])]) else readings
        )
    before = line[: chosen.start()]
    if answers.is_denied(before):
        return []
    if is_marked and any(char.isdigit() for char in before):
        return [before.split()[0].rstrip(",;")]
    return [_content(chosen)]


def _is_one_of_several(line: str, formulas: Sequence[re.Match[str]], chosen: re.Match[str]) -> bool:
    """Whether the formula is the first or last of "$3$, $4$ or $5$"."""
    if chosen is formulas[0]:
        return _ANOTHER.match(line, chosen.end()) is not None
    return _JOINT.fullmatch(line, formulas[-2].end(), chosen.start()) is not None


def _content(formula: re.Match[str]) -> str:
    """What stands between the dollar signs, or between \\( and \\)."""
    return (formula[1] or formula[2]).strip()
