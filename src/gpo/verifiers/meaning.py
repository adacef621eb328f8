r"""What kind of thing an answer is: a quantity, a list, an interval, a matrix, a relation, a time, words.

`read` takes an answer apart and refuses (`Unreadable`) what it does not understand as a whole, so that no
part of an answer is ever taken for the answer. Brackets, order, units, bases and words stay in what it
returns; `gpo.verifiers.equality` compares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain

from gpo.verifiers import quantities, words, worth
from gpo.verifiers.expression import MAX_DEPTH, Unreadable, number, parse
from gpo.verifiers.kinds import Infinite, Matrix, Meaning, Quantity, Relation, Several, Union, Words, is_name
from gpo.verifiers.tidy import tidy

MAX_LENGTH = 1000
"""Characters; a longer answer is only compared by its spelling. MATH's longest gold answer has 159."""


_STEP = re.compile(
    r"\\begin\{(\w+\*?)\}|\\end\{\w+\*?\}|\\text\s*\{[^{}]*\}|\\[A-Za-z]+|\\.|[A-Za-z]+|.", re.DOTALL
)
_OPENING = {"(", "[", "{", "\\{", "\\langle", "\\lfloor", "\\lceil"}
_CLOSING = {")", "]", "}", "\\}", "\\rangle", "\\rfloor", "\\rceil"}
_SIGNS = r"""
= < > \equiv \le \ge \ne \in \sim \cong \parallel \perp \propto \subset \subseteq \to \mapsto \notin"""
_RELATIONS = {sign: sign for sign in _SIGNS.split()} | {"\\approx": "=", "\\rightarrow": "\\to"}
_JOINS = re.compile(r"\\text\s*\{\s*,?\s*(and|or)\s*\}|(and|or)", re.IGNORECASE)
_TEXT_WITH_TIME = re.compile(r"\s*([0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?)\s*([A-Za-z.]*)\s*")
_WHOLE_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_MATRIX = re.compile(
    r"\\begin\{([pbBvV]?(?:small)?matrix|array)\}(?:\s*\{[lcr| ]*\})?(.*)\\end\{\1\}", re.DOTALL
)

_WORDS = re.compile(r"[A-Za-z][A-Za-z'. -]*")
_PHRASE = re.compile(r"[A-Za-z]{3,}[A-Za-z0-9 ,.'-]*")
"""A date or a sentence, which is compared word by word."""
_NAMES = ["zero", *words.entries("number")]
_NUMERALS = {name: value for value, name in enumerate(_NAMES[:20])} | {
    f"{ten}-{one}".removesuffix("-zero"): 10 * tens + ones
    for tens, ten in enumerate(_NAMES[20:28], 2)
    for ones, one in enumerate(_NAMES[:10])
}
"""Numbers below a hundred in words, as gold answers have them."""
_VARIABLES = re.compile(r"[abcd]+|[xyzwtuv]+|[pqrs]+|[mnkl]+|[ijk]+|[efgh]+|[^aeiou]+")


def read(answer: str, *, is_list: bool = False) -> Meaning:
    """What an answer means; `Unreadable` if that is not clear. `is_list` reads 1,234 as two numbers."""
    if len(answer) > MAX_LENGTH or any(char.isdecimal() and not char.isascii() for char in answer):
        raise Unreadable("too long, or digits of another script")
    if max(accumulate((char in "([{") - (char in ")]}") for char in answer), default=0) > MAX_DEPTH:
        raise Unreadable("too deep")
    try:
        found = _Reader(is_list).meaning(tidy(answer))
    except Unreadable:
        number = _in_words(answer)
        if number is None and not _PHRASE.fullmatch(answer):
            raise
        return number or _plain_words(answer)
    if found == Words("infinity"):
        return Infinite(1)
    return (_in_words(answer) or found) if isinstance(found, Words) else found


def _in_words(answer: str) -> Quantity | None:
    r"""A number in words or signs that are not LaTeX: \text{four}, minus 18, 2.5 million; else None."""
    word = answer.strip(" .").casefold().removeprefix("\\text{").removesuffix("}").strip()
    if word in _NUMERALS:
        return Quantity(number(_NUMERALS[word]))
    found = None if set("\\{}") & set(answer) else worth.whole(answer)
    if found is None or found.value is None or found.unit not in ("", "%"):
        return None
    return Quantity(number(found.value), is_percent=found.unit == "%")


@dataclass(frozen=True)
class _Reader:
    is_list: bool

    def meaning(self, text: str, *, is_inside: bool = False) -> Meaning:
        """`is_inside` brackets a comma always parts items."""
        text = _unwrapped(text.strip())
        if not text:
            raise Unreadable("nothing")
        whole = _WHOLE_TEXT.fullmatch(text)
        if whole:
            return self._text(whole[1])
        return (
            _words(text)
            or quantities.compound(text)
            or self._joined(text, is_inside)
            or self._matrix(text)
            or self._bracketed(text)
            or quantities.based(text)
            or quantities.parts(text)
            or quantities.infinite(text)
            or quantities.quantity(text)
        )

    def _text(self, text: str) -> Meaning:
        """What stands in \\text{} as a whole: words, letters, a date, a time of day."""
        time = _TEXT_WITH_TIME.fullmatch(text)
        if time:
            return quantities.parts(f"{time[1]}\\text{{{time[2]}}}" if time[2] else time[1]) or Words(text)
        if "," in text or re.search(r"\b(?:and|or)\b", text):
            items, is_or = _split_list(text, is_inside=True)
            if len(items) > 1:
                return Several(tuple(self._text(item) for item in items), is_or=is_or)
        if re.fullmatch(r"[^A-Za-z]*[0-9][^A-Za-z]*", text):
            return self.meaning(text)
        if re.match(r"\s*[-$\u20ac\u00a3]?\s*[0-9]", text):
            try:
                plain = text.replace("$", "\\$").strip(" .")
                return quantities.quantity(re.sub(r"([A-Za-z][A-Za-z ./^0-9]*)$", r"\\text{\1}", plain))
            except Unreadable:
                pass
        return _plain_words(text)

    def _joined(self, text: str, is_inside: bool) -> Meaning | None:
        """A union, a list or a relation; None if nothing joins its parts."""
        parts, _ = _split(text, {"\\cup": "\\cup", "\\bigcup": "\\cup"}.get)
        if len(parts) > 1:
            return Union(tuple(self.meaning(part) for part in parts))
        items, is_or = _split_list(text, is_inside or self.is_list)
        if len(items) > 1:
            read = [_flat(self.meaning(item, is_inside=is_inside)) for item in items]
            return Several(tuple(chain.from_iterable(read)), is_or=is_or)
        sides, signs = _split(text, _RELATIONS.get)
        return self._relation(sides, signs) if signs else _either(text)

    def _relation(self, sides: list[str], signs: list[str]) -> Meaning:
        if signs == ["\\in"] and is_name(parse(sides[0])):
            members = self.meaning(sides[1])
            if not isinstance(members, Several | Union):
                raise Unreadable("no set to be in")
            return members
        if signs == ["="] and not sides[0].strip():  # "\approx 8.24" and "= 5"
            return self.meaning(sides[1])
        return Relation(tuple(self._side(side) for side in sides), tuple(signs))

    def _side(self, side: str) -> Meaning:
        try:
            return self.meaning(side)
        except Unreadable:
            if not side.strip() or not re.match(r"\s*(?:\\text|\\angle|[A-Za-z])", side):
                raise
            return Words("".join(side.split()))

    def _matrix(self, text: str) -> Meaning | None:
        body, has_bars = text, False
        if text[0] in "([|" and text[-1] in ")]|":
            body, has_bars = text[1:-1].strip(), text[0] == "|"
        match = _MATRIX.fullmatch(body)
        if match is None:
            return None
        rows = re.split(r"\\\\(?:\s*\[[^]]*\])?", match[2].replace("\\hline", ""))
        cells = tuple(
            tuple(self.meaning(cell, is_inside=True) for cell in row.split("&"))
            for row in rows
            if row.strip()
        )
        if not cells or len({len(row) for row in cells}) != 1:
            raise Unreadable("rows of different lengths")
        return Matrix(cells, has_bars or match[1] in ("vmatrix", "Vmatrix"))

    def _bracketed(self, text: str) -> Meaning | None:
        """A point, an interval, a set, a vector, or one thing in brackets."""
        if text == "\\emptyset":
            return Several((), "{}")
        if text.replace(" ", "") == "\\mathbb{R}":
            return Several((Infinite(-1), Infinite(1)), "()")
        ends = _ends(text)
        if ends is None:
            return None
        opening, closing = ends
        inner = text[len(opening) : len(text) - len(closing)]
        items, _ = _split_list(inner, is_inside=True)
        kind = {"\\{": "{", "\\langle": "<"}.get(opening, opening)
        kind += {"\\}": "}", "\\rangle": ">"}.get(closing, closing)
        if len(items) > 1:
            read = [_flat(self.meaning(item, is_inside=True)) for item in items]
            return Several(tuple(chain.from_iterable(read)), kind)
        if kind == "()":
            return self.meaning(inner)
        return Several(_flat(self.meaning(inner, is_inside=True)), kind)


def _unwrapped(text: str) -> str:
    while text.startswith("{") and _closes_at_end(text):
        text = text[1:-1].strip().rstrip(".,").strip()
    return text


def _outside(text: str, *, in_environments: bool = False) -> Iterator[re.Match[str]]:
    """The marks that are in no bracket (and no environment), and those that close the outermost ones."""
    depth = 0
    for match in _STEP.finditer(text):
        token = match[0]
        depth += token in _OPENING or (not in_environments and token.startswith("\\begin{"))
        depth -= token in _CLOSING or (not in_environments and token.startswith("\\end{"))
        if depth == 0:
            yield match


def _closes_at_end(text: str) -> bool:
    first = next(_outside(text, in_environments=True), None)
    return first is not None and first.end() == len(text)


def _ends(text: str) -> tuple[str, str] | None:
    """The brackets that hold all of it; None without."""
    first = _STEP.match(text)
    opening = first[0] if first else ""
    if opening not in ("(", "[", "\\{", "\\langle") or not _closes_at_end(text):
        return None
    return opening, next(mark for mark in (")", "]", "\\}", "\\rangle", "}") if text.endswith(mark))


def _split(text: str, sign_of: Callable[[str], str | None]) -> tuple[list[str], list[str]]:
    """The parts between those marks that are in no bracket and are signs, and the signs."""
    parts, signs, start = [], [], 0
    for match in _outside(text):
        sign = sign_of(match[0])
        if sign is not None:
            parts.append(text[start : match.start()])
            signs.append(sign)
            start = match.end()
    return [*parts, text[start:]], signs


def _joint(mark: str) -> str | None:
    """What joins items: "," or "or"; None for other marks."""
    if mark in ("\\lor", "\\vee"):
        return "or"
    join = _JOINS.fullmatch(mark)
    if join:
        return "or" if "or" in join.group(0).lower() else ","
    return "," if mark in (",", ";") else None


def _split_list(text: str, is_inside: bool) -> tuple[list[str], bool]:
    """The items of a list, and whether "or" stands between them; one item if it is none."""
    hidden = text
    if not is_inside:
        hidden = quantities.THOUSANDS.sub(lambda match: match[0].replace(",", "\u241e"), text)
    items, joints = _split(hidden, _joint)
    kept = [item.replace("\u241e", ",") for item in items if item.strip()]
    if (len(kept) == 1 and len(items) > 1) or any(item.strip() == "\\ldots" for item in kept):
        raise Unreadable("a list with nothing on one side")
    return kept or [text], "or" in joints


def _flat(item: Meaning) -> tuple[Meaning, ...]:
    """The items of what \\pm made two."""
    return item.items if isinstance(item, Several) and item.ends == "\u00b1" else (item,)


def _either(text: str) -> Meaning | None:
    """The two values of an expression with \\pm; None without one."""
    if "\\pm" not in text or _ends(text) is not None or _MATRIX.search(text):
        return None
    signs = [("+", "-"), ("-", "+")]
    both = [text.replace("\\pm", plus).replace("\\mp", minus) for plus, minus in signs]
    return Several(tuple(map(quantities.quantity, both)), "\u00b1")


def _words(text: str) -> Meaning | None:
    """Words that are no product of letters; None for anything else."""
    if not _WORDS.fullmatch(text) or re.search(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])", text):
        return None
    return _plain_words(text) if any(map(_is_word, re.findall(r"[A-Za-z]+", text))) else None


def _is_word(word: str) -> bool:
    if len(word) > 3 or (len(word) > 1 and word.isupper()):
        return True
    return len(word) == 3 and not _VARIABLES.fullmatch(word.casefold())


def _plain_words(text: str) -> Words:
    found = re.findall(r"[^\W_]+", text)
    if not found:
        raise Unreadable("no words")
    return Words(found[0] if len(found) == 1 and len(found[0]) == 1 else " ".join(found).casefold())
