r"""A quantity as it is written: an expression with its currency, unit, per cent sign, magnitude or base."""

from __future__ import annotations

import re
from fractions import Fraction

from gpo.verifiers import units, words
from gpo.verifiers.expression import Unreadable, number, parse
from gpo.verifiers.kinds import Based, Infinite, Meaning, Parts, Quantity
from gpo.verifiers.units import NONE, Unit

_BASED = re.compile(
    r"\(?(?:\\text\s*\{\s*)?(-?[0-9A-Z]+(?:\.[0-9A-Z]+)?)\}?\)?\s*_\s*(?:\{\s*([0-9]{1,2})\s*\}|([0-9]{1,2}))"
)
_BASED_IN_WORDS = re.compile(r"([0-9A-Z]+)\s*\\text\s*\{\s*\(?(?:in\s+)?base\s+([0-9]{1,2})\)?\s*\}")
_PARTS = re.compile(r"(.+?)\s*:\s*([^:]+?)(?:\s*:\s*([^:]+?))?")
THOUSANDS = re.compile(
    r"(?<![0-9.,])(?:[0-9]{1,3}(?:,[0-9]{3})+|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3})(?![0-9])"
)
"""A number whose commas part thousands, or lakhs."""
_INFINITE = re.compile(r"([-+]?)\s*\\infty")
_SCIENTIFIC = re.compile(r"([-+]?)\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*[eE]\s*([-+]?[0-9]{1,5})")
_TIMES_TEN = re.compile(
    r"-?\s*(?P<number>[0-9]*(?:\.(?P<places>[0-9]+))?)"
    r"(?:\s*(?:\\times|\\cdot|\*)\s*10\s*\^\s*\{?\s*(?P<power>-?[0-9]{1,5})\s*\}?)?"
)
_CURRENCY = re.compile(r"([-+]?)\s*(\\\$|[\u20ac\u00a3\u00a5\u20b9])\s*([-+]?)\s*(.*)", re.DOTALL)
_TAIL = re.compile(
    r"(?P<body>.*?)(?P<tail>(?:\s*(?:\\text\s*\{[^{}]*\}(?:\s*\^\s*\{?\s*-?[0-9]\s*\}?)?|\\%|\\\$|[\u20ac\u00a3\u00a5\u20b9]"
    r"|\^\\circ(?:\s*[CF](?![A-Za-z]))?|(?<![A-Za-z\\_])" + units.BARE + r"(?:\^\{?[0-9]\}?)?(?![A-Za-z])"
    r"|(?<=[0-9.}%]\s)(?:[a-z]{4,}|men)(?:\s+[a-z]{2,})*\.?|(?<=[0-9]\s)m(?:\^\{?[0-9]\}?)?(?![A-Za-z])"
    r"|/(?=\s*(?:\\text|[A-Za-z]+\s*$))|(?<=/)\s*[A-Za-z]\s*$|\\cdot(?=\s*\\text)))*)\s*",
    re.DOTALL,
)
_OF_ANGLE = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_PERCENT = re.compile(r"\\%|\b(?:percent(?:age)?(?:\s+points?)?|per\s+cent|pct)\b", re.IGNORECASE)
_MAGNITUDE = re.compile(
    r"^[\s{]*(?:\\text\s*\{)?\s*("
    + "|".join(sorted(map(re.escape, words.MAGNITUDES), key=len, reverse=True))
    + r")(?![^\W\d_])",
    re.IGNORECASE,
)
_CHANGED = re.compile(rf"^[\s{{]*(?:\\text\s*\{{)?[-, ]*{words.any_of('change')}\b", re.IGNORECASE)
"""Words that are no unit: 7\\text{th}, 18\\text{-ish}."""
_COMPOUND = re.compile(
    r"([0-9]+(?:\.[0-9]+)?)\s*(?:\\text\s*\{\s*([A-Za-z]+)\.?,?\s*(?:and\s*)?\}|([A-Za-z]+))\.?,?\s*"
    r"(?:and\s*|\\text\s*\{\s*,?\s*and\s*\}\s*)?"
)
_TEMPERATURE = re.compile(
    r"\^\\circ\s*(?:\\text\s*\{)?\s*(?:(C\b|celsius)|F\b|fahrenheit)\s*\}?", re.IGNORECASE
)


def compound(text: str) -> Meaning | None:
    """1 hour 59 minutes or 5 feet 3 inches as one quantity; None for anything else."""
    found = list(_COMPOUND.finditer(text))
    if len(found) < 2 or "".join(match[0] for match in found) != text:
        return None
    total, base = Fraction(0), None
    for match in found:
        unit = units.read(match[2] or match[3])
        if unit is None or unit == NONE or (base is not None and unit.dimensions != base):
            return None
        base = unit.dimensions
        total += Fraction(match[1]) * unit.factor
    return Quantity(number(total), Unit(Fraction(1), base or ()))


def based(text: str) -> Meaning | None:
    match = _BASED.fullmatch(text) or _BASED_IN_WORDS.fullmatch(text)
    if match is None or not re.search(r"[0-9]", match[1]):
        return None
    sign, digits = ("-", match[1][1:]) if match[1][0] == "-" else ("", match[1])
    return Based(sign + (digits.lstrip("0") or "0"), int(next(filter(None, match.groups()[1:]))))


def parts(text: str) -> Meaning | None:
    if ":" not in text:
        return None
    body, unit, is_percent = _measured(text)
    match = _PARTS.fullmatch(body.strip())
    if match is None or is_percent:
        raise Unreadable("a colon")
    return Parts(tuple(parse(part) for part in match.groups() if part), unit)


def infinite(text: str) -> Meaning | None:
    match = _INFINITE.fullmatch(text)
    return Infinite(-1 if match[1] == "-" else 1) if match else None


def quantity(text: str) -> Quantity:
    body, unit, is_percent = _measured(text)
    body = THOUSANDS.sub(lambda match: match[0].replace(",", ""), body.strip())
    scientific = _SCIENTIFIC.fullmatch(body)
    if scientific:
        body = f"{scientific[1]}{scientific[2].rstrip('.')}\\times 10^{{{int(scientific[3])}}}"
    return Quantity(parse(body), unit, is_percent, _places(body))


def _places(body: str) -> int | None:
    """How many decimals a decimal shows; None for what is none, or has fewer than four digits."""
    match = _TIMES_TEN.fullmatch(body)
    if match is None or not match["places"] or len(match["number"].replace(".", "").lstrip("0")) < 4:
        return None
    return len(match["places"]) - int(match["power"] or 0)


def _measured(text: str) -> tuple[str, Unit, bool]:
    """The expression without its unit and per cent sign; its unit; whether it is a percentage."""
    unit = NONE
    currency = _CURRENCY.fullmatch(text)
    if currency:
        sign, mark, inner_sign, text = currency.groups()
        text = ("-" if "-" in (sign, inner_sign) else "") + text
        unit = units.read("dollar" if mark == "\\$" else mark) or NONE
    match = _TAIL.fullmatch(text)
    if match is None or not match["body"].strip() or not match["tail"].strip():
        return text, unit, False
    body, tail = match["body"], match["tail"]
    if "\\circ" in tail and _OF_ANGLE.search(body):
        return text, unit, False  # the degrees belong to the angle, not to its sine
    if _CHANGED.match(tail):
        raise Unreadable(f"{tail.strip()!r} changes the number")
    magnitude = _MAGNITUDE.match(tail)
    if magnitude:
        body = f"({body})\\times {words.MAGNITUDES[magnitude[1].casefold()]}"
        tail = "{" + tail[magnitude.end() :] if "{" in magnitude[0] else tail[magnitude.end() :]
    is_percent = _PERCENT.search(tail) is not None
    tail = _PERCENT.sub(" ", tail, count=1)
    tail = _TEMPERATURE.sub(lambda one: " celsius " if one[1] else " fahrenheit ", tail)
    tail = tail.replace("^\\circ", " degree ").replace("\\$", " dollar ")
    found = units.read(tail)
    if found is None:
        raise Unreadable(f"{tail.strip()!r} is not a unit")
    if unit != NONE and found not in (NONE, unit):
        raise Unreadable("two units")
    return body, found if unit == NONE else unit, is_percent
