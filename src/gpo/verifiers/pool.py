"""Requests spread over worker processes, each with a limit of processor time and a wider one of time.

Neither clock runs faster on a busy machine: a worker's processor time, and the time that we were awake.
"""

from __future__ import annotations

import enum
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gpo.types import EngineError
from gpo.verifiers import wire
from gpo.verifiers.process import NoWorkerError, Worker, Zygote

Reply = dict[str, Any]
Fits = Callable[[int, Reply], bool]
"""Whether a reply is one to the request at this position."""

WALL = 10.0
"""Wall-clock limit of an answer, in multiples of its processor-time limit: waiting is not work."""
_LOOK_S = 0.5
"""Seconds between two checks of workers that have not answered."""
_PAUSES_S = (0.1, 0.5, 2.0, 5.0)
"""Waits between tries to start a first worker: a machine short of processes or memory may recover."""
_PROC = Path("/proc")
_LONGEST_S = 1.0
"""A longer pause between two looks means that this process was stopped, or given no processor."""


class Failure(enum.Enum):
    """Why a request has no reply."""

    TIMEOUT = "its process was killed at the time limit"
    CRASH = "its process died"
    MEMORY = "its process reached its memory limit"


@dataclass(slots=True)
class Asked:
    """Which request a worker has, and since when, in awake seconds."""

    position: int
    since_s: float
    cpu_s: float | None = None
    """The worker's processor seconds at the first look; None before."""


def cpu_seconds(pid: int) -> float | None:
    """Processor seconds that a worker, and what it started in its process group, has used so far.

    None where the system has no /proc, or the worker is gone. Resolution: 10 ms.
    """
    ticks = None
    for group, used in _groups():
        if group == pid:
            ticks = (ticks or 0) + used
    return None if ticks is None else ticks / os.sysconf("SC_CLK_TCK")


def _groups() -> list[tuple[int, int]]:
    """(process group, ticks of it and of its children that have ended) of every process of the machine."""
    found = []
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            # The name in brackets may hold anything, so fields are counted from behind it.
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        found.append((int(fields[2]), sum(map(int, fields[11:15]))))
    return found


class Awake:
    """Seconds that passed while this process ran.

    A pause of the whole run, by SIGSTOP or a suspended machine, counts as one second at most.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last = clock, clock()
        self._total_s = 0.0

    def now(self) -> float:
        """To be asked at least once a second while something is waited for."""
        time_s = self._clock()
        self._total_s += min(_LONGEST_S, time_s - self._last)
        self._last = time_s
        return self._total_s


class Pool:
    """Up to `num_workers` workers of one zygote, started when they are needed and kept."""

    def __init__(
        self,
        zygote: Zygote,
        num_workers: int,
        limit_s: float,
        *,
        cpu: Callable[[int], float | None] = cpu_seconds,
    ) -> None:
        """`limit_s` is of processor time for one request; `cpu` tells a worker's so far, by its pid."""
        self._zygote = zygote
        self._num_workers = num_workers
        self._limit_s = limit_s
        self._look_s = min(_LOOK_S, limit_s / 2)
        self._cpu = cpu
        self._awake = Awake()
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def ask(self, frames: Sequence[bytes], fits: Fits) -> list[Reply | Failure]:
        """One outcome for each request (a frame of `wire`), in order; may be called from any thread.

        A reply that does not fit its request ends the worker, as nobody knows what it would say next.
        A worker that hangs or dies costs its own request only: it is killed and replaced. InputError if the
        verifier cannot be loaded, EngineError if no process can be started, RuntimeError after `close`.
        """
        outcomes: dict[int, Reply | Failure] = {}
        todo = deque(enumerate(frames))
        with self._lock:
            self._zygote.wait_ready()
            busy: dict[Worker, Asked] = {}
            try:
                while todo or busy:
                    self._hand_out(todo, busy)
                    for worker, outcome in self._outcomes(busy, fits):
                        outcomes[busy.pop(worker).position] = outcome
                        if not isinstance(outcome, Failure):
                            self._idle.append(worker)
            finally:  # after an interrupt no worker may be left with a reply that nobody waits for
                for worker in busy:
                    self._zygote.kill(worker)
        return [outcomes[index] for index in range(len(frames))]

    def _hand_out(self, todo: deque[tuple[int, bytes]], busy: dict[Worker, Asked]) -> None:
        while todo and len(busy) < self._num_workers:
            worker = self._idle_worker(is_needed=not busy)
            if worker is None:  # go on with those that there are
                return
            position, frame = todo.popleft()
            busy[worker] = Asked(position, self._awake.now())
            with suppress(OSError):  # it died or is stuck, which shows when its reply is waited for
                worker.connection.sendall(frame)

    def _idle_worker(self, *, is_needed: bool) -> Worker | None:
        """A worker that waits for a request: one of those that are left, if it still lives, or a new one.

        None if none can be started now, unless it `is_needed`: then EngineError after a few tries.
        """
        while self._idle:
            worker = self._idle.pop()
            if not _readable([worker.connection], 0.0):
                return worker
            self._zygote.kill(worker)  # nothing was asked, so what can be read is the end of the file
        for pause_s in (*_PAUSES_S, None):
            try:
                worker = self._zygote.fork()
            except NoWorkerError as error:
                if not is_needed:
                    return None
                if pause_s is None:
                    raise EngineError(str(error)) from None
                time.sleep(pause_s)
            else:
                worker.connection.settimeout(WALL * self._limit_s)
                return worker
        return None

    def _outcomes(self, busy: dict[Worker, Asked], fits: Fits) -> list[tuple[Worker, Reply | Failure]]:
        """Those that have come when the first worker replies or dies, or at the next look at their limits."""
        readable = _readable([worker.connection for worker in busy], self._look_s)
        now_s = self._awake.now()
        outcomes: list[tuple[Worker, Reply | Failure]] = []
        for worker, asked in busy.items():
            if worker.connection in readable:
                outcomes.append((worker, self._receive(worker, partial(fits, asked.position))))
            elif now_s - asked.since_s >= self._look_s and self._is_over(worker, asked, now_s):
                outcomes.append((worker, self._give_up(worker, Failure.TIMEOUT)))
        return outcomes

    def _is_over(self, worker: Worker, asked: Asked, now_s: float) -> bool:
        """Whether the worker has used up its limit of processor time, or the wider one of wall-clock time.

        Its processor time counts from the first look, so that a request which is answered before costs none.
        Threads on many cores use more than passes on the wall clock, which has to reach the limit too. Where
        the system does not tell processor time, wall-clock time stands for it.
        """
        passed_s = now_s - asked.since_s
        if passed_s >= WALL * self._limit_s:
            return True
        used_s = self._cpu(worker.pid)
        if used_s is None:
            return passed_s >= self._limit_s
        if asked.cpu_s is None:
            asked.cpu_s = used_s
        return min(passed_s, used_s - asked.cpu_s) >= self._limit_s

    def _receive(self, worker: Worker, fits: Callable[[Reply], bool]) -> Reply | Failure:
        try:
            reply = wire.receive(worker.connection, wire.MAX_REPLY_BYTES)
        except TimeoutError:
            return self._give_up(worker, Failure.TIMEOUT)
        except (ValueError, OSError):  # the function wrote into the connection, or broke it
            return self._give_up(worker, Failure.CRASH)
        if reply == wire.OUT_OF_MEMORY:  # what is left of it is not to be trusted with another answer
            return self._give_up(worker, Failure.MEMORY)
        if reply is None or not fits(reply):
            return self._give_up(worker, Failure.CRASH)
        return reply

    def _give_up(self, worker: Worker, failure: Failure) -> Failure:
        self._zygote.kill(worker)
        return failure


def _readable(connections: Iterable[socket.socket], timeout_s: float) -> set[object]:
    """Those on which something has come, or the other end has closed, before the time is over."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        return {key.fileobj for key, _ in selector.select(max(0.0, timeout_s))}
