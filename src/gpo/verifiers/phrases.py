"""How languages say "the answer is", one pattern for all of them, and how they take an answer back.

A language is a noun, words that may stand before it and after it, and what ties the answer to it. A colon, an
equals sign, an arrow or a dash between spaces ties in every language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpo.verifiers import words

_MARK = r"[*_`\"'\u201c\u201d\s]{0,6}"
_TIES = r"[:=\uff1a\u2192\u21d2]|[-=]>|(?<=[ \t*_])[-\u2013\u2014](?=\s)"
_OWN = words.any_of("before_heading")
HEADING = re.compile(
    rf"^[ \t]{{0,3}}(?:#{{1,6}}[ \t]*)?[*_]{{0,3}}(?:[0-9]{{1,2}}[.)][ \t]*)?(?:{_OWN}[ \t]*){{0,3}}"
    rf"{words.any_of('heading')}(?:[ \t](?:final|finale|correcta|correcte))?[ \t*_:\uff1a]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that is only a heading for the answer below it."""
_SAID = [
    (hints.split(), rf"\b{noun}(?:{_MARK}(?:{_TIES})|{_MARK}(?<=\W){tie}(?!\w))")
    for hints, noun, tie in words.LANGUAGES
] + [(hints.split(), f"{noun}{_MARK}{tie}") for hints, noun, tie in words.UNSPACED_LANGUAGES]
_PATTERNS = [(hints, re.compile(f"{one}[ *_`]*[:\uff1a]?", re.IGNORECASE)) for hints, one in _SAID]
_ALL = [*_PATTERNS, ([hint.removesuffix("s?") for hint in words.entries("heading")], HEADING)]
_OF_ASCII = [(hints, pattern) for hints, pattern in _ALL if any(map(str.isascii, hints))]


def found_in(text: str) -> Iterator[re.Pattern[str]]:
    """The patterns whose words occur in the text: each matches all up to the answer."""
    folded = text.casefold()
    for hints, pattern in _OF_ASCII if folded.isascii() else _ALL:
        for hint in hints:
            if hint in folded:
                yield pattern
                break


DENIAL = re.compile(
    r"(?:(?:\b(?:not|nor|neither|never|cannot|except|instead of|rather than|other than|unlike"
    r"|(?:exclud|eliminat|reject|discard|dismiss)(?:e|es|ed|ing)?|rul(?:e|es|ed|ing) out)\b|n['\u2019]t\b"
    r"|不是|并非|並非|不选|不選|排除)"
    r"(?:\W{1,4}\w{1,12}){0,2}\W{0,6}|\b(?:no (?:es|son|sería|la|el)"
    r"|ne? ?['\u2019]?(?:est|sont) pas|ist nicht|sind nicht|nicht|non è|non sono"
    r"|não é|não são|не)\b(?:\W{1,4}\w{1,12}){0,1}\W{0,6})$",
    re.IGNORECASE,
)
"""What stands before an answer and takes it back."""

CONTRAST = re.compile(
    r"\A(?:not|no|nicht|pas|non|não|niet|не)\s[^\s\w]{0,3}[0-9\\][^\n]{0,40}?,?\s"
    r"(?:but(?: rather)?|rather|sino|sondern|mais|ma|bensì|mas|maar|\u0430)\s(?=\S)",
    re.IGNORECASE,
)
"""What a number begins with that says first what it is not: "not 18 but" 19."""

DENIED_AFTER = re.compile(
    r"[\s)\].\"'*_`$}]{0,4}(?:\([^()\n]{0,60}\) ?)?"
    rf"(?:(?:{words.any_of('auxiliary')}\s?){{1,5}}{words.any_of('wrong')}\b"
    r"|can(?:not|['\u2019]t)\b|(?:does|do|did)(?:n['\u2019]t| not)\b|or not\b|wrong\b|incorrect\b|\? no\b"
    r"|fails?\b|contradicts?\b|violates?\b"
    r"|(?:都|均|也|项|項|选项)?(?:不是|不对|不對|错|錯|不正确|不正確|不符|排除|可以?排除|被排除)"
    r"|(?:ist|sind) (?:falsch|nicht)\b|(?:est|sont) (?:fausse?s?|faux|incorrecte?s?)\b|n['\u2019]est pas\b"
    r"|no (?:es|son)\b|(?:es|son) (?:incorrect[ao]s?|fals[ao]s?)\b"
    r"|(?:é|são) (?:incorret[ao]s?|fals[ao]s?|errad[ao]s?)\b"
    r"|(?:è|sono) (?:sbagliat[aoie]|errat[aoie]|fals[aoie])\b|не(?:верно|правильно|верен)\b"
    r"|(?:は|が|も)?(?:間違|誤り|ではな|不正解)|(?:은|는|이|가)? ?(?:아니|아닙|틀|오답)"
    r"|\u2717|\u2718|\u274c)",
    re.IGNORECASE,
)
"""What stands behind an answer and takes it back."""
