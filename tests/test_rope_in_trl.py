"""TRL's batches are read with one kind of rotary frequencies, so rows of two kinds are refused."""

from __future__ import annotations

import pytest
import transformers

from gpo.learn import preference
from gpo.trl import checks
from gpo.types import InputError, Labelled, Preference

ROPE = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 10}
FACTORS = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
SIZES = {"hidden_size": 64, "num_attention_heads": 4, "max_position_embeddings": 96}
LONGROPE = transformers.LlamaConfig(**SIZES, rope_parameters={**ROPE, **FACTORS})
PLAIN = transformers.LlamaConfig(**SIZES)


def pair(prompt: int, chosen: int, rejected: int) -> Preference:
    return Preference((1,) * prompt, (2,) * chosen, (3,) * rejected)


def labelled(prompt: int, answer: int) -> Labelled:
    return Labelled((1,) * prompt, (2,) * answer, True)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([pair(4, 6, 6)], None),
        ([pair(4, 7, 8), pair(11, 1, 1)], None),
        ([pair(4, 6, 7)], "1 of 2 sequences are longer than 10 tokens"),
        ([pair(2, 2, 2), pair(9, 2, 3)], "2 of 4 sequences .* give --max-length 10"),
        ([labelled(5, 5), labelled(1, 1)], None),
        ([labelled(5, 5), labelled(5, 6)], "1 of 2 sequences"),
        ([], None),
    ],
)
def test_offline_rows_lie_on_one_side_of_the_switch(rows, message):
    preference.check_one_side(PLAIN, rows)
    if message is None:
        preference.check_one_side(LONGROPE, rows)
    else:
        with pytest.raises(InputError, match=message):
            preference.check_one_side(LONGROPE, rows)


@pytest.mark.parametrize(
    ("lengths", "max_tokens", "is_refused"),
    [([4, 5], 5, False), ([4, 5], 6, True), ([12, 15], 40, False), ([3, 12], 1, True), ([], 99, False)],
)
def test_a_trainers_completions_cannot_pass_the_switch(lengths, max_tokens, is_refused):
    checks.check_one_side(PLAIN, lengths, max_tokens)
    if not is_refused:
        checks.check_one_side(LONGROPE, lengths, max_tokens)
    else:
        with pytest.raises(InputError, match=f"max_completion_length is {max_tokens} .* LongRoPE"):
            checks.check_one_side(LONGROPE, lengths, max_tokens)
