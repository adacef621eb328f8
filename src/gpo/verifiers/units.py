r"""Units of measurement: which word or sign is which, and whether two are the same.

A unit is written after a number as text (\text{ cm}^2), as a word (5 cm) or as a sign (\%, ^\circ, \$ before
it). Known ones have a factor and dimensions, so that 2 hours are 120 minutes and 5 m are not 5 cm. Other
nouns (apples, students) are units too and equal only themselves. Words that change a number's value or
truth (million, or, not, than, mod ...) are never units.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from gpo.verifiers import words


@dataclass(frozen=True)
class Unit:
    """A factor to the base unit and exponents of the dimensions; a noun is its own dimension."""

    factor: Fraction
    dimensions: tuple[tuple[str, int], ...]


NONE = Unit(Fraction(1), ())
_DIMENSION = re.compile(r"(/?)([a-z ]+)\^?([0-9]?)")
_KNOWN = {
    name: Unit(
        Fraction(line.split()[0]),
        tuple(
            (base, -1 if slash else int(power or 1)) for slash, base, power in _DIMENSION.findall(dimension)
        ),
    )
    for dimension, lines in words.UNITS.items()
    for line in lines
    for name in line.split()[1:]
}
BARE = "|".join(sorted((re.escape(n) for n in _KNOWN if len(n) > 1 and n != "in"), key=len, reverse=True))
BARE = rf"(?:{BARE})s?\.?"
"""A pattern of units that are read without \\text; a single letter else is a variable."""
_GENERIC = frozenset(words.entries("generic"))
"""Words that say nothing about what is counted."""
_BEFORE = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3, "cu.": 3}
_AFTER = {"squared": 2, "cubed": 3}
_VALUED = re.compile(rf"\b{words.any_of('valued')}\b", re.IGNORECASE)
_SPELLED = re.compile(r"\\(?:text|cdot|,)|\\ |[{}~*()\u00b7]")
_FOREIGN = re.compile(r"[^-\w\s./^\u00b0\u20ac\u00a3\u00a5\u20b9']")
_PER = re.compile(r"\bper\b", re.IGNORECASE)
_TOKEN = re.compile(r"\^\s*-?[0-9]|/|[^\s/^]+")
_MAX_WORDS = 4
"""Words and signs of a unit; more is a sentence."""


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
    factor, exponents = Fraction(1), Counter[str]()
    for word, exponent in factors:
        known = _KNOWN.get(word, Unit(Fraction(1), ((word, 1),)))
        factor *= known.factor**exponent
        exponents.update({name: power * exponent for name, power in known.dimensions})
    return Unit(factor, tuple(sorted((name, power) for name, power in exponents.items() if power)))


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
    is_plural = lower not in _KNOWN and len(lower) > 2 and lower.endswith("s") and not lower.endswith("ss")
    return lower[:-1] if is_plural else lower
