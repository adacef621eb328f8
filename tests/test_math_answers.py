"""Which mathematical answers are equal: a table of pairs, each boxed and in a sentence."""

import re

import pytest

from gpo.verifiers import algebra, judges, math

FORMS = ("\\boxed{%s}", "The answer is $%s$.", "Thus we get \\(%s\\)")

# (gold answer, answer): equal ...
EQUAL = [
    (r"\infty", r"\infty"),
    (r"\infty", "\u221e"),
    (r"\infty", r"+\infty"),
    (r"119\text{ minutes}", r"1\text{ hour }59\text{ minutes}"),
    (r"10\text{ a.m.}", r"10\text{ am}"),
    (r"\text{HTT}", "HTT"),
    ("A, B, C", "A,B,C"),
    ("30", "30\u00b0"),
    ("5", "\u20ac5"),
    (r"\frac12", "\u00bd"),
    (r"\sqrt2", "\u221a2"),
    ("x^2", "x\u00b2"),
    (r"\frac12", r"\nicefrac12"),
    (r"\frac12", r"\sfrac{1}{2}"),
    (r"\frac43", r"1.\overline{3}"),
    ("5", r"5\quad"),
    ("5", r"\textcolor{red}{5}"),
    ("5", r"5~\mathrm{m/s}"),
    (r"5\text{ m/s}", r"5~\mathrm{m/s}"),
    ("5", r"\mathbf{5}"),
    ("5", r"\displaystyle 5"),
    ("5", r"\underline{5}"),
    (r"\frac12", r"\cfrac{1}{2}"),
    (r"2\pi", "2\u03c0"),
    ("-18", "\u201318"),
    ("-18", "\u201418"),
    ("-18", "\uff0d18"),
    ("-18", "- 18"),
    ("0.0000001", "1e-7"),
    ("1e-7", "0.0000001"),
    ("320000", "3.2e5"),
    ("2.5e-05", "0.000025"),
    ("1e-7", r"1\times10^{-7}"),
    (r"x \in [-2,7]", "[-2,7]"),
    ("[-2,7]", r"x\in[-2,7]"),
    ("[-2,7]", r"-2\le x\le 7"),
    ("[-2,7]", "-2 \u2264 x \u2264 7"),
    ("(1,2)", "1,2"),
    ("1,2", "2,1"),
    ("1,2", "(1,2)"),
    ("1,2", r"\{2,1\}"),
    (r"3 \pm 2\sqrt2", r"3+2\sqrt2, 3-2\sqrt2"),
    (r"3 \pm 2\sqrt2", r"3-2\sqrt2, 3+2\sqrt2"),
    (r"\pm 3", "3,-3"),
    ("3", "|3|"),
    ("x<3", "3>x"),
    ("2x+3y=5", "4x+6y=10"),
    ("2x+3y=5", "2x+3y-5=0"),
    ("y=2x+3", "2x+3"),
    ("y=2x+3", "y=3+2x"),
    ("x=5", "5"),
    ("5", "x=5"),
    ("5", "y = 5 = 10/2"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\langle 1,2\rangle"),
    (r"30^\circ", r"30\text{ degrees}"),
    (r"30^\circ", "30"),
    ("1011_2", "1011"),
    ("5:6", "5:6"),
    (r"\text{1:03 PM}", "1:03 pm"),
    (r"\text{1:03 PM}", r"1:03\text{ p.m.}"),
    (r"\text{1:03 PM}", "1:03"),
    (r"50\%", "50"),
    (r"50\%", "0.5"),
    ("0.5", r"50\%"),
    (r"\$5", "5"),
    (r"\$5", r"5\text{ dollars}"),
    (r"\$5", r"500\text{ cents}"),
    ("5000000", r"5\text{ million}"),
    ("5", r"5\text{ apples}"),
    (r"440\text{ cm}^2", r"440\text{ square cm}"),
    (r"440\text{ cm}^2", r"440\ \mathrm{cm}^2"),
    (r"440\text{ cm}^2", "440 cm^2"),
    ("440", "440 cm^2"),
    ("440", "440 square units"),
    (r"8.24\text{ mph}", r"8.24\text{ miles per hour}"),
    ("1234", "1,234"),
    ("1234", "1{,}234"),
    ("1800", r"1\ 800"),
    ("1800", "1~800"),
    ("1800", r"1\;800"),
    ("1800", r"1\,800"),
    (r"\frac32", r"1\frac12"),
    (r"1\frac12", "1 1/2"),
    ("3/2", "1 1/2"),
    ("1.5", "1\u00bd"),
    ("a,b,c", r"\{a,b,c\}"),
    ("5", r"\begin{aligned}x&=5\end{aligned}"),
    ("5", r"\begin{align*}x&=2+3\\&=5\end{align*}"),
    (r"\text{(B)}", "B"),
    ("B", r"\text{B}"),
    ("B", "(B)"),
    (r"\frac{1}{\sqrt{x^2+1}}", "(x^2+1)^{-1/2}"),
    (r"\cos 60^\circ", r"\frac12"),
    (r"\frac12", r"\sin 30^\circ"),
    ("2^{100}", "1267650600228229401496703205376"),
    (r"\binom{5}{2}", "10"),
    ("0", r"\sin\pi"),
    ("6", "3!"),
    ("24", "4!"),
    (r"(-\infty,3)\cup(5,\infty)", r"(5,\infty)\cup(-\infty,3)"),
    (r"(-\infty,3)\cup(5,\infty)", r"x<3\text{ or }x>5"),
    (r"\mathbb{R}", r"(-\infty,\infty)"),
    (r"\emptyset", r"\{\}"),
    ("3.141593", r"\pi"),
    (r"\frac13", "0.333333"),
    (r"\frac{1}{3}", "0.3333333333333"),
    ("x=1,y=2", "y=2,x=1"),
    ("(3,4)", "x=3,y=4"),
    ("5", r"5\text{ cm}^2"),
    ("7", r"7\,\text{units}"),
    (r"\text{Friday}", "Friday"),
    ("two lines", r"\text{two lines}"),
    ("-18", "minus 18"),
    ("-18", "negative 18"),
    ("18", "+18"),
    ("-1", "i^2"),
    ("i", r"\sqrt{-1}"),
    ("5", r"\operatorname{5}"),
    ("10", r"10\text{ ways.}"),
    ("10", "10."),
    ("0.10", "0.1"),
]

# ... and different.
DIFFERENT = [
    (r"\pi", r"|\infty|"),
    ("e", r"|\log_2{\infty}|"),
    (r"\sqrt2", r"|\infty|"),
    (r"\infty", r"-\infty"),
    ("5", r"\infty-\infty"),
    (r"30\text{ minutes}", r"1\text{ hour }59\text{ minutes}"),
    ("30", r"1\text{ hour }59\text{ minutes}"),
    (r"10\text{ am}", r"10\text{ pm}"),
    ("HTT", "THT"),
    (r"\text{HTT}", "THT"),
    ("CAB", "ABC"),
    ("1,1,2", "1,2"),
    ("1,2", "1,1,2"),
    ("A, B, C", "C, A, B"),
    (r"\frac{dy}{dx}", r"\frac{dx}{dy}"),
    ("x'", "x"),
    ("x", "x'"),
    (r"5\text{ cm}", r"5\text{ m}"),
    ("18", "\u201318"),
    ("18!", "18"),
    ("18", "18!"),
    ("18", "18x"),
    ("18", "18.0.1"),
    ("18", "18)(2"),
    ("e-7", "1e-7"),
    ("1e-7", "e-7"),
    ("[-2,7]", r"-2< x\le 7"),
    ("(-2,7)", "[-2,7]"),
    ("(1,2)", "[1,2]"),
    ("(1,2)", "2,1"),
    (r"3+2\sqrt2", r"3\pm2\sqrt2"),
    ("3", r"\pm3"),
    ("-3", "|3|"),
    ("-3", "|-3|"),
    ("|x|", "x"),
    ("x", "|x|"),
    ("x<3", "x>3"),
    ("x<3", r"x\le3"),
    ("2x+3y=5", "2x-3y=5"),
    ("y=2x+3", "y=2x-3"),
    ("x=5", "y=5"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    (r"30^\circ", r"30\text{ radians}"),
    ("1011_2", "1011_3"),
    ("11", "1011_2"),
    ("5:6", "6:5"),
    (r"\text{1:03 PM}", r"1:03\text{ a.m.}"),
    (r"\text{1:03 PM}", r"1:30\text{ p.m.}"),
    ("x_1", "x_2"),
    ("x_1", "x"),
    (r"50\%", "5"),
    (r"\$5", "\u20ac5"),
    ("5", r"5\text{ million}"),
    (r"5\text{ oranges}", r"5\text{ apples}"),
    (r"440\text{ cm}^2", r"440\text{ cm}^3"),
    (r"8.24\text{ mph}", r"8.24\text{ km/h}"),
    ("5", r"5\text{ or less}"),
    ("5", r"5\text{ is wrong}"),
    ("5", r"\text{not }5"),
    ("5", r"5\text{ mod }7"),
    ("12", "1 2"),
    ("1800", "1 8 0 0"),
    (r"\frac{11}2", "1 1/2"),
    ("B", "b"),
    (r"\text{(B)}", "A"),
    (r"\frac12", r"\sin 60^\circ"),
    ("2^{2005}", "2^{2005}-1"),
    (r"\frac{1}{2^{98}}", "0"),
    ("0", "e^{-1000}"),
    (r"(-\infty,3)\cup(5,\infty)", r"x<3\text{ or }x\ge5"),
    (r"\pi", "3.14"),
    (r"\frac13", "0.33"),
    ("x=1,y=2", "x=2,y=1"),
    ("x=1,y=2", "2,1"),
    ("Friday", r"\text{Monday}"),
    ("18", "minus 18"),
]


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal_answers_are_right(gold: str, answer: str) -> None:
    for form in FORMS:
        assert math.score(form % answer, gold, {}) == 1.0, form
        assert algebra.score(form % answer, gold, {}) == 1.0, form


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_answers_are_wrong(gold: str, answer: str) -> None:
    for form in FORMS:
        assert math.score(form % answer, gold, {}) == 0.0, form
        assert algebra.score(form % answer, gold, {}) == 0.0, form


@pytest.mark.parametrize(
    ("question", "is_kept"),
    [
        ("List the numbers in increasing order.", True),
        ("Arrange them from least to greatest.", True),
        ("Find x and y, respectively.", True),
        ("Find all roots, in any order.", False),
        ("Find all roots, separated by commas.", False),
    ],
)
def test_a_list_of_numbers_keeps_its_order_where_the_question_asks_for_one(
    question: str, is_kept: bool
) -> None:
    judge = judges.named("math")
    item = {"question": question, "text": "\\boxed{3, 1, 2}", "answer": "1, 2, 3", "columns": {}}
    assert judge({"items": [item]}) == {"rewards": [float(not is_kept)]}
    assert judge({"items": [{**item, "text": "\\boxed{1, 2, 3}"}]}) == {"rewards": [1.0]}


@pytest.mark.parametrize(
    ("gold", "command"),
    [
        ("\f" + "rac{1}{2}", "\\frac"),
        ("5 \t" + "ext{ cm}", "\\text"),
        ("\t" + "frac12", "\\tfrac"),
        ("2 \t" + "imes 3", "\\times"),
        ("\b" + "inom{5}{2}", "\\binom"),
        ("so \b" + "oxed{3}", "\\boxed"),
        ("\v" + "ec{v}", "\\vec"),
        ("\r" + "ight)", "\\right"),
        ("\a" + "lpha", "\\alpha"),
        ("x \n" + "eq 3", "\\neq"),
        ("\n" + "u + 1", "\\nu"),
        ("\t" + "heta", "\\theta"),
    ],
)
def test_a_gold_answer_whose_backslashes_json_has_eaten_is_refused(gold: str, command: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"where {command} was meant: JSON is escaped wrongly")):
        math.check(gold, {})


@pytest.mark.parametrize("gold", ["1,\n2", "a\tb", "we get\n\n\\boxed{2}", "x = 5\r\n", "so\nno\n#### 5"])
def test_white_space_in_a_gold_answer_is_no_escaping_fault(gold: str) -> None:
    math.check(gold, {})


SENTENCES = [
    ("The answer is:\n\n\\[\n18\n\\]", "18", 1.0),
    ("The answer is:\n\n$$\n18\n$$", "18", 1.0),
    ("Thus\n$$\n\\frac12\n$$", "\\frac12", 1.0),
    ("Thus\n\\[\n\\frac12\n\\]", "\\frac12", 1.0),
    ("Thus\n\\[\nx = \\frac12.\n\\]", "\\frac12", 1.0),
    ("So\n\\begin{align*}x&=2+3\\\\&=5\\end{align*}", "5", 1.0),
    ("So\n\\begin{align*}x&=2+3\\\\&=6\\end{align*}", "5", 0.0),
    ("Answer: \u201318", "-18", 1.0),
    ("Answer: \u201318", "18", 0.0),
    ("Answer: \u201418", "-18", 1.0),
    ("Answer: - 18", "-18", 1.0),
    ("Answer: minus 18", "-18", 1.0),
    ("The answer is not\n\\[\n18\n\\]", "18", 0.0),
    ("The final answer is 3/4", "0.75", 1.0),
    ("The final answer is 3/4.", "0.75", 1.0),
    ("The final answer is 3/4 of the pie.", "0.75", 1.0),
    ("The answer is 5 apples.", "5", 1.0),
    ("The answer is $5$ apples.", "5", 1.0),
    ("The answer is 5 or 6.", "5", 0.0),
    ("The answer is x = 5.", "5", 1.0),
    ("**Answer:** 5 cm", "5", 1.0),
    ("The answer is 5 because 2+3=5", "5", 1.0),
    ("The answer is \u221a2.", "\\sqrt{2}", 1.0),
    ("The answer is sqrt(2).", "\\sqrt{2}", 1.0),
    ("Answer: 2*sqrt(3)", "2\\sqrt{3}", 1.0),
    ("Answer: x^2 + 1", "x^2+1", 1.0),
    ("The answer is x\u00b2 + 1.", "x^2+1", 1.0),
    ("The answer is (1, 2).", "(1,2)", 1.0),
    ("The answer is the point (1, 2).", "(1,2)", 1.0),
    ("Answer: [0, 5)", "[0,5)", 1.0),
    ("So we get 5", "5", 1.0),
    ("So the total is 5 dollars.", "5", 1.0),
    ("So the total is $5.", "\\$5", 1.0),
    ("The answer is 1 and 2.", "1,2", 1.0),
    ("The answers are $x=1$ and $x=2$.", "1,2", 1.0),
    ("Answer: $1$, $2$", "1,2", 1.0),
    ("Answer: 30\u00b0", "30", 1.0),
    ("Answer: 18!", "18", 0.0),
    ("Answer: 18x", "18", 0.0),
    ("Answer: 18.0.1", "18", 0.0),
    ("So from 3 and 4 we get 7.", "7", 1.0),
    ("The answer is 100 or -3.", "-3", 0.0),
    ("The probability is 1/2", "\\frac{1}{2}", 1.0),
    ("The probability is 50%.", "50\\%", 1.0),
    ("The answer is 12, not 13.", "12", 1.0),
    ("The answer is 12, not 13.", "13", 0.0),
    ("The answer is Friday.", "\\text{Friday}", 1.0),
    ("The answer is $5$ or $6$.", "5", 0.0),
    ("Answer: 1e-7", "1e-7", 1.0),
    ("The answer is 3 cm^2.", "3", 1.0),
    ("The answer is $3 \\text{ cm}^2$.", "3", 1.0),
    ("So $x = 5$", "x=5", 1.0),
    ("I think it is 1 or 2", "2", 0.0),
    ("#### 2", "2", 1.0),
    ("\\[ \\boxed{2} \\]", "2", 1.0),
    ("The answer is \\(\\dfrac{3}{4}\\).", "\\frac{3}{4}", 1.0),
    ("The answer is 10 % of 100", "10", 0.0),
    ("Answer: 5; also 6", "5", 0.0),
    ("Answer: $5$, $6$", "5", 0.0),
    ("The answer is 1,234.", "1234", 1.0),
    ("Answer: 1 234", "1234", 1.0),
    ("Answer: pi", "\\pi", 1.0),
    ("The answer is 2\u03c0.", "2\\pi", 1.0),
    ("The ordered pair is $(3,5)$.", "(3,5)", 1.0),
]


@pytest.mark.parametrize(("text", "gold", "reward"), SENTENCES)
def test_an_answer_in_a_sentence_or_a_displayed_formula_is_found(text: str, gold: str, reward: float) -> None:
    assert math.score(text, gold, {}) == reward


HOSTILE = [
    "9^{9^{9^{9}}}", "(10^{100})!", "((x!)!)!", "e^{e^{e^{e^e}}}", "\\sqrt[10^{9}]{2}", "\\sin(10^{10000})",
    "1/0", "0^0", "\\frac{0}{0}", "\\log 0", "\\tan\\frac{\\pi}{2}", "1e99999", "(-1)!", "\\binom{10^6}{10^5}",
    "(" * 490 + "1" + ")" * 490, "2*" * 480 + "2", "x" * 900, "-" * 900 + "1", "\\sin" * 240 + "x", "|" * 900,
    "{" * 400 + "5" + "}" * 400, "x^x" * 250, "1<" * 480 + "1", "[1," * 200 + "2" + "]" * 200, "2" + "!" * 800,
    "5\\text{" + "b " * 480 + "}", "5 " + "a " * 480, "\\text{" * 150, "1:" * 490, "\\frac" * 180, "a_{" * 300,
    "f(" * 300 + "x" + ")" * 300, "0.\\overline{" + "9" * 900 + "}", "\\cup", "=", "{}", "()", "\\{\\}", "\ud800", "\x00",
]  # fmt: skip


@pytest.mark.parametrize("answer", HOSTILE, ids=lambda answer: ascii(answer)[:20])
def test_no_answer_is_too_large_deep_or_undefined_to_be_refused(answer: str) -> None:
    for gold in (
        "5",
        "\\frac{1}{3}",
        "\\pi",
        "x^2",
        "(1,2)",
        "1,2",
        "[0,1]",
        "5\\text{ cm}",
        "x=5",
        "\\infty",
    ):
        assert math.score(f"\\boxed{{{answer}}}", gold, {}) == 0.0
        assert math.score(f"The answer is {answer}", gold, {}) == 0.0
