"""Splitters: valid bounds for every kind of tokenizer, and the rules on examples written out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers_for_tests import (
    Backwards,
    Bytes,
    Characters,
    CleanUp,
    Pieces,
    Shouting,
    byte_level_bpe,
    llama_bpe,
    sentencepiece_bpe,
)

from gpo import marks, steps
from gpo.protocols import Splitter, Tokenizer
from gpo.types import InputError

KINDS: dict[str, tuple[Tokenizer, int]] = {
    "byte-level BPE": (byte_level_bpe(), 350),
    "Llama BPE": (llama_bpe(), 305),
    "SentencePiece": (sentencepiece_bpe(False), 360),
    "normalizing SentencePiece": (sentencepiece_bpe(True), 360),
    "characters": (Characters(), 0xD800),
    "bytes": (Bytes(), 256),
}
LOSSLESS = [name for name in KINDS if not name.startswith("normalizing")]

FRAGMENTS = [
    *("\n", "\n\n", "\n \n", ".\n\n", ")\n\n", " ", "  ", ". ", "! ", "? ", "Wait", "x = 3", "3.14", "e.g. "),
    *(
        "$",
        "$$",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "\\begin{a}",
        "\\end{a}",
        "\\\\",
        "</think>",
        "中文",
        "😀",
        "ï",
        "。",
    ),
]
texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=30).map("".join)
settings_of_splitters = st.fixed_dictionaries(
    {"min_tokens": st.integers(1, 12), "max_steps": st.integers(1, 8), "num_tokens": st.integers(1, 9)}
)


@st.composite
def tokenized(draw: st.DrawFn, kinds: Sequence[str] = tuple(KINDS)) -> tuple[Tokenizer, list[int]]:
    """A tokenizer and at least one id: what a text encodes to, or whatever a model may sample."""
    tokenizer, num_ids = KINDS[draw(st.sampled_from(sorted(kinds)))]
    encoded = texts.map(tokenizer.encode).filter(bool)
    return tokenizer, draw(encoded | st.lists(st.integers(0, num_ids - 1), min_size=1, max_size=40))


def parts(splitter: Splitter, text: str) -> list[str]:
    """The steps of `text`, a character a token."""
    bounds = splitter(Characters().encode(text), Characters())
    return [text[a:b] for a, b in pairwise(bounds)]


# What holds for every tokenizer


@pytest.mark.slow
@settings(max_examples=300)
@given(tokenized(), settings_of_splitters, st.sampled_from(steps.NAMES))
def test_bounds_are_valid_and_the_steps_are_the_completion(case, options, name):
    tokenizer, ids = case
    bounds = steps.by_name(name, **options)(ids, tokenizer)
    assert bounds[0] == 0
    assert bounds[-1] == len(ids)
    assert all(a < b for a, b in pairwise(bounds))
    assert [token for a, b in pairwise(bounds) for token in ids[a:b]] == ids
    assert bounds == steps.by_name(name, **options)(tuple(ids), tokenizer)
    has_answer = name != "as-released" and "</think>" in tokenizer.decode(ids[: bounds[-2]])
    assert len(bounds) - 1 <= options["max_steps"] + has_answer


@settings(max_examples=300)
@given(tokenized())
@example((Bytes(), [0xB8, 0xB8, 0xE4, 0xB8, 0xE4, 0xB8, 0xAD, 0xFF, 0x61, 0xE4]))
@example((llama_bpe(), [0xE4, 0xB8, 0xAD, 0x80, 0x80]))
@example((Bytes(), list("\ufffdx\ufffd".encode())))
@example((Bytes("ignore"), list("x中\n".encode()) + [0xB8] * 40 + [0x61]))
@example((Bytes(), [0x80] * 100))
@example((Backwards(), list(range(100))))
def test_token_texts_join_to_the_decoded_text(case):
    tokenizer, ids = case
    added = steps.token_texts(ids, tokenizer)
    assert len(added) == len(ids)
    assert "".join(added) == tokenizer.decode(ids)


@settings(max_examples=200)
@given(st.sampled_from(sorted(KINDS)), texts)
def test_token_texts_are_the_growth_of_the_decoded_prefixes(kind, text):
    tokenizer = KINDS[kind][0]
    ids = tokenizer.encode(text.replace("\ufffd", ""))
    whole, done, expected = tokenizer.decode(ids), 0, []
    for end in range(1, len(ids) + 1):
        prefix = tokenizer.decode(ids[:end])
        grown = max(done, len(prefix)) if whole.startswith(prefix) else done
        expected.append(whole[done:grown])
        done = grown
    assert steps.token_texts(ids, tokenizer) == expected


@settings(max_examples=300)
@given(st.sampled_from(LOSSLESS), texts.filter(bool), settings_of_splitters, st.sampled_from(steps.NAMES))
def test_no_boundary_falls_inside_a_character(kind, text, options, name):
    tokenizer = KINDS[kind][0]
    ids = tokenizer.encode(text.replace("\ufffd", "?"))
    for bound in steps.by_name(name, **options)(ids, tokenizer):
        assert "\ufffd" not in tokenizer.decode(ids[:bound])


@settings(max_examples=200)
@given(tokenized(), settings_of_splitters, st.sampled_from(["newline", "sentence"]))
def test_only_a_step_that_is_all_the_reasoning_or_the_answer_is_short(case, options, name):
    tokenizer, ids = case
    ids = [token for token in ids if "</think>" not in tokenizer.decode([token])]
    bounds = steps.by_name(name, **options)(ids, tokenizer) if ids else [0]
    if "</think>" in tokenizer.decode(ids):
        bounds = bounds[: max(2, len(bounds) - 1)]
    if len(bounds) > 2:
        assert min(b - a for a, b in pairwise(bounds)) >= options["min_tokens"]


@given(st.text("ab \n", min_size=1))
def test_newline_steps_are_lines_with_the_blank_lines_that_follow(text):
    lines = re.findall(r"[^\n]*\n(?:[ ]*\n)*|[^\n]+", text)
    assert parts(steps.newline(1, 10**6), text) == lines


def test_detokenising_decodes_a_bounded_number_of_tokens_for_each_token():
    class Counting(Bytes):
        num_decoded = 0

        def decode(self, ids: Sequence[int]) -> str:
            self.num_decoded += len(ids)
            return super().decode(ids)

    for errors, text in [
        ("replace", "Wait.\n\n中文😀" * 200),
        ("replace", "\ufffd" * 900),
        ("replace", "\udcb8" * 2000),
        ("ignore", "\udcb8" * 2000),
    ]:
        tokenizer = Counting(errors)
        ids = list(text.encode(errors="surrogateescape"))
        steps.token_texts(ids, tokenizer)
        assert tokenizer.num_decoded <= 100 * len(ids)


# What each token adds


def test_a_character_of_several_tokens_belongs_to_the_one_that_completes_it():
    assert steps.token_texts(list("a中😀".encode()), Bytes()) == ["a", "", "", "中", "", "", "", "😀"]


def test_unfinished_bytes_are_shown_as_one_replacement_where_they_end():
    assert steps.token_texts([0xE4, 0xB8, 0x61, 0xB8, 0xE4], Bytes()) == [
        "",
        "\ufffd",
        "a",
        "\ufffd",
        "\ufffd",
    ]


def test_a_token_with_a_space_and_the_first_bytes_of_an_emoji_waits_for_the_rest():
    tokenizer = byte_level_bpe()
    start = tokenizer.tokenizer.token_to_id("Ġ") or 0
    ids = tokenizer.encode("is 日")
    assert ids[1] == start
    assert steps.token_texts(ids, tokenizer) == ["is", " ", *[""] * (len(ids) - 3), "日"]


def test_cleaned_up_spaces_do_not_shift_the_text():
    tokenizer = CleanUp(["It", " is", " n", "'", "t", " ", ".", " So", ","])
    ids = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert tokenizer.decode(ids) == "It isn't. So,"
    assert steps.token_texts(ids, tokenizer) == ["It", " is", "", "", "n't", "", ".", " So", ","]


def test_a_decoder_that_drops_unfinished_bytes_shifts_no_text():
    assert steps.token_texts(list("x中\n".encode()), Bytes("ignore")) == ["x", "", "", "中", "\n"]


def test_text_that_depends_on_far_tokens_waits_at_most_32_tokens():
    added = steps.token_texts(list(map(ord, "^" + "abc\n" * 40)), Shouting())
    assert "".join(added) == "ABC\n" * 40
    assert added[:3] == ["", "A", "B"]
    assert [i for i, text in enumerate(added) if text] == [1, 2, 34, 66, 98, 130, 160]


def test_no_ids_have_no_texts():
    assert steps.token_texts([], Characters()) == []


# auto


@pytest.mark.parametrize(
    ("num_sentences", "num_steps", "shortest"),
    [
        (2, 2, 10),  # 20 characters: at least 5
        (6, 6, 10),
        (12, 6, 20),  # 120: an eighth is 15, so two sentences
        (40, 13, 30),  # 400: 30 are enough
        (300, 30, 100),  # 3,000: a thirtieth
        (301, 27, 110),
    ],
)
def test_auto_has_several_steps_of_short_text_and_reaches_the_end_of_long_text(
    num_sentences, num_steps, shortest
):
    found = parts(steps.auto(), "It is so.\n" * num_sentences)
    assert len(found) == num_steps
    assert min(map(len, found)) == shortest
    assert max(map(len, found)) < 2 * shortest + 10


def test_auto_with_a_least_number_of_tokens_is_sentence():
    text = "One. Two.\nThree and four. Five.\n"
    for least in (1, 5, 30):
        assert parts(steps.auto(least), text) == parts(steps.sentence(least), text)
    assert parts(steps.auto(), text) == ["One. Two.\n", "Three and four.", " Five.\n"]


# newline


def test_newline_cuts_after_runs_of_newlines():
    assert parts(steps.newline(1), "a\nb\n\nc\n \n d") == ["a\n", "b\n\n", "c\n \n", " d"]
    assert steps.newline(1)(list(b"a\nb\n\nc"), Bytes()) == [0, 2, 5, 6]


def test_newline_leaves_text_without_a_newline_whole():
    assert steps.newline(1)(list(b"no newline"), Bytes()) == [0, 10]


def test_newline_merges_short_steps_forward_and_a_short_last_step_back():
    assert parts(steps.newline(5), "a\nbc\nd\nefghi\nj\n") == ["a\nbc\n", "d\nefghi\nj\n"]
    assert parts(steps.newline(5), "abcd\nefg") == ["abcd\nefg"]
    assert parts(steps.newline(5), "abcd\nefgh\n") == ["abcd\n", "efgh\n"]


def test_newline_keeps_the_first_steps_at_the_cap_and_joins_the_rest():
    assert parts(steps.newline(1, 3), "a\nb\nc\nd\ne") == ["a\n", "b\n", "c\nd\ne"]
    assert parts(steps.newline(1, 1), "a\nb\nc") == ["a\nb\nc"]


def test_newline_defaults_are_the_released_numbers():
    line = "Wait. " * 5 + "\n"  # 31 characters
    assert steps.newline()(Characters().encode(line * 40), Characters()) == [*range(0, 30 * 31, 31), 40 * 31]


def test_repeated_lines_are_each_a_step():
    assert parts(steps.newline(1), "Wait.\nWait.\nWait.\n") == ["Wait.\n"] * 3


def test_a_cut_inside_a_token_goes_after_that_token():
    tokenizer = Pieces(["x", ").\n\nThe", " end", "\n"])
    assert steps.newline(1)([0, 1, 2, 0, 3, 3, 2], tokenizer) == [0, 2, 6, 7]


def test_merged_newline_tokens_of_byte_level_bpe_end_steps():
    tokenizer = byte_level_bpe()
    ids = tokenizer.encode("So (x).\n\nThen:\n\nx.\n\n")
    assert [tokenizer.decode([i]) for i in ids] == ["So", " (", "x", ").\n\n", "Then", ":\n\n", "x", ".\n\n"]
    assert steps.newline(1)(ids, tokenizer) == [0, 4, 6, 8]


# as released


RELEASED = Pieces(["\n", "\n\n", ".\n", ".\n\n", ")\n\n", "a"])


def test_as_released_misses_merged_tokens_that_newline_sees():
    ids = [5, 5, 3, 5, 5, 4, 5, 5, 0, 5, 5]
    assert steps.as_released(2)(ids, RELEASED) == [0, 3, 9, 11]
    assert steps.newline(2)(ids, RELEASED) == [0, 3, 6, 9, 11]


def test_as_released_wants_min_tokens_before_the_newline_token():
    assert steps.as_released(2)([5, 1, 5, 5, 1, 5, 5, 1, 5], RELEASED) == [0, 5, 8, 9]
    assert steps.as_released()([*[5] * 29, 1, *[5] * 30, 1, *[5] * 30, 1, 5], RELEASED) == [0, 61, 92, 93]


def test_as_released_always_cuts_at_the_last_newline_token():
    assert steps.as_released(4)([5, 0, 5, 2, 5], RELEASED) == [0, 4, 5]
    assert steps.as_released(4)([5, 0, 5, 2], RELEASED) == [0, 4]


def test_as_released_keeps_the_first_steps_at_the_cap():
    assert steps.as_released(1, 2)([5, 0, 5, 0, 5, 0, 5], RELEASED) == [0, 2, 7]


def test_as_released_uses_first_ids_only():
    assert parts(steps.as_released(1), "a. b.\nc") == ["a.", " b.", "\n", "c"]


# sentence


@pytest.mark.parametrize(
    "text",
    [
        "Let x be 3.| Then y is 4!| Right?| Yes",
        "Hmm...| Wait.\n\n\n|So it is (5).| He said “no.”| **Done.**| Ok",
        "Pi is 3.14 and v1.2 costs 2.50.| So",
        "See e.g. Fig. 3, i.e. Eq. (2), etc. by Dr. J. R. Smith et al. in No. 7.| No.| Good",
        "1. First.| Yes.\n|2. Second.| No.\n|  - 3. Third\n|**Step 4.** Fourth is 5.| End",
        "There are 5! ways and n! orders, or 3!| Really!| Yes",
        "答案是三。|所以！|好",
        "a $b. c$ d.| e $$f. g\nh. i$$ j.| k",
        "a \\(b. c\\) d.| e \\[f.\n\ng. h\\] i.\n|j",
        "a \\begin{x}b. \\begin{x}c. d\\end{x} e. f\\end{x} g.| h",
        "a \\begin{align*}b &= c. \\\\[2pt] d. e\\end{align*} f.| g",
        "So $x = 3.$| Then \\(y = 4.\\)| And $$z. w.$$| Ok\n|$v$",
        "It costs $5.| She pays $10.| Then $x. y$ ends.| Ok",
        "Each 5$.| Both 10$.| So $ x. y $ here.| Ok",
        "It is $ 5.| Or $ 6.| Or $7.| Or (US$8).| Ok",
        "Write \\$x.| Then y\\$ ok.| End",
        "a \\\\[2pt] b.| c \\] d",
        "\\begin{x} a.| b \\begin{x} c. d\\end{x} e.| f",
        "Cut $x.| So\n\n|then $y. z$ is.| End",
        "Cut \\(x.| So\n\n|then y\\).| End",
        "Open \\[ x.| So \\begin{a} y.| End $$z.| w",
        "$x. y$ costs $5.| And $6-$8.| Then $z$.| End",
    ],
)
def test_sentence_cuts_only_where_a_sentence_ends(text):
    expected = text.split("|")
    assert parts(steps.sentence(1, 100), "".join(expected)) == expected


def test_sentence_bounds_in_byte_level_tokens():
    tokenizer = byte_level_bpe()
    ids = tokenizer.encode("x = 3. Then $x. x$ is right. 中文。😀")
    found = [tokenizer.decode(ids[a:b]) for a, b in pairwise(steps.sentence(1)(ids, tokenizer))]
    assert found == ["x = 3.", " Then $x. x$ is right.", " 中文。", "😀"]


# fixed


def test_fixed_cuts_at_multiples_and_leaves_what_remains():
    assert steps.fixed(4)(list(b"abcdefghij"), Bytes()) == [0, 4, 8, 10]
    assert steps.fixed(4)(list(b"abcdefgh"), Bytes()) == [0, 4, 8]
    assert steps.fixed(1, 3)(list(b"abcdefgh"), Bytes()) == [0, 1, 2, 8]
    assert steps.fixed(99)(list(b"abc"), Bytes()) == [0, 3]


def test_fixed_moves_a_cut_to_the_end_of_the_character():
    ids = list("a😀b中".encode())  # characters end at 1, 5, 6, 9
    assert steps.fixed(2)(ids, Bytes()) == [0, 5, 6, 9]
    assert steps.fixed(3)(ids, Bytes()) == [0, 5, 6, 9]
    assert steps.fixed(7)(ids, Bytes()) == [0, 9]


# <think>


THOUGHT = "<think>a\nso b. c</think>\n\nIt is 5.\nYes."


def test_the_answer_after_the_thought_is_one_step():
    answer = "\n\nIt is 5.\nYes."
    assert parts(steps.newline(1), THOUGHT) == ["<think>a\n", "so b. c</think>", answer]
    assert parts(steps.sentence(1), THOUGHT) == ["<think>a\n", "so b.", " c</think>", answer]
    assert parts(steps.fixed(18), THOUGHT) == ["<think>a\nso b. c</", "think>", answer]


def test_no_merge_and_no_cap_crosses_the_end_of_the_thought():
    assert parts(steps.newline(30), "a\n</think>b") == ["a\n</think>", "b"]
    assert parts(steps.newline(1, 2), "a\nb\nc\n</think>d\ne") == ["a\n", "b\nc\n</think>", "d\ne"]


def test_only_the_first_end_of_a_thought_counts():
    assert parts(steps.newline(1), "a</think>b\n</think>c") == ["a</think>", "b\n</think>c"]


def test_a_thought_without_answer_and_a_trace_without_thought_follow_the_rule():
    assert parts(steps.newline(1), "a\nb</think>") == ["a\n", "b</think>"]
    assert parts(steps.newline(1), "<think>a\nb") == ["<think>a\n", "b"]


def test_the_end_of_a_thought_may_be_one_token_or_several():
    single = Pieces(["a", "\n\n", "</think>"])
    assert steps.newline(1)([0, 1, 0, 2, 1, 0, 1, 0], single) == [0, 2, 4, 8]
    bpe = byte_level_bpe()
    ids = bpe.encode("x</think>\n\nx\n\nx")
    assert [bpe.decode([i]) for i in ids] == ["x", "</", "think", ">\n\n", "x", "\n\n", "x"]
    assert steps.newline(1)(ids, bpe) == [0, 4, 7]


def test_as_released_knows_no_thought_unless_wrapped():
    text = "a\nb</think>c\nd"
    assert parts(steps.as_released(1), text) == ["a\n", "b</think>c\n", "d"]
    assert parts(steps.think_aware(steps.as_released(1)), text) == ["a\n", "b</think>", "c\nd"]


# A function of the user's own


def thirds(text: str) -> list[int]:
    return [len(text) // 3, 2 * len(text) // 3]


def late(text: str) -> list[int]:
    return [1, len(text) + 1]


def unsorted(text: str) -> list[int]:
    return [2, 1]


def words(text: str) -> list[str]:
    return text.split()


def nothing(text: str) -> None:
    return None


def whole(text: str) -> str:
    return text


def raising(text: str) -> list[int]:
    return [text.index("no such text")]


@settings(max_examples=200)
@given(st.sampled_from(LOSSLESS), texts.filter(lambda text: text and not marks.has_any(text, ())), st.data())
def test_an_offset_is_the_bound_after_the_token_that_holds_the_character_before_it(kind, text, data):
    tokenizer = KINDS[kind][0]
    ids = tokenizer.encode(text)
    decoded = tokenizer.decode(ids)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(decoded)))))
    bounds = steps.from_text(lambda _: cuts, max_steps=len(ids) + 1)(ids, tokenizer)
    read = [len("".join(steps.token_texts(ids, tokenizer)[:end])) for end in range(len(ids) + 1)]
    first = {next(i for i, size in enumerate(read) if size >= cut) for cut in cuts}
    assert bounds == sorted({0, len(ids), *first})


def test_a_bound_is_after_a_character_of_several_tokens() -> None:
    ids = Bytes().encode("aé中b")  # 1, 2, 3 and 1 bytes
    assert steps.from_text(lambda text: [0, 2, 4])(ids, Bytes()) == [0, 3, 7]
    assert steps.from_text(lambda text: [1, 2, 3], min_tokens=3)(ids, Bytes()) == [0, 3, 7]
    assert steps.from_text(thirds, max_steps=2)(ids, Bytes()) == [0, 1, 7]


def test_numbers_of_numpy_are_offsets_and_thinking_is_split_alone() -> None:
    assert parts(steps.from_text(lambda text: np.array([2, 4])), "abcdef") == ["ab", "cd", "ef"]
    assert parts(steps.from_text(thirds), "<think>a</think>bcd")[-1] == "bcd"


def test_a_named_function_cuts_as_it_says() -> None:
    assert steps.by_name("test_steps:thirds")(range(9), Characters()) == [0, 3, 6, 9]
    assert steps.by_name("test_steps:thirds", max_steps=2)(range(9), Characters()) == [0, 3, 9]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "late",
            "splitter: test_steps:late returned the offset 52 for a text of 51 characters; return",
        ),
        ("unsorted", "splitter: test_steps:unsorted returned 2 before 1; let them increase"),
        ("words", "splitter: test_steps:words returned 'First' as an offset; return whole numbers"),
        ("nothing", "splitter: test_steps:nothing returned None; return a list of character offsets"),
        ("whole", "splitter: test_steps:whole returned 'First 3 "),
        ("raising", "splitter: test_steps:raising raised ValueError: substring not found ("),
        (
            "thirsd",
            "cannot be imported (module 'test_steps' has no attribute 'thirsd'; did you mean 'thirds'?)",
        ),
        ("KINDS", "splitter: 'KINDS' is a dict, not a function; name a function"),
    ],
)
def test_a_function_that_cannot_cut_is_refused_when_it_is_named(name, message):
    with pytest.raises(InputError) as error:
        steps.by_name(f"test_steps:{name}")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# Bad input


@pytest.mark.parametrize("name", steps.NAMES)
def test_empty_ids_are_refused(name):
    with pytest.raises(ValueError, match="empty completion"):
        steps.by_name(name)([], Characters())


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("new-line", "'newline'"),
        ("as_released", "'as-released'"),
        ("zzz", "'auto' or 'newline' or 'as-released' or"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(InputError, match=f"splitter: '{name}' is unknown: did you mean {nearest}"):
        steps.by_name(name)


@pytest.mark.parametrize("name", steps.NAMES)
def test_settings_below_one_are_refused(name):
    option = "num_tokens" if name == "fixed" else "min_tokens"
    with pytest.raises(InputError, match=f"{option} is 0"):
        steps.by_name(name, **{option: 0})
    with pytest.raises(InputError, match="max_steps is -1"):
        steps.by_name(name, max_steps=-1)
