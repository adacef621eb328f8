"""Text that others wrote, as a terminal, a log or a page may have it: nothing in it acts, hides or reorders.

Escape sequences, direction marks and characters that show nothing become their codes: `\\x1b`, `\\u202e`,
`\\u200d`. Joiners inside emoji and some Indic or Persian words are among them; files keep the text itself.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 40_000
"""Characters of one text; what is longer is cut, with the number of those left out."""
MOST_MARKS = 8
"""Accents on one letter. No language needs more, and hundreds run over the lines above and below."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""Unicode's default ignorable code points, and the interlinear marks: a reader sees none of them."""


def printable(text: str) -> str:
    """The text on one line, with every character that is not seen as itself shown by its code."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"
    if text.isascii() and text.isprintable():
        return text
    found, num_marks = [], 0
    for character in text:
        category = unicodedata.category(character)
        num_marks = num_marks + 1 if category in ("Mn", "Me") else 0
        is_hidden = category in _HIDDEN or num_marks > MOST_MARKS or IGNORABLE.match(character)
        found.append(character.encode("unicode_escape").decode() if is_hidden else character)
    return "".join(found)


def printable_lines(text: str) -> str:
    """The same with its line ends kept; each line is bounded."""
    return "\n".join(map(printable, text.split("\n")))
