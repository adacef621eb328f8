r"""The letter of a multiple-choice answer: \boxed{B}, "the answer is (B)", "Answer: B", "**B**".

Where the row has a column 'options', the text of an option is its letter, unless the text is a letter
itself, and a letter beyond them is no answer. Without a marker it is the last letter that stands alone.
An answer that names two, or says "not B", is none, and so is an echo of the list of options. A box that
names no option yields to the phrase.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from gpo.verifiers import answers, letters
from gpo.verifiers.exact import normalise

_LETTERS = string.ascii_uppercase
_LABELLED = re.compile(r"[\s*_]*\(?([A-Z])[).:][\s*_)]*[A-Z][.\s*_]*")
"""An option whose text is a letter itself, "B. A"; with the row's options at hand the text is known."""
_GOLD = re.compile(r"\(?([A-Z])[).]?", re.IGNORECASE)


def check(answer: str, columns: Mapping[str, Any]) -> None:
    """Raises ValueError unless the answer is a letter, '(B)', or an index 0 to 25."""
    del columns
    gold_letter(answer)


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if the completion chooses the gold letter, or an option of the same text, else 0.0."""
    options = _options(columns)
    letter, gold = _chosen(text, options), gold_letter(answer)
    texts = dict(zip(_LETTERS, options, strict=False))
    return float(letter == gold or (letter in texts and texts[letter] == texts.get(gold)))


def read(text: str, columns: Mapping[str, Any]) -> str | None:
    """The chosen letter in upper case; None if there is none or more than one."""
    return _chosen(text, _options(columns))


def _chosen(text: str, options: Sequence[str]) -> str | None:
    shown = answers.visible(text)
    letter = _by_text(answers.readings(shown), options) or _letter(shown, options)
    return letter if letter and letter in _LETTERS[: len(options) or None] else None


def _options(columns: Mapping[str, Any]) -> list[str]:
    """The texts of the options; [] if the row has none."""
    options = columns.get("options")
    return [_folded(str(option)) for option in options] if isinstance(options, list | tuple) else []


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold().rstrip(".")


def _by_text(readings: Sequence[str], options: Sequence[str]) -> str | None:
    """The letter of the option that a reading spells out, exactly or else ignoring quotes and markup."""
    own = _LETTERS[: len(options)]
    texts = [one for one in readings if not ((match := _GOLD.fullmatch(one)) and match[1].upper() in own)]
    for text in texts:
        if _folded(text) in options:
            return _LETTERS[options.index(_folded(text))]
    bare = [normalise(option) for option in options]
    for text in texts:
        if bare.count(normalise(text)) == 1:
            return _LETTERS[bare.index(normalise(text))]
    return None


def gold_letter(answer: str) -> str:
    """The letter of a gold answer 'B', '(B)' or 1; ValueError for anything else."""
    answer = answer.strip()
    if match := _GOLD.fullmatch(answer):
        return match.group(1).upper()
    if re.fullmatch("[0-9]{1,2}", answer) and int(answer) < 26:
        return _LETTERS[int(answer)]
    raise ValueError(f"not an option letter or an index from 0 to 25: {answer[:80]!r}")


def _letter(text: str, options: Sequence[str]) -> str | None:
    """The letter in the marked line; without a marker the last one of the text that is not taken back."""
    own = dict(zip(_LETTERS, map(letters.undressed, options), strict=False))
    marked = answers.marked(text, letters.is_choice)
    line = answers.last_line(text) if marked is None else answers.first_line(marked.text)
    if not options and (labelled := _LABELLED.fullmatch(line)):
        return labelled[1]
    if marked is not None:
        return letters.first(line, own)
    text = _without_listing(text, options)
    alone = _GOLD.fullmatch(answers.last_line(text))
    return alone[1].upper() if alone else letters.last(text, own)


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
