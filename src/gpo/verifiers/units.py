r"""Units of measurement: which word or sign is which, and whether two are the same.

A unit is written after a number as text (\text{ cm}^2), as a word (5 cm) or as a sign (\%, ^\circ, \$ before
it). Known ones have a factor and dimensions, so that 2 hours are 120 minutes and 5 m are not 5 cm. Other
nouns (apples, students) are units too and equal only themselves. Words that change a number's value or
truth (million, or, not, than, mod ...) are never units.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Unit:
    """A factor to the base unit and exponents of the dimensions; a noun is its own dimension."""

    factor: Fraction
    dimensions: Dimensions


def _table(dimension: str, power: int, rows: Iterable[tuple[str, str]]) -> dict[str, Unit]:
    return {
        name: Unit(Fraction(factor), ((dimension, power),))
        for factor, names in rows
        for name in names.split()
    }


_KNOWN: dict[str, Unit] = {
    **_table(
        "length",
        1,
        [
            ("1/1000", "mm millimeter millimetre"),
            ("1/100", "cm centimeter centimetre"),
            ("1/10", "dm decimeter decimetre"),
            ("1", "m meter metre mtr"),
            ("1000", "km kilometer kilometre"),
            ("0.0254", "in inch inche"),
            ("0.3048", "ft foot feet"),
            ("0.9144", "yd yard"),
            ("1609.344", "mi mile"),
        ],
    ),
    **_table("length", 2, [("10000", "ha hectare"), ("4046.8564224", "acre")]),
    **_table(
        "length",
        3,
        [
            ("1/1000", "l liter litre"),
            ("1/1000000", "ml milliliter millilitre cc"),
            ("0.003785411784", "gal gallon"),
            ("0.000946352946", "qt quart"),
            ("0.000473176473", "pt pint"),
            ("0.0002365882365", "cup"),
        ],
    ),
    **_table(
        "time",
        1,
        [
            ("1/1000", "ms millisecond"),
            ("1", "s sec second"),
            ("60", "min minute"),
            ("3600", "h hr hour"),
            ("86400", "day"),
            ("604800", "wk week"),
        ],
    ),
    **_table(
        "month", 1, [("1", "month"), ("12", "yr year"), ("120", "decade"), ("1200", "century centurie")]
    ),
    **_table(
        "mass",
        1,
        [
            ("1/1000000", "mg milligram"),
            ("1/1000", "g gm gram"),
            ("1", "kg kilogram kilo"),
            ("0.45359237", "lb pound"),
            ("0.028349523125", "oz ounce"),
            ("1000", "tonne"),
            ("907.18474", "ton"),
        ],
    ),
    **_table(
        "dollar", 1, [("1", "dollar usd buck"), ("1/100", "cent"), ("1/10", "dime"), ("1/20", "nickel")]
    ),
    **_table("euro", 1, [("1", "euro eur \u20ac")]),
    **_table("pound sterling", 1, [("1", "gbp \u00a3")]),
    **_table("yen", 1, [("1", "yen jpy \u00a5")]),
    **_table("rupee", 1, [("1", "rupee rs inr \u20b9")]),
    **_table("angle", 1, [("1", "degree deg \u00b0")]),
    **_table("radian", 1, [("1", "radian rad")]),
    **_table("celsius", 1, [("1", "celsius")]),
    **_table("fahrenheit", 1, [("1", "fahrenheit")]),
    **_table("kelvin", 1, [("1", "kelvin k")]),
    **_table("morning", 1, [("1", "am a.m. a.m")]),
    **_table("evening", 1, [("1", "pm p.m. p.m")]),
    **_table("force", 1, [("1", "n newton")]),
    **_table("energy", 1, [("1", "j joule"), ("1000", "kj kilojoule")]),
    **_table("power", 1, [("1", "w watt"), ("1000", "kw kilowatt")]),
    **_table("voltage", 1, [("1", "v volt")]),
    **_table("current", 1, [("1", "ampere amp")]),
    **_table("resistance", 1, [("1", "ohm")]),
    **_table("frequency", 1, [("1", "hz hertz")]),
    **_table("dozen", 1, [("1", "dozen")]),
    "mph": Unit(Fraction("1609.344") / 3600, (("length", 1), ("time", -1))),
    "kph": Unit(Fraction(1000, 3600), (("length", 1), ("time", -1))),
    "kmh": Unit(Fraction(1000, 3600), (("length", 1), ("time", -1))),
    "kmph": Unit(Fraction(1000, 3600), (("length", 1), ("time", -1))),
}
_BARE = frozenset(name for name in _KNOWN if len(name) > 1 and name not in ("in",)) | {"m"}
"""Units that are read without \\text; a single letter else is a variable."""
BARE = "(?:" + "|".join(sorted(map(re.escape, _BARE - {"m"}), key=len, reverse=True)) + r")s?\.?"
"""A pattern of them."""
_GENERIC = frozenset(
    ["unit", "of", "the", "an", "total", "in", "each", "exactly", "different", "distinct", "possible", "real"]
)
"""Words that say nothing about what is counted."""
_BEFORE = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3, "cu.": 3}
_AFTER = {"squared": 2, "cubed": 3}
_VALUED = re.compile(
    r"\b(?:not?|nor|never|none|neither|or|and|if|is|isn|are|aren|was|were|than|least|most|only|about|approx\w*|around|roughly|nearly"
    r"|wrong|incorrect|false|mod\w*|base|choose|factorial|negative|minus|plus|times|over|below|under|above|between"
    r"|divided|multiplied|raised|point|hundreds?|thousands?|[a-z]?illions?|[mbtq]\w*illions?|lakhs?|crores?|dozens?|scores?|percent\w*|per\s?cent|half|halves"
    r"|thirds?|quarters?|fourths?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|hundredths?|thousandths?|twice|double|triple|pi"
    r"|to|by|from|more|less|fewer|up|maybe|perhaps|possibly|but|except|instead|rather|unless|else|where|when|for|with|without|some|any|all|both|either|other"
    r"|(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
    r"|infinit\w+|unknown|undefined|(?-i:[ekxyzi]))\b",
    re.IGNORECASE,
)
_SPELLED = re.compile(r"\\(?:text|cdot|,)|\\ |[{}~*()\u00b7]")
_FOREIGN = re.compile(r"[^-\w\s./^\u00b0\u20ac\u00a3\u00a5\u20b9']")
_PER = re.compile(r"\bper\b", re.IGNORECASE)
_TOKEN = re.compile(r"\^\s*-?[0-9]|/|[^\s/^]+")
_MAX_WORDS = 4
"""Words and signs of a unit; more is a sentence."""
NONE = Unit(Fraction(1), ())


def read(text: str) -> Unit | None:
    """The unit that a phrase names: "square cm", "m/s", "miles per hour", "red apples"; else None.

    The empty phrase and generic ones ("units", "in total") are `NONE`, the unit of what has no unit.
    """
    plain = _SPELLED.sub(" ", text)
    if _VALUED.search(plain) or _FOREIGN.search(plain):
        return None
    if plain.strip() == "in":  # inches; elsewhere a preposition
        return _KNOWN["inch"]
    factors = _factors(_TOKEN.findall(_PER.sub("/", plain)))
    if factors is None or len(factors) > _MAX_WORDS:
        return None
    unit = NONE
    for word, exponent in factors:
        unit = _times(unit, _KNOWN.get(word, Unit(Fraction(1), ((word, 1),))), exponent)
    return unit


def _factors(tokens: Iterable[str]) -> list[tuple[str, int]] | None:
    """The words and their exponents; None if a number stands among them."""
    factors: list[tuple[str, int]] = []
    sign = power = 1
    is_generic = False
    for mark in tokens:
        word = _singular(mark)
        raised = int(mark[1:].strip()) if mark[0] == "^" else _AFTER.get(word)
        if raised is not None and factors:
            factors[-1] = (factors[-1][0], factors[-1][1] * raised)
        elif mark == "/":
            sign = -1
        elif word in _BEFORE:
            power = _BEFORE[word]
        elif word[0].isdigit() or raised is not None:
            if not is_generic or raised is None:
                return None
        elif word in _GENERIC:
            is_generic = True
        else:
            factors.append((word, sign * power))
            power = 1
    return factors


def _singular(word: str) -> str:
    lower = word.casefold().strip("'")
    lower = lower if lower in ("a.m.", "p.m.", "sq.", "cu.") else lower.rstrip(".")
    if lower in _KNOWN or len(lower) < 3 or lower.endswith("ss"):
        return lower
    return lower[:-1] if lower.endswith("s") else lower


def _times(one: Unit, other: Unit, power: int) -> Unit:
    exponents = dict(one.dimensions)
    for name, exponent in other.dimensions:
        exponents[name] = exponents.get(name, 0) + exponent * power
    kept = tuple(sorted((name, exponent) for name, exponent in exponents.items() if exponent))
    return Unit(one.factor * other.factor**power, kept)
