"""Where a round's seconds went."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol


class Counts(Protocol):
    seconds: float
    """Spent in this part so far."""


class Clock:
    """Laps of a round; what a part counted itself (the policy, the verifier) is taken out of them."""

    def __init__(self, parts: Mapping[str, Counts]) -> None:
        self.parts = parts
        self.seconds = dict.fromkeys((*parts, "train", "evaluation", "other"), 0.0)
        self._last = time.perf_counter()
        self._seen = {name: part.seconds for name, part in parts.items()}

    def lap(self, name: str, *, is_whole: bool = False) -> None:
        """Books the time since the last lap; with `is_whole` all of it, whoever counted it."""
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        for part_name, part in self.parts.items():
            spent = part.seconds - self._seen[part_name]
            self._seen[part_name] = part.seconds
            if not is_whole:
                self.seconds[part_name] += spent
                passed -= spent
        self.seconds[name] += passed

    def metrics(self, num_sampled: int, num_trained: float) -> dict[str, float]:
        """Seconds by part and in all, and tokens a second of sampling, of training and of the round."""
        total = sum(self.seconds.values())
        return {
            **{f"time/{name}_s": seconds for name, seconds in self.seconds.items()},
            "time/round_s": total,
            "time/tokens_per_s": num_sampled / max(total - self.seconds["evaluation"], 1e-9),
            "sample/tokens_per_s": num_sampled / max(self.seconds["sample"], 1e-9),
            "train/tokens_per_s": num_trained / max(self.seconds["train"], 1e-9),
        }
