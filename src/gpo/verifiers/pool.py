"""Requests spread over worker processes, under one hard limit of wall-clock time for each."""

from __future__ import annotations

import enum
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from gpo.verifiers import wire
from gpo.verifiers.process import Worker, Zygote

Reply = dict[str, Any]


class Failure(enum.Enum):
    """Why a request has no reply."""

    TIMEOUT = "its process was killed at the time limit"
    CRASH = "its process died"


class Asked(NamedTuple):
    """Which request a worker has, and when (monotonic seconds) it must have answered."""

    position: int
    deadline: float


class Pool:
    """Up to `num_workers` workers of one zygote, started when they are needed and kept."""

    def __init__(self, zygote: Zygote, num_workers: int, limit_s: float) -> None:
        """`limit_s` is for one request, from when its worker has it until the reply."""
        self._zygote = zygote
        self._num_workers = num_workers
        self._limit_s = limit_s
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def ask(self, frames: Sequence[bytes]) -> list[Reply | Failure]:
        """One outcome for each request (a frame of `wire`), in order; may be called from any thread.

        A worker that hangs or dies costs its own request only: it is killed and replaced. InputError
        if the verifier cannot be loaded, RuntimeError after `close`.
        """
        outcomes: dict[int, Reply | Failure] = {}
        todo = deque(enumerate(frames))
        with self._lock:
            self._zygote.wait_ready()
            busy: dict[Worker, Asked] = {}
            try:
                while todo or busy:
                    self._hand_out(todo, busy)
                    for worker, outcome in self._outcomes(busy):
                        outcomes[busy.pop(worker).position] = outcome
                        if not isinstance(outcome, Failure):
                            self._idle.append(worker)
            finally:  # after an interrupt no worker may be left with a reply that nobody waits for
                for worker in busy:
                    self._zygote.kill(worker)
        return [outcomes[index] for index in range(len(frames))]

    def _hand_out(self, todo: deque[tuple[int, bytes]], busy: dict[Worker, Asked]) -> None:
        while todo and len(busy) < self._num_workers:
            position, frame = todo.popleft()
            worker = self._idle_worker()
            busy[worker] = Asked(position, time.monotonic() + self._limit_s)
            with suppress(OSError):  # it died or is stuck, which shows when its reply is waited for
                worker.connection.sendall(frame)

    def _idle_worker(self) -> Worker:
        """A worker that waits for a request: one of those that are left, if it still lives, or a new one."""
        while self._idle:
            worker = self._idle.pop()
            if not _readable([worker.connection], 0.0):
                return worker
            self._zygote.kill(worker)  # nothing was asked, so what can be read is the end of the file
        worker = self._zygote.fork()
        worker.connection.settimeout(self._limit_s)
        return worker

    def _outcomes(self, busy: dict[Worker, Asked]) -> list[tuple[Worker, Reply | Failure]]:
        """Those that have come when the first worker replies, dies or reaches its limit."""
        soonest = min(asked.deadline for asked in busy.values())
        readable = _readable([worker.connection for worker in busy], soonest - time.monotonic())
        outcomes = []
        for worker, asked in busy.items():
            if worker.connection in readable:
                outcomes.append((worker, self._receive(worker)))
            elif time.monotonic() >= asked.deadline:
                outcomes.append((worker, self._give_up(worker, Failure.TIMEOUT)))
        return outcomes

    def _receive(self, worker: Worker) -> Reply | Failure:
        try:
            reply = wire.receive(worker.connection)
        except TimeoutError:
            return self._give_up(worker, Failure.TIMEOUT)
        if reply is None:
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
