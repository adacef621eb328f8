"""An engine as the scheduler sees it: requests go in one at a time, and its slots are watched.

A policy that streams has a future for each request. One that samples whole batches does so in a thread of its
own: what was asked for while one wave ran makes the next, so that searching and verifying go on meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol, TypeVar

from gpo.protocols import Policy, StreamingPolicy
from gpo.types import Request, Sample

T = TypeVar("T")
PATIENCE_S = 5.0
"""How long the end of a run waits for a wave: a user who interrupts one wants it to end."""
FIRST, GROWTH = 8, 4
"""Rows of the first wave, so that a first result is there soon; each later one may be as much larger."""
FULL = 0.8
"""Share of filled slots from which the engine counts as full."""


class Fill:
    """How many of an engine's slots were filled for how long; its time begins with the first request."""

    def __init__(self, slots: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.slots, self._clock = slots, clock
        self.total_s = self.full_s = self.filled_s = 0.0
        """Seconds in all, seconds full, and seconds weighted by the share of slots that was filled."""
        self._num, self._since = 0, -1.0
        self._lock = threading.Lock()

    def add(self, num: int) -> None:
        """So many rows more, or fewer, are being worked on from now on."""
        with self._lock:
            now = self._clock()
            if self._since >= 0:
                passed, frac = now - self._since, min(1.0, self._num / self.slots)
                self.total_s += passed
                self.full_s += passed * (frac >= FULL)
                self.filled_s += passed * frac
            self._num, self._since = self._num + num, now

    @property
    def utilisation(self) -> float:
        """Share of the time with at least 80 % of the slots filled; nan before anything was asked for."""
        return self.full_s / self.total_s if self.total_s else float("nan")

    @property
    def mean(self) -> float:
        """Mean share of the slots that was filled."""
        return self.filled_s / self.total_s if self.total_s else float("nan")


class Engine(Protocol):
    """What the scheduler asks."""

    fill: Fill

    def submit(self, request: Request) -> Future[list[Sample]]: ...

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Runs this beside the requests, where the policy allows it: a proposal's reads."""
        ...

    def flush(self) -> None:
        """Nothing more will be asked for before something is answered."""
        ...

    def close(self) -> None: ...


def engine_of(policy: Policy, slots: int, first: int = FIRST) -> Engine:
    """The engine of a policy; one that streams knows its slots itself, and has no `first` wave."""
    if hasattr(policy, "submit") and hasattr(policy, "slots"):
        streaming: Any = policy
        return Streams(streaming)
    return Waves(policy, slots, first)


class Streams:
    """The engine of a policy that takes one request at a time."""

    def __init__(self, policy: StreamingPolicy) -> None:
        self.policy, self.fill = policy, Fill(policy.slots)

    def submit(self, request: Request) -> Future[list[Sample]]:
        self.fill.add(request.num)
        future = self.policy.submit(request)
        future.add_done_callback(lambda _: self.fill.add(-request.num))
        return future

    def call(self, function: Callable[[], T]) -> Future[T]:
        """In a separate thread that nobody joins at the end: a server may take minutes to answer."""
        future: Future[T] = Future()
        work = partial(_settle, [future], partial(_listed, function))
        threading.Thread(target=work, name="gpo-reads", daemon=True).start()
        return future

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


class Waves:
    """The engine of a policy that samples batches: waves of at most `slots` rows, in the order asked for.

    A wave starts when it is full, or when nobody will ask for more. A request of more rows than there are
    slots is a wave of its own. The first wave has `first` rows, and the next ones grow until they have all.
    """

    def __init__(self, policy: Policy, slots: int, first: int = FIRST) -> None:
        self.policy, self.fill, self._size = policy, Fill(slots), min(first, slots)
        self._requests: deque[tuple[Request, Future[list[Sample]]]] = deque()
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._num_rows = 0
        self._is_flushed = self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="gpo-waves", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> Future[list[Sample]]:
        future: Future[list[Sample]] = Future()
        with self._changed:
            self._requests.append((request, future))
            self._num_rows += request.num
            self._changed.notify()
        return future

    def call(self, function: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        with self._changed:
            self._calls.append((function, future))
            self._changed.notify()
        return future

    def flush(self) -> None:
        with self._changed:
            self._is_flushed = True
            self._changed.notify()

    def close(self) -> None:
        """Stops the running wave if the policy can, and waits a little for it; what is queued is dropped."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        end_s = time.monotonic() + PATIENCE_S
        while self._thread.is_alive() and time.monotonic() < end_s:
            self.policy.interrupt()  # again, as the wave may have begun only just now
            self._thread.join(0.05)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_ready)
                if self._is_closed:
                    return
                calls, wave = list(self._calls), self._next_wave()
                self._calls.clear()
            for function, future in calls:
                self._settle([future], partial(_listed, function))
            if wave:
                self.fill.add(num := sum(request.num for request, _ in wave))
                sample = partial(self.policy.sample, [request for request, _ in wave])
                self._settle([future for _, future in wave], sample, num)

    def _is_ready(self) -> bool:
        is_full = self._num_rows >= self._size
        return self._is_closed or bool(self._calls) or is_full or (self._is_flushed and self._num_rows > 0)

    def _next_wave(self) -> list[tuple[Request, Future[list[Sample]]]]:
        wave: list[tuple[Request, Future[list[Sample]]]] = []
        num = 0
        if self._num_rows < self._size and not self._is_flushed:
            return wave
        while self._requests and (not wave or num + self._requests[0][0].num <= self._size):
            wave.append(self._requests.popleft())
            num += wave[-1][0].num
        self._num_rows -= num
        if wave:
            self._size = min(GROWTH * self._size, self.fill.slots)
        return wave

    def _settle(self, futures: list[Future[Any]], function: Callable[[], list[Any]], num: int = 0) -> None:
        """Gives the futures what the function returns, or its error; it has filled `num` slots."""

        def done() -> None:
            self.fill.add(-num)
            with self._changed:
                self._is_flushed = False  # before the answers: they wake whoever asked, who may ask again

        _settle(futures, function, done)


def _settle(
    futures: list[Future[Any]], function: Callable[[], list[Any]], done: Callable[[], None] = lambda: None
) -> None:
    """Gives the futures what the function returns, or its error, after telling that it is `done`."""
    results, error = [], None
    try:
        results = function()
    except BaseException as found:  # noqa: BLE001 - whoever asked has to hear of it, whatever it is
        error = found
    done()
    for i, future in enumerate(futures):
        if error is None:
            future.set_result(results[i])
        else:
            future.set_exception(error)


def _listed(function: Callable[[], T]) -> list[T]:
    return [function()]
