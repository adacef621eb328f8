"""States kept across rounds: the way into problems that the policy almost never solves.

A success is worth more than its one update: from the states along it the rest can be practised, the end
first, and the reset moves backward as what follows is mastered (as in Go-Explore, arXiv 1901.10995, and
reverse curricula, arXiv 1707.05300). A kept prefix is given, never trained again; only what is newly
sampled after it is. Counts of earlier rounds enter as a decayed prior, for they are of an older policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpo.curve import Floats
from gpo.paths import LEVELS, PathPosterior
from gpo.types import Group, InputError, Problem, State

MASTERED = 0.5
"""A state with an estimated value above this is skipped on the way back."""
MIN_SIGNAL = 0.02
"""Trajectories without a state of at least this V(1 - V) are not sampled."""
MAX_TRACES = 1024
"""Kept in all; the oldest go first."""


@dataclass(frozen=True)
class Trace:
    """A kept trajectory: tokens [T], step bounds [S+1], outcome, and decayed counts [S] at its boundaries."""

    problem: str
    ids: tuple[int, ...]
    bounds: tuple[int, ...]
    outcome: float
    successes: tuple[float, ...]
    trials: tuple[float, ...]

    def decayed(self, factor: float) -> Trace:
        successes, trials = (tuple(factor * x for x in xs) for xs in (self.successes, self.trials))
        return replace(self, successes=successes, trials=trials)

    def counted(self, index: int, successes: int, num: int) -> Trace:
        wins, trials = list(self.successes), list(self.trials)
        wins[index] += successes
        trials[index] += num
        return replace(self, successes=tuple(wins), trials=tuple(trials))

    def beliefs(self) -> tuple[Floats, Floats]:
        """[S] posterior means of V and of V(1 - V) under the pooled estimator."""
        path = PathPosterior(len(self.trials), self.outcome)
        path.fit(self.successes, self.trials)
        marginals_SK = path.marginals
        return marginals_SK @ LEVELS, marginals_SK @ (LEVELS * (1 - LEVELS))


@dataclass(frozen=True)
class Archive:
    """Traces in the order they were found."""

    traces: tuple[Trace, ...] = ()

    def add(self, found: Sequence[Trace], per_problem: int) -> Archive:
        """With these traces too, of a problem the latest `per_problem` that differ."""
        kept = dict.fromkeys(reversed([*self.traces, *found]))
        counts: dict[str, int] = {}
        seen: set[tuple[str, tuple[int, ...]]] = set()
        latest = []
        for trace in kept:
            key = (trace.problem, trace.ids)
            if key not in seen and counts.get(trace.problem, 0) < per_problem:
                seen.add(key)
                counts[trace.problem] = counts.get(trace.problem, 0) + 1
                latest.append(trace)
        return Archive(tuple(reversed(latest[:MAX_TRACES])))

    def without(self, problems: set[str]) -> Archive:
        """Without the traces of problems that need no archive any more."""
        return Archive(tuple(trace for trace in self.traces if trace.problem not in problems))

    def decayed(self, factor: float) -> Archive:
        return Archive(tuple(trace.decayed(factor) for trace in self.traces))

    def choose(self, num: int, at: str, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Up to `num` (trace, boundary), of different problems, drawn in proportion to V(1 - V) there.

        `at` is `backward`, the last boundary that is not mastered, or `signal`, that of the highest V(1 - V).
        """
        options = []
        for index, trace in enumerate(self.traces):
            values, signals = trace.beliefs()
            open_S = np.flatnonzero(values <= MASTERED)
            if at == "signal":
                options.append((index, int(signals.argmax()), float(signals.max())))
            elif len(open_S):
                options.append((index, int(open_S[-1]), float(signals[open_S[-1]])))
        options = [option for option in options if option[2] >= MIN_SIGNAL]
        # Drawn without replacement in proportion to the signal (Efraimidis and Spirakis 2006).
        order = sorted(options, key=lambda option: -np.log(1 - rng.random()) / option[2])
        first = {self.traces[index].problem: (index, boundary) for index, boundary, _ in reversed(order)}
        chosen = [(i, b) for i, b, _ in order if first[self.traces[i].problem] == (i, b)]
        return chosen[:num]

    def state(self, index: int, boundary: int, problems: Mapping[str, Problem]) -> State:
        trace = self.traces[index]
        return State(problems[trace.problem], trace.ids[: trace.bounds[boundary]])

    def learn(self, groups: Mapping[tuple[int, int], Group], success_at: float) -> Archive:
        """With the counts of the groups that were sampled at (trace, boundary)."""
        traces = list(self.traces)
        for (index, boundary), group in groups.items():
            wins = sum(reward >= success_at for reward in group.rewards_G)
            traces[index] = traces[index].counted(boundary, wins, len(group.rollouts))
        return Archive(tuple(traces))

    @classmethod
    def from_json(cls, content: Any) -> Archive:
        """What `dataclasses.asdict` took apart; ValueError for anything else."""
        try:
            return cls(
                tuple(
                    Trace(
                        str(one["problem"]),
                        tuple(map(int, one["ids"])),
                        tuple(map(int, one["bounds"])),
                        float(one["outcome"]),
                        tuple(map(float, one["successes"])),
                        tuple(map(float, one["trials"])),
                    )
                    for one in content["traces"]
                )
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"archive: is not what a run writes ({error!r}); start a new run") from None
