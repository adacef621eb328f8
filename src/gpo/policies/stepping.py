"""One thread that keeps a step-wise engine going: requests in, steps, futures out."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from gpo.types import EngineError

T = TypeVar("T")
Add = Callable[[Any, str], None]
"""Puts a request into the engine under a name."""
Finish = Callable[[Any], Any]
"""What a finished output becomes."""


class Stepper:
    """Owns an engine as vLLM's LLMEngine is: add requests at any time, step, read what has finished.

    Only its thread touches the engine, so that `submit` and `run` may be called from any.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._open: dict[str, tuple[Future[Any], Finish]] = {}
        self._num_added = 0
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def submit(self, add: Add, finish: Finish) -> Future[Any]:
        """A future of what `finish` makes of the request's last output."""
        future: Future[Any] = Future()

        def begin() -> None:
            if not future.set_running_or_notify_cancel():
                return
            name = str(self._num_added)
            self._num_added += 1
            try:
                add(self._engine, name)
            except Exception as error:  # noqa: BLE001 - raised where the result is asked for
                future.set_exception(error)
            else:
                self._open[name] = future, finish

        self._queue.put(begin)
        return future

    def run(self, work: Callable[[Any], T]) -> T:
        """What `work` returns for the engine, between two steps; ValueError while requests are open."""
        future: Future[T] = Future()

        def begin() -> None:
            try:
                if self._open:
                    raise ValueError(f"{len(self._open)} requests are open")
                future.set_result(work(self._engine))
            except Exception as error:  # noqa: BLE001 - raised where the result is asked for
                future.set_exception(error)

        self._queue.put(begin)
        return future.result()

    def close(self) -> None:
        """Ends the thread; what is open fails."""
        self._queue.put(None)

    def _loop(self) -> None:
        while self._take():
            try:
                outputs = self._engine.step()
            except Exception as error:  # noqa: BLE001 - whatever it was, what is open will not be finished
                self._fail(EngineError(f"the engine failed: {type(error).__name__}: {error}"))
                continue
            for output in outputs:
                self._finish(output)
        self._fail(EngineError("the engine was closed"))

    def _take(self) -> bool:
        """Begins all that is asked for, and waits until there is something to step for; False at the end."""
        while not self._open or not self._queue.empty():
            begin = self._queue.get()
            if begin is None:
                return False
            begin()
            del begin  # or it keeps what it is about alive until the next one comes
        return True

    def _finish(self, output: Any) -> None:
        if not output.finished:
            return
        future, finish = self._open.pop(output.request_id)
        try:
            future.set_result(finish(output))
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    def _fail(self, error: EngineError) -> None:
        while self._open:
            _, (future, _) = self._open.popitem()
            future.set_exception(error)
