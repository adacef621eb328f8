r"""Where the final answer stands in a completion; the built-in verifiers all read it through here.

Everything takes time linear in the text, because a model may write a megabyte of braces. A marker, in
order of trust: the last \boxed{} or <answer></answer>; the last #### whose line holds the answer and
after which nothing follows, as GSM8K writes it; the last "answer is", "Answer:" or heading "## Answer",
in any language of `phrases`; a displayed formula that ends the text. Only the last one of its kind
counts, so an answer that was taken back is not an answer. A box that cannot be what is asked for yields
to a phrase.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from gpo.marks import visible as visible
from gpo.verifiers import phrases

_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,3}(?:\{|(-?[0-9]+))")  # "\boxed 2" is legal too
_JOINED = re.compile(
    r"[}$\s]*(?:[,;\u3001\u548c\u6216]|\b(?:and|or|y|o|et|ou|e|und|oder|\u0438|\u0438\u043b\u0438)\b)+[$\s]*"
)
_NEAR_BOX, _MOST_BOXES = 300, 20
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is text
_HASHES = re.compile(r"(?<!#)####(?!#)[ \t]*")
_ITEM = re.compile(r"[ \t]*(?:[-\u2013\u2022*+>]|(?P<number>[0-9]{1,2})[.)])[ \t]+(?P<item>\S.*)\s*")
_BULLET = re.compile(r"(?<=\n)[ \t]*[-\u2013\u2022*+>][ \t]+(?=\S)")
_SENTENCE_END = re.compile(r"(?<!\.)\.(?!\.)[*_`\"')]{0,4}(?:\s|$)|,\s{1,3}(?:and\s)?not\b")
_DENIAL_LENGTH = 60
"""Characters, more than a denial and what may follow it can have."""
_MARKUP = " \t\r\n*_`"
_MARKED = _MARKUP + ":\uff1a"
_NAME = r"(?:equation|align(?:ed|at)?|gather(?:ed)?|multline|split|displaymath|math)\*?"
_OPENED = re.compile(rf"\\\[|\$\$|\\begin\{{({_NAME})\}}")
_CLOSED = re.compile(rf"(?:\\\]|\$\$|\\end\{{{_NAME}\}})[\s.*]*\Z")
_FRAME = re.compile(rf"\\(?:begin|end)\{{{_NAME}\}}|\\(?:tag|label)\{{[^{{}}]*\}}|\\nonumber|\\notag")
_SUBSTANCE = re.compile(r"[0-9=\\$]|\b[A-Z]\b(?<!I)")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_REACH = 20_000
"""Characters from the end of a text in which a phrase or a heading is looked for."""
_T = TypeVar("_T")
_MAX_DISPLAY = 2000
"""Longest displayed formula; a longer one is not an answer."""


class Marked(NamedTuple):
    """What stands in, or behind, the most trusted marker of a text, and whether that is a box."""

    text: str
    is_boxed: bool = False


def _last_box(text: str) -> re.Match[str] | None:
    """The last box, found from the end."""
    start = text.rfind("box")
    while start > 0:
        if box := _BOX.match(text, start - 1) or _BOX.match(text, max(0, start - 2)):
            return box
        start = text.rfind("box", 0, start)
    return None


def _with_joined(text: str, box: re.Match[str]) -> str:
    """The content of the last box, behind that of those which "or", "and" or a comma joins to it."""
    contents, start = [_boxed(text, box)], box.start()
    while len(contents) < _MOST_BOXES:
        before = text[max(0, start - _NEAR_BOX) : start]
        another = _last_box(before)
        content = _boxed(before, another) if another else ""
        end = before.find(content, another.end()) + len(content) if another else 0
        if not another or not content or not _JOINED.fullmatch(before, end):
            break
        contents.append(content)
        start -= len(before) - another.start()
    return ", ".join(dict.fromkeys(reversed(contents)))


def _boxed(text: str, box: re.Match[str]) -> str:
    if box.group(1):
        return box.group(1)
    end = closing_brace(text, box.end())
    return "" if end is None else text[box.end() : end].strip()


def closing_brace(text: str, start: int) -> int | None:
    """Where the brace before `start` closes; None if it does not."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return None


def marked(text: str, fits: Callable[[str], bool] | None = None) -> Marked | None:
    """What stands in, or from there on after, the most trusted marker; None if there is none.

    `fits` says whether a box can be what is asked for. One that cannot yields to a phrase behind it, and to
    any phrase if it is a formula without words.
    """
    box = _last_box(text)
    _, tag, rest = text.rpartition("<answer>")
    if tag and (box is None or len(text) - len(rest) - len(tag) > box.start()):
        content, closed, _ = rest.partition("</answer>")
        return Marked(content.strip() if closed else "")
    if box is None:
        found = next((one for read in _UNBOXED if (one := read(text)) is not None), None)
        return None if found is None else Marked(found)
    boxed = Marked(_with_joined(text, box), is_boxed=True)
    is_cut = not box.group(1) and "}" not in text[box.end() :]
    if fits is None or is_cut or fits(boxed.text):
        return boxed
    phrase = _after_phrase(text[box.end() :])
    if phrase is None and not _WORD.search(boxed.text):
        phrase = _after_phrase(text)
    return boxed if phrase is None or "\\boxed" in phrase[:40] else Marked(phrase)


def _after_hashes(text: str) -> str | None:
    """What stands on the line of the last ####, or below it if the line is empty; None if it is a heading."""
    hashes = last_of(_HASHES.finditer(text)) if "####" in text else None
    if hashes is None:
        return None
    line, _, rest = text[hashes.end() :].lstrip().partition("\n")
    if _last_phrase(rest[-_REACH:]) or phrases.HEADING.search(line[:_REACH]):
        return None
    lines = [one for one in rest[:_REACH].splitlines() if one.strip()]
    has_substance = any(_SUBSTANCE.search(one) or len(one.split()) < 3 for one in lines)
    return None if has_substance else line.strip()


def _after_phrase(text: str) -> str | None:
    """What follows the last phrase or heading; of a displayed formula there its content; None without one."""
    text = text[-_REACH:]
    found = _last_phrase(text)
    if found is None:
        return None
    rest = text[found.end() :].rstrip()
    line, _, below = rest.partition("\n")
    start = rest if line.strip(_MARKED) else _listed(below.lstrip())
    start = phrases.CONTRAST.sub("", start.lstrip(_MARKED), count=1)
    display = _first_display(start)
    if display is not None:
        return display
    return start or rest.lstrip(" :")  # an answer may be nothing but markup


def _listed(text: str) -> str:
    """With the list that begins the text on one line: its items without bullets or numbers, with commas."""
    items: list[str] = []
    end = 0
    while (item := _ITEM.match(text, end)) and int(item["number"] or len(items) + 1) == len(items) + 1:
        items.append(item["item"].rstrip())
        end = item.end()
    if text[:1].isdigit() and len(items) == 1 and items[0][0].isalpha():
        return text  # "18. It is 18, because ..."
    return "\n".join([", ".join(items), text[end:]]) if items else text


def _last_phrase(text: str) -> re.Match[str] | None:
    """The phrase or heading that ends last."""
    found = [last_of(pattern.finditer(text)) for pattern in phrases.found_in(text)]
    return max((one for one in found if one), key=lambda one: one.end(), default=None)


def _first_display(text: str) -> str | None:
    """The content of the displayed formula with which the text begins; None if it begins with none."""
    opened = _OPENED.match(text)
    if opened is None:
        return None
    closer = {"\\[": "\\]", "$$": "$$"}.get(opened.group(), f"\\end{{{opened[1]}}}")
    content, closed, _ = text[opened.end() :].partition(closer)
    return _content(content) if closed and len(content) <= _MAX_DISPLAY else None


def _last_display(text: str) -> str | None:
    """The content of the displayed formula with which the text ends; None if it ends with none."""
    tail = text[-_MAX_DISPLAY:]
    closed = _CLOSED.search(tail)
    if closed is None:
        return None
    opened = last_of(_OPENED.finditer(tail, 0, closed.start()))
    return _content(tail[opened.end() : closed.start()]) if opened else None


def _content(display: str) -> str:
    r"""A displayed formula on one line: the last row of a chain of equations, else all rows with commas."""
    rows = re.split(r"\\\\(?:\[[^\]]*\])?", _FRAME.sub(" ", display).replace("&", " "))
    rows = [ended(row, " .,") for row in (" ".join(row.split()) for row in rows) if row.strip(" .,$[]\\")]
    if not rows:
        return ""
    is_chain = len(rows) == 1 or re.match(r"=|\\approx|\\Rightarrow|\\implies", rows[-1])
    return rows[-1].lstrip("= ").strip() if is_chain else ", ".join(rows)


_UNBOXED = (_after_hashes, _after_phrase, _last_display)


def is_denied(before: str) -> bool:
    """Whether what stands before an answer takes it back: "not", "isn't the", "cannot be"."""
    return phrases.DENIAL.search(before[-_DENIAL_LENGTH:]) is not None


def is_denied_after(after: str) -> bool:
    """Whether what stands behind an answer takes it back: "is wrong", "is not the answer", "or not"."""
    return phrases.DENIED_AFTER.match(after[: 2 * _DENIAL_LENGTH]) is not None


def without_bullets(text: str) -> str:
    """Without the dashes and bullets before items of lists, which are no signs, but on the first line."""
    return _BULLET.sub("", text)


def first_line(text: str) -> str:
    """The first line that is not blank, without the markup around it; '' if all are."""
    return next((line.strip(_MARKUP) for line in text.splitlines() if line.strip(_MARKUP)), "")


def last_line(text: str) -> str:
    """The last line that is not blank, without the markup around it; '' if all are."""
    lines = without_bullets(text[-_REACH:].rstrip(_MARKUP)).splitlines()
    return lines[-1].strip(_MARKUP) if lines else ""


def readings(text: str) -> list[str]:
    """The ways to delimit the final answer, as `delimited` gives them."""
    return delimited(text, marked(text))


def delimited(text: str, found: Marked | None) -> list[str]:
    """The ways to read what was `found`, without repeats: all that is marked, its line, its sentence.

    Without a marker it is the last line. [] if there is nothing to read.
    """
    answer = last_line(text) if found is None else found.text
    line = first_line(answer)
    sentence = ended(_SENTENCE_END.split(line, maxsplit=1)[0].strip(_MARKUP)).strip(_MARKUP)
    return [reading for reading in dict.fromkeys((answer, line, sentence)) if reading]


def ended(sentence: str, marks: str = ". ") -> str:
    """The sentence without the full stop at its end; an ellipsis stays, since 18... is not 18."""
    return sentence if sentence.endswith("...") else sentence.rstrip(marks)


def gold(answer: str) -> str:
    r"""A gold answer out of its worked solution: what follows the last ####, else is in the last \boxed{}."""
    if "####" in answer:
        return answer.rpartition("####")[2].strip()
    box = _last_box(answer)
    return (answer if box is None else _boxed(answer, box)).strip()


def last_of(items: Iterable[_T]) -> _T | None:
    """The last item; None if there is none."""
    last = None
    for last in items:  # noqa: B007 - the last one is what is asked for
        pass
    return last
