r"""A gold answer as a model would write it, and another row's different gold answer in its place."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from gpo.seeds import derive_seed
from gpo.tasks.row import Row
from gpo.tasks.schemas import LETTERS

FORMS: Mapping[str, Mapping[str, str]] = {
    "number": {
        "boxed": "So the total is \\boxed{GOLD}.",
        "phrase": "The answer is GOLD.",
        "sentence": "Putting it all together, we count GOLD in the end.",
    },
    "math": {
        "boxed": "Therefore, the answer is $\\boxed{GOLD}$.",
        "phrase": "The answer is $GOLD$.",
        "sentence": "After simplifying we get $GOLD$ for the requested quantity.",
    },
    "option": {
        "boxed": "This leaves \\boxed{GOLD}.",
        "phrase": "The answer is (GOLD).",
        "sentence": "Therefore option GOLD is correct, because it meets both conditions.",
        "text": "The answer is: TEXT",
    },
    "bbh": {
        "boxed": "This leaves \\boxed{GOLD}.",
        "phrase": "So the answer is GOLD.",
        "sentence": "Going through the steps, we see that the answer is GOLD. This is what was asked.",
    },
}
"""By verifier and form; GOLD is the answer and TEXT its option's text."""

TRIES = 50
"""Rows that are looked at, at most, for a different answer."""

_DRESS = re.compile(
    r"\\left|\\right|\\(?:text|mbox|mathrm)\s*\{[^{}]*\}(?:\^\d)?|\\[,;:!$]|\^\{?\\circ\}?|_\{?\w+\}?|[\s$,(){}]"
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{?(-?\d+?)\}?\s*\{?(\d+)\}?")


def written(row: Row, verifier: str, form: str, answer: str) -> str:
    """A completion that gives `answer` to the row's question in one of the verifier's forms."""
    pattern = FORMS[verifier][form]
    if "TEXT" in pattern:
        options = row.columns["options"]
        text = options[LETTERS.index(answer)]
        is_letter = (
            text.strip("()").upper() in LETTERS[: len(options)]
        )  # "B" for option D would be taken for option B
        return pattern.replace("TEXT", f"{answer}) {text}" if is_letter else text)
    plain = " ".join(answer.split())
    if form == "boxed" and verifier == "bbh":  # brackets that are text are escaped in LaTeX
        plain = plain.replace("{", "\\{").replace("}", "\\}")
    return pattern.replace("GOLD", plain)


def other_answers(rows: Sequence[Row], seed: int) -> list[str | None]:
    """For each row the different gold answer of another row of its subject; None if none was found."""
    by_subject = defaultdict(list)
    for row in rows:
        by_subject[row.columns.get("subject")].append(row)
    return [_other_answer(row, by_subject[row.columns.get("subject")], seed) for row in rows]


def _other_answer(row: Row, rows: Sequence[Row], seed: int) -> str | None:
    rng = random.Random(derive_seed(seed, "another answer", row.id))  # noqa: S311
    num_options = len(row.columns.get("options", LETTERS))
    for other in rng.sample(rows, min(TRIES, len(rows))):
        if other.answer.strip("()") in LETTERS[num_options:]:
            continue
        if not meanings(row, other.answer) & meanings(row, row.answer):
            return other.answer
    return None


def meanings(row: Row, answer: str) -> set[str | Fraction]:
    """What an answer to the row may be taken for: two answers that share none are different.

    Units, percent signs, bases and the left side of an equation are left out, since graders forgive them,
    so that 84, 84 % and x = 84 share one; the letters of two options with one text share it too.
    """
    letter, options = answer.strip("()"), row.columns.get("options", [])
    if letter and letter in LETTERS[: len(options)]:
        place = LETTERS.index(letter)
        return {letter, options[place].casefold()}
    bare = _FRACTION.sub(r"\1/\2", _DRESS.sub("", _FRACTION.sub(r"\1/\2", answer)))
    bare = bare.rpartition("=")[2].replace("\\%", "%").rstrip(".").casefold()
    number = _number(bare.rstrip("%").replace(":", "/"))
    return {bare} if number is None else {number, number / 100 if "%" in bare else number}


def _number(text: str) -> Fraction | None:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
