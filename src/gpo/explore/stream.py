"""The scheduler: what all active work needs goes to the engine, and new problems come in as others finish."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from gpo.explore.engine import FIRST, Engine, engine_of
from gpo.explore.events import Drawn, Event, Finished, Found, Row, Task, as_recorded
from gpo.explore.lessons import Lessons
from gpo.explore.work import Ask, Await, Look, Need, Searched, Work, chosen, explored, searched
from gpo.pool import PURPOSES, verified
from gpo.protocols import Policy, Verifier
from gpo.recipe import Recipe
from gpo.seeds import derive_seed
from gpo.types import Group, Request, Rollout, Sample

LATER = 16
"""Searches of groups that ended alike that wait until the others are done; with more, the oldest begins."""
AHEAD = 2
"""New problems start until this many times the engine's slots are requested: one wave runs, one waits."""


@dataclass(eq=False)
class _Job:
    """A piece of work, and the rows that it waits for, in the order in which it asked."""

    work: Work[Any]
    active: _Active
    inbox: deque[Row] = field(default_factory=deque)


@dataclass(eq=False)
class _Active:
    """A problem that is being worked on."""

    task: Task
    recorded: Mapping[Row, Rollout]
    num_open: int = 0
    groups: list[Group] = field(default_factory=list)
    searches: list[Searched | None] = field(default_factory=list)
    rows: dict[Row, Rollout] = field(default_factory=dict)
    """Every rollout of it, whoever asked first."""
    asked: dict[Row, Ask] = field(default_factory=dict)
    waiting: dict[Row, list[_Job]] = field(default_factory=dict)

    @property
    def tokens(self) -> dict[str, int]:
        ledger = Counter(dict.fromkeys(PURPOSES, 0))
        for row, rollout in self.rows.items():
            ledger[self.asked[row].purpose] += len(rollout.action_ids)
        return dict(ledger)


class Explorer:
    """Explores and searches problems together; `run` yields what to record.

    `recorded` gives the rollouts of a task that are there already, by state and row: they are not sampled
    again and not yielded. `lessons` are those of the problems that are finished already. The rule `base`
    samples the groups at the prompts alone. Tasks are taken from `run`'s iterable as they are begun, so it
    may be longer than memory; one is begun only while `budget_tokens` have room for what one takes, and none
    is left in part; the first is begun in any case.

    A rollout's way: a job asks for it (`_ask`), the engine answers (`_receive`), the verifier judges it
    (`_verify`), and every job that waits for its row gets it (`_deliver`) and goes on (`_advance`). `_ready`
    holds jobs with the answer to go on with, `_looks` those that wait for a proposal's scores, `_parked`
    those that wait for what earlier problems taught, and `_later` searches of groups that ended alike, where
    there is least to find: they begin when nothing else is to be done.
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
        self.policy, self.verifier, self.recipe, self.seed = policy, verifier, recipe, seed
        self.engine = engine or engine_of(policy, slots, max(FIRST, recipe.group_size))
        self.lessons = lessons or Lessons()
        self._recorded = recorded
        self.budget_tokens, self.tokens = budget_tokens, 0
        """Tokens generated so far."""
        self._num_open = self._num_rows = self._num_finished = 0
        self._ready: deque[tuple[_Job, Any]] = deque()
        self._parked: list[_Job] = []
        self._later: deque[_Job] = deque()
        self._looks: list[tuple[_Job, Look]] = []
        self._is_looking = False
        self._answers: SimpleQueue[tuple[Any, Future[Any]]] = SimpleQueue()
        self._events: list[Event] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Works through the tasks; the engine is closed at the end, or when the caller stops early."""
        queue = iter(tasks)
        try:
            while True:
                yield from self._flushed()  # what came is written before it is thought about
                self._advance()
                yield from self._flushed()
                if (
                    len(self._later) <= LATER
                    and self._wants_more()
                    and (task := next(queue, None)) is not None
                ):
                    self._begin(task)
                elif self._later and (self._num_rows == 0 or len(self._later) > LATER):
                    self._ready.append((self._later.popleft(), None))
                elif self._num_open:
                    self._receive()
                else:
                    return
        finally:
            self.engine.close()

    def _wants_more(self) -> bool:
        return self._num_rows < AHEAD * self.engine.fill.slots and self._has_room()

    def _has_room(self) -> bool:
        """Whether the budget holds one more problem beside the open ones, by the mean of those before."""
        if self.tokens >= self.budget_tokens:
            return False
        traces = self.recipe.group_size + (self.recipe.search_traces if self.recipe.rule != "base" else 0)
        mean = self.tokens / self._num_finished if self._num_finished else traces * self.policy.max_tokens
        return not self._num_open or (self._num_open + 1) * mean <= self.budget_tokens - self.tokens

    def _flushed(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _begin(self, task: Task) -> None:
        active = _Active(task, self._recorded(task) if self._recorded else {})
        self._num_open += 1
        if not task.given:
            self._start(active, explored(task.problem, self.recipe.group_size))
        for rollout in task.given:
            active.groups.append(Group(rollout.state, (rollout,)))
            self._search(active, rollout, ())

    def _search(self, active: _Active, rollout: Rollout, group: Sequence[Rollout]) -> None:
        active.searches.append(None)
        work = self._searched(active, len(active.searches) - 1, rollout, group)
        is_alike = len(group) > 1 and len({one.reward >= self.recipe.success_at for one in group}) == 1
        self._start(active, work, is_later=is_alike)

    def _searched(
        self, active: _Active, index: int, rollout: Rollout, group: Sequence[Rollout]
    ) -> Work[Searched]:
        found = yield from searched(rollout, group, self.recipe, self.policy, self.seed, is_ahead=True)
        active.searches[index] = found
        self._events.append(Found(active.task, index, found.located, found.scores))
        return found

    def _start(self, active: _Active, work: Work[Any], *, is_later: bool = False) -> None:
        active.num_open += 1
        job = _Job(work, active)
        if is_later:
            self._later.append(job)
        else:
            self._ready.append((job, None))

    def _advance(self) -> None:
        """Takes every piece of work as far as it goes with what is there."""
        while self._ready:
            job, answer = self._ready.popleft()
            try:
                need = job.work.send(answer)
            except StopIteration as stop:
                self._end(job, stop.value)
            else:
                self._take(job, need)

    def _take(self, job: _Job, need: Need) -> None:
        if isinstance(need, Look):
            self._looks.append((job, need))
            self._look()
        elif isinstance(need, Await):
            self._teach(job)
        else:
            for ask in need:
                self._ask(job, ask)
            self._deliver(job)

    def _ask(self, job: _Job, ask: Ask) -> None:
        row, active = (ask.state, ask.row), job.active
        job.inbox.append(row)
        if row in active.rows:
            return
        if row not in active.asked:
            active.asked[row] = ask
            if row in active.recorded:
                active.rows[row] = active.recorded[row]
                return
            seed = derive_seed(self.seed, ask.state.key, ask.row)
            future = self.engine.submit(Request(ask.state, 1, seed))
            self._num_rows += 1
            future.add_done_callback(lambda done: self._answers.put(((active, ask, seed), done)))
        active.waiting.setdefault(row, []).append(job)

    def _deliver(self, job: _Job) -> None:
        """The next rollout that the job waits for, if it is there; one at a time, for it may ask again."""
        if job.inbox and (rollout := job.active.rows.get(job.inbox[0])) is not None:
            job.inbox.popleft()
            self._ready.append((job, rollout))

    def _look(self) -> None:
        """One call for all trajectories that wait for a proposal's scores; the next when it is answered."""
        if self._looks and not self._is_looking:
            looks, self._looks, self._is_looking = self._looks, [], True
            traces = [look.trace for _, look in looks]
            future = self.engine.call(lambda: self.recipe.step_proposal()(self.policy, traces))
            jobs = [job for job, _ in looks]
            future.add_done_callback(lambda done: self._answers.put((jobs, done)))

    def _teach(self, job: _Job) -> None:
        prior = self.lessons.prior(job.active.task.place)
        if prior is None:
            self._parked.append(job)
        else:
            self._ready.append((job, prior))

    def _receive(self) -> None:
        """Waits for the engine, and takes all that it has answered."""
        self.engine.flush()
        answers = [self._answers.get()]
        try:
            while True:
                answers.append(self._answers.get_nowait())
        except Empty:
            pass
        drawn = []
        for asked, future in answers:
            if isinstance(asked, list):
                self._is_looking = False
                self._ready.extend(zip(asked, future.result(), strict=True))
                self._look()
            else:
                drawn.append((*asked, future.result()[0]))
        self._verify(drawn)

    def _verify(self, drawn: Sequence[tuple[_Active, Ask, int, Sample]]) -> None:
        pairs = [(ask.state, sample) for _, ask, _, sample in drawn]
        rollouts = verified(self.policy, self.verifier, pairs)
        for (active, ask, seed, _), rollout in zip(drawn, rollouts, strict=True):
            self._num_rows -= 1
            self.tokens += len(rollout.action_ids)
            row, rollout = (ask.state, ask.row), as_recorded(rollout)
            active.rows[row] = rollout
            self._events.append(Drawn(active.task, ask, rollout, seed))
            for job in active.waiting.pop(row):
                if job.inbox[0] == row:
                    self._deliver(job)

    def _end(self, job: _Job, value: Any) -> None:
        active = job.active
        if isinstance(value, Group):
            active.groups.append(value)
            for rollout in chosen(value, self.recipe):
                self._search(active, rollout, value.rollouts)
        active.num_open -= 1
        if active.num_open:
            return
        self._num_open -= 1
        self._num_finished += 1
        found = [one for one in active.searches if one is not None]
        task = active.task
        self.lessons.finish(task.place, [one.path for one in found if one.path is not None])
        located = tuple(one.located for one in found)
        self._events.append(Finished(task, tuple(active.groups), located, active.tokens))
        parked, self._parked = self._parked, []
        for waiting in parked:
            self._teach(waiting)
