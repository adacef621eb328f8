"""A run as it is shown: its rounds and located trajectories, checked, and numbers drawn from them."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpo.curve import wilson
from gpo.record.lines import CurveLine
from gpo.record.rounds import RoundLine, Update
from gpo.seeds import digest
from gpo.types import spent_tokens

Json = dict[str, Any]

TENTHS = 10

MEASURED = (("loss", "loss"), ("margin", "rewards/margins"), ("accuracy", "rewards/accuracies"))
"""What is shown of offline learning, and TRL's names in the metrics of a round."""

MOST_UPDATES = 300
"""Points of a curve over updates; of more, neighbours are averaged."""


@dataclass(frozen=True)
class Run:
    """What `gpo locate` or `gpo train` wrote; `name` is short and differs from the other runs'."""

    name: str
    path: Path
    command: str
    settings: Json
    rounds: tuple[RoundLine, ...]
    curves: tuple[CurveLine, ...]

    @property
    def source(self) -> str:
        """What its problems are from."""
        return str(self.settings.get("task") or self.settings.get("data"))

    @property
    def search(self) -> str:
        """Which search it used, and with it which estimator."""
        return str(self.settings.get("search") or "adaptive")

    @property
    def num_values(self) -> int:
        """Rollouts a boundary of the searches `uniform` and `bisect`."""
        return int(self.settings.get("values") or 1)

    @property
    def success_at(self) -> float:
        return float(self.settings.get("success_at", 1.0))

    @property
    def ledger(self) -> dict[str, int]:
        """Generated tokens by purpose."""
        tokens: Counter[str] = Counter()
        for line in self.rounds:
            tokens.update(line.tokens)
        return {purpose: number for purpose, number in tokens.items() if number}


def key(line: CurveLine) -> str:
    """What two runs have in common where they searched the same trajectory."""
    return f"{line.problem}:{digest(line.completion_ids)}"


def series(run: Run) -> list[Json]:
    """A point for each round: tokens spent until its end, rates with standard errors, None if unknown."""
    resets = reset_values(run.curves)
    points, spent = [], 0
    for line in run.rounds:
        spent += spent_tokens(line.tokens)
        accuracy = (line.evaluation.accuracy, line.evaluation.stderr) if line.evaluation else (None, None)
        points.append(
            {
                "round": line.round,
                "tokens": spent,
                "accuracy": accuracy,
                "reward": _rewards(line),
                "signal": _signal(line),
                "reset": resets.get(line.round, (None, None)),
            }
        )
    return points


def updates(run: Run) -> list[Json]:
    """A point for some neighbouring updates of an offline run: the last one's number, and their means.

    Earlier versions kept the means of each round alone, and there it is a point a round.
    """
    numbered: list[tuple[int, Update]] = []
    done = 0
    for line in run.rounds:
        if "train/rows" in line.metrics:
            known = line.updates or (
                Update(**{ours: line.metrics.get(f"train/{trls}") for ours, trls in MEASURED}),
            )
            before, done = done, done + max(len(line.updates), int(line.metrics.get("train/updates") or 0))
            numbered += [(before + i if line.updates else done, one) for i, one in enumerate(known, start=1)]
    width = max(1, math.ceil(len(numbered) / MOST_UPDATES))
    parts = [numbered[start : start + width] for start in range(0, len(numbered), width)]
    return [{"update": part[-1][0], **_means([one for _, one in part])} for part in parts]


def _means(some: Sequence[Update]) -> dict[str, float | None]:
    known = {
        name: [v for one in some if (v := getattr(one, name)) is not None] for name in Update.model_fields
    }
    return {name: statistics.fmean(values) if values else None for name, values in known.items()}


def _rewards(line: RoundLine) -> tuple[float | None, float | None]:
    """Mean reward of first rollouts; the error is over problems, where their rates were kept."""
    if line.rates:
        return mean_and_stderr([rate for rate in line.rates if rate is not None])
    return line.metrics.get("sample/reward"), None


def _signal(line: RoundLine) -> float | None:
    """Share of groups at prompts whose rewards differ."""
    if line.no_signal is not None and line.rates:
        return 1 - line.no_signal / len(line.rates)
    return line.metrics.get("sample/signal_groups_frac")


def reset_values(curves: Sequence[CurveLine]) -> dict[int, tuple[float | None, float | None]]:
    """By round, the mean estimated value just before the critical steps, with its standard error."""
    values = defaultdict(list)
    for line in curves:
        if line.critical and (value := line.values[line.critical.index]) is not None:
            values[line.round].append(value)
    return {index: mean_and_stderr(found) for index, found in values.items()}


def success_rate(run: Run) -> tuple[float | None, float | None]:
    """Success rate of `gpo locate`'s first rollouts and its error over problems; None for training runs."""
    return mean_and_stderr([rate for line in run.rounds for rate in line.rates if rate is not None])


def mean_reset_value(curves: Sequence[CurveLine]) -> tuple[float | None, float | None]:
    """Mean of the estimated values before the critical steps, with its standard error."""
    values = [line.values[line.critical.index] for line in curves if line.critical]
    return mean_and_stderr([value for value in values if value is not None])


def mean_and_stderr(values: Sequence[float]) -> tuple[float | None, float | None]:
    """None where there are too few."""
    if not values:
        return None, None
    return statistics.fmean(values), (
        statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    )


def positions(curves: Sequence[CurveLine], credible_at: float) -> Json:
    """[10] critical steps by the tenth of the trace, in tokens, that they start in; credible ones, others."""
    found = {"credible": [0] * TENTHS, "other": [0] * TENTHS}
    for line in curves:
        if line.named:
            first, last = line.bounds[0], line.bounds[-1]
            tenth = TENTHS * (line.bounds[line.named.index] - first) // (last - first)
            found["credible" if line.is_credible(credible_at) else "other"][tenth] += 1
    return found


def intervals(line: CurveLine) -> list[tuple[float, float] | None]:
    """[S+1] 95 % intervals of the values; from the counts alone where a run did not keep its own."""
    if line.value_intervals:
        return list(line.value_intervals)
    counts = zip(line.successes, line.trials, strict=True)
    found = [wilson(wins, trials) if trials else None for wins, trials in counts]
    if line.trials[-1]:
        rate = line.successes[-1] / line.trials[-1]
        found[-1] = rate, rate
    return found
