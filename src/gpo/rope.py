"""LongRoPE (arXiv 2402.13753): past a length, a model reads the whole sequence with other frequencies.

transformers chooses them by the longest row of a batch, at every call. A distribution for what comes next is
here always that of its own tokens, read alone: rows on the two sides never share a pass, and a cache from
before the switch is read again after it. The other kinds of rotary scaling do not change within a model's
context (linear, yarn, llama3; `dynamic` grows beyond it only).
"""

from __future__ import annotations

from typing import Any

_KINDS = ("longrope", "su")


def switch_of(config: Any) -> int | None:
    """Most tokens that are read with the short frequencies; None for a model that has one kind of them."""
    text = config.get_text_config()
    scaling = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    for one in (scaling, *scaling.values()):
        if isinstance(one, dict) and one.get("rope_type", one.get("type")) in _KINDS:
            found = one.get("original_max_position_embeddings")
            length = found or getattr(text, "original_max_position_embeddings", None)
            return int(length) if length else None
    return None


def side(length: int, num_new: int, switch: int | None) -> tuple[bool, int]:
    """Equal for rows that may share a batch: all before the switch, all after it, or passing it together.

    `length` tokens are there, and up to `num_new` follow; the last of them is not read.
    """
    if switch is None or length + num_new - 1 <= switch:
        return False, 0
    return True, min(length, switch + 1)
