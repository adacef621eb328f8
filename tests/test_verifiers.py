"""The built-in verifiers on texts such as models write, and on texts made to break them."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import reasoning_gym
from hypothesis import given, settings
from hypothesis import strategies as st

from gpo.verifiers import answers, exact, gym, math, number, option

RIGHT, WRONG = 1.0, 0.0
BRACES = "{" * 1_000_000
GSM8K_GOLD = "She sells 9 eggs.\n9 * 2 = $<<9*2=18>>18.\n#### 18"


def row(text: str, answer: str, reward: float, why: str) -> object:
    return pytest.param(text, answer, reward, id=why.replace(" ", "-"))


@pytest.mark.parametrize(
    ("text", "answer", "reward"),
    [
        row("9 * 2 = 18.\n#### 18", GSM8K_GOLD, RIGHT, "GSM8K's own form"),
        row("She makes \\boxed{18} dollars.", GSM8K_GOLD, RIGHT, "boxed"),
        row("The total is $1,234.", "1234", RIGHT, "thousands and dollar"),
        row("The total is 1,234.50 dollars", "#### 1,234.5", RIGHT, "decimals"),
        row("Thus \\boxed{\\$1{,}234}.", "1,234", RIGHT, "LaTeX thousands"),
        row("**Answer:** 18.0", "18", RIGHT, "18.0 is 18"),
        row("\\boxed{\\frac{1}{2}}", "0.5", RIGHT, "a fraction is a decimal"),
        row("The answer is -7 degrees", "-7", RIGHT, "negative"),
        row("The answer is \u22127.", "-7", RIGHT, "typographic minus"),
        row("It fell from 20 to 20-7", "7", RIGHT, "a minus between numbers is no sign"),
        row("The answer is 3 + 15 = 18.", "18", RIGHT, "what the equation comes to"),
        row("The answer is 18 dollars for 3 days.", "18", RIGHT, "the first number after the phrase"),
        row("16 eggs, 3 eaten, 4 baked, so 18", "18", RIGHT, "the last number without a marker"),
        row("The area is 50 m^2", "50", RIGHT, "an exponent is not the last number"),
        row("50 m^{2} and x2", "50", RIGHT, "nor is a braced one or part of a name"),
        row("First \\boxed{17}, no: \\boxed{18}", "18", RIGHT, "the last of two boxes"),
        row("First \\boxed{18}, no: \\boxed{17}", "18", WRONG, "an answer that was taken back"),
        row("\\boxed{18}. The answer is 17.", "18", RIGHT, "a box beats the phrase"),
        row("<think>It is 17? 17.</think>\\boxed{18}", "18", RIGHT, "after the thinking"),
        row("<think>So the answer is 18.</think>I give up.", "18", WRONG, "only in the thinking"),
        row("It is 18</think>", "18", WRONG, "thinking that the template opened"),
        row("<think>The answer is 18", "18", WRONG, "thinking that never ends"),
        row("\\boxed{\\text{none}} of the 18", "18", WRONG, "a box without a number"),
        row("the answer is \\boxed{18", "18", WRONG, "a box that was cut off"),
        row("The answer is 180", "18", WRONG, "a longer number"),
        row("\\boxed{1/0}", "1", WRONG, "division by zero"),
        row("\u0661\u0668 and \uff11\uff18 and 1\u00b2", "18", WRONG, "Unicode digits are not read"),
        row("\u00b2\u2460\u2155\u09ea", "4", WRONG, "nor do they crash"),
        row("9" * 100_000, "9", WRONG, "a number too long to read"),
        row("", "18", WRONG, "nothing"),
        row("\\boxed{" + BRACES, "18", WRONG, "a megabyte of braces"),
        row("\\boxed" * 200_000 + "{18}", "18", RIGHT, "a megabyte of boxes"),
        row("answer answer" * 100_000 + " is 18", "18", RIGHT, "a megabyte of phrases"),
        row("1," * 500_000 + "18", "18", RIGHT, "a megabyte of numbers"),
    ],
)
def test_number_reads_the_final_number(text: str, answer: str, reward: float) -> None:
    assert number.score(text, answer, {}) == reward


@pytest.mark.parametrize(
    ("text", "answer", "reward"),
    [
        row("So \\boxed{B}", "B", RIGHT, "boxed"),
        row("So \\boxed{\\text{(B)}}", "B", RIGHT, "boxed text"),
        row("Hence \\boxed{B. Paris}", "B", RIGHT, "boxed with its words"),
        row("So the answer is (B).", "(B)", RIGHT, "the phrase of BBH"),
        row("Answer: B", "1", RIGHT, "gold as an index"),
        row("Answer: b", "B", RIGHT, "lower case"),
        row("The answer is option B because A is false", "B", RIGHT, "option"),
        row("**Answer:** **(B)** Paris", "B", RIGHT, "markdown"),
        row("The answer is:\n\nB) Paris", "B", RIGHT, "on the next line"),
        row("A is too small, C too big.\n\n**B**", "B", RIGHT, "bold at the end"),
        row("It cannot be A or C, so B it is, I think.", "B", RIGHT, "not the pronoun"),
        row("B follows from what a man saw: A cat.", "B", RIGHT, "not the article"),
        row("Of all, A is right", "A", RIGHT, "but the option A"),
        row("The answer is clearly C, as A is not", "C", RIGHT, "a word in between"),
        row("The answer is not stated", "A", WRONG, "no letter"),
        row("<think>the answer is B</think> Hm.", "B", WRONG, "only in the thinking"),
        row("\\boxed{A} or rather \\boxed{B}", "A", WRONG, "taken back"),
        row("\\boxed{A, B}", "A", WRONG, "two in a box"),
        row("The answer is (A) or (B)", "A", WRONG, "a hedge"),
        row("The answer is both A and B", "B", WRONG, "a hedge with a word before"),
        row("Answer with one letter. The answer is (A)? No, the answer is (B).", "B", RIGHT, "echo"),
        row("The answer is Berlin", "B", WRONG, "a word is not its letter"),
        row("Answer: \uff22", "B", WRONG, "a full-width letter"),
        row("(" * 1_000_000 + "B", "B", RIGHT, "a megabyte of brackets"),
        row("Answer: " + "(" * 1_000_000 + "B", "B", RIGHT, "the same after the phrase"),
        row("", "A", WRONG, "nothing"),
    ],
)
def test_option_reads_the_chosen_letter(text: str, answer: str, reward: float) -> None:
    assert option.score(text, answer, {}) == reward


@pytest.mark.parametrize(
    ("text", "answer", "reward"),
    [
        row("not True is False.\nSo the answer is False.", "False", RIGHT, "the phrase of BBH"),
        row("So the answer is false. I hope this helps!", "False", RIGHT, "the sentence, any case"),
        row("Sorted.\n\n**apple  bear cat**\n", "apple bear cat", RIGHT, "the last line, markup and spaces"),
        row("Answer: `] }`", "] }", RIGHT, "symbols in a code span"),
        row("\\boxed{\\text{Yes}}", "yes", RIGHT, "boxed text"),
        row("<answer>\nno\n</answer> Bye.", "no", RIGHT, "answer tags"),
        row("The answer is:\n\n  valid", "valid", RIGHT, "on the next line"),
        row("the answer is -50", "-50", RIGHT, "a number as text"),
        row("the answer is 50", "-50", WRONG, "the sign matters"),
        row("Answer: (A)", "A", WRONG, "a letter is not an option"),
        row("The answer is yes and no", "yes", WRONG, "a hedge"),
        row("yes\nno", "yes", WRONG, "not the last line"),
        row("The answer is yes. No, the answer is no.", "yes", WRONG, "taken back"),
        row("<think>the answer is yes</think>", "yes", WRONG, "only in the thinking"),
        row("Is the answer yes?", "yes", WRONG, "only in the question"),
        row("The answer isn't yes", "yes", WRONG, "isn't"),
        row("<answer>yes", "yes", WRONG, "tags that were cut off"),
        row("Answer: ***", "*", WRONG, "nothing but markup"),
        row("\x00\ud800", "\ud800", WRONG, "NUL and a surrogate"),
        row("<answer>" * 100_000 + "no</answer>", "no", RIGHT, "a megabyte of tags"),
        row(" \n\t", "yes", WRONG, "white space"),
    ],
)
def test_exact_compares_the_final_answer(text: str, answer: str, reward: float) -> None:
    assert exact.score(text, answer, {}) == reward


@pytest.mark.parametrize(
    ("text", "answer", "reward"),
    [
        row("Thus $x = \\boxed{\\frac{1}{2}}$.", "\\frac12", RIGHT, "fractions"),
        row("\\boxed{0.5}", "\\frac{1}{2}", RIGHT, "a decimal is a fraction"),
        row("\\boxed{2^{10}}", "1024", RIGHT, "arithmetic"),
        row("\\boxed{(x+1)^2}", "x^2+2x+1", RIGHT, "algebra"),
        row(
            "\\boxed{\\left(3,\\tfrac{\\pi}{2}\\right)}",
            "\\left( 3, \\frac{\\pi}{2} \\right)",
            RIGHT,
            "point",
        ),
        row("\\boxed{[0, 5)}", "[0,5)", RIGHT, "interval"),
        row("\\boxed{\\{2, 1\\}}", "1,2", RIGHT, "a set in any order"),
        row("\\boxed{x=5}", "5", RIGHT, "an assignment"),
        row("\\boxed{5,000}", "5000", RIGHT, "thousands"),
        row("\\boxed{\\text{Sunday}}", "sunday", RIGHT, "words"),
        row("\\boxed{dusany}", "Sunday", WRONG, "an anagram is another product of letters"),
        row(
            "It is $\\boxed{\\frac{\\sqrt{3}}{2}}$",
            "... is $\\boxed{\\sqrt3/2}$.",
            RIGHT,
            "gold in its solution",
        ),
        row("The answer is $\\frac{3}{4}$.", "0.75", RIGHT, "the phrase, with dollars"),
        row("The final answer is 3/4", "0.75", RIGHT, "the phrase, bare"),
        row("So we get\n$$2\\pi$$", "2\\pi", RIGHT, "the last line"),
        row("\\boxed{3} and also \\boxed{4}", "4", RIGHT, "the last of two boxes"),
        row("\\boxed{3} and also \\boxed{4}", "3", WRONG, "not the first"),
        row("The answer is 3. So \\boxed{4}", "3", WRONG, "the box counts"),
        row("<think>\\boxed{3}</think> Unsure.", "3", WRONG, "only in the thinking"),
        row("\\boxed{3} \\boxed{3", "3", WRONG, "the last box was cut off"),
        row("\\boxed{6.28}", "2\\pi", WRONG, "too coarse"),
        row("\\boxed{\\frac{\\frac{\\sqrt}", "3", WRONG, "broken LaTeX"),
        row("\\boxed{" + "x" * 5000 + "}", "3", WRONG, "too long for algebra"),
        row("\\boxed{" + BRACES, "3", WRONG, "a megabyte of braces"),
        row("\\boxed{\\boxed{3}}", "3", RIGHT, "a box in a box"),
        row("", "3", WRONG, "nothing"),
    ],
)
def test_math_finds_equivalent_answers(text: str, answer: str, reward: float) -> None:
    assert math.score(text, answer, {}) == reward


def gym_columns(name: str, answer: str | None, **metadata: object) -> dict[str, Any]:
    return {"gym": name, "entry": {"question": "?", "answer": answer, "metadata": metadata}}


def gym_item(name: str) -> dict[str, Any]:
    """Columns as a record holds them: JSON, in which tuples are lists."""
    entry = json.loads(json.dumps(reasoning_gym.create_dataset(name, size=1, seed=3)[0]))
    return {"gym": name, "entry": entry}


@pytest.mark.parametrize(
    ("text", "answer", "reward"),
    [
        row("5 + 7 = 12\n12", "12", RIGHT, "last line"),
        row("5 + 7 = 12\nAnswer: 12", "12", RIGHT, "phrase"),
        row("The answer is 12.", "12", RIGHT, "phrase and full stop"),
        row("<answer>12</answer>", "12", RIGHT, "tags"),
        row("\\boxed{12}", "12", RIGHT, "box"),
        row("<answer>\\boxed{12}</answer>", "12", RIGHT, "box in tags"),
        row("\\boxed{7}<answer>12</answer>", "12", RIGHT, "tags after a box"),
        row("**Answer:** 12\n\nI added them up.", "12", RIGHT, "words after"),
        row("<think>7 + 5</think>\n12", "12", RIGHT, "after the thinking"),
        row("the sum comes to 12 I guess", "12", WRONG, "what would earn partial credit"),
        row("Answer: 13", "12", WRONG, "another number"),
        row("<think>Answer: 12</think>", "12", WRONG, "only in the thinking"),
        row("Answer: 12 or 13", "12", WRONG, "a hedge"),
        row("<answer>12", "12", WRONG, "cut off"),
        row("", "12", WRONG, "nothing"),
        row("\ud800\x00" + BRACES, "12", WRONG, "rubbish"),
    ],
)
def test_gym_wants_full_credit_for_the_final_answer(text: str, answer: str, reward: float) -> None:
    assert gym.score(text, answer, gym_columns("chain_sum", answer)) == reward


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of the package with the ARC grids
@pytest.mark.parametrize("name", ["arc_agi", "countdown", "mini_sudoku", "spell_backward", "tower_of_hanoi"])
def test_gym_accepts_the_own_answer_of_a_generator_after_a_round_trip_through_json(name: str) -> None:
    columns = gym_item(name)
    own = columns["entry"]["answer"]
    gym.check(own, columns)
    for text in (f"Answer: {own}", f"Answer:\n\n{own}", f"Hm.\n<answer>\n{own}\n</answer>"):
        assert gym.score(text, own, columns) == RIGHT


def test_gym_accepts_each_of_several_right_answers() -> None:
    columns = gym_item("countdown")
    assert columns["entry"]["metadata"]["target"] == 119
    assert gym.score("Answer: 82 + 20 + 67 - 50", "", columns) == RIGHT
    assert gym.score("Answer: (67 - 50) + 20 + 82", "", columns) == RIGHT
    assert gym.score("Answer: 82 + 20 + 67 + 50", "", columns) == WRONG


def test_gym_returns_zero_when_a_generator_chokes_on_the_answer() -> None:
    columns = gym_columns("countdown", None)  # without the numbers that its verifier looks up
    assert gym.score("Answer: 1 + 1", "", columns) == WRONG


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (number.check, GSM8K_GOLD),
        (number.check, "#### -1,234.5"),
        (number.check, "$18."),
        (number.check, "\\frac{1}{2}"),
        (number.check, "50\\%"),
        (option.check, "b"),
        (option.check, "(J)"),
        (option.check, "25"),
        (exact.check, "] }"),
        (math.check, "(1,2)"),
        (math.check, "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
        (math.check, "so $x=\\boxed 2$."),
        (math.check, "#### 1,234"),
    ],
)
def test_usable_gold_answers_pass_the_check(check: Callable[..., None], answer: str) -> None:
    check(answer, {})


@pytest.mark.parametrize(
    ("check", "answer", "columns", "why"),
    [
        (number.check, "18 or 19", {}, "no number: '18 or 19'"),
        (number.check, "", {}, "no number: ''"),
        (number.check, "#### none", {}, "no number: 'none'"),
        (number.check, "1/0", {}, "no number: '1/0'"),
        (option.check, "AB", {}, "no option letter, nor an index 0 to 25: 'AB'"),
        (option.check, "26", {}, "nor an index"),
        (option.check, "-1", {}, "nor an index"),
        (option.check, "\u0663", {}, "nor an index"),
        (exact.check, " \n", {}, "the answer is empty"),
        (math.check, "there are $\\boxed{}$ primes", {}, "the answer is empty"),
        (math.check, "}{", {}, "math-verify cannot parse '}{'"),
        (math.check, "1" * 1001, {}, "1001 characters, more than 1000"),
        (gym.check, "12", {}, "needs the columns 'gym'"),
        (gym.check, "12", {"gym": "chain_sum", "entry": {"answer": "12"}}, "has no 'metadata'"),
        (
            gym.check,
            "1",
            gym_columns("chain_sums", "1"),
            "no generator 'chain_sums'; did you mean 'chain_sum'",
        ),
        (
            gym.check,
            "1",
            gym_columns("countdown", "1"),
            "countdown's own verifier refuses the item's answer '1'",
        ),
    ],
)
def test_unusable_gold_answers_are_refused_with_the_reason(
    check: Callable[..., None], answer: str, columns: dict[str, object], why: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        check(answer, columns)


PIECES = [
    "\\boxed{",
    "\\frac",
    "\\text{",
    "\\",
    "{",
    "}",
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "####",
]
PIECES += [
    "Answer:",
    "answer is",
    "$",
    "(B)",
    "1,2",
    "-",
    "/",
    "0",
    ".",
    "=",
    "**",
    " ",
    "\n",
    "\u0663",
    "\ud800",
]
MODEL_TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=25).map("".join)


@settings(max_examples=200, deadline=None)
@given(MODEL_TEXT)
def test_no_text_makes_a_verifier_raise_or_leave_the_unit_interval(text: str) -> None:
    for module, answer in ((number, "18"), (option, "B"), (exact, "yes")):
        assert module.score(text, answer, {}) in (RIGHT, WRONG)
    assert gym.score(text, "12", gym_columns("chain_sum", "12")) in (RIGHT, WRONG)


UNITS = ["\\boxed{", "{", "answer is ", "<answer>", "1,234", "\\boxed ", "answer ", "#", " ", "A", "- "]


@pytest.mark.parametrize(
    "text",
    [unit * (1_000_000 // len(unit)) for unit in UNITS],
    ids=lambda text: text[:9],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(text: str) -> None:
    start = time.monotonic()
    for module, answer in ((number, "18"), (option, "B"), (exact, "yes"), (math, "3")):
        module.score(text, answer, {})
    assert time.monotonic() - start < 5  # quadratic time would take hours


def test_markers_are_trusted_in_the_documented_order() -> None:
    text = "#### 3\nThe answer is 4"
    assert answers.marked("The answer is 4") == "4"
    assert answers.marked(text) == "3\nThe answer is 4"
    assert answers.marked("\\boxed{2}" + text) == "2"
    assert answers.marked("<answer>1</answer>\\boxed{2}" + text) == "2"
    assert answers.marked("\\boxed{2}<answer>1</answer>" + text) == "1"
    assert answers.marked("4") is None


def test_readings_are_all_that_is_marked_its_line_and_its_sentence() -> None:
    assert answers.readings("Answer: **12. Yes**\nSure") == ["12. Yes**\nSure", "12. Yes", "12"]
    assert answers.readings("one\n*two*\n\n") == ["two"]
    assert answers.readings(" \n ") == []
