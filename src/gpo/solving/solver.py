"""Problems solved on a scheduler: what all of them need goes to one engine, and each has its own budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gpo import proposals
from gpo.explore import Active, Scheduler, Task, engine_of
from gpo.explore.engine import FIRST
from gpo.explore.events import Row
from gpo.explore.scheduler import Drew
from gpo.explore.work import Work
from gpo.protocols import Policy, Splitter, ValueModel, Verifier
from gpo.solving.answers import Attempt, Knowing, Reading, Solution, solution
from gpo.solving.settings import Solving
from gpo.solving.strategies import STRATEGIES
from gpo.solving.workings import Workings
from gpo.types import RECORDED_DIGITS, InputError, Rollout, ValueCurve


@dataclass(frozen=True)
class Solved:
    """A problem that nothing more is spent on."""

    task: Task
    solution: Solution
    attempts: tuple[Attempt, ...]
    """In the order in which they were judged."""
    rollouts: tuple[Rollout, ...]
    """All that was sampled."""
    tokens: Mapping[str, int]
    """By purpose: from the prompt, and from where it went back to."""


class Solver(Scheduler[Solved]):
    """Works on problems together; `run` yields rollouts as they are drawn, and problems as they are solved.

    A problem takes at most `settings.tokens_each` tokens, and begins only if `budget_tokens` still hold that
    beside all that is open, so neither is exceeded. `values` predicts the values of states; without it, the
    steps of an attempt are scored by the policy's own entropies, or log-probabilities where it has no others;
    InputError where a strategy looks at them and there are none.
    """

    def __init__(
        self,
        policy: Policy,
        verifier: Verifier,
        settings: Solving,
        *,
        seed: int,
        splitter: Splitter,
        values: ValueModel | None = None,
        slots: int = 256,
        recorded: Callable[[Task], Mapping[Row, Rollout]] | None = None,
        budget_tokens: float = math.inf,
    ) -> None:
        knowing = Knowing(verifier, judges=settings.judged_by == "verifier")
        engine = engine_of(policy, slots, FIRST)
        super().__init__(policy, knowing, engine, seed=seed, recorded=recorded, budget_tokens=budget_tokens)
        self.settings, self.splitter, self.values = settings, splitter, values
        is_blind = values is None and not (policy.has_entropies or policy.has_logprobs)
        if is_blind and settings.strategy in ("restart", "bandit"):
            raise InputError(
                f"strategy: {settings.strategy!r} goes back to before the least certain step, and the engine "
                "gives no log-probabilities; give --value PATH, or another strategy"
            )
        self._reading = Reading(verifier)
        self._num_done = 0
        """Tokens of finished problems."""

    def _has_room(self) -> bool:
        most = self.settings.tokens_each(self.policy.max_tokens)
        return self._num_done + (self._num_open + 1) * most <= self.budget_tokens

    def _scores(self, traces: Sequence[ValueCurve]) -> list[list[float] | None]:
        if self.values is None:
            look = proposals.entropy if self.policy.has_entropies else proposals.surprisal
            return look(self.policy, traces)
        return [self._values(trace) for trace in traces]

    def _values(self, trace: ValueCurve) -> list[float] | None:
        """Read alone: what shares a batch changes the last digits, and a resumed run must see the same."""
        if self.values is None or trace.rollout is None:
            return None
        [read] = self.values.read([(trace.rollout.state, trace.rollout.action_ids)])
        return [round(read[bound], RECORDED_DIGITS) for bound in trace.bounds]

    def _verify(self, drawn: Sequence[Drew]) -> None:
        super()._verify(drawn)
        self._reading.learn([active.rows[ask.state, ask.row] for active, ask, *_ in drawn])

    def _first(self, active: Active) -> None:
        self._start(active, self._solved(active))

    def _solved(self, active: Active) -> Work[tuple[Attempt, ...]]:
        workings = Workings(
            active.task.problem, self.settings, self.policy, self.splitter, self._reading, self.seed
        )
        yield from STRATEGIES[self.settings.strategy](workings)
        return tuple(workings.attempts)

    def _next(self, active: Active, value: object) -> None:
        """There is one piece of work for each problem."""

    def _finish(self, active: Active) -> Solved:
        [attempts] = active.results
        self._num_done += sum(active.tokens.values())
        rollouts = tuple(active.rows.values())
        return Solved(active.task, solution(attempts), attempts, rollouts, active.tokens)
