r"""A LaTeX expression as a tree of numbers, symbols and operations; the rest is refused, not guessed.

`parse` expects the one spelling that `gpo.verifiers.tidy` gives. A product needs no sign (2\pi x), but two
numbers side by side are none, and a letter that is followed by a digit is none either.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from gpo.verifiers import tidy
from gpo.verifiers.plain import decimal

MAX_DEPTH = 40
"""Deepest nesting of brackets or functions; deeper nesting is not an answer."""
MAX_HEIGHT = 150
"""Operations below each other, such as the factors of a product."""

_TOKEN = re.compile(
    r"\s*((?:[0-9]+)?\.[0-9]*\\overline\s*(?:\{[0-9]+\}|[0-9])"  # 0.\overline{3}
    r"|[0-9]+(?:\.[0-9]+)?(?![0-9.]*\.[0-9])|\.[0-9]+"
    r"|\\frac\s*\{\s*(?:d|\\partial)\s*(?:\^\{?[0-9n]\}?\s*)?(?:\{?[A-Za-z]\}?)?\s*\}"  # \frac{dy}{dx}
    r"\s*\{(?:\s*(?:d|\\partial)\s*\{?[A-Za-z]\}?(?:\^\{?[0-9n]\}?)?)+\s*\}"
    r"|\\text\s*\{[^{}]*\}|\\[A-Za-z]+|\\.|\S)",
    re.DOTALL,
)
_GREEK = "varepsilon vartheta varrho varphi ell hbar aleph"
_TRIGONOMETRIC = "sin cos tan cot sec csc sinh cosh tanh coth"
_OTHERS = "arcsin arccos arctan arccot ln log lg exp Re Im det gcd"
_REST = "pi sqrt binom lfloor lceil lvert infty partial"
_DECORATING = (
    "vec hat bar overline widehat widetilde tilde dot ddot overrightarrow mathbb mathcal mathfrak angle"
    " triangle measuredangle overleftrightarrow wideparen overarc"
)
GREEK = frozenset(tidy.GREEK.values()) - {"pi"} | frozenset(_GREEK.split())
TRIGONOMETRIC = frozenset(_TRIGONOMETRIC.split())
_FUNCTIONS = TRIGONOMETRIC | frozenset(_OTHERS.split())
_DECORATIONS = frozenset(_DECORATING.split())
_FACTORS = GREEK | _FUNCTIONS | _DECORATIONS | frozenset(_REST.split())
_ENDS = frozenset(["(", *("\\" + name for name in _FUNCTIONS)])
"""Where the factors end to which a function without brackets is applied."""
_APPLIED = frozenset("fgFG")
"""Letters that name a function where a bracket follows."""
_BRACKETS = {"\\lfloor": "floor", "\\lceil": "ceil", "\\lvert": "abs", "|": "abs"}
_CLOSING = {mark: mark.replace("\\l", "\\r") for mark in _BRACKETS} | {"(": ")", "[": "]", "{": "}"}
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


def number(value: Fraction | int) -> Node:
    """The leaf of a rational number."""
    return Node("number", value=Fraction(value))


def parse(latex: str) -> Node:
    """The tree of a whole expression; `Unreadable` if anything in it is not understood."""
    parser = _Parser([mark.strip() for mark in _TOKEN.findall(latex.rstrip())])
    tree = parser.sum()
    if parser.peek():
        raise Unreadable(f"unexpected {parser.peek()!r}")
    level = [tree]
    for _ in range(MAX_HEIGHT):  # whoever walks a deeper tree would exhaust the stack
        level = [arg for node in level for arg in node.args]
        if not level:
            return tree
    raise Unreadable("too many factors")


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
        result = self._power()
        is_whole = result.op == "number" and result.value.denominator == 1
        while True:
            mark = self.peek()
            if mark in _PRODUCTS:
                self.take()
                result = Node(_PRODUCTS[mark], (result, self._signed(self._power)))
            elif mark == "\\frac" and is_whole and self._follows(1, "{0}{0}"):
                result = Node("add", (result, self._power()))  # 1\frac12 is a mixed number
            elif self._begins_factor(mark):
                result = Node("mul", (result, self._power()))
            elif is_whole and self._follows(0, "0/0"):  # 1 1/2 too
                top, _, bottom = self.take(), self.take(), self.take()
                result = Node("add", (result, Node("div", (_number(top), _number(bottom)))))
            else:
                return Node("neg", (result,)) if is_negative else result
            is_whole = False

    def _follows(self, skipped: int, pattern: str) -> bool:
        """Whether marks follow as in the pattern, in which 0 stands for digits."""
        ahead = self._marks[self._next + skipped : self._next + skipped + len(pattern)]
        return "".join("0" if mark.isdigit() else mark for mark in ahead) == pattern

    def _signed(self, read: Callable[[], Node]) -> Node:
        if self.peek() != "-":
            return read()
        self.take()
        return Node("neg", (read(),))

    def _begins_factor(self, mark: str) -> bool:
        """Whether a factor without a sign before it begins here."""
        if mark == "|":
            return self._bars == 0
        if mark.startswith("\\"):
            return mark[1:] in _FACTORS or mark.startswith(("\\frac", "\\text"))
        return mark in ("(", "[", "{") or (mark.isalpha() and mark.isascii())

    def _power(self) -> Node:
        base = self._atom()
        while (mark := self.peek()) in ("^", "!"):
            self.take()
            if mark == "!":
                if self.peek() == "!":
                    raise Unreadable("a double factorial")
                base = Node("factorial", (base,))
            elif self.peek() == "\\circ":
                self.take()
                base = Node("mul", (base, Node("div", (Node("pi"), number(180)))))
            else:
                base = Node("pow", (base, self._argument()))
        return base

    def _argument(self) -> Node:
        r"""What stands in braces, or the one mark after ^, \frac or \sqrt."""
        mark = self.peek()
        if mark == "{":
            return self._group()
        if mark[:1].isdigit() and len(mark) > 1:  # \frac12 takes one digit, and 2^10 is 2^1 0 in LaTeX
            raise Unreadable("digits without braces")
        return self._signed(self._atom)

    def _group(self) -> Node:
        """What stands in the brackets or bars that open here."""
        opening = self.take()
        bars, self._bars = self._bars, self._bars + 1 if opening == "|" else 0
        inner = self.sum()
        self._bars = bars
        if self.take() != _CLOSING[opening]:
            raise Unreadable(f"{_CLOSING[opening]!r} is missing")
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
            return self._group()
        if mark in _BRACKETS:
            return Node(_BRACKETS[mark], (self._group(),))
        self.take()
        if mark[0].isdigit() or mark[0] == ".":
            return _number(mark)
        if mark.isalpha() and mark.isascii():
            return self._symbol(mark)
        if not mark.startswith("\\"):
            raise Unreadable(f"unexpected {mark!r}")
        if mark.startswith("\\text") and "{" in mark:
            return Node("symbol", name=" ".join(mark[mark.index("{") + 1 : -1].split()))
        if mark.startswith("\\frac") and len(mark) > len("\\frac"):
            return Node("symbol", name=re.sub(r"\s", "", mark))
        return self._command(mark[1:])

    def _command(self, name: str) -> Node:
        if name in ("frac", "binom"):
            return Node("div" if name == "frac" else "binom", (self._argument(), self._argument()))
        if name == "sqrt":
            degree = self._group() if self.peek() == "[" else number(2)
            return Node("root", (self._argument(), degree))
        if name == "pi":
            return Node("pi")
        if name in GREEK or name == "partial":
            return self._symbol("\\" + name)
        if name in _DECORATIONS:
            return self._decorated(name)
        if name in _FUNCTIONS:
            return self._function(name)
        raise Unreadable(f"what is \\{name}?")

    def _symbol(self, name: str) -> Node:
        while self.peek() in ("'", "_"):
            name += self.take()
            if name.endswith("_"):
                name += self._subscript()
        if name in _APPLIED and self.peek() == "(":
            return Node("apply", (self._group(),), name=name)
        return Node("symbol", name=name)

    def _subscript(self) -> str:
        """The subscript's spelling without braces."""
        if self.peek() != "{":
            return self.take()
        spelling, depth = "", 0
        while True:
            mark = self.take()
            depth += {"{": 1, "}": -1}.get(mark, 0)
            if depth == 0:
                return spelling
            spelling += "" if mark in "{}" else mark

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
        power, base = None, number(10) if name == "log" else None
        while self.peek() in ("^", "_"):
            if self.take() == "^":
                power = self._argument()
            elif name == "log":
                base = self._argument()
            else:
                raise Unreadable(f"\\{name} with a subscript")
        argument = self._operand()
        if power == Node("neg", (number(1),)):
            if name not in TRIGONOMETRIC:
                raise Unreadable("an inverse that is not trigonometric")
            return Node("arc" + name, (argument,))
        result = Node(name, (argument,) if base is None else (argument, base))
        return result if power is None else Node("pow", (result, power))

    def _operand(self) -> Node:
        r"""What a function without brackets is applied to: \sin 2x is sin(2x), \sin x \cos y is not."""
        is_bracketed = self.peek() in ("(", "[", "{", "|", "\\lvert")
        operand = self._power()
        while not is_bracketed and self._begins_factor(self.peek()) and self.peek() not in _ENDS:
            operand = Node("mul", (operand, self._power()))
        return operand


def _number(mark: str) -> Node:
    if "\\overline" not in mark:
        return number(Fraction("0" + mark))
    head, _, tail = mark.partition("\\overline")
    whole, _, fixed = head.partition(".")
    return number(decimal(whole, fixed, tail.strip(" {}")))
