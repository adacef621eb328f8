r"""The letter of a multiple-choice answer: \boxed{B}, "the answer is (B)", "Answer: B", "**B**".

Where the row has a column 'options', the text of an option is its letter, unless the text is a letter
itself, and a letter beyond them is no answer. Without a marker it is the last letter that stands alone.
An answer that names two is wrong.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from gpo.verifiers import answers
from gpo.verifiers.exact import normalise

_LETTERS = string.ascii_uppercase
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
    """1.0 if the completion chooses the gold letter, or an option of the same text, else 0.0."""
    letter, gold = read(text, columns), _gold(answer)
    texts = dict(zip(_LETTERS, _options(columns), strict=False))
    return float(letter == gold or (letter in texts and texts[letter] == texts.get(gold)))


def read(text: str, columns: Mapping[str, Any]) -> str | None:
    """The chosen letter in upper case; None if there is none or more than one."""
    shown, options = answers.visible(text), _options(columns)
    letter = _by_text(answers.readings(shown), options) or _letter(shown)
    is_known = letter is not None and letter in _LETTERS[: len(options) or None]
    return letter if is_known else None


def _options(columns: Mapping[str, Any]) -> list[str]:
    """The texts of the options; [] if the row has none."""
    options = columns.get("options")
    return [_folded(str(option)) for option in options] if isinstance(options, list | tuple) else []


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold().rstrip(".")


def _by_text(readings: Sequence[str], options: Sequence[str]) -> str | None:
    """The letter of the option that a reading spells out, to the letter or else but for quotes and markup."""
    texts = [reading for reading in readings if not _is_letter_of(reading, options)]
    for text in texts:
        if _folded(text) in options:
            return _LETTERS[options.index(_folded(text))]
    bare = [normalise(option) for option in options]
    for text in texts:
        if bare.count(normalise(text)) == 1:
            return _LETTERS[bare.index(normalise(text))]
    return None


def _is_letter_of(reading: str, options: Sequence[str]) -> bool:
    letter = _GOLD.fullmatch(reading)
    return letter is not None and letter[1].upper() in _LETTERS[: len(options)]


def _gold(answer: str) -> str:
    answer = answer.strip()
    if match := _GOLD.fullmatch(answer):
        return match.group(1).upper()
    if re.fullmatch("[0-9]{1,2}", answer) and int(answer) < 26:
        return _LETTERS[int(answer)]
    raise ValueError(f"no option letter, nor an index 0 to 25: {answer[:80]!r}")


def _letter(text: str) -> str | None:
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
