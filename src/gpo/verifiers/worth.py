r"""What a number is worth: 1,800, 1.8 thousand, 3600/2 and 1.8 \times 10^3 are one number, exactly.

All that touches a number must be accounted for. A sign, a magnitude or a power of ten changes its value; a
currency, a percent sign or a unit that is known does not. What else touches it (18!, 18x, 18.0.1, #18, 18th),
and an operation in words (half of 18, 18 squared, 18 to 20), makes its value None, never the bare digits.

Decided where readings differ: a comma is a decimal comma only after other thousands separators (1.800,50 but
not 18,5, which may be a list); one dot is a decimal point (1.800 is 1.8); "about 18", ~18 and "at least 18"
name 18, while 18+, >18 and "more than 18" do not; 18K is 18,000 but 18 K (kelvin?) has no value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from gpo.verifiers import context
from gpo.verifiers.plain import DRESS, UNSPACED, decimal, plain

MAX_DIGITS = 400
"""Most digits of a number and of its power of ten: Python refuses to read a few thousand."""

_RUN = r"(?:[0-9]|\.(?=[0-9]))(?:[0-9]|[.,'\u2019_](?=[0-9])|\ (?=[0-9]{3}(?![0-9/])))*(?:\.?\([0-9]+\))?"
_NUMERAL = re.compile(
    rf"(?:(?<=[{UNSPACED}])|(?<![\w.^#]))"
    rf"(?:(?P<whole>[0-9]+)\ (?=[0-9]+\ ?/\ ?[0-9]))?(?P<top>{_RUN})"
    r"(?:[eE](?P<e>[-+]?[0-9]+)(?!\w|\.[0-9])"
    r"|\ ?[\u00d7x*]\ ?10\ ?(?:\^|\*\*)\ ?(?P<ten>\(\ ?-?[0-9]+\ ?\)|-?[0-9]+))?"
    rf"(?:\ ?/\ ?(?P<bottom>{_RUN}))?"
)
_POWER_OF_TEN = re.compile(r"(?<![\w.])10\ ?(?:\^|\*\*)\ ?(\(\ ?-?[0-9]+\ ?\)|[0-9]+)")
_POINT = re.compile(
    r"(?P<whole>[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+|(?:\ [0-9]{3})+|(?:['\u2019][0-9]{3})+|(?:_[0-9]{3})+)"
    r"|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}|[0-9]*)(?:\.(?P<decimals>[0-9]*)(?:\((?P<repeating>[0-9]+)\))?)?"
)
_COMMA = re.compile(
    r"(?P<whole>[1-9][0-9]{0,2}(?:(?:\.[0-9]{3})+|(?:\ [0-9]{3})+|(?:['\u2019][0-9]{3})+)),"
    r"(?P<decimals>[0-9]+)"
)
_DOTS = re.compile(r"(?P<whole>[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,})(?P<decimals>)")
_SIMPLE = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?")
"""What most answers are; the rest of the grammar takes ten times as long."""
_NOT_DIGITS = re.compile(r"[^0-9]")
_SIGN = re.compile(
    rf"(?:(?P<sign>[-+\u2013])|\b(?P<word>minus|negative|moins|menos|meno|min|минус|мінус)\b"
    rf"|(?P<unspaced>负|負|マイナス|마이너스))(?P<gap>[\ {DRESS}]*)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a text in plain characters, from `start` to `end` there.

    `value` is as it is written, 50 of "50 %", or None if something makes it more or less than its digits;
    `unit` is the known unit behind it ('%' for percent in any spelling), '' without one.
    """

    value: Fraction | None
    unit: str
    start: int
    end: int


def whole(text: str) -> Number | None:
    """The number that a text is, perhaps with a currency or a unit; None if it is anything else."""
    if _SIMPLE.fullmatch(text):
        return Number(Fraction(text), "", 0, len(text))
    line = plain(text).strip(f" \t\r\n*`{DRESS}")
    found = next(scan(line), None) if len(line) <= 2 * MAX_DIGITS else None
    if found is None or found.value is None:
        return None
    is_whole = not line[: found.start].strip(f" +{DRESS}") and not line[found.end :].strip(f" .*_`{DRESS}")
    return found if is_whole else None


def scan(line: str) -> Iterator[Number]:
    """The numbers of a text in plain characters, from left to right; digits of names (x2, m^2) are none."""
    match = _NUMERAL.search(line)
    while match:
        found = _number(line, match)
        yield found
        match = _NUMERAL.search(line, max(found.end, match.end()))


def _number(line: str, match: re.Match[str]) -> Number:
    power = _POWER_OF_TEN.match(line, match.start())
    end = power.end() if power else match.end()
    value = _power_of_ten(power[1]) if power else _value(match)
    start, sign = _signed(line, match.start())
    tail = context.tail(line, end, has_currency=DRESS in line[max(0, match.start() - 2) : match.start()])
    if value is None or sign is None or tail.factor is None:
        return Number(None, tail.unit, start, tail.end)
    is_cut = line.startswith("\u2026", end)  # 0.333... goes on, and so does 18...
    is_size = sign < 0 and line[start - 1 : start] == "|" == line[tail.end : tail.end + 1]  # |-18|
    is_open = context.is_open_before(line, start) and context.is_open_after(line, tail.end)
    is_alone = is_open and not (is_cut or is_size)
    return Number(value * (sign * tail.factor) if is_alone else None, tail.unit, start, tail.end)


def _signed(line: str, start: int) -> tuple[int, int | None]:
    """Where a number begins with its sign, and 1 or -1; None for the sign if it is an operator or a dash."""
    begin = max(0, start - context.NEAR)
    sign = _SIGN.search(line[begin:start])
    if sign is None:
        return start, 1
    place, is_word = begin + sign.start(), sign["sign"] is None
    if not context.is_sign(line, place, is_word=is_word, has_gap=" " in sign["gap"]):
        return place, None
    return place, 1 if sign["sign"] == "+" else -1


def _value(match: re.Match[str]) -> Fraction | None:
    """What the digits come to; None if their separators fit no way of writing numbers."""
    if match.span() == match.span("top"):  # most numbers: arithmetic with fractions is slow
        return _read(match["top"])
    top, bottom = _read(match["top"]), _read(match["bottom"] or "1")
    if len(match.group()) > MAX_DIGITS or top is None or not bottom:
        return None
    if match["whole"] is not None and (top >= bottom or match["top"].startswith("0")):
        return None
    power = match["e"] or match["ten"]
    scale = _power_of_ten(power) if power else Fraction(1)
    return None if scale is None else (Fraction(match["whole"] or 0) + top / bottom) * scale


def _read(digits: str) -> Fraction | None:
    """The value of digits with thousands separators and decimals."""
    if len(digits) > MAX_DIGITS:
        return None
    if digits.isdecimal():
        return Fraction(int(digits))
    match = _POINT.fullmatch(digits) or _COMMA.fullmatch(digits) or _DOTS.fullmatch(digits)
    if match is None:
        return None
    repeating = match.groupdict().get("repeating") or ""
    return decimal(_NOT_DIGITS.sub("", match["whole"]), match["decimals"] or "", repeating)


def _power_of_ten(exponent: str) -> Fraction | None:
    digits = exponent.strip("( )")
    if len(digits) > len(str(MAX_DIGITS)) + 1 or abs(int(digits)) > MAX_DIGITS:
        return None
    return Fraction(10) ** int(digits)
