"""The kinds of things that an answer may be; `gpo.verifiers.meaning` reads them, `equality` compares them."""

from __future__ import annotations

from dataclasses import dataclass

from gpo.verifiers.expression import Node
from gpo.verifiers.units import NONE, Unit


@dataclass(frozen=True)
class Quantity:
    """A number or expression with its unit; `places` are the decimals that a plain decimal shows."""

    node: Node
    unit: Unit = NONE
    is_percent: bool = False
    places: int | None = None


@dataclass(frozen=True)
class Several:
    """Items between `ends`: '' for a bare list, '{}' a set, '()' a point or open interval, '[)' ..., '<>'."""

    items: tuple[Meaning, ...]
    ends: str = ""
    is_or: bool = False


@dataclass(frozen=True)
class Union:
    """Sets joined by \\cup."""

    parts: tuple[Meaning, ...]


@dataclass(frozen=True)
class Matrix:
    """Rows of a matrix or, with bars, of a determinant."""

    rows: tuple[tuple[Meaning, ...], ...]
    has_bars: bool = False


@dataclass(frozen=True)
class Relation:
    """Sides with the signs between them, from the left."""

    sides: tuple[Meaning, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Based:
    """Digits with the base that stands below them."""

    digits: str
    base: int


@dataclass(frozen=True)
class Parts:
    """A time 5:30 or a ratio 2:3, part by part."""

    parts: tuple[Node, ...]
    unit: Unit = NONE


@dataclass(frozen=True)
class Words:
    """Words, in one case but for a single letter; also the spelling of a name that is no expression."""

    text: str


@dataclass(frozen=True)
class Infinite:
    """An infinity, with its sign."""

    sign: int


Meaning = Quantity | Several | Union | Matrix | Relation | Based | Parts | Words | Infinite


def is_name(node: Node) -> bool:
    """Whether it only names what it stands for: x, f(x), AB, an angle, words."""
    if node.op in ("symbol", "apply"):
        return True
    return node.op == "mul" and all(arg.op == "symbol" for arg in node.args)
