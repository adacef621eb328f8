"""Mathematical equivalence by algebra alone: what `math` comes to without its fast path, far more slowly.

The self-check of gold answers asks both, which must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpo.verifiers import math

check = math.check
read = math.read


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if math-verify finds the final answer equivalent to the gold answer, else 0.0."""
    return math.score(text, answer, columns, is_fast=False)
