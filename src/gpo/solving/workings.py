"""One problem while it is worked on: its attempts, what they cost, and whether there is more to spend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from gpo.explore.work import Ask, Look, Work
from gpo.located import bounds_of, unsampled
from gpo.protocols import Policy, Splitter
from gpo.solving.answers import Attempt, Reading
from gpo.solving.settings import Solving
from gpo.types import Problem, Rollout, State


@dataclass
class Workings:
    """What is known of a problem, and the budget for it.

    Sampling stops for good once nothing more fits, or once the verifier, where it judges, has accepted an
    answer. A strategy sees a rollout's reward nowhere but here, and here only where the verifier judges.
    """

    problem: Problem
    settings: Solving
    policy: Policy
    splitter: Splitter
    reading: Reading
    seed: int
    attempts: list[Attempt] = field(default_factory=list)
    spent: int = 0
    """Tokens generated so far."""
    is_solved: bool = False
    is_stuck: bool = False
    """Whether nothing came where something was asked for: the model's context is full."""
    _rows: Counter[State] = field(default_factory=Counter)

    @property
    def left(self) -> int:
        return self.settings.tokens_each(self.policy.max_tokens) - self.spent

    @property
    def is_over(self) -> bool:
        """Whether another attempt makes no sense: none so short has ended by itself."""
        finished = [len(one.path.action_ids) - one.start for one in self.attempts if one.path.finished]
        return self.is_solved or self.is_stuck or self.left < min(finished, default=1)

    def sampled(self, state: State, num: int, most: int | None = None) -> Work[list[Rollout]]:
        """At least one and at most `num` continuations, as many as fit in whole; the last is cut to fit.

        `most` is each one's limit, if it is less than what the policy's own leaves; [] if nothing is left.
        """
        room = self.policy.max_tokens - len(state.prefix_ids)
        longest = min(room, room if most is None else most)
        if self.left < 1 or longest < 1:
            return []
        num = max(1, min(num, self.left // longest))
        limit = min(longest, self.left // num)
        first = self._rows[state]
        self._rows[state] += num
        purpose = "resets" if state.prefix_ids else "explore"
        needs = tuple(
            Ask(state, row, purpose, most=limit if limit < room else None)
            for row in range(first, first + num)
        )
        found: list[Rollout] = []
        for _ in range(num):
            found.append((yield needs))
            needs = ()
        num_new = sum(len(one.action_ids) for one in found)
        self.spent += num_new
        self.is_stuck |= num_new == 0
        return found

    def attempted(self, path: Rollout | None = None, start: int = 0, num: int = 1) -> Work[list[Attempt]]:
        """Attempts that begin with the first `start` tokens of a path; [] if the budget allows none."""
        state = State(self.problem) if path is None else path.state_at(start)
        found = yield from self.sampled(state, num)
        spent = self.spent - sum(len(one.action_ids) for one in found)
        for one in found:
            spent += len(one.action_ids)
            yield from self.judged(joined(path, start, one), start, spent)
        return self.attempts[len(self.attempts) - len(found) :]

    def judged(self, path: Rollout, start: int, spent: int) -> Work[None]:
        """Notes the attempt that this path is; what goes back looks at its steps, too."""
        bounds, scores = (yield from self.looked(path)) if self._is_looked_at else ((0,), None)
        named = bounds[self._weakest(scores)] if scores else 0
        score = 1.0
        if self.settings.judged_by == "verifier":
            score = path.reward
            self.is_solved |= path.reward >= self.settings.success_at
        elif self.settings.judged_by == "value":
            score = scores[-1] if scores and path.finished else 0.0
        self.attempts.append(Attempt(path, start, self.reading.of(path), score, spent, named))

    def _weakest(self, scores: Sequence[float]) -> int:
        """The step with the largest fall of value; without values the least certain one but the first."""
        if self.settings.value is not None:
            scores = [before - after for before, after in pairwise(scores)]
            return max(range(len(scores)), key=lambda i: scores[i])
        return max(range(1, len(scores)), key=lambda i: scores[i], default=0)

    @property
    def _is_looked_at(self) -> bool:
        return self.settings.judged_by == "value" or self.settings.strategy in ("restart", "bandit")

    def looked(self, path: Rollout) -> Work[tuple[Sequence[int], list[float] | None]]:
        """Step bounds [S+1] and, with a value model, the values there; without one, a score for each step."""
        if not path.action_ids:
            return (0,), None
        bounds = bounds_of(path, self.splitter, self.policy)
        scores: list[float] | None = yield Look(unsampled(path, bounds))
        return bounds, scores


def joined(path: Rollout | None, start: int, more: Rollout) -> Rollout:
    """A path's first `start` tokens and what was sampled after them, as one rollout from the prompt."""
    if path is None or start == 0:
        return more
    return replace(
        more,
        state=State(more.state.problem),
        action_ids=path.action_ids[:start] + more.action_ids,
        logprobs=path.logprobs[:start] + more.logprobs,
        entropies=path.entropies[:start] + more.entropies,
    )


def agreement(attempts: Sequence[Attempt], one: Attempt) -> float:
    """The share of the other answers that this attempt's agrees with; 1/2 where there is no other."""
    others = [other.answer for other in attempts if other is not one and other.answer is not None]
    if one.answer is None:
        return 0.0
    return others.count(one.answer) / len(others) if others else 0.5
