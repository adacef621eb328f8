"""Traces of a user's own: what of them follows the prompt, as ids that the model could have written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_reader_sees import (
    ANALYSIS,
    BRACKETS,
    CHANNELS,
    CHAT,
    CLOSED,
    FORCED,
    HARMONY,
    MISTRAL,
    OPENING,
    THINK,
    policy,
)

from gpo.learn.rows import check_vocabulary
from gpo.protocols import Trace
from gpo.types import DataWarning, InputError, Labelled, Preference, Problem

KEYS = ("reasoning_content", "reasoning", "thinking")
QWEN = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n"
    "{% if turn.KEY %}<think>\n{{ turn.KEY.strip() }}\n</think>\n\n{% endif %}"
    "{{ turn.content.strip() }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PARTS = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{% if turn.content is string %}{{ turn.content }}"
    "{% else %}{% for part in turn.content %}{% if part.type == 'thinking' %}"
    "[THINK]{{ part.thinking }}[/THINK]{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CUTTING = CHAT.replace("{{ turn.content }}", "{{ turn.content.split('</think>')[-1] }}")
QWEN_OPENING = QWEN.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")


def trace(one: Any, completion: object, question: str = "How many?") -> Trace:
    problem = Problem("p", one.prompt_ids(question), "7", question=question)
    return one.trace(problem, completion)  # type: ignore[no-any-return]


def text(one: Any, completion: object) -> str:
    return str(one.tokenizer.decode(trace(one, completion).ids))


HEAD = "<|im_start|>assistant\n<think>\n"
WHOLE = "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n"
REPEATED = [
    (THINK, OPENING, "<think>\na</think>7", "a</think>7", "<think>\n"),
    (THINK, OPENING, "<think>a</think>7", "a</think>7", "<think>\n"),
    (THINK, OPENING, "\n <think>\n\na</think>7", "\na</think>7", "<think>\n"),
    (THINK, OPENING, "a</think>7", "a</think>7", ""),
    (THINK, OPENING, "\na</think>7", "\na</think>7", ""),
    (THINK, OPENING, f"{WHOLE}<think>\na</think>7", "a</think>7", f"{WHOLE}<think>\n"),
    (
        THINK,
        OPENING,
        "<|im_start|>assistant\n<think>\na</think>7",
        "a</think>7",
        "<|im_start|>assistant\n<think>\n",
    ),
    ([], OPENING, "<think>\na</think>7", "a</think>7", "<think>\n"),
    (THINK, CLOSED, "<think>\n\n</think>\n\n7", "7", "<think>\n\n</think>\n\n"),
    (THINK, CLOSED, "7", "7", ""),
    (THINK, FORCED, "<think>\nOkay, so a</think>7", "a</think>7", "<think>\nOkay, so "),
    (THINK, CHAT, "<think>\na</think>7", "<think>\na</think>7", ""),
    (THINK, CHAT, f"{WHOLE}<think>\na</think>7", "<think>\na</think>7", WHOLE),
    (BRACKETS, MISTRAL, "[THINK]a[/THINK]7", "a[/THINK]7", "[THINK]"),
    (BRACKETS, MISTRAL, "a[/THINK]7", "a[/THINK]7", ""),
    (CHANNELS, ANALYSIS, "<|channel|>analysis<|message|>a", "a", "<|channel|>analysis<|message|>"),
    (CHANNELS, HARMONY, "<|channel|>final<|message|>7", "<|channel|>final<|message|>7", ""),
    (CHANNELS, HARMONY, "<|start|>assistant<|message|>7", "<|message|>7", "<|start|>assistant"),
    ([], None, "How many? 7", "How many? 7", ""),
]


@pytest.mark.parametrize(("specials", "template", "given", "kept", "repeated"), REPEATED)
def test_what_a_trace_repeats_of_the_prompts_end_is_taken_once(specials, template, given, kept, repeated):
    one = policy(specials, template)
    found = trace(one, given)
    assert (one.tokenizer.decode(found.ids), found.repeated) == (kept, repeated)


def test_a_whole_prompt_without_marks_is_taken_once_where_it_is_no_chance():
    one = policy(template=None)
    found = trace(one, "How many legs has a cow? It has 4.", "How many legs has a cow?")
    assert one.tokenizer.decode(found.ids) == " It has 4."


@pytest.mark.parametrize("given", ["7<|im_end|>", "7<|im_end|>\n", "7<|im_end|> \n\n"])
def test_the_end_token_may_end_a_trace_and_what_a_template_writes_after_it_is_left_out(given):
    assert text(policy(), given) == "7<|im_end|>"


def test_thinking_that_ends_without_a_beginning_is_told():
    assert trace(policy(THINK), "a</think>7").is_unopened
    for template, given in ((OPENING, "a</think>7"), (CHAT, "<think>a</think>7"), (CHAT, "7")):
        assert not trace(policy(THINK, template), given).is_unopened
    assert not trace(policy(CHANNELS, HARMONY), "<|channel|>final<|message|>7").is_unopened


@pytest.mark.parametrize("reads", KEYS)
@pytest.mark.parametrize("has", KEYS)
def test_reasoning_beside_the_content_is_joined_as_the_template_joins_it(reads, has):
    message = {"role": "assistant", "content": "7.", has: "So 3 + 4.", "tool_calls": None, "refusal": None}
    expected = "<think>\nSo 3 + 4.\n</think>\n\n7."
    assert text(policy(THINK, QWEN.replace("KEY", reads)), [message]) == expected
    assert text(policy(THINK, QWEN.replace("KEY", reads)), message) == expected
    opened = policy(THINK, QWEN_OPENING.replace("KEY", reads))
    assert text(opened, [message]) == expected.removeprefix("<think>\n")


def test_the_same_reasoning_under_two_names_is_one():
    message = {"role": "assistant", "content": "7.", "reasoning": "So.", "reasoning_content": "So."}
    assert text(policy(THINK, QWEN.replace("KEY", "reasoning")), [message]) == "<think>\nSo.\n</think>\n\n7."


def test_a_content_of_parts_is_one_text_and_its_thinking_is_joined():
    words = [{"type": "text", "text": "It is "}, {"type": "text", "text": "7."}]
    thinking = [{"type": "thinking", "thinking": "So."}, {"type": "text", "text": "7."}]
    assert text(policy(), [{"role": "assistant", "content": words}]) == "It is 7."
    assert (
        text(policy(BRACKETS, PARTS), [{"role": "assistant", "content": thinking}]) == "[THINK]So.[/THINK]7."
    )
    message = {"role": "assistant", "content": "7.", "reasoning_content": "So."}
    assert text(policy(BRACKETS, PARTS), [message]) == "[THINK]So.[/THINK]7."


def message(**more: Any) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": "7.", **more}]


REFUSED = [
    (
        CHAT,
        message(reasoning_content="So."),
        "'reasoning_content', which this model's chat",
    ),
    (CHAT, message(thinking="So."), "'thinking', which this model's chat template does not write"),
    (CUTTING, message(reasoning="So."), "'reasoning', which this model's chat template does not write"),
    (None, message(reasoning="So."), "give one text, with the marks"),
    (CHAT, message(content="7.", reasoning="So.", thinking="No."), "has reasoning twice"),
    (CHAT, message(reasoning=["So."]), "or not as text"),
    (CHAT, message(reasoning={"text": "So."}), "or not as text"),
    (CHAT, message(content=" ", reasoning="So."), "has reasoning but no answer"),
    (CHAT, message(tool_calls=[{"id": "1"}]), "'tool_calls', which is not text"),
    (CHAT, message(function_call={"name": "f"}), "'function_call', which is not text"),
    (CHAT, message(name="Ann"), "has 'name'"),
    (CHAT, message(prefix=True), "has 'prefix'"),
    (CHAT, message(refusal="No."), "has 'refusal'"),
    (CHAT, message(content=None), "has the content 'None'"),
    (CHAT, message(content=[]), r"has the content '\[\]'"),
    (CHAT, message(content=[{"type": "image_url", "image_url": "x"}]), "which is not text; remove it"),
    (CHAT, message(content=[{"type": "text", "text": 3}]), "which is not text; remove it"),
    (CHAT, message(content=""), "it is empty"),
    (CHAT, message() * 2, r"2 messages \(assistant, assistant\); give one assistant message"),
    (CHAT, [{"role": "user", "content": "?"}, *message()], r"2 messages \(user, assistant\)"),
    (CHAT, [*message(), {"role": "tool", "content": "8"}], r"2 messages \(assistant, tool\)"),
    (CHAT, [{"role": "user", "content": "?"}], r"1 messages \(user\)"),
    (CHAT, [{"content": "7"}], r"1 messages \(None\)"),
    (CHAT, [*message(), "7"], "give text, one assistant message or a list of token ids"),
    (CHAT, None, "give text, one assistant message"),
    (CHAT, 7, "give text, one assistant message"),
    (CHAT, True, "give text, one assistant message"),
    (CHAT, [], "give text, one assistant message"),
    (CHAT, {}, r"1 messages \(None\)"),
    (CHAT, "", "it is empty"),
    (CHAT, " \n", "it is empty"),
    (OPENING, "<think>\n", "it is empty"),
    (CLOSED, "<think>\na</think>7", "the prompt has ended the thinking already"),
    (CHAT, "7<|im_end|>8", "is the end token '<|im_end|>', after which"),
    (CHAT, "7<|im_end|>\n<|im_start|>user\n8", "is the end token"),
    (CHAT, [5, 10**6, 5], "place 1 is 1000000, and the vocabulary has ids from 0 to"),
    (CHAT, [5, -1], "place 1 is -1, and the vocabulary"),
    (CHAT, [True, 5], "place 0 is 'True' and no token id"),
    (CHAT, [5, 5.0], "place 1 is '5.0' and no token id"),
    (CHAT, [5, "5"], "place 1 is '5' and no token id"),
    (CHAT, [5, None], "place 1 is 'None' and no token id"),
    (CHAT, [[5]], r"place 0 is '\[5\]' and no token id"),
]


@pytest.mark.parametrize(("template", "given", "reason"), REFUSED)
def test_what_is_no_trace_is_refused_by_name(template, given, reason):
    with pytest.raises(InputError, match=reason):
        trace(policy(THINK, template), given)


def test_ids_are_taken_as_they_are_with_one_end_token_at_most():
    one = policy()
    end = one.end_ids[0]
    assert trace(one, [5, 6, end]).ids == (5, 6, end)
    with pytest.raises(InputError, match="token 1 of 3 is the end token"):
        trace(one, [5, end, 6])


BROKEN = [
    ("{{ 1 + messages }}", "refuses the prompt 'How many\\?': unsupported operand"),
    ("{{ messages[7].content }}", "refuses the prompt"),
    ("{{ 1 / 0 }}", "refuses the prompt 'How many\\?': division by zero"),
    ("{% for m in messages %}{{ m.content", "refuses the prompt"),
    ("{{ raise_exception('only tools') }}", "refuses the prompt 'How many\\?': only tools"),
    ("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n", "ignores the user's message"),
    ("{{ '' }}", "ignores the user's message"),
    (
        CHAT.partition("{% if")[0],
        "ignores add_generation_prompt: an answer begins with '<|im",
    ),
]


@pytest.mark.parametrize(("template", "reason"), BROKEN)
def test_a_template_that_cannot_ask_is_refused_in_one_line(template, reason):
    with pytest.raises(InputError, match=reason.replace("|", r"\|")) as error:
        policy(template=template).prompt_ids("How many?")
    assert "\n" not in str(error.value)


def test_a_template_that_drops_the_system_prompt_is_refused():
    template = CHAT.replace("messages %}", "messages if turn.role != 'system' %}")
    assert policy(template=template).prompt_ids("How many?")
    with pytest.raises(InputError, match="drops the system prompt"):
        policy(template=template, system_prompt="Be brief.").prompt_ids("How many?")


FINE = [
    "{% for turn in messages %}{% if turn.role == 'user' %}[INST] {{ turn.content.strip() }} [/INST]"
    "{% else %} {{ turn.content }}</s>{% endif %}{% endfor %}",
    CHAT.replace("{{ turn.content }}", "{% generation %}{{ turn.content }}{% endgeneration %}"),
    CHAT.replace("{{ turn.content }}", "{{ turn.content | trim }}"),
    CHAT.replace("{{ turn.content }}", "{{ turn.content }}{{ undefined_name }}"),
]


@pytest.mark.parametrize("template", FINE)
def test_templates_of_other_kinds_ask(template):
    one = policy(template=template)
    assert "How many?" in one.tokenizer.decode(one.prompt_ids(" How many?\n"))


def test_a_template_that_changes_the_question_or_writes_the_date_is_told_once():
    one = policy(template=CHAT.replace("{{ turn.content }}", "{{ turn.content | replace('/think', '') }}"))
    assert one.prompt_ids("How many?")
    with pytest.warns(DataWarning, match="changes the text of 'How many\\? /think'"):
        one.prompt_ids("How many? /think")
    assert one.prompt_ids("Again /think"), "it is told once"
    dated = "{% if not day %}{% set day = strftime_now('%d %b %Y') %}{% endif %}{{ day }}"
    with pytest.warns(DataWarning, match="writes today's date into prompts"):
        policy(template=dated + CHAT).prompt_ids("How many?")
    assert policy(template=dated + CHAT, template_args={"day": "1 May 2025"}).prompt_ids("How many?")


PAIR = Preference((1, 2), (3, 4), (5, 4))
ROWS = [
    (replace(PAIR, chosen_ids=(3, 99)), "row 2: chosen_ids has 99, and the model's ids are 0 to 9"),
    (replace(PAIR, rejected_ids=(10,)), "row 2: rejected_ids has 10"),
    (replace(PAIR, prompt_ids=(1, 2**70)), "row 2: prompt_ids has"),
    (replace(PAIR, chosen_ids=(3, 4, 3)), "row 2: chosen_ids continues after an end token"),
    (replace(PAIR, rejected_ids=(4, 4)), "row 2: rejected_ids continues after an end token"),
]


@pytest.mark.parametrize(("row", "reason"), ROWS)
def test_a_pair_that_the_model_cannot_have_written_is_refused(row, reason):
    check_vocabulary([PAIR, replace(PAIR, prompt_ids=(4, 1))], 10, (4,), "pairs.jsonl")
    with pytest.raises(InputError, match=reason):
        check_vocabulary([PAIR, row], 10, (4,), "pairs.jsonl")


def test_a_labelled_row_that_the_model_cannot_have_written_is_refused():
    check_vocabulary([Labelled((1,), (2, 4), True)], 10, (4,), "unpaired.jsonl")
    for ids, reason in (((2, 10), "row 1: completion_ids has 10"), ((4, 2), "continues after an end token")):
        with pytest.raises(InputError, match=reason):
            check_vocabulary([Labelled((1,), ids, True)], 10, (4,), "unpaired.jsonl")
