r"""One spelling for what people and models write: \nicefrac12, \textcolor{red}{5}, 5~\mathrm{m/s}, ½, x².

`tidy` returns LaTeX in which \frac, \sqrt and ^ have their braces, words stand in \text{}, spacing is a
blank, and colour, size, boldness, dollar signs and a full stop are gone. It changes no value: what it does
not know it leaves as it stands. `escaping_fault` finds what JSON makes of \frac with one backslash.
"""

from __future__ import annotations

import re
import unicodedata

_CHARACTERS = {
    **dict.fromkeys("\u2212\u2012\u2013\u2014\u2015\ufe63\uff0d\u2011\u2010\u02d7", "-"),
    **dict.fromkeys(
        "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t\r\n\f\v", " "
    ),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u2061\u2062\u2063", ""),
    "\u00d7": "\\times ", "\u2715": "\\times ", "\u00b7": "\\cdot ", "\u22c5": "\\cdot ",
    "\u2219": "\\cdot ", "\u00f7": "\\div ", "\u2215": "/", "\u2044": "/", "\uff0f": "/",
    "\u00b1": "\\pm ", "\u2213": "\\mp ", "\u221e": "\\infty ", "\u2264": "\\le ", "\u2a7d": "\\le ",
    "\u2265": "\\ge ", "\u2a7e": "\\ge ", "\u2260": "\\ne ", "\u2248": "\\approx ",
    "\u2245": "\\cong ", "\u2261": "\\equiv ", "\u2208": "\\in ", "\u2209": "\\notin ",
    "\u222a": "\\cup ", "\u2229": "\\cap ", "\u2205": "\\emptyset ", "\u2216": "\\setminus ",
    "\u2192": "\\to ", "\u21d2": "\\Rightarrow ", "\u2032": "'", "\u2019": "'", "\u2033": "''",
    "\u2026": "\\ldots ", "\u22ef": "\\cdots ", "\u27e8": "\\langle ", "\u27e9": "\\rangle ",
    "\u2329": "\\langle ", "\u232a": "\\rangle ", "\u230a": "\\lfloor ", "\u230b": "\\rfloor ",
    "\u2308": "\\lceil ", "\u2309": "\\rceil ", "\u2220": "\\angle ", "\u2202": "\\partial ",
    "\u222b": "\\int ", "\u2211": "\\sum ", "\u220f": "\\prod ", "\u211d": "\\mathbb{R}",
    "\u00b0": "^\\circ ", "\u00ba": "^\\circ ", "\uff0c": ",", "\u3001": ",", "\uff1a": ":",
    "\uff1b": ";", "\uff08": "(", "\uff09": ")", "\uff05": "\\%", "\uff1d": "=", "\uff0b": "+",
    "\uff1c": "<", "\uff1e": ">", "\uff3b": "[", "\uff3d": "]", "\uff5c": "|", "\u2223": "|",
    "\uff0e": ".", "\uff0a": "*", "\u2217": "*", "\u3002": ".", "\uff04": "\\$",
}  # fmt: skip
_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi"
    " chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
GREEK = dict(
    zip(
        "\u03b1\u03b2\u03b3\u03b4\u03b5\u03b6\u03b7\u03b8\u03b9\u03ba\u03bb\u03bc\u03bd\u03be\u03c0\u03c1\u03c3\u03c4\u03c5\u03c6\u03c7\u03c8\u03c9"
        "\u0393\u0394\u0398\u039b\u039e\u03a0\u03a3\u03a5\u03a6\u03a8\u03a9",
        _NAMES.split(),
        strict=True,
    )
)
"""Greek letters and their names in LaTeX."""
_TABLE = str.maketrans({**_CHARACTERS, **{char: f"\\{name} " for char, name in GREEK.items()}})
_ROOTS = re.compile(r"([\u221a\u221b\u221c])\s*(?:(\d+(?:\.\d+)?|[A-Za-z\u03c0])|\(([^()]*)\))?")
_DEGREES = {"\u221a": "", "\u221b": "[3]", "\u221c": "[4]"}
_SUPERSCRIPTS = re.compile(r"[\u2070\u00b9\u00b2\u00b3\u2074-\u207f\u1d43-\u1d5b\u02e3]+")
_SUBSCRIPTS = re.compile(r"[\u2080-\u208e\u2090-\u209c]+")
_VULGAR = re.compile(r"[\u00bc-\u00be\u2150-\u215f\u2189]")

_NOTHING = re.compile(
    r"\\(?:left|right|middle)\s*\.|\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])"
    r"|\\(?:display|text|script|scriptscript)style(?![A-Za-z])|\\(?:no)?limits(?![A-Za-z])"
    r"|\\[hv]?phantom\s*(?:\{[^{}]*\}|-)|\\label\s*\{[^{}]*\}|\\tag\*?\s*\{[^{}]*\}"
    r"|\\(?:large|Large|LARGE|huge|Huge|small|normalsize|bf|rm|it|centering|nonumber|strut)(?![A-Za-z])"
    r"|\\color\s*(?:\[[^][]*\])?\s*\{[^{}]*\}|\\!|\\/|(?<!\\)\$"
)
_SPACE = re.compile(
    r"\\(?:q?quad|enspace|enskip|thinspace|medspace|thickspace|negthinspace|space|hfill|newline|par)(?![A-Za-z])"
    r"|\\hspace\*?\s*\{[^{}]*\}|(?<!\\)\\[,;:> ]|(?<!\\)~"
)
_WIDE = re.compile(r"(?<=[\w)}])\s*\\q?quad(?![A-Za-z])\s*(?=[-\w\\({])")
_DRESS = re.compile(
    r"\\(?:textcolor\s*(?:\[[^][]*\])?\s*\{[^{}]*\}|colorbox\s*\{[^{}]*\}|mathbf|boldsymbol|bm|mathit|underline"
    r"|uline|boxed|fbox|ensuremath|mathop|mathord|mathrel|mathbin|mathclose|mathopen|underbar|smash|mathstrut|pmb|emph|mathsf|mathtt"
    r"|mathnormal|textbf|textit)\s*\{"
)
_TEXT = re.compile(
    r"\\(?:textnormal|textrm|textsf|texttt|textup|textsc|mbox|hbox|mathrm|operatorname\*?|rm)\s*(?=\{)"
)
_PLAIN_TEXT = re.compile(r"\\text\s*\{\s*([^A-Za-z{}\\]*)\}")
_FRACTIONS = re.compile(r"\\(?:[dtc]frac|nicefrac|sfrac|flatfrac|xfrac|rfrac|tfrac)(?![A-Za-z])")
_FRACTION = re.compile(r"\\(frac|binom)\s*(\\[A-Za-z]+|[0-9A-Za-z])\s*(?=[\\{0-9A-Za-z])")
_HALF_FRACTION = re.compile(
    r"(\\(?:frac|binom)\s*\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})\s*(\\[A-Za-z]+|[0-9A-Za-z])"
)
_ROOT = re.compile(r"\\sqrt\s*((?:\[[^][]*\])?)\s*(\\[A-Za-z]+|[0-9A-Za-z])")
_BRACKETED = re.compile(r"\\sqrt\s*\(([^()]*)\)")
_NAMED = re.compile(
    r"\\text\s*\{\s*(sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|arcsin|arccos|arctan|ln|log|exp|lg|det|gcd|arg|Re|Im|e|i)\s*\}"
)
_BARE_FUNCTION = re.compile(
    r"(?<![\\A-Za-z])(arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|exp|sqrt|pi|infinity|inf|oo)(?![A-Za-z])"
)
_SYNONYMS = (
    (re.compile(r"(\\text\s*\{[^{}]*)\^\{(-?[0-9])\}"), r"\1^\2"),
    (re.compile(r"(\.[0-9]*)\\dot\s*\{?\s*([0-9])\s*\}?(?![0-9\\])"), r"\1\\overline{\2}"),
    (re.compile(r"\\[dt]binom(?![A-Za-z])"), r"\\binom"),
    (re.compile(r"\{([^{}]*)\\choose(?![A-Za-z])([^{}]*)\}"), r"\\binom{\1}{\2}"),
    (re.compile(r"^\s*\]([^][]*[,;][^][]*)\[\s*$"), r"(\1)"),
    (re.compile(r"^\s*\]([^][]*[,;][^][]*\])\s*$"), r"(\1"),
    (re.compile(r"^\s*(\[[^][]*[,;][^][]*)\[\s*$"), r"\1)"),
    (re.compile(r"\\mathbb\s*([A-Z])"), r"\\mathbb{\1}"),
    (re.compile(r"\b(?:US|USD)\s*\\\$"), r"\\$"),
    (re.compile(r"^\s*(?:\\text\s*\{\s*)?(?:minus|negative)\s*\}?\s*(?=[0-9.\\(])", re.IGNORECASE), "-"),
    (re.compile(r"\\leqslant(?![A-Za-z])|\\leqq(?![A-Za-z])|\\leq(?![A-Za-z])|<=|=<"), r"\\le "),
    (re.compile(r"\\geqslant(?![A-Za-z])|\\geqq(?![A-Za-z])|\\geq(?![A-Za-z])|>="), r"\\ge "),
    (re.compile(r"\\neq(?![A-Za-z])|\\not\s*=|!=(?!=)"), r"\\ne "),
    (re.compile(r"\\lt(?![A-Za-z])"), "<"),
    (re.compile(r"\\gt(?![A-Za-z])"), ">"),
    (re.compile(r"\\[lr]vert(?![A-Za-z])|\\vert(?![A-Za-z])|\\mid(?![A-Za-z])"), "|"),
    (re.compile(r"\\lbrace(?![A-Za-z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![A-Za-z])"), r"\\}"),
    (re.compile(r"\\lbrack(?![A-Za-z])"), "["),
    (re.compile(r"\\rbrack(?![A-Za-z])"), "]"),
    (re.compile(r"\\colon(?![A-Za-z])"), ":"),
    (re.compile(r"\\(?:dots|dotsc|dotsb|cdots|hdots)(?![A-Za-z])|\.\.\."), r"\\ldots "),
    (re.compile(r"\\(?:euro|texteuro)(?:\{\})?(?![A-Za-z])"), "\u20ac"),
    (re.compile(r"\\(?:pounds|textsterling)(?:\{\})?(?![A-Za-z])"), "\u00a3"),
    (re.compile(r"\\(?:textdollar|USD)(?:\{\})?(?![A-Za-z])"), r"\\$"),
    (
        re.compile(
            r"\\(?:degree|textdegree)(?:\{\})?(?![A-Za-z])|\^\s*\{\s*(?:\\circ|\\degree)\s*\}"
            r"|\^\s*(?:\\circ|\\degree)(?![A-Za-z])"
        ),
        r"^\\circ ",
    ),
    (re.compile(r"\\(?:prime)(?![A-Za-z])"), "'"),
    (re.compile(r"\^\s*\{\s*('+)\s*\}|\^\s*('+)"), r"\1\2"),
    (re.compile(r"(?<!\\)%"), r"\\%"),
    (re.compile(r"\\mathrm\s*\{?\s*\\infty\s*\}?"), r"\\infty"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\\varnothing(?![A-Za-z])|\\emptyset(?![A-Za-z])|\\\{\s*\\\}"), r"\\emptyset "),
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
    text = _SPACE.sub(" ", _NOTHING.sub("", text))
    text = _undressed(_FRACTIONS.sub(r"\\frac", text))
    text = _PLAIN_TEXT.sub(r"\1", _TEXT.sub(r"\\text", text))
    for pattern, plain in _SYNONYMS:
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
    text = _VULGAR.sub(_vulgar, text)
    text = _ROOTS.sub(
        lambda m: f"\\sqrt{_DEGREES[m[1]]}" + (f"{{{m[2] or m[3]}}}" if m[2] or m[3] else ""), text
    )
    text = _SUPERSCRIPTS.sub(lambda m: "^{" + _folded(m[0]) + "}", text)
    return _SUBSCRIPTS.sub(lambda m: "_{" + _folded(m[0]) + "}", text).translate(_TABLE)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("\u2212", "-")


def _vulgar(match: re.Match[str]) -> str:
    """\u00bd as \\frac{1}{2}."""
    top, _, bottom = unicodedata.normalize("NFKC", match[0]).partition("\u2044")
    return f"\\frac{{{top}}}{{{bottom}}}" if bottom else match[0]


def _undressed(text: str) -> str:
    """Without commands that change only how their content looks."""
    while (match := _DRESS.search(text)) is not None:
        end = _closing(text, match.end())
        if end is None:
            return text[: match.start()]
        text = f"{text[: match.start()]} {text[match.end() : end]} {text[end + 1 :]}"
    return text


def _closing(text: str, start: int) -> int | None:
    """Where the brace before `start` closes; None if it does not."""
    depth = 1
    for match in re.finditer(r"\\.|[{}]", text[start:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return start + match.start()
    return None


def _rows_joined(text: str) -> str:
    """An align environment as one line: rows that go on with a sign continue, others are listed."""
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
        joined += (
            row
            if not joined or row[0] in "=+-<>" or row.startswith(("\\approx", "\\le", "\\ge"))
            else ", " + row
        )
    return text[: match.start()] + joined + text[match.end() :]


def _bare_functions(text: str) -> str:
    """sqrt(2) and pi, as they stand in plain text, outside of \\text{}."""
    parts = re.split(r"(\\text\s*\{[^{}]*\})", text)
    parts[::2] = [_BARE_FUNCTION.sub(_command, part) for part in parts[::2]]
    return "".join(parts)


def _command(match: re.Match[str]) -> str:
    return "\\infty " if match[1] in ("infinity", "inf", "oo") else f"\\{match[1]} "


def _braced(text: str) -> str:
    """With the braces that \\frac\\pi2, \\sqrt2, 2^10 and x^(n+1) leave out."""
    text = _HALF_FRACTION.sub(r"\1{\2}", _FRACTION.sub(r"\\\1{\2}", text))
    text = _ROOT.sub(r"\\sqrt\1{\2}", _BRACKETED.sub(r"\\sqrt{\1}", text))
    return _DIGIT_POWER.sub(r"^{\1}", _PARENTHESISED_POWER.sub(r"^{\1}", text))
