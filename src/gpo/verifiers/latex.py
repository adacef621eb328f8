r"""One spelling of LaTeX answers: no spacing, no dress, braces where they belong; and plain numbers."""

from __future__ import annotations

import re
from fractions import Fraction

_SPACING = re.compile(r"\\left\b|\\right\b|\\[,;:!$ ]|[\s~$]")
_GAP = re.compile(r"(?<=[0-9])(?:\\[,;: ]|[\s~])+(?=[0-9])")
_GROUPS = re.compile(r"(?<![0-9.\u2423])[0-9]{1,3}(?:\u2423[0-9]{3})+(?![0-9/\u2423])")
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z]{4,}(?:[ -][A-Za-z]+)*")
_FRACTION = re.compile(r"\\[dt]?frac\s*(\\[A-Za-z]+|[0-9A-Za-z])\s*(?=[\\{0-9A-Za-z])")
_HALF_FRACTION = re.compile(r"(\\frac\{[^{}]*\})\s*(\\[A-Za-z]+|[0-9A-Za-z])")
_ROOT = re.compile(r"\\sqrt\s*([0-9A-Za-z])")
_PHANTOM = re.compile(r"\\[hv]?phantom\s*(?:\{[^{}]*\}|-)")
_DIGITS = r"[0-9]{1,3}(?:(?:,|\{,\})[0-9]{3})+|[0-9]+"
_PLAIN = re.compile(
    rf"(?P<sign>-?)(?:\\frac(?:\{{(?P<top>[0-9]+)\}}\{{(?P<bottom>[0-9]+)\}}|(?P<digits>[0-9]{{2}}))"
    rf"|(?P<whole>{_DIGITS})?(?P<decimals>\.[0-9]+)?(?:/(?P<divisor>[0-9]+))?)"
)
_MAX_DIGITS = 40


def normalise(answer: str) -> str:
    """Without spacing, sizes, dollar signs, a full stop; words without \\text and in one case.

    A gap between digits stays (\u2423), unless it parts thousands: 1 2 is not 12.
    """
    bare = _bare(answer)
    if _WORDS.fullmatch(bare):
        return bare.casefold()
    if _GAP.search(bare):
        bare = _GROUPS.sub(lambda match: match[0].replace("\u2423", ""), _GAP.sub("\u2423", bare))
    return _SPACING.sub("", tidied(bare))


def spelling(answer: str) -> str:
    """`normalise`, with plain numbers in lowest terms."""
    number = plain_number(answer)
    return normalise(answer) if number is None else str(number)


def is_words(answer: str) -> bool:
    """Whether it is words, which algebra would take for products of letters."""
    return _WORDS.fullmatch(_bare(answer)) is not None


def plain_number(answer: str) -> Fraction | None:
    r"""The value of digits, with thousands' commas, decimals, one / or one \frac; None for anything else."""
    spelled = normalise(answer)
    match = _PLAIN.fullmatch(spelled) if 0 < len(spelled) <= _MAX_DIGITS else None
    if match is None:
        return None
    if match["digits"]:
        top, bottom = match["digits"][0], match["digits"][1]
    elif match["top"]:
        top, bottom = match["top"], match["bottom"]
    else:
        top = (match["whole"] or "").replace("{", "").replace("}", "").replace(",", "")
        top, bottom = top + (match["decimals"] or ""), match["divisor"] or "1"
    if not top or int(bottom) == 0:
        return None
    return Fraction(match["sign"] + top) / int(bottom)


def tidied(latex: str) -> str:
    r"""With the braces that \frac\pi2 and \sqrt2 leave out, and without phantoms."""
    latex = latex.replace("\u2212", "-")
    if "\\" not in latex:
        return latex
    latex = _PHANTOM.sub("", latex).replace("\\!", "")
    latex = latex.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return _ROOT.sub(r"\\sqrt{\1}", _HALF_FRACTION.sub(r"\1{\2}", _FRACTION.sub(r"\\frac{\1}", latex)))


def _bare(answer: str) -> str:
    bare = _WRAPPED.sub(r"\1", answer).strip("$ ")
    return bare if bare.endswith("..") else bare.rstrip(". ")  # 18... goes on
