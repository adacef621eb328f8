r"""The letter of a multiple-choice answer: \boxed{B}, "the answer is (B)", "Answer: B", "**B**".

Without a marker it is the last letter that stands alone. An answer that names two is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpo.verifiers import answers

_GOLD = re.compile(r"\(?([A-Z])[).]?", re.IGNORECASE)
_ALONE = r"(?![A-Za-z0-9_'\u2019])"
_FIRST = re.compile(
    r"(?:\\(?:text|textbf|mathrm|mathbf)\b|option\b|choice\b|[^A-Za-z0-9]){0,12}"
    rf"(?:([A-Z]){_ALONE}|([a-z])(?=\s*(?:[).:}}\]*]|$)))"
)
_LONE = re.compile(
    r"(?<![A-Za-z0-9_'\u2019])"
    r"([B-HJ-Z]|[AI](?! (?!(?:is|and|or)\b)[a-z]))" + _ALONE  # not the article or the pronoun before a word
)
_ANOTHER = re.compile(r"[\s)}\]*]{0,6}(?:,|/|&|or\b|and\b)[\s({\[*]{0,6}(?:\\text\{\(?)?[A-Z]" + _ALONE)


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError unless the answer is a letter, '(B)', or an index 0 to 25."""
    del columns
    _gold(answer)


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if the completion's letter is the gold letter, else 0.0."""
    del columns
    return float(_letter(answers.visible(text)) == _gold(answer))


def _gold(answer: str) -> str:
    answer = answer.strip()
    if match := _GOLD.fullmatch(answer):
        return match.group(1).upper()
    if re.fullmatch("[0-9]{1,2}", answer) and int(answer) < 26:
        return chr(ord("A") + int(answer))
    raise ValueError(f"no option letter, nor an index 0 to 25: {answer[:80]!r}")


def _letter(text: str) -> str | None:
    """The chosen letter in upper case; None if there is none or more than one."""
    marked = answers.marked(text)
    if marked is None:
        lone: list[str] = _LONE.findall(text)
        return lone[-1] if lone else None
    line = answers.first_line(marked)
    chosen = _FIRST.match(line) or _LONE.search(line)
    if chosen is None or _ANOTHER.match(line, chosen.end()):
        return None
    letter: str = chosen[chosen.lastindex or 0]
    return letter.upper()
