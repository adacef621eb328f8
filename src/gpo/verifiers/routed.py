"""One verifier for problems of two tasks: training on one and evaluating on another needs both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from gpo.types import Problem
from gpo.verifiers import IsolatedVerifier


class Routed:
    """Hands each problem to the verifier of its task; `verifiers` maps Problem.task to one."""

    def __init__(self, verifiers: Mapping[str, IsolatedVerifier]) -> None:
        self._verifiers = verifiers

    @property
    def unjudged(self) -> Counter[str]:
        """The sum over all verifiers."""
        return sum((verifier.unjudged for verifier in self._verifiers.values()), Counter())

    @property
    def num_timeouts(self) -> int:
        """Timeouts of all verifiers."""
        return self.unjudged["timeouts"]

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        """Rewards in [0, 1], one per (problem, completion text)."""
        rewards = [0.0] * len(problems)
        for task, places in self._places(problems).items():
            asked = [problems[i] for i in places], [texts[i] for i in places]
            for place, reward in zip(places, self._verifiers[task].score(*asked), strict=True):
                rewards[place] = reward
        return rewards

    def read(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[str | None] | None:
        """The final answers in one spelling; None if a verifier that is asked reads none."""
        answers: list[str | None] = [None] * len(problems)
        for task, places in self._places(problems).items():
            found = self._verifiers[task].read([problems[i] for i in places], [texts[i] for i in places])
            if found is None:
                return None
            for place, answer in zip(places, found, strict=True):
                answers[place] = answer
        return answers

    def check(self, problem: Problem) -> None:
        """Raises ValueError, saying why, if the problem's answer cannot be a gold answer."""
        self._verifiers[problem.task].check(problem)

    def _places(self, problems: Sequence[Problem]) -> dict[str, list[int]]:
        places = defaultdict(list)
        for place, problem in enumerate(problems):
            places[problem.task].append(place)
        return places
