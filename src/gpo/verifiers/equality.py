"""Whether two answers are equal: kind by kind, part by part, numbers by their worth.

What one answer has and the other has not, and what changes the meaning, makes them different: the order of
a point, open or closed ends, how often an item is listed, a unit, a base, a prime, a sign. Forgiven are
what graders forgive: a unit or degree sign that one side leaves out, a name before it (x = 5), per cent
as 50 or 0.5, brackets around a list, and a decimal that is the number rounded to six places or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from gpo.verifiers import arithmetic
from gpo.verifiers.expression import Node, Unreadable, number
from gpo.verifiers.kinds import (
    Based,
    Infinite,
    Matrix,
    Meaning,
    Parts,
    Quantity,
    Relation,
    Several,
    Union,
    Words,
    is_name,
)
from gpo.verifiers.units import NONE, Unit

MIN_PLACES = 6
"""A decimal with as many places or more may stand for the number that it is rounded from."""

_FLIPPED = {">": "<", "\\ge": "\\le"}


def is_equal(gold: Meaning, answer: Meaning, *, is_ordered: bool = False) -> bool:
    """Whether they mean the same; `is_ordered` if a bare list must keep its order."""
    gold, answer = _as_set(gold, answer), _as_set(answer, gold)
    match gold, answer:
        case Relation(), Relation():
            return _are_relations_equal(gold, answer)
        case _, Relation():
            return _is_chain(gold, answer)
        case Relation(), _:
            return _is_value_of(gold, answer)
        case Several(), Several():
            return _are_lists_equal(gold, answer, is_ordered)
        case Matrix() | Several(), Matrix() | Several():
            return _are_matrices_equal(_as_matrix(gold), _as_matrix(answer))
        case Quantity(), Quantity():
            return _are_quantities_equal(gold, answer)
        case Union(), Union():
            return _match_up(gold.parts, answer.parts)
        case Parts(), Parts():
            same = len(gold.parts) == len(answer.parts) and _are_units_equal(gold.unit, answer.unit)
            return same and all(map(arithmetic.agree, gold.parts, answer.parts))
        case (Words(text), Quantity(node, unit)) | (Quantity(node, unit), Words(text)):  # \text{B} and B
            name = node.name if len(node.name) == 1 else node.name.casefold()
            return unit == NONE and node.op == "symbol" and name == text
        case Based(digits, _), Quantity(Node("number", value=value), unit):  # the base is not written
            return unit == NONE and digits.isdecimal() and value == int(digits)
        case Quantity(Node("number", value=value)), Based(digits, 10):
            return digits.isdecimal() and value == int(digits)
        case _:
            return gold == answer


def _are_quantities_equal(gold: Quantity, answer: Quantity) -> bool:
    if not _are_units_equal(gold.unit, answer.unit):
        return False
    one, other = gold.node, answer.node
    if NONE not in (gold.unit, answer.unit) and gold.unit.factor != answer.unit.factor:
        one, other = _scaled(one, gold.unit.factor), _scaled(other, answer.unit.factor)
    if gold.is_percent == answer.is_percent:
        return _are_close(one, gold.places, other, answer.places)
    share = Fraction(1, 100)
    scaled = (_scaled(one, share), other) if gold.is_percent else (one, _scaled(other, share))
    return _are_close(one, gold.places, other, answer.places) or arithmetic.agree(*scaled)


def _are_units_equal(one: Unit, other: Unit) -> bool:
    return NONE in (one, other) or one.dimensions == other.dimensions


def _scaled(node: Node, factor: Fraction) -> Node:
    return Node("mul", (node, number(factor)))


def _are_close(one: Node, places: int | None, other: Node, other_places: int | None) -> bool:
    """Whether they agree, or one is the other rounded to the six or more decimals that it shows."""
    if arithmetic.agree(one, other):
        return True
    shown = [place for place in (places, other_places) if place is not None]
    if not shown or min(shown) < MIN_PLACES:
        return False
    return _are_within(one, other, Fraction(1, 2) / Fraction(10) ** min(shown))


def _are_within(one: Node, other: Node, bound: Fraction) -> bool:
    first, second = arithmetic.approximate(one), arithmetic.approximate(other)
    if first is None or second is None:
        return False
    return bool(abs(first - second) * bound.denominator <= bound.numerator)


def _is_chain(gold: Meaning, answer: Relation) -> bool:
    """Whether all sides of "x = 2/3 = 0.67" equal the gold answer, except a name on the left."""
    if set(answer.signs) != {"="}:
        return False
    sides = answer.sides
    if _names(sides[0]) and not _holds(gold, sides[0]):
        sides = sides[1:]
    are_equal = [_holds(gold, side) for side in sides]
    return any(are_equal) and all(
        same or _is_rounded(gold, side) for same, side in zip(are_equal, sides, strict=True)
    )


def _holds(gold: Meaning, side: Meaning) -> bool:
    try:
        return is_equal(gold, side)
    except Unreadable:
        return False


def _names(side: Meaning) -> bool:
    """Whether it says what is equal to the rest: x, AB, m + n, but not 2x, which is to be solved."""
    if not isinstance(side, Quantity):
        return isinstance(side, Words)
    is_all_name = is_name(side.node) or not _has_numbers(side.node)
    return is_all_name or len(arithmetic.symbols(side.node)) > 1


def _has_numbers(node: Node) -> bool:
    args = node.args[:1] if node.op in ("pow", "apply") else node.args
    return node.op in ("number", "pi") or any(map(_has_numbers, args))


def _is_rounded(gold: Meaning, side: Meaning) -> bool:
    """Whether the side is the gold answer rounded to the places that it shows."""
    if not isinstance(gold, Quantity) or not isinstance(side, Quantity):
        return False
    if side.node.op not in ("number", "neg"):
        return False
    denominator = (arithmetic.exact(side.node) or Fraction(1)).denominator
    places = next((place for place in range(1, 40) if 10**place % denominator == 0), None)
    if denominator == 1 or places is None:
        return False
    return _are_within(gold.node, side.node, Fraction(1, 2) / Fraction(10) ** places)


def _is_value_of(gold: Relation, answer: Meaning) -> bool:
    """Whether the answer is what a gold answer such as "y = 2x" or "0.25 = 25 %" gives."""
    if set(gold.signs) != {"="}:
        return False
    first = gold.sides[0]
    has_name = isinstance(first, Words) or (isinstance(first, Quantity) and is_name(first.node))
    return all(_holds(side, answer) for side in gold.sides[has_name:])


def _are_relations_equal(gold: Relation, answer: Relation) -> bool:
    gold, answer = _forward(gold), _forward(answer)
    if gold.signs == answer.signs and all(map(_holds, gold.sides, answer.sides)):
        return True
    if gold.signs == ("=",) and set(answer.signs) == {"="} and len(answer.signs) > 1:
        left, right = gold.sides
        return _holds(left, answer.sides[0]) and all(_holds(right, side) for side in answer.sides[1:])
    if len(gold.signs) != 1 or gold.signs != answer.signs:
        return False
    one, other = _difference(gold), _difference(answer)
    if one is None or other is None:
        return False
    sign = arithmetic.ratio(one, other)
    return sign > 0 if gold.signs[0] in ("<", "\\le") else sign != 0 and gold.signs[0] in ("=", "\\ne")


def _forward(relation: Relation) -> Relation:
    """With < instead of >, the other way round."""
    signs = set(relation.signs)
    if signs & set(_FLIPPED) and not signs & set(_FLIPPED.values()):
        turned = tuple(_FLIPPED.get(sign, sign) for sign in reversed(relation.signs))
        return Relation(tuple(reversed(relation.sides)), turned)
    return relation


def _difference(relation: Relation) -> Node | None:
    """What is compared with zero; None for sides that are no expressions, or have no symbols."""
    left, right = relation.sides
    if not isinstance(left, Quantity) or not isinstance(right, Quantity):
        return None
    if {left.unit, right.unit} != {NONE} or left.is_percent or right.is_percent:
        return None
    node = Node("add", (left.node, Node("neg", (right.node,))))
    return node if arithmetic.symbols(node) else None


def _are_lists_equal(gold: Several, answer: Several, is_ordered: bool) -> bool:
    ends = {gold.ends.replace("\u00b1", ""), answer.ends.replace("\u00b1", "")}
    if len(gold.items) != len(answer.items) or (len(ends) > 1 and ends not in ({"", "{}"}, {"", "()"})):
        return False
    must_keep = is_ordered or _are_names(gold.items) or _is_named(gold) != _is_named(answer)
    if ends <= {"", "{}"} and not must_keep:
        return _match_up(gold.items, answer.items)
    return all(map(is_equal, gold.items, answer.items))


def _are_names(items: Sequence[Meaning]) -> bool:
    """Whether they are letters or words, which are in order as they are written."""
    return all(
        isinstance(item, Words) or (isinstance(item, Quantity) and item.node.op == "symbol") for item in items
    )


def _is_named(several: Several) -> bool:
    """Whether its items are "x = 1, y = 2", with different names."""
    firsts = {item.sides[0] for item in several.items if isinstance(item, Relation)}
    return len(firsts) > 1 and all(isinstance(item, Relation) for item in several.items)


def _match_up(golds: Sequence[Meaning], others: Sequence[Meaning]) -> bool:
    """Whether they are the same in some order, each as often."""
    left = list(others)
    for gold in golds:
        found = next((i for i, other in enumerate(left) if _holds(gold, other)), None)
        if found is None:
            return False
        del left[found]
    return not left


def _as_matrix(value: Matrix | Several) -> Matrix | None:
    """A vector as a column; None for another list."""
    if isinstance(value, Matrix):
        return value
    return Matrix(tuple((item,) for item in value.items)) if value.ends == "<>" else None


def _are_matrices_equal(gold: Matrix | None, answer: Matrix | None) -> bool:
    if gold is None or answer is None or gold.has_bars != answer.has_bars:
        return False
    if [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
        return False
    return all(all(map(is_equal, *rows)) for rows in zip(gold.rows, answer.rows, strict=True))


def _as_set(value: Meaning, other: Meaning) -> Meaning:
    """A bound on one variable as an interval, where the other answer is one."""
    is_set = isinstance(other, Several) and len(other.ends) == 2 and other.ends != "{}"
    if not (is_set or isinstance(other, Union)):
        return value
    if isinstance(value, Several) and value.is_or:
        parts = [_interval(item) for item in value.items]
        return value if None in parts else Union(tuple(part for part in parts if part is not None))
    return _interval(value) or value


def _interval(value: Meaning) -> Several | None:
    if not isinstance(value, Relation):
        return None
    relation = _forward(value)
    signs, sides = relation.signs, relation.sides
    if not set(signs) <= {"<", "\\le"} or len(signs) > 2:
        return None
    opening, closing = "(" if signs[0] == "<" else "[", ")" if signs[-1] == "<" else "]"
    if len(signs) == 2 and _is_variable(sides[1]):
        return Several((sides[0], sides[2]), opening + closing)
    if len(signs) == 1 and _is_variable(sides[0]):
        return Several((Infinite(-1), sides[1]), "(" + closing)
    is_bound = len(signs) == 1 and _is_variable(sides[1])
    return Several((sides[0], Infinite(1)), opening + ")") if is_bound else None


def _is_variable(value: Meaning) -> bool:
    return isinstance(value, Quantity) and value.node.op in ("symbol", "apply") and value.unit == NONE
