"""What a reader sees of token ids: marks that are special tokens, or text, or in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers_for_tests import byte_level_bpe, llama_bpe
from transformers import PreTrainedTokenizerFast

from gpo import steps, verifiers
from gpo.command_settings import SampleSettings
from gpo.policies.prompting import PromptedPolicy
from gpo.pool import verified
from gpo.setup.resume import new_settings
from gpo.types import CompletionText, InputError, Problem, Sample, State

CHAT = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OPENING = CHAT.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
CLOSED = CHAT.replace("assistant\n{% endif %}", "assistant\n<think>\n\n</think>\n\n{% endif %}")
FORCED = CHAT.replace("assistant\n{% endif %}", "assistant\n<think>\nOkay, so {% endif %}")
MISTRAL = CHAT.replace("assistant\n{% endif %}", "assistant\n[THINK]{% endif %}")
HARMONY = (
    "{% for turn in messages %}<|start|>{{ turn.role }}<|message|>{{ turn.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
FINAL = HARMONY.replace("assistant{% endif %}", "assistant<|channel|>final<|message|>{% endif %}")
ANALYSIS = HARMONY.replace("assistant{% endif %}", "assistant<|channel|>analysis<|message|>{% endif %}")
CHATML = ["<|im_start|>", "<|im_end|>"]
CHANNELS = ["<|start|>", "<|end|>", "<|channel|>", "<|message|>", "<|return|>", "<|constrain|>", "<|call|>"]
THINK, BRACKETS = ["<think>", "</think>"], ["[THINK]", "[/THINK]"]


def tokenizer(
    specials: Sequence[str],
    template: str | None = None,
    kind: Any = byte_level_bpe,
    added: Sequence[str] = (),
) -> Any:
    """One of the tiny tokenizers with these special tokens, and `added` ones that are not special."""
    copy = Tokenizer.from_str(kind().tokenizer.to_str())
    fast = PreTrainedTokenizerFast(
        tokenizer_object=copy, additional_special_tokens=[*CHATML, *specials], eos_token=CHATML[1]
    )
    fast.add_tokens(list(added))
    fast.chat_template = template
    return fast


def policy(specials: Sequence[str] = (), template: str | None = CHAT, **more: Any) -> PromptedPolicy:
    how = {name: more.pop(name) for name in ("kind", "added") if name in more}
    fast = tokenizer(specials, template, **how)
    return PromptedPolicy(fast, end_ids=(fast.eos_token_id,), context=None, chat=template is not None, **more)


def completion(one: PromptedPolicy, text: str, question: str = "How many?", cut: int = 0) -> CompletionText:
    """The completion `text`, of which the first `cut` tokens are a given prefix."""
    ids = tuple(one.tokenizer.encode(text))
    problem = Problem("p", one.prompt_ids(question), "7", question=question)
    return one.completion_text(State(problem, ids[:cut]), ids[cut:])


HEAD = "<|start|>assistant<|channel|>"
ROWS = [
    (BRACKETS, CHAT, "[THINK]The answer is 7.[/THINK]I am not sure.", "I am not sure."),
    (BRACKETS, CHAT, "[THINK]x[/THINK]The answer is 7.<|im_end|>", "The answer is 7."),
    (BRACKETS, MISTRAL, "The answer is 7.", ""),
    (BRACKETS, MISTRAL, "x[/THINK]The answer is 7.", "The answer is 7."),
    (BRACKETS, CHAT, "[THINK]The answer is 7.", ""),
    (BRACKETS, CHAT, "The answer is 7.", "The answer is 7."),
    (BRACKETS, CHAT, "[THINK]a[/THINK]8[THINK]b[/THINK]7", "8\n7"),
    (THINK, CHAT, "<think>x</think>The answer is 7.", "The answer is 7."),
    (THINK, OPENING, "The answer is 7.<|im_end|>", ""),
    (THINK, OPENING, "x\n</think>\n\nThe answer is 7.<|im_end|>", "\n\nThe answer is 7."),
    (THINK, CLOSED, "The answer is 7.<|im_end|>", "The answer is 7."),
    (THINK, FORCED, "the answer is 7.", ""),
    (THINK, FORCED, "x</think>7", "7"),
    ([], OPENING, "The answer is 7.", ""),
    ([], OPENING, "x</think>7", "7"),
    ([], CHAT, "x</think>7", "7"),
    ([], None, "The answer is 7.", "The answer is 7."),
    (CHANNELS, HARMONY, "<|channel|>analysis<|message|>7<|end|>" + HEAD + "final<|message|>8<|return|>", "8"),
    (CHANNELS, HARMONY, "<|channel|>final<|message|>7<|return|>", "7"),
    (CHANNELS, HARMONY, "<|message|>7<|return|>", "7"),
    (CHANNELS, HARMONY, "<|channel|>analysis<|message|>7<|return|>", ""),
    (CHANNELS, HARMONY, "<|channel|>commentary to=f<|constrain|>json<|message|>{7}<|call|>", ""),
    (CHANNELS, HARMONY, "<|channel|>final<|message|>7<|end|>" + HEAD + "analysis<|message|>8", "7"),
    (CHANNELS, ANALYSIS, "7<|end|>", ""),
    (CHANNELS, ANALYSIS, "8<|end|>" + HEAD + "final<|message|>7<|return|>", "7"),
    (CHANNELS, FINAL, "7<|return|>", "7"),
    ([], HARMONY, "<|channel|>analysis<|message|>8<|end|>" + HEAD + "final<|message|>7", "7"),
    (["<|begin_of_thought|>", "<|end_of_thought|>"], CHAT, "<|begin_of_thought|>8<|end_of_thought|>7", "7"),
    (["<|START_THINKING|>", "<|END_THINKING|>"], CHAT, "<|START_THINKING|>8<|END_THINKING|>7", "7"),
    (["<|inner_prefix|>", "<|inner_suffix|>"], CHAT, "<|inner_prefix|>8<|inner_suffix|>7", "7"),
    (["<|channel>", "<channel|>"], CHAT, "<|channel>thought\n8<channel|>7", "7"),
    (["<seed:think>", "</seed:think>"], CHAT, "<seed:think>8</seed:think>7", "7"),
]


@pytest.mark.parametrize("kind", [byte_level_bpe, llama_bpe])
@pytest.mark.parametrize(("specials", "template", "text", "seen"), ROWS)
def test_what_is_seen_is_decided_before_special_tokens_are_dropped(specials, template, text, seen, kind):
    one = policy(specials, template, kind=kind)
    found = completion(one, text)
    assert found.seen.strip() == seen.strip()
    assert not any(mark in found.seen for mark in (*specials, *CHATML))
    for cut in range(1, len(one.tokenizer.encode(text)), 3):
        assert completion(one, text, cut=cut).seen == found.seen, (
            "a prefix and its continuation decide together"
        )


@pytest.mark.parametrize("text", ["x</think>7", "<think>x</think>7<|im_end|>", "plain 7", "a[/THINK]b"])
def test_the_whole_text_is_what_trl_gives(text):
    for one in (policy(THINK + BRACKETS), policy(added=THINK), policy()):
        ids = one.tokenizer.encode(text)
        expected = one.raw_tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert completion(one, text) == expected


def test_marks_that_are_one_token_and_not_special_count_as_those_that_are_spelled():
    one = policy(added=THINK)
    assert completion(one, "<think>8</think>7").seen == "7"
    assert str(completion(one, "<think>8</think>7")) == "<think>8</think>7"


def test_a_mark_in_the_question_is_no_mark_of_the_answer():
    question = "What does <think> do in a chat, and when?"
    one = policy(THINK)
    assert completion(one, "The answer is 7.", question).seen == "The answer is 7."
    assert "7" in completion(one, f"You ask: {question} The answer is 7.", question).seen
    raw = policy(THINK, None)
    assert completion(raw, " It opens. 7", question).seen == " It opens. 7"
    assert completion(raw, "8</think>7", "1 + 6 = ? <think>").seen == "7"


def test_marks_of_a_users_own_may_be_special_tokens_or_text():
    for one in (
        policy(["<plan>", "</plan>"], thinking_marks=[["<plan>", "</plan>"]]),
        policy(thinking_marks=[["<plan>", "</plan>"]]),
        policy(
            template=CHAT.replace("assistant\n{%", "assistant\n<plan>{%"),
            thinking_marks=[("<plan>", "</plan>")],
        ),
    ):
        assert completion(one, "8</plan>7").seen == "7"
        assert completion(one, "<plan>8</plan>7").seen == "7"
    assert completion(policy(), "<plan>8</plan>7").seen == "<plan>8</plan>7"


@pytest.mark.parametrize(
    "pairs", [[["<a>"]], [["<a>", "<a>"]], [["", "</a>"]], ["<a>"], [["<a>", 3]], ["ab"]]
)
def test_a_pair_that_is_none_is_refused(pairs):
    with pytest.raises(InputError, match=r"thinking_marks: .* are not two different marks"):
        policy(thinking_marks=pairs)


def rewarded(one: PromptedPolicy, verifier: Any, text: str) -> float:
    ids = tuple(one.tokenizer.encode(text))
    state = State(Problem("p", one.prompt_ids("How many?"), "7", question="How many?"))
    return verified(one, verifier, [(state, Sample(ids, (), (), True))])[0].reward


def length(completions: Sequence[str], **_: Any) -> list[float]:
    """A user's reward: whether the function sees the thinking."""
    return [float("answer is 7" in text) for text in completions]


def test_the_reward_is_for_what_the_reader_sees_and_a_users_function_gets_all():
    thought, said = "[THINK]The answer is 7.[/THINK]I am not sure.", "[THINK]Hm, 8?[/THINK]The answer is 7."
    one = policy(BRACKETS)
    with verifiers.load("number") as number, verifiers.load(length) as own:
        assert rewarded(one, number, thought) == 0.0
        assert rewarded(one, number, said) == 1.0
        assert rewarded(policy(BRACKETS, MISTRAL), number, "The answer is 7.<|im_end|>") == 0.0
        assert number.read([Problem("p", (1,), "7")], [completion(one, thought)]) == [None]
        assert rewarded(one, own, thought) == 1.0


def parts(one: PromptedPolicy, text: str, splitter: Any) -> list[str]:
    ids = one.tokenizer.encode(text)
    bounds = splitter(ids, one.tokenizer)
    return [one.tokenizer.decode(ids[a:b]) for a, b in pairwise(bounds)]


THOUGHT = "\na b c\nd e f\n"
SPLIT = [
    (BRACKETS, f"[THINK]{THOUGHT}[/THINK]g\nh", ["[THINK]\na b c\n", "d e f\n[/THINK]", "g\nh"]),
    (THINK, f"<think>{THOUGHT}</think>g\nh", ["<think>\na b c\n", "d e f\n</think>", "g\nh"]),
    ([], f"<think>{THOUGHT}</think>g\nh", ["<think>\na b c\n", "d e f\n</think>", "g\nh"]),
    (THINK, "<think>\n\n</think>\n\ng\nh", ["<think>\n\n</think>\n\ng\n", "h"]),
    (THINK, "a\nb</think>g\nh", ["a\n", "b</think>", "g\nh"]),
    (
        CHANNELS,
        f"<|channel|>analysis<|message|>a\nb<|end|>{HEAD}final<|message|>g\nh<|return|>",
        ["<|channel|>analysis<|message|>a\n", f"b<|end|>{HEAD}final<|message|>", "g\nh<|return|>"],
    ),
    (CHANNELS, "<|channel|>final<|message|>g\nh", ["<|channel|>final<|message|>g\n", "h"]),
]


@pytest.mark.parametrize(("specials", "text", "expected"), SPLIT)
def test_a_step_ends_where_thinking_does_and_no_step_is_a_mark_alone(specials, text, expected):
    assert parts(policy(specials), text, steps.newline(1)) == expected


def test_the_splitters_know_marks_of_a_users_own():
    splitter = steps.by_name("newline", min_tokens=1, thinking_marks=[["<plan>", "</plan>"]])
    assert parts(policy(), "<plan>\na\nb</plan>c\nd", splitter) == ["<plan>\na\n", "b</plan>", "c\nd"]


@pytest.mark.parametrize(
    "pairs", [["<a>"], [["<a>"]], [["<a>", "<a>"]], [["", "</a>"]], [["a", "b", "c"]], "ab"]
)
def test_a_setting_that_is_no_pair_is_refused_before_anything_is_loaded(pairs):
    with pytest.raises(InputError, match=r"thinking.marks"):
        new_settings(SampleSettings, None, {"task": "chain_sum", "thinking_marks": pairs})


def test_pairs_of_flags_and_of_a_file_are_one_setting(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text('task: chain_sum\nthinking_marks: [["<a>", "</a>"], ["((", "))"]]\n')
    flags = {"task": "chain_sum", "thinking_marks": [("<a>", "</a>"), ("((", "))")]}
    for settings in (new_settings(SampleSettings, file, {}), new_settings(SampleSettings, None, flags)):
        assert settings.model_dump()["thinking_marks"] == [["<a>", "</a>"], ["((", "))"]]
