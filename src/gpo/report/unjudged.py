"""Answers that got the reward 0 without a verdict, in words, wherever a run's figures are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from gpo.protocols import UNJUDGED

WORDS = {
    "timeouts": "reached the time limit",
    "crashes": "ended their verifier's process twice",
    "memory": "reached the memory limit",
    "unscored": "got no opinion (None) from the verifier",
}


def counted(lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Their number by kind, from the lines of a run; earlier versions wrote time-outs alone."""
    total: Counter[str] = Counter()
    for line in lines:
        total.update(line.get("unjudged") or {"timeouts": line.get("timeouts", 0)})
    return {kind: total[kind] for kind in UNJUDGED if total[kind]}


def told(counts: Mapping[str, int]) -> list[str]:
    """One line that counts them by kind; none if there are none."""
    parts = [f"{counts[kind]:,} {words}" for kind, words in WORDS.items() if counts.get(kind)]
    return [f"reward 0 without a verdict: {'; '.join(parts)}"] if parts else []
