"""The exact and bbh verifiers on answers as models word them, right and wrong in equal parts."""

import pytest

from gpo.verifiers import bbh, exact

RIGHT = [
    "valid",
    "Valid.",
    "VALID",
    "**valid**",
    "`valid`",
    '"valid"',
    "\u201cvalid\u201d",
    "$\\text{valid}$",
    "\\boxed{valid}",
    "\\boxed{\\text{valid}}",
    "$$\\boxed{\\text{valid}}$$",
    "The answer is:\n\n\\[\n\\text{valid}\n\\]",
    "The answer is:\n\n$$\n\\text{valid}\n$$",
    "Thus\n$$\n\\text{valid}\n$$",
    "\\[ \\text{valid} \\]",
    "The answer is \\(\\text{valid}\\).",
    "#### valid",
    "#### Step 2: check\nNo premise is 2.\n\nThe answer is valid.",
    "## Answer\n\nvalid",
    "**Answer**\n\nvalid",
    "### Final Answer\n**valid**",
    "<answer>valid</answer>",
    "<answer>\nvalid\n</answer>\nGoodbye.",
    "Answer: valid",
    "Answer: **valid**",
    "**Answer:** valid",
    "Final answer: valid",
    "So the answer is valid.",
    "So the answer is valid. I hope this helps!",
    "The answer is valid, not invalid.",
    "The answer is therefore valid.",
    "The correct answer is: valid",
    "The answer is:\n\n  valid",
    "The answer is invalid. No: the answer is valid.",
    "<think>invalid</think>\nvalid",
    "<think>The answer is invalid.</think>The answer is valid.",
    "La respuesta es valid.",
    "R\u00e9ponse : valid",
    "La r\u00e9ponse est valid.",
    "Die Antwort lautet valid.",
    "Antwort: valid",
    "La risposta \u00e8 valid",
    "A resposta \u00e9 valid.",
    "\u041e\u0442\u0432\u0435\u0442: valid",
    "\u7b54\u6848\uff1avalid",
    "\u7b54\u6848\u662f valid",
    "\u7b54\u3048\u306f valid",
    "\uc815\ub2f5: valid",
    "\u0110\u00e1p \u00e1n l\u00e0 valid",
    "Jawabannya adalah valid",
    '"valid"',
]
WRONG = [
    "invalid",
    "not valid",
    "valid or invalid",
    "valid and invalid",
    "valid?",
    "validity",
    "va lid",
    "valid valid",
    "Is it valid? No.",
    "valid\ninvalid",
    "\\boxed{invalid}",
    "\\boxed{\\text{not valid}}",
    "\\boxed{valid}\\boxed{invalid}",
    "\\boxed{valid, invalid}",
    "\\boxed{valid",
    "$$\\boxed{\\text{invalid}}$$",
    "The answer is:\n\n\\[\n\\text{invalid}\n\\]",
    "The answer is:\n\n$$\n\\text{valid}\\\\\n\\text{invalid}\n$$",
    "#### invalid",
    "#### valid\nThe answer is invalid.",
    "## Answer\n\ninvalid",
    "**Answer**\n\ninvalid\n\nvalid",
    "<answer>invalid</answer> valid",
    "<answer>valid",
    "Answer: invalid",
    "Answer: in valid",
    "Answer: valid or not",
    "So the answer is invalid.",
    "The answer is not valid.",
    "The answer isn't valid",
    "The answer is invalid, not valid.",
    "The answer is valid. No: the answer is invalid.",
    "The answer",
    "The answer is",
    "",
    "   ",
    "The premises are valid in all cases that the question gives",
    "<think>valid</think>",
    "<think>valid</think>\ninvalid",
    "<think>The answer is valid.",
    "La respuesta es invalid.",
    "La respuesta no es valid.",
    "R\u00e9ponse : invalid",
    "Die Antwort ist nicht valid.",
    "Antwort: invalid",
    "\u7b54\u6848\uff1ainvalid",
    "\u7b54\u6848\u4e0d\u662f valid",
    "\uc815\ub2f5: invalid",
    "v\u0430lid",
    "(A)",
]


@pytest.mark.parametrize("text", RIGHT)
def test_it_says_valid(text: str) -> None:
    assert exact.score(text, "valid", {}) == bbh.score(text, "valid", {}) == 1.0


@pytest.mark.parametrize("text", WRONG)
def test_it_does_not_say_valid(text: str) -> None:
    assert exact.score(text, "valid", {}) == bbh.score(text, "valid", {}) == 0.0


DYCK, SORTING = {"subject": "dyck_languages"}, {"subject": "word_sorting"}


@pytest.mark.parametrize(
    ("answer", "right", "wrong", "columns"),
    [
        ("> ) ] }", "So the answer is > ) ] }.", "So the answer is > ] ) }.", DYCK),
        ("> ) ] }", "So the answer is >)]}", "So the answer is > ) ]", DYCK),
        ("] }", "\\boxed{] \\}}", "\\boxed{[ ] \\}}", DYCK),
        ("> >", "Answer: `> >`", "Answer: `>`", DYCK),
        ("ant bee cow", "So the answer is ant bee cow.", "So the answer is bee ant cow.", SORTING),
        ("ant bee cow", "Answer: ant, bee, cow", "Answer: ant, bee", SORTING),
        ("ant bee cow", "\\boxed{\\text{ant bee cow}}", "\\boxed{\\text{ant bee cow dog}}", SORTING),
        ("ant bee cow", "**Answer**\n\nAnt Bee Cow", "**Answer**\n\nantbee cow", SORTING),
        ("Yes", "So the answer is Yes.", "So the answer is No.", {}),
        ("Yes", "Answer: yes. He did.", "Answer: yes and no", {}),
        ("No", "So the answer is no", "So the answer is not", {}),
        ("True", "not ( False ) is True.\nSo the answer is True.", "So the answer is not True.", {}),
        ("plausible", "So the answer is plausible.", "So the answer is implausible.", {}),
        ("(A)", "So the answer is (A).", "So the answer is (B).", {}),
        ("(A)", "The answer is A", "The answer is A or B", {}),
        ("(A)", "\\boxed{\\text{(A)}}", "\\boxed{\\text{(A) or (B)}}", {}),
        ("(A)", "(B) is wrong, so (A).", "(A) is wrong, so (B).", {}),
        ("-17", "So the answer is -17.", "So the answer is 17.", {}),
        ("-17", "The answer is \u221217", "The answer is -171", {}),
        ("05/01/2021", "So the answer is 05/01/2021.", "So the answer is 01/05/2021.", {}),
        ("8", "So the answer is 8.", "So the answer is 8.5.", {}),
        ("1, 2, 3", "Answer: 1, 2, 3", "Answer: 1, 3, 2", {}),
    ],
)
def test_the_shapes_of_bbh(answer: str, right: str, wrong: str, columns: dict[str, str]) -> None:
    assert bbh.score(right, answer, columns) == 1.0
    assert bbh.score(wrong, answer, columns) == 0.0


def test_the_tables_are_of_like_size() -> None:
    assert len(RIGHT) + len(WRONG) >= 100
    assert abs(len(RIGHT) - len(WRONG)) < 5


@pytest.mark.parametrize(
    ("text", "gold", "reward"),
    [
        ("18", "18...", 0.0),
        ("18...", "18...", 1.0),
        ("18...", "18", 0.0),
        ("18…", "18", 0.0),
        ("Answer: 18...", "18", 0.0),
        ("yes.", "yes", 1.0),
        ("Answer: yes...", "yes", 0.0),
        ("**Answer:** Yes", "yes", 1.0),
        ("Yes, because", "yes", 0.0),
        ("Answer: No\nYes", "no", 1.0),
        ("The answer is Yes.", "No", 0.0),
        ("Answer:\n- Yes", "yes", 1.0),
        ("Answer:\n- Yes\n- No", "yes", 0.0),
        ("答案：是", "是", 1.0),
        ("<answer>True</answer>", "true", 1.0),
    ],
)
def test_lists_and_ellipses_are_part_of_what_is_said(text: str, gold: str, reward: float) -> None:
    assert exact.score(text, gold, {}) == reward
