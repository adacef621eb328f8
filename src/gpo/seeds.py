"""Seeds and short names that are the same in every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any


def digest(ids: Sequence[int]) -> str:
    """A short hash of token ids."""
    return hashlib.blake2b(",".join(map(str, ids)).encode(), digest_size=8).hexdigest()


def json_digest(content: Any) -> str:
    """A short hash of anything that JSON can hold."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed for the purpose that `parts` name.

    Every random choice derives its own seed from the run's seed, so there is no state to save, and a resumed
    run draws what an uninterrupted one would have drawn.
    """
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
