"""A round in numbers: where its seconds went, and what it sampled."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from gpo.gpo import Round


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


def sampling_metrics(data: Round) -> dict[str, float]:
    """What a round sampled, as numbers; nan where there was nothing to average."""
    rollouts = [rollout for group in data.explored for rollout in group.rollouts]
    named = [one for one in data.located if one.critical]
    ladders = data.memory.ladders.values()
    climbed = {"kept": float(len(ladders)), "given_frac": _mean([one.given_frac for one in ladders])}
    practised = [] if data.located else data.pool.groups({"resets"})
    if practised:
        climbed |= {"practised": float(len(practised)), "reward": _mean([one.value for one in practised])}
    resets = [one.estimate.values[one.critical.index] for one in named if one.critical]
    return {
        "sample/prompts": float(len(data.explored)),
        "sample/reward": _mean([r.reward for r in rollouts]),
        "sample/truncated_frac": _mean([not r.finished for r in rollouts]),
        "sample/signal_groups_frac": _mean([g.has_signal for g in data.explored if len(g.rollouts) > 1]),
        "sample/denied_rollouts": float(data.pool.num_denied),
        "locate/trajectories": float(len(data.located)),
        "locate/critical": float(len(named)),
        "locate/one_step_frac": _mean([one.curve.num_steps == 1 for one in data.located]),
        **({"locate/unscored": float(num)} if (num := data.pool.num_unscored) else {}),
        "reset/value": _mean([value for value in resets if value is not None and math.isfinite(value)]),
        **{f"ladder/{name}": value for name, value in climbed.items() if ladders or practised},
        **{f"verify/{kind}": float(num) for kind, num in data.unjudged.items()},
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
