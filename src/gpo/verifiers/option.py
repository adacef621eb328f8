r"""The letter of a multiple-choice answer: \boxed{B}, "the answer is (B)", "Answer: B", "**B**".

Where the row has a column 'options', the text of an option is its letter, unless the text is a letter
itself, and a letter beyond them is no answer. Without a marker it is the last letter that stands alone.
An answer that names two, or says "not B", is none, and so is an echo of the list of options.
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
_ALONE = r"(?![A-Za-z0-9_]|['\u2019][A-Za-z0-9])"
_LONE_LETTER = r"([B-HJ-Z]|[AI](?! (?!(?:is|and|or)\b)[a-z]))" + _ALONE  # no article, nor a pronoun
_FIRST = re.compile(
    r"(?:\\(?:text|textbf|mathrm|mathbf)\b|option\b|choice\b|[^A-Za-z0-9]){0,12}"
    rf"(?:([A-HJ-Z]|I(?! (?!(?:is|and|or|because|since|as)\b)[a-z])){_ALONE}|([a-z])(?=\s*(?:[).:}}\]*]|$)))"
)
_LONE = re.compile(r"(?<![A-Za-z0-9_])(?<![A-Za-z0-9]['\u2019])" + _LONE_LETTER)
_JOINED = re.compile(
    r"(?:[\s()\[\]{}*_$,;/&+|~'\"-]|\\(?:text\w*|math\w*|q?quad|lor|vee|land|wedge)\b|\\[,; ]"
    r"|\b(?:or|and|then|through|to)\b(?:\s+not\b)?){1,12}"
)
"""What may stand between two letters of which neither is the answer."""
_END_OF_LETTER = re.compile(r"[\s).:*}\]-]*")


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError unless the answer is a letter, '(B)', or an index 0 to 25."""
    del columns
    gold_letter(answer)


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if the completion chooses the gold letter, or an option of the same text, else 0.0."""
    letter, gold = read(text, columns), gold_letter(answer)
    texts = dict(zip(_LETTERS, _options(columns), strict=False))
    return float(letter == gold or (letter in texts and texts[letter] == texts.get(gold)))


def read(text: str, columns: Mapping[str, Any]) -> str | None:
    """The chosen letter in upper case; None if there is none or more than one."""
    shown, options = answers.visible(text), _options(columns)
    letter = _by_text(answers.readings(shown), options) or _letter(shown, options)
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


def gold_letter(answer: str) -> str:
    """The letter of a gold answer 'B', '(B)' or 1; ValueError for anything else."""
    answer = answer.strip()
    if match := _GOLD.fullmatch(answer):
        return match.group(1).upper()
    if re.fullmatch("[0-9]{1,2}", answer) and int(answer) < 26:
        return _LETTERS[int(answer)]
    raise ValueError(f"no option letter, nor an index 0 to 25: {answer[:80]!r}")


def _letter(text: str, options: Sequence[str]) -> str | None:
    marked = answers.marked(text)
    if marked is None:
        return _unmarked(text, options)
    line = answers.first_line(marked)
    chosen = _FIRST.match(line) or _LONE.search(line)
    if chosen is None or answers.is_denied(line[: chosen.start(chosen.lastindex or 0)]):
        return None
    letter = chosen[chosen.lastindex or 0].upper()
    return None if _names_another(letter, line[chosen.end() :], options) else letter


def _names_another(letter: str, rest: str, options: Sequence[str]) -> bool:
    """Whether a letter, followed by `rest` and perhaps by its option's text there, is one of several."""
    own = dict(zip(_LETTERS, options, strict=False)).get(letter)
    after = _END_OF_LETTER.sub("", rest, count=1)
    if own and " ".join(after.split()).casefold().startswith(own):
        rest = " ".join(after.split())[len(own) :]
    joint = _JOINED.match(rest)
    other = _LONE.match(rest, joint.end()) if joint else None
    return other is not None and other[1] != letter


def _unmarked(text: str, options: Sequence[str]) -> str | None:
    """The last letter that stands alone and is not denied; none if it is one of several."""
    text = _without_listing(text, options)
    if alone := _GOLD.fullmatch(answers.last_line(text)):
        return alone[1].upper()
    lone = list(_LONE.finditer(text))
    while lone and answers.is_denied(text[max(0, lone[-1].start() - 60) : lone[-1].start()]):
        lone.pop()
    if not lone:
        return None
    last, before = lone[-1], lone[-2] if len(lone) > 1 else None
    is_joined = before and _JOINED.fullmatch(text, before.end(), last.start())
    letter: str = last[1]
    return None if before and is_joined and before[1] != letter else letter


def _without_listing(text: str, options: Sequence[str]) -> str:
    """The text without a list of options as the question has it, whole or cut: an echo chooses none."""
    if len(options) < 2 or options[1] not in _folded(text):
        return text
    words = [r"\s+".join(map(re.escape, option.split())) for option in options]
    items = [
        rf"\W{{0,6}}\b{letter}\W{{1,4}}{one}\W{{0,3}}" for letter, one in zip(_LETTERS, words, strict=False)
    ]
    rest = ""
    for item in reversed(items[2:]):
        rest = f"(?:{item}{rest})?"
    return re.sub(items[0] + items[1] + rest, "\n", text, flags=re.IGNORECASE)
