"""What an expression is worth: exactly if it is rational, else to 120 digits at fixed points.

Two expressions are equal if they agree at every point of their symbols and at two precisions: what truly
vanishes shrinks with the precision, what is merely tiny does not. The points are derived from the symbols'
names, so that a comparison is a function of its two expressions alone. What is infinite, undefined or too
large to compute has no worth.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from math import ceil, comb, factorial, floor, isqrt
from typing import Any

import mpmath

from gpo.verifiers.expression import TRIGONOMETRIC, Node, Unreadable

NUM_POINTS = 3
"""Points at which expressions with symbols are compared."""
_LOW, _HIGH = 400, 800
"""Bits of the two precisions."""
_AGREEMENT = 200
"""Bits to which values must agree at the first precision; at the second 400 more."""
_MAX_BITS = 40_000
"""An exact number with more is not computed."""
_MAX_EXPONENT = 20_000.0
"""Natural logarithm of the largest inexact number, and the largest argument of a function."""

Value = Any
"""A Fraction, or mpmath's complex number."""


def exact(node: Node) -> Fraction | None:
    """The rational number that it is, computed exactly; None for anything else. `Unreadable` if undefined."""
    value = None if symbols(node) else _value(node, _context(_LOW), {})
    return value if isinstance(value, Fraction) else None


def agree(one: Node, other: Node) -> bool:
    """Whether two expressions have the same worth everywhere; `Unreadable` if one has none."""
    return all(_agree_at(point, one, other) for point in range(_num_points(one, other)))


def ratio(one: Node, other: Node) -> int:
    """Whether `one` is a constant times `other`: the constant's sign, 0 if it is not so."""
    tiny = _context(_LOW).ldexp(1, -_AGREEMENT)
    found = []
    for point in range(max(2, _num_points(one, other))):
        top, bottom = (_inexact(value, _context(_LOW)) for value in _values(point, one, other, _LOW))
        if abs(top) < tiny or abs(bottom) < tiny:
            return 0
        found.append(top / bottom)
    first = found[0]
    if any(abs(apart) > abs(first) * tiny for apart in (first.imag, *(value - first for value in found))):
        return 0
    return 1 if first.real > 0 else -1


def approximate(node: Node) -> Value:
    """Its worth as a number to 120 digits if it has no symbols, else None."""
    return None if symbols(node) else _inexact(_value(node, _context(_LOW), {}), _context(_LOW))


def symbols(node: Node) -> frozenset[str]:
    """The names of all that may vary in it."""
    names = {node.name} if node.op in ("symbol", "apply") and node.name not in ("e", "i") else set()
    return frozenset(names).union(*(symbols(arg) for arg in node.args))


def _num_points(one: Node, other: Node) -> int:
    return NUM_POINTS if symbols(one) | symbols(other) else 1


def _agree_at(point: int, one: Node, other: Node) -> bool:
    low, size = _difference(point, one, other, _LOW)
    high, high_size = _difference(point, one, other, _HIGH)
    are_equal = low * 2**_AGREEMENT <= size and high * 2 ** (3 * _AGREEMENT) <= high_size
    is_tiny = low * 2**_AGREEMENT < 1 and high * 2 ** (3 * _AGREEMENT) < 1
    return bool(are_equal or (is_tiny and (high * 2**_AGREEMENT <= low or low == 0)))


def _difference(point: int, one: Node, other: Node, bits: int) -> tuple[Value, Value]:
    """How far apart they are at a point, and the larger one's size."""
    first, second = _values(point, one, other, bits)
    if isinstance(first, Fraction) and isinstance(second, Fraction):
        return abs(first - second), Fraction(0)
    first, second = _inexact(first, _context(bits)), _inexact(second, _context(bits))
    return abs(first - second), max(abs(first), abs(second))


def _values(point: int, one: Node, other: Node, bits: int) -> tuple[Value, Value]:
    context = _context(bits)
    at = _point(point, symbols(one) | symbols(other), context)
    return _value(one, context, at), _value(other, context, at)


@lru_cache
def _context(bits: int) -> Any:
    """A separate context, so that mpmath's global precision neither matters nor changes."""
    context = mpmath.ctx_mp.MPContext()
    context.prec = bits
    return context


def _point(index: int, names: frozenset[str], context: Any) -> dict[str, Value]:
    """Values between 0.5 and 2.5 for all symbols; from the second point on some are negative."""
    values = {}
    for name in names:
        digest = hashlib.sha256(f"{index} {name}".encode("utf-8", "surrogatepass")).digest()
        size = context.mpf(int.from_bytes(digest[:24], "big")) / context.mpf(2) ** 191 + context.mpf(0.5)
        values[name] = -size if index and digest[-1] % 2 else size
    return values


def _inexact(value: Value, context: Any) -> Value:
    if isinstance(value, Fraction):
        return context.mpc(context.mpf(value.numerator) / value.denominator)
    return context.mpc(value)


def _value(node: Node, context: Any, at: Mapping[str, Value]) -> Value:
    if node.op == "number":
        return node.value
    if node.op == "symbol" and node.name in at:
        return at[node.name]
    if node.op in ("pi", "symbol"):
        return context.mpc({"": context.pi, "e": context.e}.get(node.name, context.j))
    args = [_value(arg, context, at) for arg in node.args]
    if node.op == "apply":
        return context.cos(_inexact(args[0], context) * 3 + at[node.name])
    try:
        is_rational = node.op in _RATIONAL and all(isinstance(arg, Fraction) for arg in args)
        value = _RATIONAL[node.op](*args) if is_rational else None
        if value is None:
            value = _complex(node.op, [_inexact(arg, context) for arg in args], context)
    except (ZeroDivisionError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise Unreadable(f"{node.op} of these is undefined") from error
    return _bounded(value, context)


def _bounded(value: Value, context: Any) -> Value:
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
            raise Unreadable("too large to compute")
        return value
    value = context.mpc(value)
    if not context.isfinite(value):
        raise Unreadable("not finite")
    if max(context.mag(value.real), context.mag(value.imag)) > _MAX_EXPONENT * 1.45:
        raise Unreadable("too large to compute")
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    """Exactly, if it is rational and not too large; None if it is irrational."""
    if exponent.denominator == 2 and base >= 0:
        root = _root(base, Fraction(2))
        return None if root is None else _power(root, Fraction(exponent.numerator))
    if exponent.denominator != 1:
        return None
    if base == 0 and exponent <= 0:
        raise ZeroDivisionError
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(base) not in (0, 1) and size * abs(exponent.numerator) > _MAX_BITS:
        raise Unreadable("too large to compute")
    if base == -1:
        return Fraction(1 - 2 * (exponent.numerator % 2))
    return base**exponent.numerator if base != 1 else base


def _root(base: Fraction, degree: Fraction) -> Fraction | None:
    """A square root that is rational, else None."""
    if degree != 2 or base < 0:
        return None
    root = Fraction(isqrt(base.numerator), isqrt(base.denominator))
    return root if root**2 == base else None


def _whole(value: Fraction, limit: int) -> int:
    if value.denominator != 1 or not 0 <= value <= limit:
        raise ValueError("no whole number, or too large")
    return value.numerator


_RATIONAL: Mapping[str, Callable[..., Fraction | None]] = {
    "add": lambda *args: sum(args, Fraction(0)),
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "pow": _power,
    "root": _root,
    "abs": abs,
    "floor": lambda one: Fraction(floor(one)),
    "ceil": lambda one: Fraction(ceil(one)),
    "factorial": lambda one: Fraction(factorial(_whole(one, 3000))),
    "binom": lambda n, k: Fraction(comb(_whole(n, 20_000), _whole(k, 20_000))),
}
"""Functions of rational numbers; None for an irrational result."""


def _complex(op: str, args: list[Value], context: Any) -> Value:
    if op in _OPERATIONS:
        return _OPERATIONS[op](context, *args)
    function = getattr(context, _FUNCTIONS[op])
    if abs(args[0]) > _MAX_EXPONENT:
        raise Unreadable("too large to compute")
    return function(args[0])


def _complex_power(context: Any, base: Value, exponent: Value) -> Value:
    if base == 0:
        if exponent.real <= 0:
            raise ZeroDivisionError
        return base
    if abs(exponent * context.log(base)) > _MAX_EXPONENT:
        raise Unreadable("too large to compute")
    is_whole = exponent.imag == 0 and exponent.real == int(exponent.real)
    return base ** (int(exponent.real) if is_whole else exponent)


def _complex_root(context: Any, base: Value, degree: Value) -> Value:
    is_odd = degree.imag == 0 and degree.real == int(degree.real) and int(degree.real) % 2 == 1
    if is_odd and base.imag == 0 and base.real < 0:  # the real root of a negative number
        return -((-base) ** (1 / degree))
    return _complex_power(context, base, 1 / degree)


def _real(value: Value) -> Value:
    if value.imag != 0:
        raise ValueError("no real number")
    return value.real


_OPERATIONS: Mapping[str, Callable[..., Value]] = {
    "add": lambda context, *args: context.fsum(args),
    "mul": lambda _, one, other: one * other,
    "div": lambda _, one, other: one / other,
    "neg": lambda _, one: -one,
    "pow": _complex_power,
    "root": _complex_root,
    "abs": lambda _, one: abs(one),
    "log": lambda context, one, base: context.log(one) / context.log(base),
    "lg": lambda context, one: context.log(one) / context.log(context.mpc(10)),
    "Re": lambda _, one: one.real,
    "Im": lambda _, one: one.imag,
    "floor": lambda context, one: context.floor(_real(one)),
    "ceil": lambda context, one: context.ceil(_real(one)),
    "factorial": lambda context, one: context.factorial(one),
    "binom": lambda context, n, k: context.binomial(n, k),
}
_FUNCTIONS: Mapping[str, str] = {
    **{name: name for name in (*TRIGONOMETRIC, "exp")},
    **{"arc" + name: "a" + name for name in TRIGONOMETRIC},
    "ln": "log",
}
