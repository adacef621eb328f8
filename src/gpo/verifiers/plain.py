r"""LaTeX, HTML and typographic spellings in plain characters, so that a number is written in one way only.

`\$1{,}800`, `\(1\,800\)` and full-width `１８００` become digits, with the sign `¤` where dollar signs,
braces and math delimiters stood: what stands there separates, but changes no value.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from gpo.verifiers import words

DRESS = "¤"
"""What stands for a dollar sign, a brace, a math delimiter or an HTML tag."""
UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""A character class of scripts that put no space around a number: Thai, kana, Han and Hangul."""
SPACES = "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000"
FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Full-width forms of ASCII, and ASCII."""
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"

_CHARACTERS: dict[int, int | str] = {
    **FULL_WIDTH,
    **dict.fromkeys(map(ord, "\u2212\ufe63\u2010\u2011\u2796"), "-"),
    **dict.fromkeys(map(ord, "\u2014\u2015\u2012"), "\u2013"),
    **dict.fromkeys(map(ord, SPACES + "~"), " "),
    **dict.fromkeys(map(ord, INVISIBLE), ""),
    **{ord(char): sign for char, sign in words.characters("plain").items()},
}
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_VULGAR = re.compile("(?:([0-9]) ?)?([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒])")
_COMMANDS = words.commands("commands")
_COMMAND = re.compile(r"\\([A-Za-z]+)(?![A-Za-z])")
_WRAPPED = re.compile(
    r"\\(?:(?:text)?color\s?(?:\[[^\[\]]{0,20}\])?\{[^{}]{0,40}\}|(?:text|math)(?!color)[a-z]*"
    r"|mbox|operatorname|emph|bm|boldsymbol|underline)\s?\{([^{}]*)\}"
)
_COLOR = re.compile(r"\\color\s?\{[^{}]{0,40}\}")
_SPACE = re.compile(r"\\[,;: >]|\\hspace\*?\{[^{}]{0,20}\}|&nbsp;|&thinsp;|(?<!\\)&(?!\w)")
_DEGREE = re.compile(r"\^\s?(?:\\circ(?![A-Za-z])|\{\s?\\circ\s?\}|\{?°\}?)")
_SCRIPT = re.compile(r"([\^_])\s?\{([^{}]*)\}")
_FRACTION = re.compile(
    r"(?:([0-9]) ?)?\\(?:[dtc]?frac|nicefrac|sfrac|flatfrac)\s?"
    r"(?:\{\s?(-?[0-9][0-9.,]{0,40})\s?\}\s?\{\s?([0-9][0-9.,]{0,40})\s?\}|([0-9])\s?\{?([0-9])\}?)"
    r"(?!\s?[0-9(]|\.[0-9])"
)
_REPEATING = re.compile(r"\\(?:overline|bar)\s?\{?\s?([0-9]+)\s?\}?")
_TAG = re.compile(
    r"</?(?:b|i|u|em|strong|span|p|div|code|mark|br|font|h[1-6]|td|li)(?:\s[^<>]{0,80})?/?>", re.I
)
_MONEY = "(?:USD|EUR|GBP|CHF|CAD|AUD|INR|JPY|CNY|RMB|Rs|RM|Rp|kr)"
_CURRENCY = re.compile(
    rf"\b(?:(?:US|AU?|CA?|HK|NZ|NT|MX|R|S)(?={DRESS})|{_MONEY}\b\.?(?=\s?-?[0-9.])|{_MONEY}\.?(?=[0-9]))"
)
_ESCAPED = {"\\!": "", "{,}": ",", "{.}": ".", "\\$": "$", "\\%": "%", "\\#": "#", "\\_": "_"}
_ESCAPED |= {"\\{": "{", "\\}": "}", "...": "\u2026"}


def plain(text: str) -> str:
    """The text in plain characters, of another length; digits of other scripts stay as they are."""
    for spelling, char in _ESCAPED.items():
        text = text.replace(spelling, char)
    if "\\" in text or "&" in text or "^" in text or "<" in text:
        text = _without_latex(text)
    text = _CURRENCY.sub("", text.translate(_CHARACTERS))
    text = _RAISED.sub(lambda run: f"^({folded(run.group())})", text)
    text = _VULGAR.sub(lambda sign: _fraction(sign[1], folded(sign[2])), text)
    return text.replace("{", DRESS).replace("}", DRESS)


def folded(signs: str) -> str:
    """Superscripts, subscripts and fractions of one sign as the digits that they show: -2, 1/2."""
    return unicodedata.normalize("NFKC", signs).replace("\u2212", "-").replace("\u2044", "/")


def decimal(whole: str, decimals: str, repeating: str) -> Fraction:
    """The value of digits before and behind a decimal point, and of those that repeat for ever."""
    scale = 10 ** len(decimals)
    value = Fraction(int(whole + decimals or 0), scale)
    return value + Fraction(int(repeating), scale * (10 ** len(repeating) - 1)) if repeating else value


def _without_latex(text: str) -> str:
    text = _SPACE.sub(" ", _TAG.sub(DRESS, _COLOR.sub("", text)))
    text = _DEGREE.sub("°", _WRAPPED.sub(r"\1", _WRAPPED.sub(r"\1", text)))
    text = _FRACTION.sub(
        lambda one: _fraction(one[1], f"{one[2]}/{one[3]}" if one[2] else f"{one[4]}/{one[5]}"), text
    )
    text = _SCRIPT.sub(r"\1(\2)", _REPEATING.sub(r"(\1)", text))
    for delimiter in ("\\(", "\\)", "\\[", "\\]"):
        text = text.replace(delimiter, DRESS)
    return _COMMAND.sub(lambda command: _COMMANDS.get(command[1], command.group()), text)


def _fraction(before: str | None, fraction: str) -> str:
    """With a space after a digit, or 1½ would be 11/2."""
    return f"{before} {fraction}" if before else fraction
