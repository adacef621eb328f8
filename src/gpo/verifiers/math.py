r"""Mathematical equivalence by math-verify: \frac{1}{2}, 0.5 and 1/2 are one answer.

What is compared is the last \boxed{}, else what the completion marks as its answer, else its last line.
Three stages, the cheap ones first: equal spelling is equal; two plain numbers are compared exactly, and
words as words; what is left is parsed and compared symbolically, a thousand times slower. math-verify's
own time limits are off, since they work in a main thread only and hide that they struck; the limit on the
process is the one that holds.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from math_verify import parse, verify

from gpo.verifiers import answers

MAX_LENGTH = 1000
"""Characters; a longer answer is only compared as a string. MATH's longest gold answer has 159."""

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time limits are off

_SPACING = re.compile(r"\\left\b|\\right\b|\\[,;:!$ ]|[\s~$]")
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z]{4,}(?:[ -][A-Za-z]+)*")
_SEGMENT = re.compile(r"(?<!\\)\$\$?((?:[^$\\]|\\.)+)\$|\\\(((?:(?!\\\)).)+)\\\)")
_ANOTHER = re.compile(r"\$?\s*(?:,|/|&|or\b|and\b)")
_FRACTION = re.compile(r"\\[dt]?frac\s*(\\[A-Za-z]+|[0-9A-Za-z])\s*(?=[\\{0-9A-Za-z])")
_HALF_FRACTION = re.compile(r"(\\frac\{[^{}]*\})\s*(\\[A-Za-z]+|[0-9A-Za-z])")
_ROOT = re.compile(r"\\sqrt\s*([0-9A-Za-z])")
_PHANTOM = re.compile(r"\\[hv]?phantom\s*(?:\{[^{}]*\}|-)")
_IN_BASE = re.compile(r"-?\(?[0-9A-Za-z.,]+\)?_\{?([0-9]+)\}?")
_CHAIN = re.compile(r"=|\\approx")
_DIGITS = r"[0-9]{1,3}(?:(?:,|\{,\})[0-9]{3})+|[0-9]+"
_PLAIN = re.compile(
    rf"(?P<sign>-?)(?:\\frac(?:\{{(?P<top>[0-9]+)\}}\{{(?P<bottom>[0-9]+)\}}|(?P<digits>[0-9]{{2}}))"
    rf"|(?P<whole>{_DIGITS})?(?P<decimals>\.[0-9]+)?(?:/(?P<divisor>[0-9]+))?)"
)
_MAX_DIGITS = 40
_CLOSE = Fraction(1, 10_000)
"""Numbers that differ by less, relatively, are left to math-verify, which rounds to six digits."""
_ROUNDED = Fraction(1, 20)
"""How far the sides of "2/3 = 0.67" may be apart, relatively, to be one answer."""
_TINY = 1e-3


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError if math-verify cannot read the gold answer."""
    del columns
    gold = answers.gold(answer)
    if not gold:
        raise ValueError("the answer is empty")
    if len(gold) > MAX_LENGTH:
        raise ValueError(f"the answer has {len(gold)} characters, more than {MAX_LENGTH}")
    if _plain_number(gold) is None and not _is_words(gold) and not _parsed(_boxed(gold)):
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
    is_answer = is_marked or "$" in shown.splitlines()[-1] or _plain_number(answer) is not None
    return spelling(answer) if is_answer else None


def normalise(answer: str) -> str:
    """Without spacing, sizes, dollar signs, a full stop; words without \\text and in one case."""
    bare = _bare(answer)
    if _WORDS.fullmatch(bare):
        return bare.casefold()
    return _SPACING.sub("", _tidied(bare))


def spelling(answer: str) -> str:
    """`normalise`, with plain numbers in lowest terms."""
    number = _plain_number(answer)
    return normalise(answer) if number is None else str(number)


def _fast_verdict(gold: str, readings: Sequence[str]) -> bool | None:
    """Whether an answer is right, as far as that shows without algebra; None if it does not."""
    spelled = normalise(gold)
    if any(normalise(reading) == spelled for reading in readings):
        return bool(spelled)
    if _is_words(gold):  # algebra would multiply the letters, and find every anagram equal
        return False
    number = _plain_number(gold)
    numbers = [_plain_number(reading) for reading in readings]
    if number is None or any(value is None for value in numbers):
        return None
    distances = [abs(value - number) for value in numbers if value is not None]
    if any(distance == 0 for distance in distances):
        return True
    bound = _CLOSE * max(Fraction(1), abs(number))
    return None if any(distance < bound for distance in distances) else False


def _symbolic_verdict(gold: str, readings: Sequence[str], shown: str) -> bool:
    if _is_words(gold):
        return any(normalise(reading) == normalise(gold) for reading in readings)
    is_boxed = answers.last_boxed(shown) is not None
    forms = [(_boxed(one), one) for one in readings] + ([] if is_boxed else [(one, one) for one in readings])
    return any(_is_answer(one) and _is_equivalent(gold, form, one) for form, one in forms)


def _readings(shown: str) -> list[str]:
    """The ways to delimit the answer."""
    readings = answers.readings(shown)
    if not readings or answers.last_boxed(shown) is not None:
        return readings
    line = answers.first_line(readings[0])
    formulas = list(_SEGMENT.finditer(line))
    if answers.marked(shown) is None:
        return [*(_content(formula) for formula in formulas[-1:]), *readings]
    if not formulas or _ANOTHER.match(line, formulas[0].end()):
        return readings  # without formulas, or with several answers, which algebra reads as a set
    before = line[: formulas[0].start()]
    has_number = any(char.isdigit() for char in before)
    return [before.split()[0].rstrip(",;") if has_number else _content(formulas[0])]


def _content(formula: re.Match[str]) -> str:
    """What stands between the dollar signs, or between \\( and \\)."""
    return (formula[1] or formula[2]).strip()


def _bare(answer: str) -> str:
    return _WRAPPED.sub(r"\1", answer).strip("$ ").rstrip(". ")


def _is_words(answer: str) -> bool:
    return _WORDS.fullmatch(_bare(answer)) is not None


def _plain_number(answer: str) -> Fraction | None:
    r"""The value of digits, with thousands' commas, decimals, one / or one \frac; None for anything else."""
    spelled = normalise(answer)
    match = _PLAIN.fullmatch(spelled) if 0 < len(spelled) <= _MAX_DIGITS else None
    if match is None:
        return None
    if match["digits"]:
        top, bottom = match["digits"][0], match["digits"][1]
    elif match["top"]:
        top, bottom = match["top"], match["bottom"]
    else:
        top = (match["whole"] or "").replace("{", "").replace("}", "").replace(",", "")
        top, bottom = top + (match["decimals"] or ""), match["divisor"] or "1"
    if not top or int(bottom) == 0:
        return None
    return Fraction(match["sign"] + top) / int(bottom)


def _tidied(latex: str) -> str:
    r"""With the braces that \frac\pi2 and \sqrt2 leave out, and without phantoms: math-verify loses these."""
    latex = _PHANTOM.sub("", latex).replace("\u2212", "-")
    latex = latex.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return _ROOT.sub(r"\\sqrt{\1}", _HALF_FRACTION.sub(r"\1{\2}", _FRACTION.sub(r"\\frac{\1}", latex)))


def _is_answer(reading: str) -> bool:
    """Whether it may go to algebra: not endless, no digits of other scripts, and one value.

    "3 = 4 = 5" names several; algebra would look at one side only.
    """
    if len(reading) > MAX_LENGTH or any(char.isdecimal() and not char.isascii() for char in reading):
        return False
    numbers = [value for part in _CHAIN.split(reading) if (value := _plain_number(part)) is not None]
    largest = max((abs(value) for value in numbers), default=Fraction(0))
    return not numbers or max(numbers) - min(numbers) <= _ROUNDED * largest


def _boxed(answer: str) -> str:
    """The form in which math-verify reads bare sets, intervals and letters too."""
    return f"\\boxed{{{_tidied(answer.strip().rstrip('. '))}}}"


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
    found = [[one for one in parsed if getattr(one, "is_comparable", False)] for parsed in (golds, forms)]
    numbers = [comparable[0].evalf() for comparable in found if comparable]
    if len(numbers) < 2 or max(map(abs, numbers)) > _TINY:
        return True
    return bool(abs(numbers[0] - numbers[1]) <= max(map(abs, numbers)) * 1e-6)


@lru_cache(maxsize=256)
def _parsed(text: str) -> list[Any]:
    expressions: list[Any] = parse(text, parsing_timeout=None)
    return expressions
