"""What `words.toml` and `units.toml` know of languages, units and signs, as tables and patterns.

A magnitude multiplies the number before it. "K" after a space is kelvin, "B" and "T" without a currency are
bytes and teslas as well; such a number has no value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any


def _tables(name: str) -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


_TABLES = _tables("words.toml") | _tables("units.toml")
_REFERENCE = re.compile(r"\{([a-z_]+)\}")


def entries(name: str) -> list[str]:
    """The entries of a line of patterns."""
    line = _REFERENCE.sub(lambda other: any_of(other[1]), _TABLES["patterns"][name])
    return [entry.replace("_", " ") for entry in line.split()]


def any_of(name: str) -> str:
    """A pattern for one of the entries."""
    return f"(?:{'|'.join(entries(name))})"


def characters(name: str) -> dict[str, str]:
    """What stands for each character of a table."""
    line = _TABLES["characters"][name].split()
    return {char: plain for chars, plain in zip(line[::2], line[1::2], strict=True) for char in chars}


def commands(name: str) -> dict[str, str]:
    """What stands for each LaTeX command of a table."""
    return {command: plain for plain, line in _TABLES[name].items() for command in line.split()}


def _magnitudes(name: str) -> dict[str, Fraction]:
    return {word: Fraction(factor) for word, factor in commands(name).items()}


LANGUAGES: list[tuple[str, str, str]] = _TABLES["languages"]
"""How languages that put spaces between words say "the answer is": what is looked for first, since most texts
hold one language; a noun with what may follow it; what ties the answer to it."""
UNSPACED_LANGUAGES: list[tuple[str, str, str]] = _TABLES["unspaced_languages"]
"""The same in languages that do not."""
MAGNITUDES: Mapping[str, Fraction] = _magnitudes("magnitudes")
"""In lower case; a full stop after an abbreviation is not part of it."""
UNSPACED_MAGNITUDES: Mapping[str, Fraction] = _magnitudes("unspaced_magnitudes")
TOUCHING_MAGNITUDES: Mapping[str, Fraction] = _magnitudes("touching_magnitudes")
"""What multiplies where it touches the number."""
TOUCHING_MONEY: Mapping[str, Fraction] = {**TOUCHING_MAGNITUDES, **_magnitudes("touching_money")}
"""What multiplies where it touches an amount of money."""
TOUCHING_UNITS = frozenset(_TABLES["signs"]["touching"].split())
"""What may touch a number from the right and leave it as it is."""
UNITS: Mapping[str, list[str]] = _TABLES["units"]
"""By dimension: lines of a factor to its base unit and the names that have it."""
