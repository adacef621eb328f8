"""Mathematical equivalence without `math`'s fast path: every answer is read and compared part by part.

The self-check of gold answers asks both, which must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpo.verifiers import math

check = math.check
read = math.read


def score(text: str, answer: str, columns: Mapping[str, Any]) -> float:
    """1.0 if the final answer is equivalent to the gold answer, else 0.0."""
    return math.score(text, answer, columns, is_fast=False)
