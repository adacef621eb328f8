r"""A LaTeX expression as a tree of numbers, symbols and operations; the rest is refused, not guessed.

`parse` expects the one spelling that `gpo.verifiers.tidy` gives. A product needs no sign (2\pi x), but two
numbers side by side are none, and a letter that is followed by a digit is none either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from gpo.verifiers import tidy

MAX_DEPTH = 40
"""Brackets or functions inside each other; deeper nesting is no answer."""
MAX_HEIGHT = 150
"""Operations below each other, such as the factors of a product."""

_TOKEN = re.compile(
    r"\s*(?:(?P<repeating>(?:[0-9]+)?\.[0-9]*\\overline\s*(?:\{[0-9]+\}|[0-9]))|(?P<number>[0-9]+(?:\.[0-9]+)?(?![0-9.]*\.[0-9])|\.[0-9]+)"
    r"|(?P<derivative>\\frac\s*\{\s*(?:d|\\partial)\s*(?:\^\{?[0-9n]\}?\s*)?(?:\{?[A-Za-z]\}?)?\s*\}"
    r"\s*\{(?:\s*(?:d|\\partial)\s*\{?[A-Za-z]\}?(?:\^\{?[0-9n]\}?)?)+\s*\})"
    r"|(?P<words>\\text\s*\{[^{}]*\})|(?P<command>\\[A-Za-z]+)|(?P<escaped>\\.)|(?P<char>\S))",
    re.DOTALL,
)
_MORE_LETTERS = "varepsilon vartheta varrho varphi ell hbar aleph"
_TRIGONOMETRIC = "sin cos tan cot sec csc sinh cosh tanh coth"
_OTHERS = "arcsin arccos arctan arccot ln log lg exp Re Im det gcd"
_DECORATING = (
    "vec hat bar overline widehat widetilde tilde dot ddot overrightarrow mathbb mathcal mathfrak angle"
    " triangle measuredangle overleftrightarrow wideparen overarc"
)
GREEK = frozenset(tidy.GREEK.values()) - {"pi"} | frozenset(_MORE_LETTERS.split())
TRIGONOMETRIC = frozenset(_TRIGONOMETRIC.split())
_FUNCTIONS = TRIGONOMETRIC | frozenset(_OTHERS.split())
_DECORATIONS = frozenset(_DECORATING.split())
_APPLIED = frozenset("fgFG")
"""Letters that name a function where a bracket follows."""
_CLOSING = {"(": ")", "[": "]", "{": "}", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil", "\\lvert": "\\rvert"}
_PRODUCTS = {"*": "mul", "\\cdot": "mul", "\\times": "mul", "\\ast": "mul", "/": "div", "\\div": "div"}


class Unreadable(ValueError):
    """Not an expression that is understood."""


@dataclass(frozen=True)
class Node:
    """An operation on `args`; `number` and `symbol` are leaves with a `value` or a `name`."""

    op: str
    args: tuple[Node, ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)


def parse(latex: str) -> Node:
    """The tree of a whole expression; `Unreadable` if anything in it is not understood."""
    parser = _Parser(_marks(latex))
    tree = parser.sum()
    if parser.peek():
        raise Unreadable(f"what is {parser.peek()!r} for?")
    _check_depth(tree)
    return tree


def is_name(node: Node) -> bool:
    """Whether it only names what it stands for: x, f(x), AB, an angle, words."""
    if node.op in ("symbol", "apply"):
        return True
    return node.op == "mul" and all(arg.op == "symbol" for arg in node.args)


def _check_depth(tree: Node) -> None:
    """Refuses a tree so deep that whoever walks it would exhaust the stack."""
    level = [tree]
    for _ in range(MAX_HEIGHT):
        level = [arg for node in level for arg in node.args]
        if not level:
            return
    raise Unreadable("too many factors")


def _marks(latex: str) -> list[str]:
    marks = []
    position, end = 0, len(latex.rstrip())
    while position < end:
        match = _TOKEN.match(latex, position)
        if match is None:
            raise Unreadable("odd characters")
        marks.append(match[0].strip())
        position = match.end()
    return marks


class _Parser:
    """Recursive descent, one mark ahead."""

    def __init__(self, marks: list[str]) -> None:
        self._marks = marks
        self._next = 0
        self._depth = 0
        self._bars = 0

    def peek(self) -> str:
        return self._marks[self._next] if self._next < len(self._marks) else ""

    def take(self) -> str:
        mark = self.peek()
        if not mark:
            raise Unreadable("it ends too early")
        self._next += 1
        return mark

    def expect(self, mark: str) -> None:
        if self.take() != mark:
            raise Unreadable(f"{mark!r} is missing")

    def sum(self) -> Node:
        terms = [self._product()]
        while self.peek() in ("+", "-"):
            sign = self.take()
            term = self._product()
            terms.append(term if sign == "+" else Node("neg", (term,)))
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def _product(self) -> Node:
        is_negative = False
        while self.peek() in ("-", "+"):
            is_negative ^= self.take() == "-"
        product = self._unsigned_product()
        return Node("neg", (product,)) if is_negative else product

    def _unsigned_product(self) -> Node:
        result = self._power()
        is_whole = result.op == "number" and result.value.denominator == 1
        while True:
            mark = self.peek()
            if mark in _PRODUCTS:
                self.take()
                result = Node(_PRODUCTS[mark], (result, self._signed_power()))
            elif mark == "\\frac" and is_whole and self._is_plain_fraction():
                result = Node("add", (result, self._power()))  # 1\frac12 is a mixed number
            elif self._begins_factor(mark):
                result = Node("mul", (result, self._power()))
            elif mark and mark[0].isdigit() and is_whole and self._is_slashed():
                result = Node("add", (result, self._slashed()))  # 1 1/2 too
            else:
                return result
            is_whole = False

    def _is_plain_fraction(self) -> bool:
        top = self._marks[self._next + 1 : self._next + 7]
        return len(top) == 6 and top[0] == top[3] == "{" and top[1].isdigit() and top[4].isdigit()

    def _is_slashed(self) -> bool:
        ahead = self._marks[self._next : self._next + 3]
        return len(ahead) == 3 and ahead[0].isdigit() and ahead[1] == "/" and ahead[2].isdigit()

    def _slashed(self) -> Node:
        top, _, bottom = self.take(), self.take(), self.take()
        return Node("div", (_number(top), _number(bottom)))

    def _signed_power(self) -> Node:
        if self.peek() == "-":
            self.take()
            return Node("neg", (self._power(),))
        return self._power()

    def _begins_factor(self, mark: str) -> bool:
        """Whether a factor without a sign before it begins here."""
        if mark == "|":
            return self._bars == 0
        if mark.startswith("\\"):
            name = mark[1:]
            return (
                name in GREEK | _FUNCTIONS | _DECORATIONS
                or name.startswith(("frac", "text"))
                or name in (*("pi", "sqrt", "binom", "lfloor", "lceil", "lvert", "infty", "partial"),)
            )
        return mark in ("(", "[", "{") or (mark.isalpha() and mark.isascii())

    def _power(self) -> Node:
        base = self._atom()
        while True:
            mark = self.peek()
            if mark == "^":
                self.take()
                if self.peek() == "\\circ":
                    self.take()
                    base = Node("mul", (base, Node("div", (Node("pi"), Node("number", value=Fraction(180))))))
                    continue
                base = Node("pow", (base, self._argument()))
            elif mark == "!":
                self.take()
                if self.peek() == "!":
                    raise Unreadable("a double factorial")
                base = Node("factorial", (base,))
            else:
                return base

    def _argument(self) -> Node:
        r"""What stands in braces, or the one mark after ^, \frac or \sqrt."""
        mark = self.peek()
        if mark == "{":
            return self._group("{")
        if mark == "-":
            self.take()
            return Node("neg", (self._atom(),))
        if mark[:1].isdigit() and len(mark) > 1:  # \frac12 takes one digit, and 2^10 is 2^1 0 in LaTeX
            raise Unreadable("digits without braces")
        return self._atom()

    def _group(self, opening: str) -> Node:
        self.expect(opening)
        bars, self._bars = self._bars, 0
        inner = self.sum()
        self._bars = bars
        self.expect(_CLOSING[opening])
        return inner

    def _atom(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable("too deep")
        atom = self._read_atom()
        self._depth -= 1
        return atom

    def _read_atom(self) -> Node:
        mark = self.peek()
        if mark in ("(", "[", "{"):
            return self._group(mark)
        if mark == "|":
            return self._between_bars()
        self.take()
        if mark[:1].isdigit() or mark[:1] == ".":
            return _number(mark)
        if mark.isalpha() and mark.isascii():
            return self._symbol(mark)
        if not mark.startswith("\\"):
            raise Unreadable(f"what is {mark!r} for?")
        if mark.startswith("\\text") and "{" in mark:
            return Node("symbol", name=" ".join(mark[mark.index("{") + 1 : -1].split()))
        if mark.startswith("\\frac") and len(mark) > len("\\frac"):
            return Node("symbol", name=re.sub(r"\s", "", mark))
        return self._command(mark[1:])

    def _command(self, name: str) -> Node:
        if name == "frac":
            return Node("div", (self._argument(), self._argument()))
        if name == "binom":
            return Node("binom", (self._argument(), self._argument()))
        if name == "sqrt":
            return self._root()
        if name in ("lfloor", "lceil", "lvert"):
            self._next -= 1
            op = {"lfloor": "floor", "lceil": "ceil", "lvert": "abs"}[name]
            return Node(op, (self._group("\\" + name),))
        if name == "pi":
            return Node("pi")
        if name in GREEK or name == "partial":
            return self._symbol("\\" + name)
        if name in _DECORATIONS:
            return self._decorated(name)
        if name in _FUNCTIONS:
            return self._function(name)
        raise Unreadable(f"what is \\{name}?")

    def _root(self) -> Node:
        degree = self._group("[") if self.peek() == "[" else Node("number", value=Fraction(2))
        return Node("root", (self._argument(), degree))

    def _between_bars(self) -> Node:
        self.take()
        self._bars += 1
        inner = self.sum()
        self._bars -= 1
        self.expect("|")
        return Node("abs", (inner,))

    def _symbol(self, name: str) -> Node:
        while self.peek() in ("'", "_"):
            name += self.take()
            if name.endswith("_"):
                name += self._subscript()
        if name in _APPLIED and self.peek() == "(":
            return Node("apply", (self._group("("),), name=name)
        return Node("symbol", name=name)

    def _subscript(self) -> str:
        """The subscript's spelling without braces."""
        if self.peek() != "{":
            return self.take()
        parts: list[str] = []
        depth = 0
        while True:
            mark = self.take()
            depth += {"{": 1, "}": -1}.get(mark, 0)
            if depth == 0:
                return "".join(parts)
            if mark not in "{}":
                parts.append(mark)

    def _decorated(self, name: str) -> Node:
        r"""\vec{v}, \overline{AB}, \angle ABC: one symbol, named by its spelling."""
        if self.peek() == "{":
            return self._symbol(f"\\{name} " + self._subscript())
        inner = self.take()
        while name in ("angle", "triangle", "measuredangle") and self.peek().isupper():
            inner += self.take()
        if not inner.isalpha() and inner[1:] not in GREEK:
            raise Unreadable(f"\\{name} of what?")
        return self._symbol(f"\\{name} {inner}")

    def _function(self, name: str) -> Node:
        power = base = None
        while self.peek() in ("^", "_"):
            if self.take() == "^":
                power = self._argument()
            elif name == "log":
                base = self._argument()
            else:
                raise Unreadable(f"\\{name} with a subscript")
        if name == "log" and base is None:
            base = Node("number", value=Fraction(10))
        argument = self._operand()
        if power == Node("neg", (Node("number", value=Fraction(1)),)):
            if name not in TRIGONOMETRIC:
                raise Unreadable("an inverse that is not trigonometric")
            return Node("arc" + name, (argument,))
        result = Node(name, (argument,) if base is None else (argument, base))
        return result if power is None else Node("pow", (result, power))

    def _operand(self) -> Node:
        r"""What a function without brackets is applied to: \sin 2x is sin(2x), \sin x \cos y is not."""
        if self.peek() in ("(", "[", "{", "|", "\\lvert"):
            return self._power()
        operand = self._power()
        while self._begins_factor(self.peek()) and self.peek()[1:] not in _FUNCTIONS and self.peek() != "(":
            operand = Node("mul", (operand, self._power()))
        return operand


def _number(mark: str) -> Node:
    if "\\overline" in mark:
        head, _, tail = mark.partition("\\overline")
        whole, _, fixed = head.partition(".")
        period = tail.strip(" {}")
        scale = 10 ** len(fixed)
        value = Fraction(int((whole or "0") + fixed), scale)
        return Node("number", value=value + Fraction(int(period), scale * (10 ** len(period) - 1)))
    return Node("number", value=Fraction(mark if mark[0] != "." else "0" + mark))
