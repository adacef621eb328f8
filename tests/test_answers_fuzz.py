"""Pairs of numbers, letters and words that are known to differ, or to be equal, in the wordings of models."""

import random
from collections import Counter
from collections.abc import Callable
from types import ModuleType

import pytest
from wordings import FORMULAS, PLAIN, SEED

from gpo.verifiers import exact, number, option

NUM_DIFFERENT, NUM_EQUAL = 20_000, 3_000

Random = random.Random
Pair = tuple[str, str]
LETTERS = "ABCDE"
WORDS = [
    "yes",
    "no",
    "valid",
    "invalid",
    "True",
    "False",
    "apple",
    "bear",
    "cat",
    "Monday",
    "blue",
    "plausible",
]
MAGNITUDES = [
    "hundred",
    "thousand",
    "million",
    "billion",
    "dozen",
    "mil millones",
    "Millionen",
    "lakh",
    "\u4e07",
]


def whole(rng: Random) -> int:
    return rng.choice([rng.randint(13, 99), rng.randint(100, 999), rng.randint(1000, 99_999)])


def other_number(rng: Random) -> Pair:
    one = whole(rng)
    wrong = [one + 1, one - 1, one * 10, one + 100, -one, one * 1000 + 7]
    return str(one), str(rng.choice(wrong))


def other_digits(rng: Random) -> Pair:
    one = str(whole(rng))
    place = rng.randrange(len(one) - 1)
    turned = one[:place] + one[place + 1] + one[place] + one[place + 2 :]
    return one, turned if turned != one else one + "0"


def other_sign(rng: Random) -> Pair:
    one = whole(rng)
    signs = [
        "-%d",
        "\u2212%d",
        "\u2013%d",
        "\uff0d%d",
        "minus %d",
        "negative %d",
        "-$%d",
    ]  # "- 18" may be an item of a list
    return str(one), rng.choice(signs) % one


def other_magnitude(rng: Random) -> Pair:
    one = whole(rng)
    return str(one), f"{one} {rng.choice(MAGNITUDES)}"


def other_power(rng: Random) -> Pair:
    one, power = whole(rng), rng.randint(2, 9)
    forms = [
        "{}e{}",
        "{}E-{}",
        "{} * 10^{}",
        "{} \u00d7 10^{}",
        "{}^{}",
        "{}**{}",
        "{}_{}",
        "{} mod {}",
        "{}!{}",
    ]
    return str(one), rng.choice(forms).format(one, power)


def other_time(rng: Random) -> Pair:
    one, minute = rng.randint(1, 12), rng.randint(13, 58)
    forms = ["{}:{}", "{} hours and {} minutes", "{} h {} min", "{} feet {} inches"]
    return str(one), rng.choice(forms).format(one, minute)


def other_range(rng: Random) -> Pair:
    one = whole(rng)
    two = one + rng.randint(1, 9)
    forms = [
        "{}-{}",
        "{} to {}",
        "{}\u2013{}",
        "{} or {}",
        "{} and {}",
        "between {} and {}",
        "{}; {}",
        "{}/{}",
    ]
    return str(rng.choice([one, two])), rng.choice(forms).format(one, two)


def other_fraction(rng: Random) -> Pair:
    top, bottom = rng.sample([2, 3, 5, 7, 11, 13, 17, 19], 2)
    wrong = rng.choice([f"{bottom}/{top}", f"{top} {bottom}/23", f"{top}", f"{bottom}", f"{top}/{bottom}/2"])
    return f"{top}/{bottom}", wrong


def other_separator(rng: Random) -> Pair:
    one, tail = rng.randint(1, 99), rng.randint(101, 989)
    forms = ["{}.{}", "{}.{}.0.1", "{},{},2", "{}_{}_7", "{}'{}'1", "{} {} 3"]
    return f"{one}{tail}", rng.choice(forms).format(one, tail)


def other_tail(rng: Random) -> Pair:
    one = whole(rng)
    tails = ["!", "x", ".0.1", ")(2", "^2", " squared", "+", " or more", "/7", "th", "...", " and a half"]
    tails += [
        " thousandths",
        " is wrong",
        "-ish",
        "-fold",
        " choose 2",
        " in base 9",
        "\u00b11",
        "i",
        " percentile",
    ]
    return str(one), f"{one}{rng.choice(tails[:-1])}"


def other_letter(rng: Random) -> Pair:
    one, two = rng.sample(LETTERS, 2)
    return one, rng.choice(["%s", "(%s)", "option %s", "%s)", "%s.", "[%s]", "%s, of course"]) % two


def denied_letter(rng: Random) -> Pair:
    one, two = rng.sample(LETTERS, 2)
    forms = ["not {0}", "{1}, not {0}", "not {0} but {1}", "{1} (not {0})", "{0} is wrong, {1}", "{0} or not"]
    forms += [
        "{1} rather than {0}",
        "{0} is incorrect",
        "{1} instead of ({0})",
        "({1}), since ({0}) is too small",
    ]
    return one, rng.choice(forms).format(one, two)


def hedged_letter(rng: Random) -> Pair:
    one, two, three = rng.sample(LETTERS, 3)
    forms = ["{0} or {1}", "either {0} or {1}", "both {0} and {1}", "({0}) and ({1})", "{0}/{1}", "{0}, {1}"]
    forms += ["{0}, {1} or {2}", "{0} o {1}", "{0} oder {1}", "{0} ou {1}", "{0}\u548c{1}", "{0}; maybe {1}"]
    return rng.choice([one, two]), rng.choice(forms).format(one, two, three)


def eliminated_letter(rng: Random) -> Pair:
    a, b, c = rng.sample(LETTERS, 3)
    forms = ["{0} and {1} can be ruled out, leaving {2}", "{0} and {1} are wrong, so {2}"]
    forms += ["neither {0} nor {1}", "neither {0} nor {1} but {2}", "not ({0}) or ({1}), but ({2})"]
    return rng.choice([a, b]), rng.choice(forms).format(a, b, c)


def other_word(rng: Random) -> Pair:
    one, two = rng.sample(WORDS, 2)
    forms = ["{1}", "not {0}", "{0} or {1}", "{0} and {1}", "{1}, not {0}", "un{0}", "{0}{1}"]
    return one, rng.choice(forms).format(one, two)


def other_order(rng: Random) -> Pair:
    words = rng.sample(WORDS, 3)
    turned = [words[1], words[0], words[2]]
    joint = rng.choice([" ", ", "])
    return joint.join(words), rng.choice(
        [joint.join(turned), joint.join(words[:2]), joint.join([*words, words[0]])]
    )


DIFFERENT: list[tuple[ModuleType, Callable[[Random], Pair]]] = [
    *(
        (number, kind)
        for kind in (other_number, other_digits, other_sign, other_magnitude, other_power, other_time)
    ),
    *((number, kind) for kind in (other_range, other_fraction, other_separator, other_tail)),
    *((option, kind) for kind in (other_letter, denied_letter, hedged_letter, eliminated_letter)),
    *((exact, kind) for kind in (other_word, other_order)),
]


def equal_number(rng: Random) -> Pair:
    one = whole(rng)
    forms = ["{}", "{}.0", "{} dollars", "${}", "+{}", "{} km", "{}e0", "{} apples", "about {}", "\u20ac{}"]
    return str(one), rng.choice([form.format(one) for form in forms] + [f"{one:,}", f"{2 * one}/2"])


def equal_letter(rng: Random) -> Pair:
    one, two, three = rng.sample("BCDE", 3)
    forms = [
        "{0}",
        "({0})",
        "option {0}",
        "{0})",
        "{0}, not {1}",
        "not {1} but {0}",
        "{0} because {1} is wrong",
    ]
    forms += ["{1} and {2} can be ruled out, leaving {0}", "{0} rather than {1}", "[{0}]"]
    return one, rng.choice(forms).format(one, two, three)


def equal_word(rng: Random) -> Pair:
    one = rng.choice(WORDS)
    return one, rng.choice([one, one.upper(), f"*{one}*", f'"{one}"', f"{one}.", f"`{one}`"])


EQUAL: list[tuple[ModuleType, Callable[[Random], Pair]]] = [
    (number, equal_number),
    (option, equal_letter),
    (exact, equal_word),
]


def dressed(rng: Random, answer: str) -> str:
    return rng.choice(PLAIN + FORMULAS).replace("%s", answer)


@pytest.mark.parametrize(("verifier", "kind"), DIFFERENT, ids=lambda one: one.__name__.rpartition(".")[2])
def test_no_different_answer_is_right(verifier: ModuleType, kind: Callable[[Random], Pair]) -> None:
    rng = Random(f"{SEED} {kind.__name__}")
    for _ in range(NUM_DIFFERENT // len(DIFFERENT) + 1):
        gold, answer = kind(rng)
        text = dressed(rng, answer)
        assert verifier.score(text, gold, {}) == 0.0, f"GPO_FUZZ_SEED={SEED}: {text!r} for {gold!r}"


@pytest.mark.parametrize(("verifier", "kind"), EQUAL, ids=lambda one: one.__name__.rpartition(".")[2])
def test_equal_answers_are_right(verifier: ModuleType, kind: Callable[[Random], Pair]) -> None:
    rng = Random(f"{SEED} {kind.__name__}")
    refused: Counter[str] = Counter()
    for _ in range(NUM_EQUAL // len(EQUAL)):
        gold, answer = kind(rng)
        text = dressed(rng, answer)
        refused[text] += verifier.score(text, gold, {}) != 1.0
    assert refused.total() <= 0.01 * NUM_EQUAL // len(EQUAL), (
        f"GPO_FUZZ_SEED={SEED}: {refused.most_common(20)}"
    )
