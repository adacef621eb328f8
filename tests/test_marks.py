"""What a reader sees of a text, by the marks that models set: their forms, and odd uses of them."""

import itertools
import random

import pytest

from gpo import marks
from gpo.marks import visible

X, Y = "The answer is 7.", "I am not sure."

FORMS = [
    ("<think>", "</think>", "DeepSeek, Qwen, GLM, Olmo, Nemotron, Phi"),
    ("<think>\n", "\n</think>\n\n", "with white space"),
    ("<THINK>", "</THINK>", "in capitals"),
    ("<thinking>", "</thinking>", "asked for in a prompt"),
    ("<Thought>", "</Thought>", "Marco, Exaone"),
    ("<reasoning>", "</reasoning>", "asked for in a prompt"),
    ("<scratchpad>", "</scratchpad>", "asked for in a prompt"),
    ("<seed:think>", "</seed:think>", "Seed"),
    ("<mm:think>", "</mm:think>", "MiniMax"),
    ("<ifm|think>", "</ifm|think>", "K2"),
    ("<longcat_think>", "</longcat_think>", "LongCat"),
    ("[THINK]", "[/THINK]", "Mistral"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7", "Kimi"),
    ("<|begin_of_thought|>", "<|end_of_thought|>", "OpenThinker, Sky-T1"),
    ("<|START_THINKING|>", "<|END_THINKING|>", "Command"),
    ("<|think:start|>", "<|think:end|>", "Solar"),
    ("<|thinking_start|>", "<|thinking_end|>", "a form of the same words"),
    ("<|think|>", "<|/think|>", "a form of the same words"),
    ("<|inner_prefix|>", "<|inner_suffix|>", "Apertus"),
    ("<|channel>thought\n", "<channel|>", "Gemma"),
    ("<|im_start|>think\n", "<|im_start|>answer\n", "s1"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>", "Harmony"),
    ("<|channel|>commentary to=functions.f <|constrain|>json<|message|>", "<|call|><|message|>", "Harmony"),
    ("<|think|>", "<|end|><|begin|>assistant<|content|>", "Solar Open"),
    ("<|begin_of_thought|>", "<|end_of_thought|>\n\n<|begin_of_solution|>\n", "OpenThinker"),
    ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>", "Command"),
    ("Here is my thought process: ", "Here is my response: ", "Granite"),
    ("Here's my thought process:\n", "\n\nHere's my response:\n", "Granite"),
    ("Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n", "Apriel"),
]
ids = [f"{opened} {who}" for opened, _, who in FORMS]


@pytest.mark.parametrize(("opened", "closed", "who"), FORMS, ids=ids)
def test_what_stands_between_marks_is_thinking_and_the_rest_is_seen(opened, closed, who):
    assert visible(f"{opened}{X}{closed}{Y}").strip() == Y
    assert visible(f"{opened}{X}") == "", "it never ends"
    assert visible(f"{opened}{X}{closed}") == "", "nothing follows"
    assert visible(visible(f"{opened}{X}{closed}{Y}")).strip() == Y


ENDED_BY_TAGS = [row for row in FORMS if not row[0].startswith("Here")]


@pytest.mark.parametrize(("opened", "closed", "who"), ENDED_BY_TAGS)
def test_what_the_prompt_opened_ends_in_the_completion(opened, closed, who):
    assert visible(f"{X}{closed}{Y}", before=opened).strip() == Y
    assert visible(X, before=f"so<|im_end|>\n{opened}") == "", "it never ends"
    assert visible(Y, before=f"{opened}{closed}") == Y, "an empty thinking in the prompt"


ODD = [
    ("7", "7", "no mark at all"),
    ("", "", "nothing"),
    ("2 < 3 and [x] > 1", "2 < 3 and [x] > 1", "no mark but its characters"),
    ("<p>7</p> <thoughtful>", "<p>7</p> <thoughtful>", "tags that mark nothing"),
    ("[Thinking] so 7", "[Thinking] so 7", "a heading"),
    ("x</think>7", "7", "opened out of sight"),
    ("<think>a<think>b</think>c</think>7", "7", "nested"),
    ("<think>a</think>8<think>b</think>7", "8\n7", "two parts are two lines, and not 87"),
    ("<think>a</think>7<think>b", "7", "thinking again after the answer, without an end"),
    ("7<think>b</think>", "7", "thinking after the answer"),
    ("<think>a[/THINK]b</think>7", "7", "another sort of mark inside"),
    ("<think>so </think> ends it? no</think>7", "7", "the end spoken of inside"),
    ("<think>a</think>Use `<think>` tags. 7", "Use `<think>` tags. 7", "in code quotes"),
    ('<think>a</think>Say "</think>". 7', 'Say "</think>". 7', "in quotes"),
    ("<think>a `</think>` b", "", "a quoted end is no end"),
    ("<think>a</think><response>7</response>", "7", "a label of the answer"),
    ("<|begin_of_solution|>7<|end_of_solution|>junk", "7", "after the answer's end"),
    ("a<|channel|>final<|message|>7<|return|>", "7", "final alone"),
    ("<|channel|>final <|constrain|>json<|message|>7", "7", "with a constraint"),
    ("<|channel|>final<|message|>7<|end|><|start|>assistant<|channel|>analysis<|message|>8", "7", "on again"),
    ("<|message|>7", "7", "a message without a channel"),
    ("The tag <|end|> is text here. 7", "The tag <|end|> is text here. 7", "no messages, so no end of one"),
    ("Here is my response: 7", "Here is my response: 7", "a phrase that answers no other"),
    ("He said: Here is my thought process: 7", "He said: Here is my thought process: 7", "not at the start"),
]


@pytest.mark.parametrize(("text", "seen", "why"), ODD, ids=[why for *_, why in ODD])
def test_odd_uses_of_marks(text, seen, why):
    assert visible(text) == seen
    assert visible(seen) == seen


def test_marks_in_a_copy_of_the_question_are_talked_about():
    question = "Which tag opens thinking, <think> or </think>?"
    assert visible(f"You ask: {question} 7", question=question) == f"You ask: {question} 7"
    assert visible(f"{question} hm</think>7", before="<think>\n", question=question) == "7"


def test_marks_of_a_users_own_are_taken_as_they_are_written():
    pairs = [["<a.b>", "</a.b>"], ["((", "))"]]
    assert visible("<a.b>8</a.b>7", pairs=pairs) == "7"
    assert visible("((8))7", pairs=pairs) == "7"
    assert visible("((8", pairs=pairs) == ""
    assert visible("<aXb>8</aXb>7", pairs=pairs) == "<aXb>8</aXb>7"
    assert visible("<think>8</think>7", pairs=pairs) == "7"


def test_the_end_of_thinking_is_found_with_its_mark_unless_nothing_was_thought():
    assert marks.end_of_thinking("<think>a</think>b</think>c") == 16
    assert marks.end_of_thinking("a[/THINK]b") == 9
    assert marks.end_of_thinking("<think>a[/THINK]b</think>c") == 25
    for without in ("a", "<think>a", "<think>\n\n</think>\n\na", "<|channel|>final<|message|>a"):
        assert marks.end_of_thinking(without) is None


@pytest.mark.slow
def test_any_text_is_read_and_nothing_is_shown_that_is_not_there():
    rng = random.Random(0)  # noqa: S311 - no secret
    pieces = [opened for opened, *_ in FORMS] + [closed for _, closed, _ in FORMS]
    pieces += ["a", " ", "\n", "<", "[", "`", "<|start|>", "<|channel|>", "7"]
    for _ in range(2_000):
        text = "".join(rng.choices(pieces, k=rng.randrange(12)))
        seen = visible(text)
        assert all(part in text for part in seen.split("\n"))
    for piece, other in itertools.product(pieces, ["", "a", "`"]):
        assert visible((piece + other) * 2_000) is not None
