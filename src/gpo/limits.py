"""What any setting may hold, whatever it means: text that can be used, numbers that a machine can serve.

One place instead of a bound at each setting: a blank path, a name with a line break, `true` for a number, or
a count that would run for years is refused before anything is loaded.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from gpo.files import MAX_NAME, MAX_PATH, JsonError, check_depth

WEEK_S = 7 * 86_400
MOST: Mapping[str, float] = {
    "seed": 2**32 - 1,
    "budget_tokens": 10**15,
    "budget_samples": 10**15,
    "batch_tokens": 10**9,
    "microbatch_tokens": 10**9,
    "loss_constant": 1e15,
    "eval_problems": 100_000,
    "problems_per_round": 1_000_000,
    "group_size": 100_000,
    "reset_size": 100_000,
    "values": 100_000,
    "fill": 100_000,
    "shots": 1000,
    "threads": 4096,
    "lora_rank": 65_536,
    "actors": 10_000,
    "learning_rate": 10,
    "critic_learning_rate": 10,
    "verifier_limit_s": WEEK_S,
    "request_timeout_s": WEEK_S,
    "patience_s": WEEK_S,
}
"""Bounds of single settings."""
MOST_OTHERS = 10_000_000
"""Largest value of every other number."""
FREE_TEXT = ("system_prompt", "forced_answer", "stop")
"""Settings whose text is put before a model, white space and line breaks too."""
MAX_FREE_TEXT = 100_000
MAX_ITEMS = 1000
"""Maximum entries of a list or mapping."""
MAX_INNER_DEPTH = 20
MAX_BITS = 1024
"""Maximum bits of a whole number: far beyond every bound, but still printable in decimals."""


def check_given(key: str, value: Any, annotation: Any) -> None:
    """ValueError for a value that no setting may have, before it is made what the setting wants."""
    if isinstance(value, str):
        check_text(key, value)
    elif isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ValueError("is too large")
    elif isinstance(value, bool) and not _takes_bool(annotation):
        raise ValueError("must not be true or false")
    elif isinstance(value, list | tuple | Mapping):
        if len(value) > MAX_ITEMS:
            raise ValueError(f"has {len(value):,} entries and may have {MAX_ITEMS:,}")
        if isinstance(value, Mapping):
            check_arguments(value)
        for one in value:
            if isinstance(one, str):
                check_text(key, one)


def check_number(key: str, value: Any) -> None:
    """ValueError for a number that is too large to be meant."""
    most = MOST.get(key, MOST_OTHERS)
    if isinstance(value, int | float) and not isinstance(value, bool) and value > most:
        raise ValueError(f"must be at most {most:,}")


def check_text(key: str, text: str) -> None:
    """ValueError for text that is blank, too long, or cannot be written down as UTF-8."""
    is_free = key in FREE_TEXT
    if not is_free and not text.strip():
        raise ValueError("must not be empty; leave it out or give a value")
    if key == "stop" and not text:
        raise ValueError("must not be an empty string, which ends everything; leave it out")
    if len(text) > (most := MAX_FREE_TEXT if is_free else MAX_PATH):
        raise ValueError(f"has {len(text):,} characters and may have {most:,}")
    if "\0" in text or (not is_free and not text.isprintable()):
        raise ValueError("must not hold control or invisible characters")
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8") from None
    if not is_free and key != "server" and max(map(len, raw.split(os.sep.encode()))) > MAX_NAME:
        raise ValueError(f"has a name of more than {MAX_NAME} bytes")


def check_arguments(arguments: Mapping[Any, Any]) -> None:
    """ValueError for KEY=VALUE settings that JSON cannot write: they go into run.json as they are."""
    for key in arguments:
        if not isinstance(key, str) or not key.isidentifier():
            raise ValueError(f"the key {str(key)[:40]!r} must be a name, such as max_terms")
    try:
        check_depth(dict(arguments), MAX_INNER_DEPTH)
    except JsonError as error:
        raise ValueError(str(error)) from None
    for key, value in arguments.items():
        check_plain(key, value)


def check_plain(key: str, value: Any) -> None:
    """ValueError for a value under `key` that is none of JSON's."""
    match value:
        case None | bool():
            return
        case int() if value.bit_length() <= MAX_BITS:
            return
        case str() if "\0" not in value:
            return
        case float() if math.isfinite(value):
            return
        case list():
            for one in value:
                check_plain(key, one)
            return
        case dict() if all(isinstance(name, str) for name in value):
            for one in value.values():
                check_plain(key, one)
            return
    raise ValueError(
        f"the value of {key!r} is {type(value).__name__} {str(value)[:40]}, which JSON cannot hold"
    )


def shown(value: Any) -> str:
    """A value in a message, at most 60 characters."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return f"a number of {value.bit_length():,} bits"
    try:
        text = repr(value)
    except ValueError:  # it holds such a number
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _takes_bool(annotation: Any) -> bool:
    """Whether a setting is itself a switch; the alternative would be to count true as 1."""
    if get_origin(annotation) in (Union, UnionType):
        return any(map(_takes_bool, get_args(annotation)))
    return annotation is bool or annotation is Any or get_origin(annotation) is Literal
