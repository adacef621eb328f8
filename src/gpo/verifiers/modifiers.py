"""Words that make a number another one, or one of several; '_' stands for a space within one entry."""

from __future__ import annotations


def any_of(*lines: str) -> str:
    """A pattern for one of the entries."""
    return "(?:" + "|".join(entry.replace("_", " ") for line in lines for entry in line.split()) + ")"


SHARES = any_of(
    "half thirds? quarters? fourths? fifths? sixths? sevenths? eighths? ninths? tenths? hundredths?",
    "percent",
    "double triple twice thrice quadruple squared? cubed? roots? power factorial log\\w* ln sin cos",
    "tan exp sqrt",
    "inverse reciprocal opposite multiples? factors? divisors? remainder product difference ratio fraction",
    "moitié mitad metà metade hälfte doppelte половина половину",
)
"""Before a number, perhaps with "of"."""

BOUNDS = any_of(
    "than times plus over under above below beyond exceeds? divided_by multiplied_by modulo mod",
    "choose nor versus vs",
    "unlike either (?:hundred|thousand|million|billion|trillion|dozen)s?(?:_and)?",
)
"""Right before a number: more than 18, 20 divided by 18, a hundred and 18."""

ALTERNATIVES = any_of("or and to y o ou et oder und bis или и до")
"""Between two numbers of which neither is the answer; the later one is refused after these."""

JOINTS = any_of(
    "or and to through till until thru nor versus vs y o e u ou et à oder und bis или и до plus minus",
    "times over by",
    "than less divided_by multiplied_by out_of in_every in of choose mod modulo x from",
)
"""Between two numbers of which neither is the answer; the earlier one is refused before these."""

EXPLAINS = any_of(
    "because since as for when if at with after given while where is was are using via so that porque",
    "weil pour",
)
"""Between the answer and a number that explains it: 18 because 9 * 2 = 18."""

NUMBERS = any_of(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
    "seventeen",
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred half pi",
)

CHANGES = any_of(
    "factorial squared cubed raised to_the choose mod modulo base in_base divided multiplied plus",
    "minus point_\\w+",
    "(?:ten|hundred|thousand|million|four|six|seven|eigh|nin|twelf|twentie|sixteen|fif)th third",
    "per_mille permille basis_points? bps ppm ppb grand score gross something odd ish \\w*fold th st nd rd",
    "and_(?:a|one|three)_(?:half|third|quarters?|fourths?|fifths?|eighths?)",
    "and_(?:half|change|counting|up|above|over|below|under|more|some)",
    "or_(?:more|less|so|above|below|under|over|fewer|higher|lower|not|maybe|greater)",
    f"{NUMBERS}-(?:seconds|thirds|\\w+ths)",
    f"(?:times|less_than|more_than|fewer_than|or|to|minus|plus)_(?:a_|the_)?{NUMBERS}",
)
"""Behind a number: 18 squared, 18 and a half, 18 or more."""

UNSPACED_CHANGES = any_of(
    "分之 点 點 多 余 餘 几 幾 数 半 折 成(?!功) 割 番 번째 以上 以下 未満 未满 超 이상 이하 미만 초과",
    "の?[二三两2-9]倍 の?半分 の?[二三]乗 的一半 的[平立]方 的[二三两2-9] 的[二三四五]分 的?[阶階]乘",
)
"""The same in scripts without spaces: tenths, "or more", "one of 18 parts", "the half of 18"."""

UNSPACED_BOUNDS = any_of("[0-9][至到或和与及と] 超过 不到 少于 多于 大于 小于 的 第")
