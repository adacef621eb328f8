"""Where lines and sentences end in a text; LaTeX, abbreviations and numbers end none."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

_LINE_END = re.compile(r"\n(?:[^\S\n]*\n)*")

# A run of marks is tried from its first one only: a trace may end in thousands of them.
_SENTENCE_END = re.compile(
    rf"""
    (?<![.?!…]) (?P<mark>[.?!…]++) (?: ["'”’)\]}}*_`$] | \\[)\]] )*+   # "$x = 3.$ So" ends after the formula
    (?= [^\S\n]++ (?P<next>\S) )                                     # and more text in its line
    | [。！？]++ ["'”’」』）]*+
    | {_LINE_END.pattern}
    """,  # noqa: RUF001, the quotes and full stops of other scripts are meant
    re.VERBOSE,
)

_BEFORE_FULL_STOP = re.compile(
    r"""
    (?<![A-Za-z]) (?:
        [A-Z]                                                      # J. Smith
        | [A-Za-z] (?: \.[A-Za-z] )+                               # e.g. i.e. w.r.t.
        | etc | cf | vs | viz | approx | resp | al
        | Drs? | Mrs? | Ms | Prof | St | Jr | Sr | Inc | Ltd
        | [Ff]igs? | [Ee]qs? | [Ee]qns? | Secs? | Ch | Vol | Refs? | Thm | Def | Prop | Lem | Cor | Ex
    ) \Z
    | ^ [ \t>*#_(-]* (?: (?: Step | Case | Part ) [ ] )? (?: \d{1,3} | [A-Za-z] ) \Z  # 1. at a line's start
    """,
    re.VERBOSE | re.MULTILINE,
)
_BEFORE_NUMBER = re.compile(r"(?<![A-Za-z])(?:[Nn]os?|pp?)\Z")
_BEFORE_FACTORIAL = re.compile(r"(?:[\d)]|(?<![A-Za-z])[A-Za-z])\Z")
_LOOK_BACK = 32
"""Characters that are enough for the longest of these patterns."""


def line_ends(text: str) -> Iterator[int]:
    return (match.end() for match in _LINE_END.finditer(text))


def sentence_ends(text: str) -> Iterator[int]:
    inside = _inside_latex(text)
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
        if not (inside[end - 1] and inside[end]) and _ends_sentence(match):
            yield end


def _ends_sentence(match: re.Match[str]) -> bool:
    """Whether this full stop or exclamation mark ends a sentence; all other matches do."""
    window = (match.string, max(0, match.start() - _LOOK_BACK), match.start())
    if match["mark"] == ".":
        is_number_next = match["next"].isdigit()
        return not (_BEFORE_FULL_STOP.search(*window) or (is_number_next and _BEFORE_NUMBER.search(*window)))
    if match["mark"] == "!":
        return match["next"].isupper() or not _BEFORE_FACTORIAL.search(*window)
    return True


_LATEX_DELIMITER = re.compile(r"\\\\|\\\$|\\[()\[\]]|\\(?:begin|end)\{[A-Za-z]+\*?\}|\$\$|\$|\n[^\S\n]*\n")


def _inside_latex(text: str) -> bytearray:
    """[characters + 1] 1 within LaTeX, delimiters too, else 0; one pass over the delimiters.

    Only a pair protects, so that a lone opener is plain text. The $ forms and \\( also end at a blank
    line, as in TeX: they look the same or are often left open, and would swallow the rest of a trace.
    """
    inside = bytearray(len(text) + 1)
    opened: defaultdict[str, list[int]] = defaultdict(list)  # where each closer's openers stand
    for delimiter in _LATEX_DELIMITER.finditer(text):
        mark, start, end = delimiter.group(), delimiter.start(), delimiter.end()
        if mark.isspace():
            opened["$"], opened["$$"], opened[r"\)"] = [], [], []
        elif opened[mark] and (mark != "$" or _closes_inline(text, opened["$"][-1], start)):
            first = opened[mark].pop()
            inside[first:end] = b"\x01" * (end - first)
        elif mark == "$":
            opened["$"] = [start] if text[end : end + 1] not in tuple(".,;:!?)") else []
        elif mark in ("$$", r"\(", r"\[") or mark.startswith(r"\begin"):
            opened[mark.translate(_CLOSING).replace("begin", "end")].append(start)
    return inside


_CLOSING = str.maketrans("([", ")]")


def _closes_inline(text: str, opener: int, closer: int) -> bool:
    """Whether the $ at `closer` ends the formula that the $ at `opener` may have begun.

    It does not where spacing differs on the inner sides or a digit follows: "$5, then $10" is money.
    """
    is_spaced = text[opener + 1].isspace()
    after = text[closer + 1 : closer + 3]
    number = after.lstrip() if is_spaced else after
    return text[closer - 1].isspace() == is_spaced and not number[:1].isdigit()
