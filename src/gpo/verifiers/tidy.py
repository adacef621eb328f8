r"""One spelling for what people and models write: \nicefrac12, \textcolor{red}{5}, 5~\mathrm{m/s}, ½, x².

`tidy` returns LaTeX in which \frac, \sqrt and ^ have their braces, words stand in \text{}, spacing is a
blank, and colour, size, boldness, dollar signs and a full stop are gone. It changes no value: what it does
not know it leaves as it stands. `escaping_fault` finds what JSON makes of \frac with one backslash.
"""

from __future__ import annotations

import re

from gpo.verifiers import words
from gpo.verifiers.answers import closing_brace
from gpo.verifiers.plain import INVISIBLE, SPACES, folded

GREEK = words.characters("greek")
"""Greek letters and their names in LaTeX."""
_TABLE = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2012\u2013\u2014\u2015\ufe63\uff0d\u2011\u2010\u02d7", "-"),
        **dict.fromkeys(SPACES + "\u205f\t\r\n\f\v", " "),
        **dict.fromkeys(INVISIBLE + "\u2061\u2062\u2063", ""),
        **{char: f"{tex} " if tex[-1].isalpha() else tex for char, tex in words.characters("latex").items()},
        **{char: f"\\{name} " for char, name in GREEK.items()},
    }
)
_ROOTS = re.compile(r"([\u221a\u221b\u221c])\s*(?:(\d+(?:\.\d+)?|[A-Za-z\u03c0])|\(([^()]*)\))?")
_DEGREES = {"\u221a": "", "\u221b": "[3]", "\u221c": "[4]"}
_SUPERSCRIPTS = re.compile(r"[\u2070\u00b9\u00b2\u00b3\u2074-\u207f\u1d43-\u1d5b\u02e3]+")
_SUBSCRIPTS = re.compile(r"[\u2080-\u208e\u2090-\u209c]+")
_VULGAR = re.compile(r"[\u00bc-\u00be\u2150-\u215e\u2189]")

_NOTHING = re.compile(
    r"\\(?:left|right|middle)\s*\.|\\[hv]?phantom\s*(?:\{[^{}]*\}|-)|\\label\s*\{[^{}]*\}|\\tag\*?\s*\{[^{}]*\}"
    r"|\\color\s*(?:\[[^][]*\])?\s*\{[^{}]*\}|\\!|\\/|(?<!\\)\$|\\([A-Za-z]+)"
)
_SPACE = re.compile(r"\\hspace\*?\s*\{[^{}]*\}|(?<!\\)\\[,;:> ]|(?<!\\)~|\\([A-Za-z]+)")
_SIGN = re.compile(r"\\([A-Za-z]+)")
_DRESSING, _SPACING = words.commands("latex_dress"), words.commands("latex_commands")
_SIGNS = words.commands("latex_signs")
_WIDE = re.compile(r"(?<=[\w)}])\s*\\q?quad(?![A-Za-z])\s*(?=[-\w\\({])")
_DRESS = re.compile(
    r"\\(?:textcolor\s*(?:\[[^][]*\])?\s*\{[^{}]*\}|colorbox\s*\{[^{}]*\}|mathbf|boldsymbol|bm|mathit|underline"
    r"|uline|boxed|fbox|ensuremath|mathop|mathord|mathrel|mathbin|mathclose|mathopen|underbar|smash|mathstrut|pmb"
    r"|emph|mathsf|mathtt|mathnormal|textbf|textit)\s*\{"
)
_TEXT = re.compile(
    r"\\(?:textnormal|textrm|textsf|texttt|textup|textsc|mbox|hbox|mathrm|operatorname\*?)\s*(?=\{)"
)
_PLAIN_TEXT = re.compile(r"\\text\s*\{\s*([^A-Za-z{}\\]*)\}")
_FRACTION = re.compile(r"\\(frac|binom)\s*(\\[A-Za-z]+|[0-9A-Za-z])\s*(?=[\\{0-9A-Za-z])")
_HALF_FRACTION = re.compile(
    r"(\\(?:frac|binom)\s*\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})\s*(\\[A-Za-z]+|[0-9A-Za-z])"
)
_ROOT = re.compile(r"\\sqrt\s*((?:\[[^][]*\])?)\s*(\\[A-Za-z]+|[0-9A-Za-z])")
_BRACKETED = re.compile(r"\\sqrt\s*\(([^()]*)\)")
_NAMED = re.compile(
    r"\\text\s*\{\s*(sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|arcsin|arccos|arctan|ln|log|exp|lg|det|gcd|arg|Re|Im|e|i)"
    r"\s*\}"
)
_BARE_FUNCTION = re.compile(
    r"(?<![\\A-Za-z])(arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|exp|sqrt|pi|infinity|inf|oo)"
    r"(?![A-Za-z])"
)
_INFINITY = dict.fromkeys(("infinity", "inf", "oo"), "infty")
_BEFORE_SIGNS = [
    (re.compile(pattern, re.IGNORECASE if "minus" in pattern else 0), spelling)
    for pattern, spelling in (
        (r"(\\text\s*\{[^{}]*)\^\{(-?[0-9])\}", r"\1^\2"),
        (r"(\.[0-9]*)\\dot\s*\{?\s*([0-9])\s*\}?(?![0-9\\])", r"\1\\overline{\2}"),
        (r"\{([^{}]*)\\choose(?![A-Za-z])([^{}]*)\}", r"\\binom{\1}{\2}"),
        (r"^\s*\]([^][]*[,;][^][]*)\[\s*$", r"(\1)"),
        (r"^\s*\]([^][]*[,;][^][]*\])\s*$", r"(\1"),
        (r"^\s*(\[[^][]*[,;][^][]*)\[\s*$", r"\1)"),
        (r"\\mathbb\s*([A-Z])", r"\\mathbb{\1}"),
        (r"\b(?:US|USD)\s*\\\$", r"\\$"),
        (r"^\s*(?:\\text\s*\{\s*)?(?:minus|negative)\s*\}?\s*(?=[0-9.\\(])", "-"),
        (r"<=|=<", r"\\le "),
        (r">=", r"\\ge "),
        (r"\\not\s*=|!=(?!=)", r"\\ne "),
        (r"\.\.\.", r"\\ldots "),
        (r"\\(euro|texteuro|pounds|textsterling|textdollar|USD|degree|textdegree)\{\}(?![A-Za-z])", r"\\\1"),
        (r"\^\s*(?:\{\s*\\(?:circ|degree)\s*\}|\\(?:circ|degree)(?![A-Za-z]))", r"^\\circ "),
    )
]
_AFTER_SIGNS = (
    (re.compile(r"\^\s*(?:\{\s*('+)\s*\}|('+))"), r"\1\2"),
    (re.compile(r"(?<!\\)%"), r"\\%"),
    (re.compile(r"\\mathrm\s*\{?\s*\\infty\s*\}?"), r"\\infty"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\\\{\s*\\\}"), r"\\emptyset "),
)
_THOUSANDS = re.compile(r"(?<=[0-9])\s*\{\s*,\s*\}\s*(?=[0-9]{3}(?![0-9]))")
_SPACED_THOUSANDS = re.compile(r"(?<![\w.^_])[0-9]{1,3}(?: [0-9]{3})+(?![0-9/])")
_PARENTHESISED_POWER = re.compile(r"\^\s*\(([^()]*)\)")
_DIGIT_POWER = re.compile(r"\^\s*(-?[0-9]{2,})(?![0-9.])")
_ESCAPES = {
    "\f": "f", "\t": "t", "\b": "b", "\v": "v", "\r": "r", "\a": "a", "\n": "n",
}  # fmt: skip
_COMMANDS = re.compile(
    r"(f)(?:rac|orall|box|loor|lat)|(t)(?:ext|frac|imes|heta|an|au|o(?![a-z])|riangle|ilde)|(b)(?:oxed|egin|inom|eta|ar|ig|mod|f(?![a-z])|ullet)"
    r"|(v)(?:ec|ee|ar|dots|ert|space|phantom)|(r)(?:ight|angle|ho|floor|ceil|brace|vert|m(?![a-z]))|(a)(?:lpha|ngle|pprox|rc|st|leph)"
    r"|(n)(?:eq?(?![a-z])|u(?![a-z])|abla|ot(?![a-z])|otin|icefrac|i(?![a-z])|parallel|eg(?![a-z])|mid)"
)


def tidy(answer: str) -> str:
    """The answer in one spelling of LaTeX."""
    text = _rows_joined(_unicode(answer))
    text = _WIDE.sub(r" \\quad ", text).replace(" \\quad ", " \u241f ")  # a wide gap parts two values
    text = _NOTHING.sub(lambda m: _DRESSING.get(m[1], m[0]) if m[1] else "", text)
    text = _SPACE.sub(lambda m: _SPACING.get(m[1], m[0]) if m[1] else " ", text)
    text = _PLAIN_TEXT.sub(r"\1", _TEXT.sub(r"\\text", _undressed(text)))
    for pattern, plain in _BEFORE_SIGNS:
        text = pattern.sub(plain, text)
    text = _SIGN.sub(lambda m: _SIGNS.get(m[1], m[0]), text)
    for pattern, plain in _AFTER_SIGNS:
        text = pattern.sub(plain, text)
    text = _NAMED.sub(lambda match: match[1] if match[1] in "ei" else f"\\{match[1]} ", text)
    text = _braced(_bare_functions(text))
    text = _SPACED_THOUSANDS.sub(lambda match: match[0].replace(" ", ""), _THOUSANDS.sub("", text))
    return " ".join(text.split()).rstrip("., ;").strip()


def escaping_fault(text: str) -> str | None:
    r"""The command whose backslash a control character has eaten: "\\frac" for a form feed and "rac"."""
    for index, char in enumerate(text):
        letter = _ESCAPES.get(char)
        match = letter and _COMMANDS.match(letter + text[index + 1 : index + 12])
        if match and (char != "\n" or index == 0 or text[index - 1] != "\n"):
            return "\\" + match[0]
        if ord(char) < 32 and char not in "\t\n\r":
            return f"\\x{ord(char):02x}"
    return None


def _unicode(text: str) -> str:
    text = _VULGAR.sub(lambda m: re.sub(r"(.+)/(.+)", r"\\frac{\1}{\2}", folded(m[0])), text)
    text = _ROOTS.sub(
        lambda m: f"\\sqrt{_DEGREES[m[1]]}" + (f"{{{m[2] or m[3]}}}" if m[2] or m[3] else ""), text
    )
    text = _SUPERSCRIPTS.sub(lambda m: "^{" + folded(m[0]) + "}", text)
    return _SUBSCRIPTS.sub(lambda m: "_{" + folded(m[0]) + "}", text).translate(_TABLE)


def _undressed(text: str) -> str:
    """Without commands that change only how their content looks."""
    while (match := _DRESS.search(text)) is not None:
        end = closing_brace(text, match.end())
        if end is None:
            return text[: match.start()]
        text = f"{text[: match.start()]} {text[match.end() : end]} {text[end + 1 :]}"
    return text


def _rows_joined(text: str) -> str:
    """An align environment as one line: rows that start with a sign continue, others are listed."""
    match = re.search(
        r"\\begin\{(align\*?|aligned|gather\*?|gathered|split|equation\*?|eqnarray\*?)\}(.*)\\end\{\1\}",
        text,
        re.DOTALL,
    )
    if match is None:
        return text
    rows = [row.replace("&", " ").strip() for row in re.split(r"\\\\(?:\[[^]]*\])?", match[2])]
    joined = ""
    for row in filter(None, rows):
        goes_on = not joined or row[0] in "=+-<>" or row.startswith(("\\approx", "\\le", "\\ge"))
        joined += row if goes_on else ", " + row
    return text[: match.start()] + joined + text[match.end() :]


def _bare_functions(text: str) -> str:
    """sqrt(2) and pi, as they stand in plain text, outside of \\text{}."""
    parts = re.split(r"(\\text\s*\{[^{}]*\})", text)
    for i in range(0, len(parts), 2):
        parts[i] = _BARE_FUNCTION.sub(lambda m: f"\\{_INFINITY.get(m[1], m[1])} ", parts[i])
    return "".join(parts)


def _braced(text: str) -> str:
    """With the braces that \\frac\\pi2, \\sqrt2, 2^10 and x^(n+1) leave out."""
    text = _HALF_FRACTION.sub(r"\1{\2}", _FRACTION.sub(r"\\\1{\2}", text))
    text = _ROOT.sub(r"\\sqrt\1{\2}", _BRACKETED.sub(r"\\sqrt{\1}", text))
    return _DIGIT_POWER.sub(r"^{\1}", _PARENTHESISED_POWER.sub(r"^{\1}", text))
