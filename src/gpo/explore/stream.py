"""Problems explored and searched on a scheduler, each search taught by those before it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpo.explore.engine import FIRST, Engine, engine_of
from gpo.explore.events import Finished, Found, Row, Task
from gpo.explore.lessons import Lessons
from gpo.explore.scheduler import Active, Job, Scheduler
from gpo.explore.work import Searched, Work, chosen, explored, searched
from gpo.pool import Metered
from gpo.protocols import Policy, Verifier
from gpo.recipe import Recipe
from gpo.types import Group, Rollout, ValueCurve


class Explorer(Scheduler[Found | Finished]):
    """Explores and searches problems together; `run` yields what to record.

    `lessons` are those of the problems that are finished already. The rule `base` samples the groups at the
    prompts alone. A task is begun only while `budget_tokens` have room for what one takes, and none is left
    in part; the first is begun in any case. `_parked` holds jobs that wait for what earlier problems taught;
    searches of groups that ended alike, where there is least to find, begin last. `_judged` counts the tokens
    that a proposal sampled, by problem.
    """

    def __init__(
        self,
        policy: Policy,
        verifier: Verifier,
        recipe: Recipe,
        *,
        seed: int,
        slots: int = 256,
        recorded: Callable[[Task], Mapping[Row, Rollout]] | None = None,
        lessons: Lessons | None = None,
        budget_tokens: float = math.inf,
        engine: Engine | None = None,
    ) -> None:
        engine = engine or engine_of(policy, slots, max(FIRST, recipe.group_size))
        super().__init__(policy, verifier, engine, seed=seed, recorded=recorded, budget_tokens=budget_tokens)
        self.recipe, self.lessons = recipe, lessons or Lessons()
        self._parked: list[Job] = []
        self._judged: Counter[str] = Counter()

    def _has_room(self) -> bool:
        """As far as the mean of the finished problems tells."""
        if self.tokens >= self.budget_tokens:
            return False
        traces = self.recipe.group_size + (self.recipe.search_traces if self.recipe.rule != "base" else 0)
        mean = self.tokens / self._num_finished if self._num_finished else traces * self.policy.max_tokens
        return not self._num_open or (self._num_open + 1) * mean <= self.budget_tokens - self.tokens

    def _scores(self, traces: Sequence[ValueCurve]) -> list[Any]:
        policy = Metered(self.policy, math.inf)
        scores = self.recipe.step_proposal()(policy, traces)
        self._judged.update(policy.tokens)
        return list(scores)

    def _first(self, active: Active) -> None:
        if not active.task.given:
            self._start(active, explored(active.task.problem, self.recipe.group_size))
        for index, rollout in enumerate(active.task.given):
            active.results.append(Group(rollout.state, (rollout,)))
            self._search(active, index, rollout, ())

    def _next(self, active: Active, value: Any) -> None:
        if isinstance(value, Group):
            for index, rollout in enumerate(chosen(value, self.recipe)):
                self._search(active, index, rollout, value.rollouts)

    def _search(self, active: Active, index: int, rollout: Rollout, group: Sequence[Rollout]) -> None:
        work = self._searched(active, index, rollout, group)
        is_alike = len(group) > 1 and len({one.reward >= self.recipe.success_at for one in group}) == 1
        self._start(active, work, is_later=is_alike)

    def _searched(
        self, active: Active, index: int, rollout: Rollout, group: Sequence[Rollout]
    ) -> Work[tuple[int, Searched]]:
        found = yield from searched(rollout, group, self.recipe, self.policy, self.seed, is_ahead=True)
        self._events.append(Found(active.task, index, found.located, found.scores))
        return index, found

    def _await(self, job: Job) -> None:
        prior = self.lessons.prior(job.active.task.place)
        if prior is None:
            self._parked.append(job)
        else:
            self._ready.append((job, prior))

    def _finish(self, active: Active) -> Finished:
        task, groups = active.task, tuple(one for one in active.results if isinstance(one, Group))
        numbered = [one for one in active.results if not isinstance(one, Group)]
        found: list[Searched] = [one for _, one in sorted(numbered, key=lambda pair: pair[0])]
        self.lessons.finish(task.place, [one.path for one in found if one.path is not None])
        parked, self._parked = self._parked, []
        for waiting in parked:
            self._await(waiting)
        judged = self._judged.pop(task.problem.id, 0)
        self.tokens += judged
        tokens = active.tokens | ({"judge": judged} if judged else {})
        return Finished(task, groups, tuple(one.located for one in found), tokens)
