"""Work to futures on threads of our own, which a program that ends does not wait for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

SLOTS = 64
"""Rows that one engine works on at once, where nobody says how many."""


class Workers:
    """At most `num` threads that do work in order of arrival; they start when needed."""

    def __init__(self, num: int) -> None:
        self._num = num
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._num_begun = 0

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """A future of what `work` returns."""
        future: Future[T] = Future()
        self._queue.put(lambda: fill(future, work))
        if not self._idle.acquire(blocking=False):
            with self._lock:
                if self._num_begun < self._num:
                    self._num_begun += 1
                    threading.Thread(target=self._work, daemon=True).start()
        return future

    def close(self) -> None:
        """Lets the threads end after what they are at."""
        for _ in range(self._num_begun):
            self._queue.put(None)

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            task()
            del task  # or it keeps what it is about alive until the next one comes
            self._idle.release()


def fill(future: Future[T], work: Callable[[], T]) -> None:
    """Fills the future with what the work returns or raises, unless nobody wants it any more."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
        future.set_exception(error)


def all_of(futures: Sequence[Future[T]]) -> list[T]:
    """Every result in order; at the first failure the others are called off and it is raised."""
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()
