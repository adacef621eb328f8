r"""Mathematical equivalence: \frac{1}{2}, 0.5 and 1/2 are one answer; 5 m and 5 cm are not.

What is compared is the last \boxed{}, else what the completion marks as its answer, else its last line.
Three stages, the cheap ones first: equal spelling is equal; two plain numbers are compared exactly, and
words as words; what is left is read as a whole (`meaning`) and compared part by part (`equality`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

from gpo.verifiers import answers, meaning
from gpo.verifiers.equality import is_equal
from gpo.verifiers.expression import Unreadable
from gpo.verifiers.latex import is_words, normalise, plain_number, spelling
from gpo.verifiers.tidy import escaping_fault

_SEGMENT = re.compile(
    r"(?<!\\)\$\$?((?:[^$\\]|\\.)+)\$|\\\(((?:(?!\\[()]).)+)\\\)"
)  # no \( in it: linear time
_DISPLAYED = re.compile(
    r"\\\[((?:(?!\\[\[\]]).){1,1000})\\\]|(?<![\\$])\$\$([^$]{1,1000})\$\$"
    r"|(?:\$|\\\()?\s?\\begin\{(?P<name>equation|align|gather|displaymath|math)(?P<star>\*?)\}"
    r"((?:(?!\\(?:begin|end)\{).){1,1000})\\end\{(?P=name)(?P=star)\}(?:\$|\\\))?",
    re.DOTALL,
)
_JOINTS = r",|/|&|(?:or|and|y|o|et|ou|e|und|oder|и|или)\b|[和或、]"
_ANOTHER = re.compile(rf"(?:\$|\\\))?\s*(?:{_JOINTS})(?!\s*(?:not\b|不))")
_JOINT = re.compile(rf"\$?(?:\s|{_JOINTS})+")
_LAST_NUMBER = re.compile(
    r".*(?<!\\)\b(?!(?:or|and|to|than|not)\b)[A-Za-z]{2,}:?\s"
    r"([-+\u2212\u2013]?\s?[$\u20ac\u00a3\u00a5]?[0-9][0-9.,/]*\s?[%\u00b0]?(?:\s[A-Za-z0-9/.\u00b2\u00b3]{1,15}){0,3})[\s*]*\.?[\s*]*$"
)
_CLAUSE = re.compile(r",?\s\(?(?:because|since|as|so|which|where|of\sthe)\s")
_KIND = re.compile(
    r"(?:the\s)?(?:point|ordered\s(?:pair|triple)|interval|set|vector|matrix|number|value|expression|fraction)\s",
    re.IGNORECASE,
)
_NEAR = 60
"""Characters at the end of a line in which its last number is looked for."""
_SPACED = re.compile(r"[0-9],\s[1-9][0-9]{2}(?![0-9])")
"""A list of numbers that would be one number without the blank: 100, 200."""
_CLOSE = Fraction(1, 10_000)
"""Numbers that differ by less, relatively, may be one number that was rounded."""
_ORDERED = re.compile(
    r"\b(?:(?:in|from)\s+(?:\w+\s+){0,2}(?:ascending|descending|increasing|decreasing|alphabetical|numerical|chronological|size)"
    r"|in\s+(?:\w+\s+){0,3}order|(?:least|smallest|lowest|shortest|slowest|youngest|lightest|first)\s+to\s+(?:the\s+)?\w+"
    r"|(?:greatest|largest|biggest|highest|longest|fastest|oldest|heaviest|most)\s+to\s+(?:the\s+)?\w+"
    r"|respectively|ordered\s+(?:pair|triple|list|tuple|set)|rank\w*|arrange|sort)\b",
    re.IGNORECASE,
)
_ANY_ORDER = re.compile(
    r"\b(?:in\s+any|order\s+does\s+not|regardless\s+of\s+(?:the\s+)?order)", re.IGNORECASE
)


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError if the gold answer cannot be compared with anything."""
    del columns
    gold = answers.gold(answer)
    if not gold:
        raise ValueError("the answer is empty")
    fault = escaping_fault(answer)
    if fault is not None:
        raise ValueError(
            f"a control character stands where {fault} was meant:"
            f" JSON is escaped wrongly, write \\{fault} in it"
        )
    if len(gold) > meaning.MAX_LENGTH:
        raise ValueError(f"the answer has {len(gold)} characters, more than {meaning.MAX_LENGTH}")
    if plain_number(gold) is None and not is_words(gold):
        try:
            meaning.read(gold)
        except Unreadable as error:
            raise ValueError(f"cannot read {gold[:80]!r} as mathematics: {error}") from error


def score(text: str, answer: str, columns: Mapping[str, Any], *, is_fast: bool = True) -> float:
    """1.0 if the final answer is equivalent to the gold answer, else 0.0.

    A list of names keeps its order; a list of numbers does where `columns["question"]` asks for one.
    """
    gold = answers.gold(answer)
    readings, _ = _readings(answers.visible(text))
    verdict = _fast_verdict(gold, readings) if is_fast else None
    if verdict is None:
        check(answer, columns)
        verdict = any(_equals(gold, one, is_ordered=asks_for_order(columns)) for one in readings)
    return float(verdict)


def read(text: str, columns: Mapping[str, Any]) -> str | None:
    """The final answer in one spelling, by which equal answers are counted; None if there is none.

    Only an answer that is marked, or a formula or number in the last line, is one.
    """
    del columns
    shown = answers.visible(text)
    readings, marked = _readings(shown)
    if not readings:
        return None
    is_marked = marked is not None
    answer = readings[0] if marked and marked.is_boxed else readings[-is_marked]
    is_answer = is_marked or "$" in shown.splitlines()[-1] or plain_number(answer) is not None
    return spelling(answer) if is_answer else None


def asks_for_order(columns: Mapping[str, Any]) -> bool:
    """Whether the question says that the answer's items stand in an order."""
    question = columns.get("question")
    if not isinstance(question, str) or _ANY_ORDER.search(question):
        return False
    return _ORDERED.search(question) is not None


def _fast_verdict(gold: str, readings: Sequence[str]) -> bool | None:
    """Whether an answer is right, as far as that shows at a glance; None if it does not."""
    spelled = normalise(gold)
    if gold in readings or any(normalise(reading) == spelled for reading in readings):
        return bool(spelled)
    if is_words(gold) and all(is_words(reading) for reading in readings):
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


def _equals(gold: str, reading: str, *, is_ordered: bool) -> bool:
    """Whether a reading means what the gold answer means; as numbers, or with each comma parting items."""
    if normalise(gold) == normalise(reading) != "":
        return True
    is_unclear = "," in gold and "," in reading and _SPACED.search(gold + " ; " + reading)
    for is_list in (False, True) if is_unclear else (False,):
        with suppress(Unreadable):
            one, other = meaning.read(gold, is_list=is_list), meaning.read(reading, is_list=is_list)
            if is_equal(one, other, is_ordered=is_ordered or is_list):
                return True
    return False


def _readings(shown: str) -> tuple[list[str], answers.Marked | None]:
    """The ways to delimit the answer, and what is marked; displayed formulas are read as if in the line."""
    if "$$" in shown or "\\[" in shown or "\\begin{" in shown:
        shown = _DISPLAYED.sub(_in_line, shown)
    marked = answers.marked(shown)
    readings = answers.delimited(shown, marked)
    is_read = not readings or (marked is not None and marked.is_boxed)
    return readings if is_read else _in_formulas(readings, is_marked=marked is not None), marked


def _in_formulas(readings: Sequence[str], *, is_marked: bool) -> list[str]:
    """The readings of an answer without a box: the formula in its line, else what the line says."""
    line = answers.first_line(readings[0])
    formulas = list(_SEGMENT.finditer(line))
    if not formulas:
        return [*readings, *_in_sentence(line, is_marked=is_marked)]
    chosen = formulas[0 if is_marked else -1]
    if chosen is formulas[0]:  # of "$3$, $4$ or $5$" none is the answer
        is_one_of_several = _ANOTHER.match(line, chosen.end())
    else:
        is_one_of_several = _JOINT.fullmatch(line, formulas[-2].end(), chosen.start())
    if is_one_of_several:
        return [*readings, *_in_sentence(line, is_marked=is_marked)]
    before = line[: chosen.start()]
    if answers.is_denied(before):
        return []
    if is_marked and any(char.isdigit() for char in before):
        return [before.split()[0].rstrip(",;")]
    return [(chosen[1] or chosen[2]).strip()]


def _in_line(display: re.Match[str]) -> str:
    """A displayed formula between dollar signs, on one line."""
    content = display[1] or display[2] or f"\\begin{{align}}{display[5]}\\end{{align}}"
    return f" ${answers.ended(' '.join(content.split()))}$ "


def _in_sentence(line: str, *, is_marked: bool) -> list[str]:
    """What a line without formulas says: its last number with a unit, or what precedes "because"."""
    found = []
    number = _LAST_NUMBER.search(line[-_NEAR:])
    if number and not answers.is_denied(line[-_NEAR:][: number.start(1)]):
        found.append(number[1])
    first = answers.ended(_KIND.sub("", _CLAUSE.split(line, maxsplit=1)[0], count=1))
    return [*found, first] if is_marked and first and first != line else found
