"""Which option letter a line chooses, once the letters that it takes back are left out.

A letter stands alone and is no article, pronoun, symbol of a formula ("E = mc^2") or name ("vitamin C").
"not B", "B is wrong" and "ruling out B" take B back; what is said of the last letter of a list in the plural,
or before its first, is said of all. Where two letters are left that are offered side by side, none is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gpo.verifiers import answers, words
from gpo.verifiers.plain import FULL_WIDTH

REACH = 4000
"""Characters of a marked line from its start, and of an unmarked text from its end, that are read."""

_WIDE = FULL_WIDTH | {0x24B6 + place: f"({chr(65 + place)})" for place in range(26)}  # circled letters
_WIDE |= {0x3010: "[", 0x3011: "]"}
_DRESS = re.compile(r"\\(?:(?:text|math)[a-z]*|mbox|boxed|fbox|left|right|q?quad)\b|\\[\[\](),;:! ]|[${}]")
_OPENING = " \t\r\n([*_`\"'"

_ARTICLE = rf"(?! (?!{words.any_of('function_word')}\b)[a-z])"
_PRONOUN = r"(?! (?!(?:is|and|or|nor|because|since|as)\b)[a-z])"
_LONE = re.compile(
    rf"(?<![A-Za-z0-9_\\'\u2019.])(?:A{_ARTICLE}|I{_PRONOUN}|[B-HJ-Z])"
    r"(?![A-Za-z0-9_]|['\u2019][A-Za-z0-9]|\.[A-Za-z])"
)
_LOWER_FIRST = re.compile(
    r"\W{0,12}(?:(?:option|choice|letter|answer)\W{1,4})?[a-z](?:\s*[).:\]*,]|\s*$|\s(?:or|and|because|since)\b)"
)
_LOWER = re.compile(r"(?<![\w'\u2019\\])[a-z](?![\w'\u2019])")
_OPERATORS = (
    r"[=+^<\u2264\u2265\u2248\u2208\u222a\u2229\u00d7\u00b7\u221a%\u00b0]|(?<![-=])>"
    r"|\\[a-z]{2,9}(?<!lor)(?<!vee)(?<!land)(?<!wedge)"
)
_SYMBOL_AFTER = re.compile(rf"\s?(?:{_OPERATORS}|[-\u2013]\d|\([A-Za-z0-9]\))")
_SYMBOL_BEFORE = re.compile(rf"(?:{_OPERATORS}|[0-9])\s?$|[A-Za-z0-9]\($")
_NAME = re.compile(rf"\b{words.any_of('named')}\s$", re.IGNORECASE)
_NAMED_BEFORE = re.compile(
    r"(?:[(\[]|\*\*|\b(?:options?|choices?|answers?|letters?|alternatives?|opción)\s)$", re.I
)
_LABEL = re.compile(r"[\s).:*\]_-]*")

_UNSPACED = words.any_of("unspaced_coordinating")
_SEPARATORS = r"[\s>\u2192()\[\]{}*_,;/&+|~'\"`-]"
_COORDINATED = re.compile(
    rf"(?:{_SEPARATORS}|\b(?:{words.any_of('coordinating')}|{words.any_of('choice')}|even)\b"
    rf"|{_UNSPACED}|\\(?:lor|vee|land|wedge)\b){{1,20}}",
    re.IGNORECASE,
)
_OFFERED = re.compile(rf"(?:{_COORDINATED.pattern}(?:not\b\W{{1,3}})?)", re.IGNORECASE)
_COORDINATOR = re.compile(r"\b(?:or|nor|o|ou|oder|или)\b", re.IGNORECASE)
_SHARED = re.compile(_UNSPACED)
_PLURAL = re.compile(rf"[\s)\].\"'*_`]*{words.any_of('plural')}", re.IGNORECASE)
_CLAUSE_END = re.compile(
    r"[.,;!?]\s|\b(?:leaving|leaves|but|so|therefore|hence|thus)\b|[\uff0c\u3002\uff1b]", re.IGNORECASE
)
_LESSER = re.compile(r"\b(?:over|than|all(?: of (?:them|these|the options))? but)\W{1,3}$", re.IGNORECASE)
"""What stands before a letter that is not chosen, beside a denial."""
_AFFIRMED = re.compile(
    r"[\s)\].\"'*_`]{0,4}(?:is|must be|seems|looks)(?: (?:clearly|indeed|therefore|thus))?"
    r" (?:the |our )?(?:most )?(?:correct|right|best|answer|one)\b",
    re.IGNORECASE,
)
_EXPLAINS = re.compile(rf"[.!?](?:\s|$)|[\u3002\uff0c]|\b{words.any_of('reason')}\b", re.IGNORECASE)
_CORRECTS = re.compile(rf"\b{words.any_of('correction')}\b", re.IGNORECASE)


class Mention(NamedTuple):
    """A letter that stands alone, from `start`; `end` is behind its option's text where that follows."""

    letter: str
    start: int
    end: int


def first(line: str, options: Mapping[str, str]) -> str | None:
    """The first letter of an answer's line that it does not take back; None if another rivals it."""
    line = undressed(line.lstrip(_OPENING)[:REACH])
    if _LOWER_FIRST.match(line):
        line = _LOWER.sub(lambda letter: letter.group().upper(), line)
    left = _left(line, options)
    if not left or any(_is_rival(line, left[0], other) for other in left[1:]):
        return None
    return left[0].letter


def last(text: str, options: Mapping[str, str]) -> str | None:
    """The last letter of a text that it does not take back; None if it is one of several."""
    line = undressed(text[-REACH:])
    left = _left(line, options)
    left = [one for one in left if _AFFIRMED.match(line, one.end)] or left
    if not left:
        return None
    chosen, before = left[-1], left[-2] if len(left) > 1 else left[-1]
    is_offered = before.letter != chosen.letter and _OFFERED.fullmatch(line, before.end, chosen.start)
    return None if is_offered else chosen.letter


def is_choice(text: str) -> bool:
    """Whether a text names an option by a letter and is not a formula with letters in it."""
    line = undressed(text.strip(_OPENING)[:REACH])
    return bool(_mentions(line, {})) or _LOWER_FIRST.match(line) is not None


def undressed(text: str) -> str:
    """The text on one line, in ASCII letters, without LaTeX that changes only how it looks."""
    return " ".join(_DRESS.sub(" ", text.translate(_WIDE)).split())


def _mentions(line: str, options: Mapping[str, str]) -> list[Mention]:
    found: list[Mention] = []
    for match in _LONE.finditer(line):
        start, end = match.span()
        before = line[max(0, start - 20) : start]
        is_symbol = _SYMBOL_AFTER.match(line, end) or _SYMBOL_BEFORE.search(before) or _NAME.search(before)
        if is_symbol or (found and start < found[-1].end):
            continue
        label = _LABEL.match(line, end)
        own, text_start = options.get(match.group()), label.end() if label else end
        if own and line[text_start : text_start + len(own)].casefold() == own:
            end = text_start + len(own)
        found.append(Mention(match.group(), start, end))
    return found


def _left(line: str, options: Mapping[str, str]) -> list[Mention]:
    """The letters that are not taken back."""
    mentions = _mentions(line, options)
    left: list[Mention] = []
    for run in _runs(line, mentions):
        start = max((one.end for one in mentions if one.end <= run[0].start), default=0)
        before = line[start : run[0].start]
        if not (_LESSER.search(before) or answers.is_denied(_CLAUSE_END.split(before)[-1])):
            left += _not_denied_behind(line, run)
    return left


def _runs(line: str, mentions: Sequence[Mention]) -> list[list[Mention]]:
    """Letters that are listed side by side, together."""
    runs: list[list[Mention]] = []
    for one in mentions:
        if runs and _COORDINATED.fullmatch(line, runs[-1][-1].end, one.start):
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _not_denied_behind(line: str, run: Sequence[Mention]) -> Sequence[Mention]:
    """What is left of a list: "A and C are wrong" takes back both, "A, C is wrong" the last."""
    behind = line[run[-1].end :][:200]
    if not answers.is_denied_after(behind):
        return run
    gaps = line[run[0].end : run[-1].start]
    is_of_all = _COORDINATOR.search(gaps) or _SHARED.search(gaps) or _PLURAL.match(behind)
    return [] if is_of_all else run[:-1]


def _is_rival(line: str, chosen: Mention, other: Mention) -> bool:
    """Whether `other` is offered beside the letter before it, or in its place."""
    if other.letter == chosen.letter:
        return False
    gap = line[chosen.end : other.start]
    if _OFFERED.fullmatch(gap) or _CORRECTS.search(gap):
        return True
    return _NAMED_BEFORE.search(gap) is not None and not _EXPLAINS.search(gap)
