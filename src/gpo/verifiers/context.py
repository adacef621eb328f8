"""What stands around a number, and whether it leaves the number what it is.

What touches the number must be on a list of what may. Of what is a space away only operators, other numbers
and words that are known to change a value count: nouns are too many to be listed.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from gpo.verifiers import words
from gpo.verifiers.plain import DRESS, UNSPACED

NEAR = 80
"""Characters around a number that are looked at."""

_LETTER = r"[^\W\d_]"
_SIGNS = "¢\u2032\u2033"
_SPACED_WORD = re.compile(rf"[ {DRESS}]*-?((?:{_LETTER}|[\u0900-\u0dff])+)")
_GLUED_WORD = re.compile(rf"{_LETTER}+|[°{_SIGNS}]")
_UNSPACED_WORD = re.compile(" ?(" + "|".join(sorted(words.UNSPACED_MAGNITUDES, key=len, reverse=True)) + ")")
_UNKNOWN_MAGNITUDE = re.compile(r"illi?on|illiard|ill[oó]n|ilh[aã]o|илли|ільй", re.IGNORECASE)
_DIGITS = r"\(?[-+\u2013]? ?\.?[0-9]"
_EXPONENT = r"(?:\^?\(?-?[0-9]\)?|\^\(-?[0-9]\))?"
_UNIT = re.compile(
    rf" ?(?:(?:sq|cu)\.? )?(°[CF]?|[{_SIGNS}]|[A-Za-zµμΩ]{{1,4}}){_EXPONENT}"
    rf"(?:[/\u00d7](°[CF]?|[A-Za-zµμΩ]{{1,6}}){_EXPONENT})?(?![\w^(/])"
)
_PERCENT = re.compile(
    rf"[ {DRESS}]*(?:%(?!\w)|(?:percent|per cent|pct|percentage points?|prozent|por ciento|por cento"
    r"|pour cents?|per cento|procent|процент\w*|відсотк\w*)(?!\w)|パーセント|퍼센트|phần trăm)",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"(?:[+\u00d7\u00f7/^<>\u2264\u2265\u2260\u00b1\u221a!@#%\\]|[0-9)\]]\s?[*:]{1,2}|\\[A-Za-z]+"
    rf"|(?:\b{words.any_of('share')}|%|[0-9])(?:\s(?:of|de|di|von|от)(?:\sthe)?)?|\b{words.any_of('bound')}"
    rf"|[0-9][%)\]]*\s?[,;\u2013-]|[0-9]\S{{0,3}}(?:\s{_LETTER}{{1,15}})?,?\s{words.any_of('alternative')}"
    rf"|\b(?:between|either)\b.{{0,30}}|{words.any_of('unspaced_bound')})\s*$",
    re.IGNORECASE,
)
_TOUCHED_BEFORE = re.compile(rf"(?:^|[\s:=\u2248\u2026\u2013|,;{UNSPACED}。、]|(?:^|\s)[-+])$")
_OPENERS = re.compile(rf"[{DRESS}(\[\"'\u201c\u2018\u00ab\u201e\u300c\u300e\u3010*_`|\u2248]*$")
_CLOSERS = rf"[{DRESS})\]\"'\u2019\u201d\u00bb\u300d\u300f\u3011*_`|]*"
_AFTER = re.compile(
    rf"{_CLOSERS}(?:$|(?=[\s{UNSPACED}。、])|(?<=[*_`])!(?=\s|$)|[.,;:?\u2026]+{_CLOSERS}(?=\s|$|[{UNSPACED}])"
    rf"|\.(?=[A-Z][a-z])|-(?={_LETTER}{{3}})|\u2013(?=\s?{_LETTER}{{2}}|\s|$)|/(?=\s?{_LETTER}{{2}}))"
)
_BEGUN = re.compile(r"(?:^|[:=(,\n]|\b(?:is|be|are|equals|to|es|est|ist|é|è))$", re.IGNORECASE)
_DRESSING = re.compile(rf"[{DRESS}\"'\u2019\u201d\u00bb\s_`|]+|\*(?!\*?\s?[0-9(A-Za-z]\b)")
_OPERATION = re.compile(
    r"[)\] ]*(?:[+\u00d7\u00f7^=\u2248<>\u2264\u2265\u2260\u00b1\u221a\u221e!\\]|\*|/ ?(?:[0-9(]|[A-Za-z]\b)"
    r"|: ?[0-9]|[-\u2013] ?(?:[0-9(.]|[A-Za-z]\b)|\( ?[-0-9.,]+ ?\)|\(?(?:in )?base\b)"
)
_CHANGED = re.compile(rf"[-, ]*(?:\(?{words.any_of('change')}\b|[B-HJ-Zb-zJ](?![\w'-]|\.\w)|a(?= ?[-+^*/=]))")
_ANOTHER = re.compile(
    rf"[) ]*(?:{_LETTER}+\.? ){{0,2}}?(?:(?:[,;&\u2013-]|{words.any_of('joint')}\b) ?)+{_DIGITS}"
    rf"| ?(?!{words.any_of('explaining')}\b)(?:{_LETTER}+\.? )?{_DIGITS}",
    re.IGNORECASE,
)
_MULTIPLE = re.compile(rf"[-, ]*{_LETTER}+(?:-|(?:[ '\u2019]s)? (?:of )?)({_LETTER}+)")
_UNSPACED_CHANGE = re.compile(rf" ?(?:{words.any_of('unspaced_change')}|[{UNSPACED}、]{{0,4}} ?[0-9])")


class Tail(NamedTuple):
    """What belongs to a number behind its digits, up to `end`; the factor is None if a word is unknown."""

    factor: Fraction | int | None
    unit: str
    end: int


def tail(line: str, end: int, *, has_currency: bool) -> Tail:
    """Magnitudes, then a percent sign or a unit, behind digits that end at `end`."""
    factor: Fraction | int = 1
    while step := _magnitude(line, end, has_currency=has_currency):
        factor, end = factor * step[0], step[1]
    word = _SPACED_WORD.match(line, end)
    if word and _UNKNOWN_MAGNITUDE.search(word[1][:NEAR]):
        return Tail(None, "", end)
    if percent := _PERCENT.match(line, end):
        return Tail(factor, "%", percent.end())
    unit, known = _UNIT.match(line, end), words.TOUCHING_UNITS
    if unit and unit[1] in known and (not unit[2] or unit[2] in known or len(unit[2]) > 2):
        return Tail(factor, unit.group().strip(), unit.end())
    glued = _GLUED_WORD.match(line, end)
    is_unknown = glued and not re.match(f"[{UNSPACED}]", glued.group())
    return Tail(None if is_unknown else factor, "", end)


def _magnitude(line: str, end: int, *, has_currency: bool) -> tuple[Fraction | int, int] | None:
    """The factor of the next magnitude and where it ends; None if there is none."""
    word = _UNSPACED_WORD.match(line, end)
    if word:
        return words.UNSPACED_MAGNITUDES[word[1]], word.end()
    glued = _GLUED_WORD.match(line, end)
    table = words.TOUCHING_MONEY if has_currency else words.TOUCHING_MAGNITUDES
    if glued and glued.group() in table:
        return table[glued.group()], glued.end()
    word = _SPACED_WORD.match(line, end)
    key = word and (word[1] if len(word[1]) == 1 else word[1].casefold())
    return (words.MAGNITUDES[key], word.end()) if word and key and key in words.MAGNITUDES else None


def is_sign(line: str, place: int, *, is_word: bool, has_gap: bool) -> bool:
    """Whether a dash or "minus" at `place` is a sign, not an operator or a dash between words."""
    before = line[max(0, place - NEAR) : place]
    last = before.rstrip(f" {DRESS}")
    is_operator = re.search(r"(?:[0-9)\]%°]|\b[A-Za-z])$", last)
    if is_operator or (is_word and re.search(r"[0-9][^.\n:=]{0,20}$", last)):
        return False
    if is_word or not has_gap:
        return not re.search(rf"{_LETTER}$", before)
    return _BEGUN.search(last) is not None


def is_open_before(line: str, start: int) -> bool:
    """Whether what stands before a number leaves it what it is."""
    before = line[max(0, start - NEAR) : start]
    bare = _OPENERS.split(before, maxsplit=1)[0]
    if bare and not _TOUCHED_BEFORE.search(bare):
        return False
    return _BEFORE.search(re.sub(rf"[{DRESS}\"'`(\[]", " ", before).rstrip(" *_") + " ") is None


def is_open_after(line: str, end: int) -> bool:
    """Whether what stands behind a number and its unit leaves it what it is."""
    touching = _AFTER.match(line, end)
    if not touching:
        return False
    start = touching.end() if touching.group().endswith("!") else end
    rest = _DRESSING.sub(" ", line[start : start + NEAR])
    multiple = _MULTIPLE.match(rest)  # 18 half dozen, 18 tens of thousands
    if multiple and len(multiple[1]) > 3 and words.MAGNITUDES.get(multiple[1].casefold(), 0) >= 12:
        return False
    return not any(one.match(rest) for one in (_OPERATION, _CHANGED, _ANOTHER, _UNSPACED_CHANGE))
