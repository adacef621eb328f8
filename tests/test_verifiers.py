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

from gpo.verifiers import answers, bbh, exact, gym, judges, math, meaning, number, option

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
        row("It fell from 20 to 20-7", "7", WRONG, "a part of a difference"),
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
        row("\\boxed{10^2}", "10", WRONG, "a power is not its base"),
        row("\\boxed{\\sqrt{16}}", "16", WRONG, "nor a root its square"),
        row("\\boxed{3 \\times 6}", "3", WRONG, "nor a product its factor"),
        row("\\boxed{3 \\times 6 = 18}", "18", RIGHT, "what the product comes to"),
        row("\\boxed{5\\times10^{2}}", "5", WRONG, "nor a power of ten"),
        row("\\boxed{1e3}", "1", WRONG, "nor that of a calculator"),
        row("The answer is 1/3 of 54 = 18.", "18", RIGHT, "a share of what"),
        row("\\boxed{17 = 18}", "18", WRONG, "two sides that differ"),
        row("The answer is 17 or 18.", "17", WRONG, "a hedge"),
        row("\\boxed{17, 18}", "17", WRONG, "a list"),
        row("\\boxed{17 \\text{ or } 18}", "17", WRONG, "a hedge in a box"),
        row("I am torn between 17 or 18", "18", WRONG, "a hedge without a marker"),
        row("The answer is not 17 but 18.", "17", WRONG, "a denial"),
        row("The answer is 18, not 17.", "18", RIGHT, "what it is and what not"),
        row("The answer is 3 hours and 30 minutes", "3", WRONG, "half of an answer"),
        row("Answer: 12:30", "12", WRONG, "a time of day"),
        row("The answer is 17-19.", "17", WRONG, "a range"),
        row("\\boxed{1\\frac{1}{2}}", "1.5", RIGHT, "a mixed number"),
        row("\\boxed{1\\frac{1}{2}}", "5.5", WRONG, "which is not eleven halves"),
        row("\\boxed{1 000}", "1000", RIGHT, "a space between thousands"),
        row("\\boxed{50^\\circ}", "50", RIGHT, "degrees"),
        row("Answer\uff1a18", "18", RIGHT, "a full-width colon"),
        row("\u0661\u0668 and \uff11\uff18 and 1\u00b2", "18", WRONG, "Unicode digits are not read"),
        row("\u00b2\u2460\u2155\u09ea", "4", WRONG, "nor do they crash"),
        row("9" * 100_000, "9", WRONG, "a number too long to read"),
        row("", "18", WRONG, "nothing"),
        row("\\boxed{" + BRACES, "18", WRONG, "a megabyte of braces"),
        row("\\boxed" * 200_000 + "{18}", "18", RIGHT, "a megabyte of boxes"),
        row("answer answer" * 100_000 + " is 18", "18", RIGHT, "a megabyte of phrases"),
        row("1," * 500_000 + "18", "18", WRONG, "a megabyte of numbers, which is a list"),
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
        row("Answer: \uff22", "B", RIGHT, "a full-width letter"),
        row("(" * 1_000_000 + "B", "B", RIGHT, "a megabyte of brackets"),
        row("Answer: " + "(" * 1_000_000 + "B", "B", RIGHT, "the same after the phrase"),
        row("", "A", WRONG, "nothing"),
        row("The final answer is $\\boxed{\\textbf{(C)}}$", "C", RIGHT, "bold in a box"),
        row("\\boxed{\\mathrm{D}}", "D", RIGHT, "roman in a box"),
        row("Correct option: C", "C", RIGHT, "without the phrase"),
        row("<think>B looks right, B</think>\nC", "B", WRONG, "thought B and said C"),
        row("Choices: A) 1 B) 2 C) 3. So the answer is", "C", WRONG, "echo and no answer"),
        row("I choose C because A is wrong.\n\nFinal answer: C", "C", RIGHT, "final answer"),
        row("\\boxed{\u0392}", "B", WRONG, "a Greek capital beta"),
        row("\\boxed{E}", "E", RIGHT, "the fifth of more than four"),
        row("The answer is not B.", "B", WRONG, "a denial"),
        row("The answer isn't (B)", "B", WRONG, "a denial in one word"),
        row("It cannot be B", "B", WRONG, "a denial without a marker"),
        row("So it is C, not B.", "C", RIGHT, "what it is and what not"),
        row("Answer: I don't know", "I", WRONG, "the pronoun after the phrase"),
        row("Answer: I", "I", RIGHT, "the option I"),
        row("\\boxed{A B C D}", "A", WRONG, "all in a box"),
        row("\\boxed{A\\text{ or }B}", "A", WRONG, "a hedge in LaTeX"),
        row("\\boxed{A\\quad B}", "A", WRONG, "a hedge of spaces"),
        row("\\boxed{A \\lor B}", "A", WRONG, "a hedge of logic"),
        row("The answer is A, then B", "A", WRONG, "one after the other"),
        row("It could be A, B, C, or D.", "D", WRONG, "a hedge without a marker"),
        row("Either (A) or (B).", "B", WRONG, "another"),
        row("The answer is 'B'.", "B", RIGHT, "quotes"),
        row("(b)", "B", RIGHT, "nothing else, in lower case"),
        row("Answer: A is right and B is wrong", "A", RIGHT, "what is said of another"),
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
        row("\\boxed{no} \\boxed{yes}", "no", WRONG, "two boxes"),
        row("\\boxed{no} \\boxed{yes}", "yes", RIGHT, "the last of two boxes"),
        row("#### yes", "yes", RIGHT, "after four hashes"),
        row("**Answer:** *invalid*", "invalid", RIGHT, "markdown around it"),
        row("Answer: invalid", "valid", WRONG, "a word inside another"),
        row("Answer = True", "true", RIGHT, "an equals sign"),
        row('The answer is "yes"', "yes", RIGHT, "quotes"),
        row("the answer is \u0661\u0668", "18", WRONG, "Unicode digits"),
        row("The answer is y e s", "yes", WRONG, "letters apart"),
        row("\\boxed{" + BRACES, "yes", WRONG, "a megabyte of braces"),
        row("The answer is \\( \\text{True} \\).", "True", RIGHT, "inline LaTeX"),
        row("\\boxed{\\texttt{valid}}", "valid", RIGHT, "typewriter"),
        row("The answer is yes, not no.", "yes", RIGHT, "what it is and what not"),
        row("The answer is not yes", "yes", WRONG, "a denial"),
        row("[THINK]the answer is yes[/THINK]", "yes", WRONG, "another mark of thinking"),
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
        row("\\boxed{50\\%}", "0.5", RIGHT, "per cent"),
        row("\\boxed{x<3}", "(-\\infty,3)", RIGHT, "an inequality is an interval"),
        row("\\boxed{[1,2]}", "(1,2)", WRONG, "closed and open"),
        row("\\boxed{(2,1)}", "(1,2)", WRONG, "a point the wrong way round"),
        row("\\boxed{1\\frac{1}{2}}", "\\frac{3}{2}", RIGHT, "a mixed number"),
        row("\\boxed{5\\text{ cm}}", "5", RIGHT, "units"),
        row("\\boxed{025}", "25", RIGHT, "leading zeros"),
        row("\\boxed{336^\\circ}", "336", RIGHT, "degrees"),
        row("\\boxed{\u22127}", "-7", RIGHT, "typographic minus"),
        row("\\boxed{\u0661\u0668}", "18", WRONG, "Unicode digits"),
        row("\\boxed{3 = 4 = 5}", "5", WRONG, "a chain of three answers"),
        row("\\boxed{3 \\approx 4}", "3", WRONG, "about another answer"),
        row("\\boxed{\\frac23 \\approx 0.67}", "\\frac23", RIGHT, "about itself"),
        row("\\boxed{3 \\text{ or } 4}", "3", WRONG, "a hedge"),
        row("\\boxed{3, 4}", "3", WRONG, "a list"),
        row("The answer is $3$ or $4$.", "3", WRONG, "a hedge of two formulas"),
        row("The answer is $3$ since $x=4$.", "3", RIGHT, "a formula after the answer"),
        row("The answer is $3$ since $x=4$.", "4", WRONG, "which is not the answer"),
        row("The answer is 3 because $x=4$.", "4", WRONG, "even if it is the only formula"),
        row("The cost is \\$5, so the answer is \\$5.", "\\$5", RIGHT, "dollars that are dollars"),
        row("\\boxed{28_9}", "28", WRONG, "a number in another base"),
        row("\\boxed{1011}", "1011_2", RIGHT, "the base that was asked for"),
        row("\\boxed{1011_3}", "1011_2", WRONG, "not the base that was asked for"),
        row("\\boxed{0}", "\\frac{1}{2^{98}}", WRONG, "tiny is not nothing"),
        row("\\boxed{\\frac{3}{2^{98}}}", "\\frac{1}{2^{98}}", WRONG, "nor three times as tiny"),
        row("\\boxed{2}", "\\frac \\pi4 + 2 - \\sqrt2", WRONG, "a part of a sum"),
        row("\\boxed{\\frac{\\pi}{4}+2-\\sqrt{2}}", "\\frac \\pi4 + 2 - \\sqrt2", RIGHT, "braces left out"),
        row("So it falls on $\\text{Sunday}$ in the end.", "\\text{Sunday}", RIGHT, "a word in a sentence"),
        row("What is \\boxed{}? I do not know.", "3", WRONG, "an empty box in an echo"),
        row("\\boxed{200=201=202=203=204}", "204", WRONG, "a chain of integers"),
        row("\\boxed{204 \\approx 200}", "204", WRONG, "about a round number"),
        row("\\boxed{12\\pi \\approx 37.7}", "12\\pi", RIGHT, "rounded to the places shown"),
        row("\\boxed{12\\pi \\approx 37.2}", "12\\pi", WRONG, "rounded falsely"),
        row("\\boxed{3 = \\frac{\\pi}{2}}", "\\frac{\\pi}{2}", WRONG, "an equation of two values"),
        row("\\boxed{AB = 3 = 3.0}", "3", RIGHT, "a name and two spellings"),
        row("\\boxed{\\frac14 = 25\\%}", "0.25 = 25\\%", RIGHT, "a gold answer that is written twice"),
        row("\\boxed{3 \\lor 4}", "4", WRONG, "a hedge of logic"),
        row("\\boxed{3\\quad 4}", "34", WRONG, "a hedge of spaces"),
        row("\\boxed{\\geq 3}", "3", WRONG, "a bound"),
        row("\\boxed{x \\neq 3}", "3", WRONG, "all but the answer"),
        row("\\boxed{x \\ge 3}", "[3,\\infty)", RIGHT, "a bound where a range is asked for"),
        row("\\boxed{3 \\Rightarrow 4}", "4", WRONG, "an implication"),
        row("The answer is not 204.", "204", WRONG, "a denial"),
        row("The answer is $5$, not $4$.", "5", RIGHT, "what it is and what not"),
        row("The answer is $5$, not $4$.", "4", WRONG, "and not the other way round"),
        row("So $x=3$ or $x=4$.", "4", WRONG, "the last of two formulas"),
        row("So $x=3$ or $x=4$.", "3,4", RIGHT, "which are both asked for"),
        row("I guess 1 2 3 4 5", "5", WRONG, "the last of many numbers"),
        row("So from 3 and 4 we get 7.", "7", RIGHT, "the last number of a sentence"),
        row("The answer is 100 or -3.", "-3", WRONG, "a hedge of plain numbers"),
    ],
)
def test_math_finds_equivalent_answers(text: str, answer: str, reward: float) -> None:
    assert math.score(text, answer, {}) == reward


OPTIONS = {"options": ["Paris", "17 rolls", "Paris, France", "P"], "subject": "geography"}


@pytest.mark.parametrize(
    ("text", "answer", "reward"),
    [
        row("The answer is: Paris", "A", RIGHT, "the text"),
        row("The answer is Paris.", "A", RIGHT, "the text and a full stop"),
        row("\\boxed{\\text{17 rolls}}", "B", RIGHT, "the text in a box"),
        row("**Paris, France**", "C", RIGHT, "the text, bold, at the end"),
        row("The answer is Paris, France", "A", WRONG, "the longer text"),
        row("The answer is: P", "D", RIGHT, "a letter that is a text and no option"),
        row("The answer is: D", "D", RIGHT, "a letter"),
        row("The answer is (E)", "E", WRONG, "a letter beyond the options"),
        row("The answer is 17", "B", WRONG, "a part of a text"),
        row("<think>Paris</think> Hm.", "A", WRONG, "the text in the thinking"),
    ],
)
def test_option_knows_the_texts_of_the_options(text: str, answer: str, reward: float) -> None:
    assert option.score(text, answer, OPTIONS) == reward


ECHO = "(A) tea\n(B) milk\n(C) juice"
DRINKS = {"options": ["tea", "milk", "juice"]}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        (ECHO, None),
        (ECHO.replace("(", "").replace(")", ".").replace("\n", " "), None),
        ("Which one?\n" + ECHO[:17], None),
        (ECHO + "\n\nI take (B).", "B"),
        (ECHO + "\n\nB", "B"),
        ("C) juice", "C"),
        ("The answer is (A) tea, (B) milk", None),
        ("The answer is (A) tea because (B) milk is white", "A"),
        ("\\boxed{C. juice}", "C"),
    ],
)
def test_an_echo_of_the_options_chooses_none(text: str, letter: str | None) -> None:
    assert option.read(text, DRINKS) == letter


HEDGES = ["{} or {}", "{}, {}", "{} = {}", "{} \\approx {}", "{} \\lor {}", "{};{}", "{}\\quad {}", "{} < {}"]
HEDGES += [
    "{} \\text{{ or }} {}",
    "{} \\text{{ maybe }} {}",
    "{} \\to {}",
    "{} \\in {}",
    "{} {}",
    "{} \\equiv {}",
]
DIFFERENT = ["3", "204", "\\frac{1}{7}", "\\sqrt{2}", "-5", "30^\\circ", "2\\pi"]


@pytest.mark.parametrize(
    "form", ["\\boxed{%s}", "The answer is $%s$.", "The answer is %s.", "So we get $%s$."]
)
@pytest.mark.parametrize("hedge", HEDGES)
def test_no_completion_is_right_for_two_gold_answers(hedge: str, form: str) -> None:
    for one, other in zip(DIFFERENT, [*DIFFERENT[1:], DIFFERENT[0]], strict=True):
        text = form % hedge.format(one, other)
        accepted = [gold for gold in DIFFERENT if math.score(text, gold, {}) == RIGHT]
        assert accepted == [], text


def test_two_options_of_one_text_are_one_answer() -> None:
    columns = {"options": ["tea", "milk", "tea", "6'"]}
    assert option.score("Answer: A", "C", columns) == option.score("Answer: tea", "C", columns) == RIGHT
    assert option.score("Answer: 6", "D", {"options": ["6", "5", "4", "6'"]}) == WRONG


LETTERED = {"subject": "navigate", "options": ["left", "right", "up"]}
BRACKETS, WORDS = {"subject": "dyck_languages"}, {"subject": "word_sorting"}


@pytest.mark.parametrize(
    ("text", "answer", "columns", "reward"),
    [
        pytest.param(text, answer, columns, reward, id=why.replace(" ", "-"))
        for text, answer, columns, reward, why in [
            ("So the answer is (B).", "(B)", LETTERED, RIGHT, "the published form"),
            ("So the answer is B.", "(B)", LETTERED, RIGHT, "without brackets"),
            ("\\boxed{B}", "(B)", LETTERED, RIGHT, "boxed"),
            ("\\boxed{\\text{(B)}}", "(B)", LETTERED, RIGHT, "boxed text"),
            ("**(B)** right", "(B)", LETTERED, RIGHT, "bold"),
            ("The answer is right.", "(B)", LETTERED, RIGHT, "the option's text"),
            ("So the answer is (B) or (C).", "(B)", LETTERED, WRONG, "a hedge"),
            ("So the answer is (A). No: the answer is (B).", "(A)", LETTERED, WRONG, "taken back"),
            ("The options are (A), (B), (C).", "(B)", LETTERED, WRONG, "an echo of the options"),
            ("<think>(B)</think>", "(B)", LETTERED, WRONG, "only in the thinking"),
            ("So the answer is (D).", "(D)", LETTERED, WRONG, "beyond the options"),
            ("So the answer is True.", "True", {}, RIGHT, "a truth value"),
            ("So the answer is true", "True", {}, RIGHT, "in lower case"),
            ("True", "True", {}, RIGHT, "the last line"),
            ("not True", "True", {}, WRONG, "a longer last line"),
            ("The argument is valid.", "valid", {}, WRONG, "a sentence without a marker"),
            ("So the answer is valid.", "valid", {}, RIGHT, "a word"),
            ("So the answer is invalid.", "valid", {}, WRONG, "the word inside another"),
            ("So the answer is No. I am sure.", "No", {}, RIGHT, "a sentence after it"),
            ("So the answer is Yes.", "No", {}, WRONG, "the other one"),
            ("So the answer is -17.", "-17", {}, RIGHT, "a negative number"),
            ("So the answer is \u221217.", "-17", {}, RIGHT, "typographic minus"),
            ("So the answer is 17.", "-17", {}, WRONG, "without its sign"),
            ("So the answer is \u0661\u0667.", "17", {}, WRONG, "Unicode digits"),
            ("So the answer is ] }.", "] }", BRACKETS, RIGHT, "brackets"),
            ("So the answer is ]}.", "] }", BRACKETS, RIGHT, "brackets without spaces"),
            ("\\boxed{] \\}}", "] }", BRACKETS, RIGHT, "escaped brackets in a box"),
            ("So the answer is } ].", "] }", BRACKETS, WRONG, "brackets in another order"),
            ("So the answer is [ ] }.", "] }", BRACKETS, WRONG, "with the question's brackets"),
            ("So the answer is ant bee cow.", "ant bee cow", WORDS, RIGHT, "words"),
            ("So the answer is ant, bee, cow.", "ant bee cow", WORDS, RIGHT, "words with commas"),
            ("So the answer is bee ant cow.", "ant bee cow", WORDS, WRONG, "words in another order"),
            ("So the answer is antbee cow.", "ant bee cow", WORDS, WRONG, "words run together"),
            ("So the answer is Monsters, Inc.", "Monsters, Inc", LETTERED, RIGHT, "a gold that is no letter"),
            ("{" * 1_000_000, "] }", BRACKETS, WRONG, "a megabyte of braces"),
            ("", "No", {}, WRONG, "nothing"),
        ]
    ],
)
def test_bbh_matches_as_its_tasks_mean_it(text: str, answer: str, columns: dict, reward: float) -> None:
    assert bbh.score(text, answer, columns) == reward


@pytest.mark.parametrize(
    ("module", "text", "columns", "answer"),
    [
        (number, "The answer is 1,500.0", {}, "1500"),
        (number, "\\boxed{\\frac{2}{4}}", {}, "1/2"),
        (number, "no idea", {}, None),
        (option, "The answer is (b)", {}, "B"),
        (option, "The answer is: 17 rolls", OPTIONS, "B"),
        (option, "The answer is (A) or (B)", {}, None),
        (option, "The answer is (J)", OPTIONS, None),
        (exact, "Answer: **Yes.** Sure", {}, "yes"),
        (exact, "x" * 200, {}, None),
        (exact, "<think>yes", {}, None),
        (bbh, "So the answer is (B).", LETTERED, "B"),
        (bbh, "So the answer is ] }.", BRACKETS, "]}"),
        (bbh, "", {}, None),
        (math, "\\boxed{\\dfrac{2}{4}}", {}, "1/2"),
        (math, "\\boxed{0.50}", {}, "1/2"),
        (math, "\\boxed{x + 1}", {}, "x+1"),
        (math, "The answer is $3$ since $x=4$", {}, "3"),
        (math, "so we get $x = 7$", {}, "x=7"),
        (math, "I give up.", {}, None),
        (math, "12", {}, "12"),
        (math, "\\boxed{3", {}, None),
        (gym, "Answer:\n1 2\n3 4", {}, "1 2"),
        (gym, "", {}, None),
    ],
)
def test_equal_answers_are_read_in_one_spelling(
    module: Any, text: str, columns: dict, answer: str | None
) -> None:
    assert module.read(text, columns) == answer


EASY = [
    "12",
    "-3",
    "0.25",
    "\\frac{3}{4}",
    "1{,}234",
    "\\text{Friday}",
    "x^2+1",
    "\\sqrt{2}",
    "(1,2)",
    "\\$5",
]


@pytest.mark.parametrize("answer", EASY)
@pytest.mark.parametrize("form", ["\\boxed{%s}", "The answer is $%s$.", "It comes to $%s$ then."])
def test_the_fast_path_and_algebra_agree(answer: str, form: str) -> None:
    for other in (answer, *EASY):
        text = form % other
        rewards = math.score(text, answer, {}), judges.built_in("algebra").score(text, answer, {})
        assert rewards == (float(other == answer),) * 2, (other, answer)


def test_easy_answers_never_reach_algebra(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str, **_: object) -> None:
        raise AssertionError(f"parsed {text}")

    monkeypatch.setattr(meaning, "read", fail)
    assert math.score("\\boxed{\\dfrac12}", "\\frac{1}{2}", {}) == RIGHT
    assert math.score("\\boxed{0.5}", "\\frac{1}{2}", {}) == RIGHT
    assert math.score("\\boxed{7}", "1{,}234", {}) == WRONG
    assert math.score("\\boxed{(1, 2)}", "\\left(1,2\\right)", {}) == RIGHT
    assert math.score("\\boxed{Monday}", "\\text{Friday}", {}) == WRONG
    math.check("\\frac{3}{4}", {})
    with pytest.raises(AssertionError, match="parsed"):
        math.score("\\boxed{x}", "y", {})


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
        row("#### 12", "12", RIGHT, "four hashes"),
        row("Final answer: **12**", "12", RIGHT, "bold"),
        row("So it is 12.", "12", WRONG, "a sentence without a marker"),
        row("Answer: `12`", "12", RIGHT, "a code span"),
        row("Answer: 12.5", "12", WRONG, "more digits"),
        row("Answer: -12", "12", WRONG, "the other sign"),
        row("\\boxed{12} \\boxed{13}", "12", WRONG, "two boxes"),
        row("\\boxed{13} \\boxed{12}", "12", RIGHT, "the last of two boxes"),
        row("Answer: 12\nAnswer: 13", "12", WRONG, "taken back"),
        row("Is the answer 12?", "12", WRONG, "an echo"),
        row("<think>hm", "12", WRONG, "endless thinking"),
        row("Answer: \u0661\u0662", "12", WRONG, "Unicode digits"),
        row("Answer: twelve", "12", WRONG, "in words"),
        row("Answer\uff1a12", "12", RIGHT, "a full-width colon"),
        row("\u25c1think\u25b712\u25c1/think\u25b7", "12", WRONG, "another mark of thinking"),
        row("<answer>" * 100_000 + "12</answer>", "12", RIGHT, "a megabyte of tags"),
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
        (option.check, "AB", {}, "not an option letter or an index from 0 to 25: 'AB'"),
        (option.check, "26", {}, "or an index"),
        (option.check, "-1", {}, "or an index"),
        (option.check, "\u0663", {}, "or an index"),
        (exact.check, " \n", {}, "the answer is empty"),
        (math.check, "there are $\\boxed{}$ primes", {}, "the answer is empty"),
        (math.check, "}{", {}, "cannot read '}{' as mathematics"),
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


@settings(max_examples=200)
@given(MODEL_TEXT)
def test_no_text_makes_a_verifier_raise_or_leave_the_unit_interval(text: str) -> None:
    for module, answer in ((number, "18"), (option, "B"), (exact, "yes"), (bbh, "(B)"), (bbh, "yes")):
        assert module.score(text, answer, LETTERED) in (RIGHT, WRONG)
        assert isinstance(module.read(text, LETTERED), str | None)
    assert isinstance(math.read(text, {}), str | None)
    assert math.score(text, "\\frac{1}{3}", {}) in (RIGHT, WRONG)
    assert gym.score(text, "12", gym_columns("chain_sum", "12")) in (RIGHT, WRONG)


UNITS = [
    "\\( ",
    "A or ",
    "$1$ ",
    "\\boxed{",
    "{",
    "answer is ",
    "<answer>",
    "1,234",
    "\\boxed ",
    "answer ",
    "#",
    " ",
    "A",
    "- ",
]


@pytest.mark.parametrize(
    "text",
    [unit * (1_000_000 // len(unit)) for unit in UNITS],
    ids=lambda text: text[:9],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(text: str) -> None:
    start = time.process_time()
    for module, answer in ((number, "18"), (option, "B"), (exact, "yes"), (math, "3"), (bbh, "yes")):
        module.score(text, answer, {})
        module.read(text, {})
    assert time.process_time() - start < 30  # quadratic time would take hours


def test_markers_are_trusted_in_the_documented_order() -> None:
    text = "#### 3\nThe answer is 4"
    assert answers.marked("The answer is 4") == ("4", False)
    assert answers.marked(text) == ("4", False)  # "#### 3" is a heading here
    assert answers.marked("The answer is 4\n#### 3") == ("3", False)
    assert answers.marked("\\boxed{2}" + text) == ("2", True)
    assert answers.marked("<answer>1</answer>\\boxed{2}" + text) == ("2", True)
    assert answers.marked("\\boxed{2}<answer>1</answer>" + text) == ("1", False)
    assert answers.marked("4") is None


def test_readings_are_all_that_is_marked_its_line_and_its_sentence() -> None:
    assert answers.readings("Answer: **12. Yes**\nSure") == ["12. Yes**\nSure", "12. Yes", "12"]
    assert answers.readings("one\n*two*\n\n") == ["two"]
    assert answers.readings(" \n ") == []
