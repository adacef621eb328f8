"""Pairs of mathematical answers that are known to differ, or to be equal, in the wordings of models."""

import random
from collections.abc import Callable

import pytest
from wordings import SEED

from gpo import verifiers
from gpo.types import Problem
from gpo.verifiers import math

NUM_DIFFERENT, NUM_EQUAL = 20_000, 5_000

Pair = tuple[str, str]
Random = random.Random

FORMS = [
    "So we are done: $\\boxed{%s}$.",
    "\\boxed{%s}",
    "The answer is $%s$.",
    "**Answer:** $%s$",
    "Therefore\n\\[\n%s\n\\]",
    "The final answer is \\(%s\\).",
    "We find that\n$$\\boxed{%s}$$",
    "<think>Maybe \\boxed{99999}?</think>Thus $\\boxed{%s}$",
]
UNITS = ["cm", "m", "km", "inches", "feet", "hours", "minutes", "kg", "dollars", "apples", "m/s", "cm^2"]
WORDS = ["Monday", "Friday", "even", "odd", "Alice", "circle", "parabola", "yes", "no", "blue", "neither"]
NAMES = ["THT", "ABC", "HTTH", "CBAD", "LQSX", "XZY", "PQR"]


def whole(rng: Random) -> int:
    return rng.choice([rng.randint(2, 20), rng.randint(2, 999), rng.randint(1000, 99_999)])


def other(rng: Random, number: int) -> int:
    """Another whole number, such as a slip makes."""
    return rng.choice([number + 1, number - 1, number * 10, number + 10, -number, 2 * number])


def expression(rng: Random) -> tuple[str, str]:
    """An expression with a place for a number in it, and that number."""
    a, b, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9)
    forms = [f"{a}x^2+@x-{b}", f"\\frac{{@\\sqrt{{{a}}}}}{{{b}}}", f"@\\pi+{a}", f"{a}+@\\sqrt{{{b}}}"]
    forms += [f"(x-@)(x+{a}y)", f"\\frac{{@}}{{x+{b}}}", f"{a}^{{@}}", f"\\log_{{{a}}}(@x)", f"@e^{{{a}x}}"]
    forms += [f"\\sin(@x)+{c}", f"@i-{a}", f"\\binom{{{a + 20}}}{{@}}", f"|x-@|+{b}", "\\sqrt[3]{@+x}"]
    form = rng.choice([*forms, f"\\frac{{{a}x+@}}{{{b}y}}"])
    return form, str(rng.randint(2, 9))


def different_number(rng: Random) -> Pair:
    number = whole(rng)
    return str(number), str(other(rng, number))


def different_decimal(rng: Random) -> Pair:
    number = f"{rng.randint(0, 99)}.{rng.randint(1, 99):02d}"
    return number, rng.choice(
        [number + "1", "-" + number, number.replace(".", ""), number[:-1] + "x", number + ".1"]
    )


def different_fraction(rng: Random) -> Pair:
    top, bottom = rng.sample([2, 3, 5, 7, 11, 13, 17, 19], 2)
    wrong = rng.choice([(bottom, top), (top + 1, bottom), (top, bottom + 1), (-top, bottom)])
    return f"\\frac{{{top}}}{{{bottom}}}", rng.choice(["\\frac{%d}{%d}", "%d/%d", "\\dfrac{%d}{%d}"]) % wrong


def different_tail(rng: Random) -> Pair:
    number = str(whole(rng) + 1)  # 2! is 2
    tail = [
        "!",
        "x",
        ".0.1",
        ")(2",
        "^2",
        "\\sqrt{2}",
        "\\pi",
        "\\text{ or less}",
        " + 1",
        "\\%\\%",
        "_9",
        "e3",
        "^\\circ + 1",
    ]
    tail += [
        "\\text{ million}",
        "\\text{ is wrong}",
        ", 0",
        "\\pm 1",
        ":30",
        "...",
        "\\text{th}",
        "\\text{ Millionen}",
        "\\text{-ish}",
        "\\text{ or }7",
        "\\approx 1",
        "i",
        "'x",
    ]
    return number, number + rng.choice(tail)


def different_unit(rng: Random) -> Pair:
    number = whole(rng)
    one, two = rng.sample(UNITS, 2)
    return f"{number}\\text{{ {one}}}", rng.choice(["%d\\text{ %s}", "%d~\\mathrm{%s}", "%d %s"]) % (
        number,
        two,
    )


def different_time(rng: Random) -> Pair:
    hour, minute = rng.randint(1, 12), rng.randint(13, 58)
    gold = f"{hour}:{minute}\\text{{ p.m.}}"
    wrong = [
        f"{hour}:{minute}\\text{{ a.m.}}",
        f"{hour}:{minute + 1}\\text{{ pm}}",
        f"{minute}:{hour}",
        str(hour),
    ]
    length = f"{hour}\\text{{ hours }}{minute}\\text{{ minutes}}"
    return rng.choice(
        [(gold, rng.choice(wrong)), (f"{minute}\\text{{ minutes}}", length), (f"{hour}", length)]
    )


def vector(top: int, bottom: int) -> str:
    return f"\\begin{{pmatrix}}{top}\\\\{bottom}\\end{{pmatrix}}"


def different_order(rng: Random) -> Pair:
    items = rng.sample(range(2, 60), 3)
    ordered, turned = ",".join(map(str, items)), ",".join(map(str, [items[1], items[0], items[2]]))
    name = rng.choice(NAMES)
    letters = rng.sample("ABCDEFGH", 3)
    turned_letters = [letters[2], letters[0], letters[1]]
    return rng.choice(
        [
            (f"({ordered})", f"({turned})"),
            (name, name[1:] + name[0]),
            (f"\\text{{{name}}}", name[1:] + name[0]),
            (", ".join(letters), ", ".join(turned_letters)),
            (f"{items[0]}:{items[1]}", f"{items[1]}:{items[0]}"),
            (vector(*items[:2]), vector(items[1], items[0])),
        ]
    )  # fmt: skip


def different_list(rng: Random) -> Pair:
    items = sorted(rng.sample(range(2, 99), rng.randint(2, 4)))
    gold = ", ".join(map(str, items))
    wrong = [
        items[1:],
        [*items, items[0]],
        [*items, 100],
        [-items[0], *items[1:]],
        [items[0] + 1, *items[1:]][::-1],
    ]
    return gold, rng.choice(["%s", "\\{%s\\}"]) % ", ".join(map(str, rng.choice(wrong)))


def different_interval(rng: Random) -> Pair:
    low, high = sorted(rng.sample(range(-20, 20), 2))
    gold = f"[{low},{high})"
    wrong = [
        f"[{low},{high}]",
        f"({low},{high})",
        f"({low},{high}]",
        f"[{low},{high + 1})",
        f"{low}<x<{high}",
    ]
    wrong += [
        f"[{low},{high})\\cup({high + 1},\\infty)",
        f"x<{high}",
        f"{low}\\le x\\le {high}",
        f"({low},\\infty)",
    ]
    return gold, rng.choice(wrong)


def different_bound(rng: Random) -> Pair:
    number = whole(rng)
    wrong = [
        f"x<{number}",
        f"x\\le {number}",
        f"x\\geq {number}",
        f"x={number}",
        str(number),
        f"y>{number}",
        f"x \\ne {number}",
    ]
    return f"x>{number}", rng.choice(wrong)


def different_matrix(rng: Random) -> Pair:
    a, b, c, d = rng.sample(range(-9, 10), 4)
    gold = f"\\begin{{pmatrix}} {a} & {b} \\\\ {c} & {d} \\end{{pmatrix}}"
    wrong = [
        f"\\begin{{pmatrix}} {a} & {c} \\\\ {b} & {d} \\end{{pmatrix}}",
        f"({a},{b},{c},{d})",
        f"{a},{b},{c},{d}",
    ]
    wrong += [gold.replace("pmatrix", "vmatrix"), gold.replace(f"{d} \\end", f"{d + 1} \\end")]
    return gold, rng.choice(wrong)


def different_expression(rng: Random) -> Pair:
    form, number = expression(rng)
    wrong = rng.choice([str(int(number) + 1), f"(-{number})", str(10 * int(number)), f"{number}z", "\\infty"])
    wrong = wrong if "binom" not in form else str(int(number) + 1)
    if "^{" in form and wrong == f"(-{number})":
        wrong = f"{number}z"
    return form.replace("@", number), form.replace("@", wrong)


def different_word(rng: Random) -> Pair:
    one, two = rng.sample(WORDS, 2)
    return f"\\text{{{one}}}", rng.choice(["%s", "\\text{%s}", "\\mathrm{%s}", "\\text{not %s}"]) % two


def different_name(rng: Random) -> Pair:
    one, two = rng.sample(["x", "y", "x'", "x_1", "x_2", "\\alpha", "n", "\\vec{x}", "X", "\\overline{x}"], 2)
    return rng.choice(
        [(one, two), (f"{one}+1", f"{two}+1"), (f"{one}=3", f"{two}=3"), (f"2{one}", f"2{two}")]
    )


def different_kind(rng: Random) -> Pair:
    golds = [
        "\\pi",
        "e",
        "\\sqrt{2}",
        "0",
        "5",
        "\\frac{1}{3}",
        "x^2",
        "(1,2)",
        "\\frac{dy}{dx}",
        "\\infty",
        "50\\%",
        "1011_2",
    ]
    never = [
        "|\\infty|",
        "|\\log_2{\\infty}|",
        "\\infty-\\infty",
        "\\frac{1}{0}",
        "\\log 0",
        "-\\infty",
        "\\text{nan}",
        "0\\cdot\\infty",
    ]
    never += [
        "\\lim_{n} n",
        "\\frac{dx}{dy}",
        "\\frac{0}{0}",
        "1011_3",
        "\\int",
        "",
        "?",
        "\\ldots",
        "\\text{answer}",
        "[1,2]",
        "0^0",
    ]
    return rng.choice(golds), rng.choice(never)


DIFFERENT: list[Callable[[Random], Pair]] = [
    different_number,
    different_decimal,
    different_fraction,
    different_tail,
    different_unit,
    different_time,
    different_order,
    different_list,
    different_interval,
    different_bound,
    different_matrix,
    different_expression,
    different_word,
    different_name,
    different_kind,
]


def equal_number(rng: Random) -> Pair:
    number = whole(rng)
    forms = [
        "%d",
        "%d.0",
        "%d\\text{ cm}",
        "+%d",
        "x = %d",
        "%d^\\circ",
        "{%d}",
        "\\mathbf{%d}",
        "\\textcolor{red}{%d}",
        "%d\\quad",
    ]
    forms += [
        "\\text{%d}",
        "$%d$",
        "\\displaystyle %d",
        "%d~\\mathrm{m/s}",
        "\\$%d",
        "\u20ac%d",
        "%d.",
        "\\underline{%d}",
    ]
    grouped = [f"{number:,}", f"{number:,}".replace(",", "{,}"), f"{number:,}".replace(",", "\\,")]
    return str(number), rng.choice([form % number for form in forms] + grouped)


def equal_fraction(rng: Random) -> Pair:
    top, bottom, scale = *rng.sample([2, 3, 5, 7, 11, 13, 17, 19], 2), rng.randint(2, 9)
    forms = [
        "%d/%d",
        "\\dfrac{%d}{%d}",
        "\\tfrac{%d}{%d}",
        "\\nicefrac{%d}{%d}",
        "\\cfrac{%d}{%d}",
        "{%d \\over %d}",
    ][:5]
    pair = (top * scale, bottom * scale)
    return f"\\frac{{{top}}}{{{bottom}}}", rng.choice(forms) % rng.choice([pair, (top, bottom)])


def equal_expression(rng: Random) -> Pair:
    a, b, c = (rng.randint(2, 9) for _ in range(3))
    return rng.choice(
        [
            (f"(x+{a})(x-{b})", f"x^2+({a}-{b})x-{a * b}"),
            (f"{a}\\sqrt{{{b}}}", f"\\sqrt{{{a * a * b}}}"),
            (f"\\frac{{{a}}}{{\\sqrt{{{b}}}}}", f"\\frac{{{a}\\sqrt{{{b}}}}}{{{b}}}"),
            (f"{a}x+{b}y", f"{b}y + {a}x"),
            (f"{a}\\pi", f"{a}\u03c0"),
            (f"x^2+{a}", f"x\u00b2 + {a}"),
            (f"{a}\\pm\\sqrt{{{b}}}", f"{a}-\\sqrt{{{b}}}, {a}+\\sqrt{{{b}}}"),
            (f"y={a}x+{b}", f"y - {a}x = {b}"),
            (f"{a}^{{{b}}}", str(a**b)),
            (f"\\sqrt{{{a * b}}}", f"\u221a{a * b}"),
            (f"e^{{{a}x}}", f"(e^x)^{{{a}}}"),
            (f"\\ln {a}x+{c}", f"{c}+\\ln({a}x)"),
        ]
    )


def equal_structure(rng: Random) -> Pair:
    low, high = sorted(rng.sample(range(-20, 20), 2))
    return rng.choice(
        [
            (f"{low},{high}", f"{high}, {low}"),
            (f"{low},{high}", f"\\{{{high}, {low}\\}}"),
            (f"{low},{high}", f"x={low}\\text{{ or }}x={high}"),
            (f"[{low},{high})", f"{low} \\le x < {high}"),
            (f"[{low},{high})", f"x \\in \\left[{low}, {high}\\right)"),
            (f"({low},{high})", f"\\left( {low} ,\\, {high} \\right)"),
            (f"(-\\infty,{low})\\cup({high},\\infty)", f"x > {high} \\text{{ or }} x < {low}"),
            (vector(low, high), vector(low, high).replace("pmatrix", "bmatrix")),
            (f"x<{high}", f"{high}>x"),
            ("\\text{(B)}", "B"),
            (f"{high + 30}\\text{{ minutes}}", f"{high + 30} min"),
            (f"{high + 30}\\text{{ cm}}^2", f"{high + 30}\\ \\text{{square centimeters}}"),
        ]
    )  # fmt: skip


EQUAL: list[Callable[[Random], Pair]] = [equal_number, equal_fraction, equal_expression, equal_structure]


@pytest.mark.parametrize("kind", DIFFERENT, ids=lambda kind: kind.__name__)
def test_no_different_answer_is_right(kind: Callable[[Random], Pair]) -> None:
    rng = Random(f"{SEED} {kind.__name__}")
    for _ in range(NUM_DIFFERENT // len(DIFFERENT) + 1):
        gold, answer = kind(rng)
        text = rng.choice(FORMS) % answer
        assert math.score(text, gold, {}) == 0.0, f"GPO_FUZZ_SEED={SEED}: {text!r} for {gold!r}"


@pytest.mark.parametrize("kind", EQUAL, ids=lambda kind: kind.__name__)
def test_every_equal_answer_is_right(kind: Callable[[Random], Pair]) -> None:
    rng = Random(f"{SEED} {kind.__name__}")
    for _ in range(NUM_EQUAL // len(EQUAL)):
        gold, answer = kind(rng)
        text = rng.choice(FORMS) % answer
        assert math.score(text, gold, {}) == 1.0, f"GPO_FUZZ_SEED={SEED}: {text!r} for {gold!r}"


def test_a_score_depends_on_its_two_strings_alone() -> None:
    rng = Random(SEED)
    pairs = [rng.choice(DIFFERENT + EQUAL)(rng) for _ in range(500)]
    pairs += [("\\pi", "|\\infty|"), ("\\infty", "|\\infty|"), ("\\pi", "\\pi"), ("2", "|\\log_2{\\infty}|")]
    texts = [f"\\boxed{{{answer}}}" for _, answer in pairs]
    here = [math.score(text, gold, {}) for text, (gold, _) in zip(texts, pairs, strict=True)]
    assert 50 < sum(here) < 450
    order = rng.sample(range(len(pairs)), len(pairs))
    assert [math.score(texts[i], pairs[i][0], {}) for i in order] == [here[i] for i in order], f"seed {SEED}"
    for shuffle in (rng.sample(order, len(order)), order[::-1], order):
        problems = [Problem(str(i), (0,), pairs[i][0]) for i in shuffle]
        with verifiers.load("math", num_workers=2) as fresh:
            assert fresh.score(problems, [texts[i] for i in shuffle]) == [here[i] for i in shuffle], (
                f"seed {SEED}"
            )


def test_the_seed_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f" GPO_FUZZ_SEED={SEED} ", end="")
    assert SEED >= 0
