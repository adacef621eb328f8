"""What a problem's attempts say: each one's final answer, and the answer that they come to together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gpo.protocols import Verifier, unjudged
from gpo.types import Problem, Rollout


@dataclass(frozen=True, slots=True)
class Attempt:
    """A whole completion of the problem, however much of it was sampled for this attempt."""

    path: Rollout
    """From the prompt on."""
    start: int
    """Tokens of it that were there already."""
    answer: str | None
    """The final answer in the verifier's spelling; None for one that was cut or has none."""
    score: float
    """What the judge gives it, in [0, 1]; 1 where equal answers are counted."""
    tokens: int
    """Spent on the problem by the time it was there."""
    named: int = 0
    """Where its weakest step begins, a token of the path."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The answer that the attempts come to."""

    answer: str | None
    """In the verifier's spelling; None if no attempt has one."""
    attempt: Attempt | None
    """The one with this answer that the judge likes best."""
    votes: int
    """Attempts with this answer."""
    share: float
    """Its share of all scores; 0 without an answer."""


def solution(attempts: Sequence[Attempt]) -> Solution:
    """The answer with the largest sum of scores; of equal ones the first that was found.

    Weighing votes by a model's score is Li et al. 2023 (arXiv 2206.02336); with scores of 1 it is
    self-consistency (arXiv 2203.11171).
    """
    said: dict[str, list[Attempt]] = defaultdict(list)
    for one in attempts:
        if one.answer is not None:
            said[one.answer].append(one)
    if not said:
        return Solution(None, None, 0, 0.0)
    sums = {answer: sum(one.score for one in some) for answer, some in said.items()}
    answer = max(sums, key=lambda each: sums[each])
    total = sum(sums.values())
    best = max(said[answer], key=lambda one: one.score)
    return Solution(answer, best, len(said[answer]), sums[answer] / total if total else 0.0)


class Reading:
    """Final answers of completions, by the verifier that knows which are equal.

    One that reads none, as a user's function, leaves the text itself, so that no two answers are equal.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._read = getattr(verifier, "read", None)
        self._known: dict[tuple[str, str], str | None] = {}

    def learn(self, rollouts: Sequence[Rollout]) -> None:
        """Reads what is finished, all at once."""
        new = {(one.state.problem.id, one.text): one for one in rollouts if one.finished}
        new = {key: one for key, one in new.items() if key not in self._known}
        if not new:
            return
        problems, texts = [one.state.problem for one in new.values()], [one.text for one in new.values()]
        found = self._read(problems, texts) if self._read else None
        self._known |= zip(new, found or texts, strict=True)

    def of(self, rollout: Rollout) -> str | None:
        """The final answer; None for a completion that was cut, whatever its text holds so far."""
        if not rollout.finished:
            return None
        self.learn([rollout])
        return self._known[rollout.state.problem.id, rollout.text]


class Knowing:
    """A verifier that is not asked about problems without a known answer, unless it judges without one."""

    def __init__(self, verifier: Verifier, *, judges: bool) -> None:
        self.verifier, self.judges = verifier, judges

    @property
    def num_timeouts(self) -> int:
        return self.verifier.num_timeouts

    @property
    def unjudged(self) -> Counter[str]:
        return Counter(unjudged(self.verifier))

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        """Rewards; 0 for what is not asked about."""
        asked = [i for i, problem in enumerate(problems) if self.judges or problem.answer]
        rewards = [0.0] * len(problems)
        found = self.verifier.score([problems[i] for i in asked], [texts[i] for i in asked])
        for i, reward in zip(asked, found, strict=True):
            rewards[i] = reward
        return rewards

    def check(self, problem: Problem) -> None:
        if self.judges or problem.answer:
            self.verifier.check(problem)
