"""The scheduler: what all active work needs goes to the engine, and new problems come in as others finish."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from gpo.explore.engine import Engine
from gpo.explore.events import Drawn, Row, Task, as_recorded
from gpo.explore.work import Ask, Await, Look, Need, Work
from gpo.pool import PURPOSES, verified
from gpo.protocols import Policy, Verifier
from gpo.seeds import derive_seed
from gpo.types import Request, Rollout, Sample, ValueCurve

LATER = 16
"""Pieces of work of little promise that wait until the others are done; with more, the oldest begins."""
AHEAD = 2
"""New problems start until this many times the engine's slots are requested: one wave runs, one waits."""


@dataclass(eq=False)
class Job:
    """A piece of work, and the rows that it waits for, in the order in which it asked."""

    work: Work[Any]
    active: Active
    inbox: deque[Row] = field(default_factory=deque)


@dataclass(eq=False)
class Active:
    """A problem that is being worked on."""

    task: Task
    recorded: Mapping[Row, Rollout]
    num_open: int = 0
    results: list[Any] = field(default_factory=list)
    """What its pieces of work came to, in the order in which they ended."""
    rows: dict[Row, Rollout] = field(default_factory=dict)
    """Every rollout of it, whoever asked first."""
    asked: dict[Row, Ask] = field(default_factory=dict)
    waiting: dict[Row, list[Job]] = field(default_factory=dict)

    @property
    def tokens(self) -> dict[str, int]:
        ledger = Counter(dict.fromkeys(PURPOSES, 0))
        for row, rollout in self.rows.items():
            ledger[self.asked[row].purpose] += len(rollout.action_ids)
        return dict(ledger)


Drew = tuple[Active, Ask, int, Sample]
"""Whose it is, what was asked, its seed, and what was drawn."""
Ev = TypeVar("Ev")


class Scheduler(ABC, Generic[Ev]):
    """Takes the work on many problems to its end; `run` yields rollouts, and the events of a subclass.

    `recorded` gives the rollouts of a task that are there already, by state and row: they are not sampled
    again and not yielded. Tasks are taken from `run`'s iterable as they are begun, so it may be longer than
    memory; one is begun only while `budget_tokens` have room for it.

    A rollout's way: a job asks for it (`_ask`), the engine answers (`_receive`), the verifier judges it
    (`_verify`), and every job that waits for its row gets it (`_deliver`) and goes on (`_advance`). `_ready`
    holds jobs with the answer to go on with, `_looks` those that wait for a look at their trajectory, and
    `_later` those of little promise, which begin when nothing else is to be done.
    """

    def __init__(
        self,
        policy: Policy,
        verifier: Verifier,
        engine: Engine,
        *,
        seed: int,
        recorded: Callable[[Task], Mapping[Row, Rollout]] | None = None,
        budget_tokens: float = math.inf,
    ) -> None:
        self.policy, self.verifier, self.engine, self.seed = policy, verifier, engine, seed
        self._recorded = recorded
        self.budget_tokens, self.tokens = budget_tokens, 0
        """Tokens generated so far."""
        self._num_open = self._num_rows = self._num_finished = 0
        self._ready: deque[tuple[Job, Any]] = deque()
        self._later: deque[Job] = deque()
        self._looks: list[tuple[Job, Look]] = []
        self._is_looking = False
        self._answers: SimpleQueue[tuple[Any, Future[Any]]] = SimpleQueue()
        self._events: list[Drawn | Ev] = []

    @abstractmethod
    def _first(self, active: Active) -> None:
        """Starts the first pieces of work on a problem."""

    @abstractmethod
    def _next(self, active: Active, value: Any) -> None:
        """A piece of work came to this; more of it may start."""

    @abstractmethod
    def _finish(self, active: Active) -> Ev:
        """No piece of work on the problem is left."""

    @abstractmethod
    def _has_room(self) -> bool:
        """Whether the budget holds one more problem beside the open ones."""

    @abstractmethod
    def _scores(self, traces: Sequence[ValueCurve]) -> list[Any]:
        """What a look at each trajectory shows; runs beside the requests."""

    def _await(self, job: Job) -> None:
        """The job goes on once what earlier problems taught is there."""
        raise NotImplementedError

    def run(self, tasks: Iterable[Task]) -> Iterator[Drawn | Ev]:
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

    def _flushed(self) -> list[Drawn | Ev]:
        events, self._events = self._events, []
        return events

    def _begin(self, task: Task) -> None:
        self._num_open += 1
        self._first(Active(task, self._recorded(task) if self._recorded else {}))

    def _start(self, active: Active, work: Work[Any], *, is_later: bool = False) -> None:
        active.num_open += 1
        job = Job(work, active)
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

    def _take(self, job: Job, need: Need) -> None:
        if isinstance(need, Look):
            self._looks.append((job, need))
            self._look()
        elif isinstance(need, Await):
            self._await(job)
        else:
            for ask in need:
                self._ask(job, ask)
            self._deliver(job)

    def _ask(self, job: Job, ask: Ask) -> None:
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
            future = self.engine.submit(Request(ask.state, 1, seed, ask.most))
            self._num_rows += 1
            future.add_done_callback(lambda done: self._answers.put(((active, ask, seed), done)))
        active.waiting.setdefault(row, []).append(job)

    def _deliver(self, job: Job) -> None:
        """The next rollout that the job waits for, if it is there; one at a time, for it may ask again."""
        if job.inbox and (rollout := job.active.rows.get(job.inbox[0])) is not None:
            job.inbox.popleft()
            self._ready.append((job, rollout))

    def _look(self) -> None:
        """One call for all trajectories that wait for a look; the next when it is answered."""
        if self._looks and not self._is_looking:
            looks, self._looks, self._is_looking = self._looks, [], True
            traces = [look.trace for _, look in looks]
            future = self.engine.call(lambda: self._scores(traces))
            jobs = [job for job, _ in looks]
            future.add_done_callback(lambda done: self._answers.put((jobs, done)))

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

    def _verify(self, drawn: Sequence[Drew]) -> None:
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

    def _end(self, job: Job, value: Any) -> None:
        active = job.active
        active.results.append(value)
        self._next(active, value)
        active.num_open -= 1
        if active.num_open:
            return
        self._num_open -= 1
        self._num_finished += 1
        self._events.append(self._finish(active))
