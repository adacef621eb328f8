"""A zygote as the process that started it sees it: it is given orders, and its workers are kept track of.

Nothing is pickled and no `__main__` runs twice. A verifier known by name is loaded in a fresh interpreter
that shares nothing with this one. A callable cannot be sent there, so its zygote is a fork: it sees the
callable and all that it refers to as they were at that moment. (A fork of a process with threads inherits
their locks, and its memory is copied as this process writes to it; prefer a name, or load the verifier before
the model.)
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from gpo.types import DataWarning, EngineError, InputError
from gpo.verifiers import function, judges, wire, zygote

START_LIMIT_S = 120.0
"""For importing the verifier, torch and all on a cold disk; it does not count against any answer."""

_BOOT = """
import json, sys
sys.path[:], *setup = json.loads(sys.argv[1])
from gpo.verifiers.zygote import main
main(*setup)
"""
_END_LIMIT_S = 5.0
_MOST_STARTS = 4


@dataclass(eq=False, slots=True)
class Worker:
    """A process that answers one request at a time."""

    pid: int
    connection: socket.socket


class NoWorkerError(RuntimeError):
    """The system made no process now: it is short of memory, processes or files."""


class _LostError(Exception):
    """The zygote is gone."""


class Forked:
    """A child of `os.fork`, as a subprocess.Popen."""

    def __init__(self, pid: int) -> None:
        """`pid` is a child of this process that nobody else waits for."""
        self._pid = pid

    def wait(self, timeout: float | None = None) -> int:
        """Its wait status; TimeoutExpired after `timeout` seconds."""
        end = time.monotonic() + (timeout or 0.0)
        while True:
            pid, status = os.waitpid(self._pid, 0 if timeout is None else os.WNOHANG)
            if pid:
                return status
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("fork", timeout or 0.0)
            time.sleep(0.002)

    def kill(self) -> None:
        """Sends SIGKILL."""
        os.kill(self._pid, signal.SIGKILL)


Child = subprocess.Popen[bytes] | Forked


@dataclass(slots=True)
class _Processes:
    """A zygote, the socket that it takes its orders from, and its workers by their pids."""

    child: Child
    control: socket.socket
    workers: dict[int, Worker] = field(default_factory=dict)


Start = Callable[[], tuple[Child, socket.socket]]


class Zygote:
    """This side of a zygote: get workers, give them back to be killed."""

    def __init__(self, name: str, start: Start, *, is_repeatable: bool) -> None:
        """`name` is the verifier's, for messages; see `start_named` and `start_callable`.

        Where `start` is repeatable, a zygote that was killed is started again, up to three times.
        """
        self._name = name
        self._start = start
        self._num_starts = _MOST_STARTS if is_repeatable else 1
        self._is_ready = False
        self._is_lost = False
        self._processes = _Processes(*self._started())
        self.close = weakref.finalize(self, _end, self._processes, os.getpid())
        """Ends all its processes; also called when it is collected and when Python ends."""

    def wait_ready(self) -> None:
        """Returns once the verifier is loaded. InputError, saying why, if it cannot be."""
        if not self.close.alive:
            raise RuntimeError(f"verifier '{self._name}' was closed")
        if self._is_ready:
            return
        control = self._processes.control
        control.settimeout(START_LIMIT_S)
        try:
            reply = wire.receive(control)
        except TimeoutError:
            reply = {"error": f"not imported after {START_LIMIT_S:.0f} s"}
        if reply is None or "error" in reply:
            self.close()
            why = "its process ended while importing it" if reply is None else reply["error"]
            raise InputError(
                f"verifier '{self._name}' cannot be loaded: {why}; try importing it with python -c, "
                "from the folder you start gpo in"
            )
        self._is_ready = True

    def fork(self) -> Worker:
        """A new worker. NoWorkerError if the system makes none now, EngineError if the zygote is killed
        again and again.
        """
        while True:
            try:
                return self._forked()
            except _LostError:
                self._restart()

    def kill(self, worker: Worker) -> None:
        """Ends a worker, dead or alive, with all processes that it started; once is enough."""
        worker.connection.close()
        if self.close.alive and self._processes.workers.get(worker.pid) is worker:
            # With the zygote its workers are lost too, and killed at once.
            with contextlib.suppress(_LostError):
                self._order(worker.pid, [])
            self._processes.workers.pop(worker.pid, None)

    def _forked(self) -> Worker:
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise self._no_worker(error.errno) from None
        try:
            with theirs:
                pid = self._order(0, [theirs.fileno()])
        except _LostError:
            ours.close()
            raise
        if pid < 0:
            ours.close()
            raise self._no_worker(-pid)
        worker = self._processes.workers[pid] = Worker(pid, ours)
        return worker

    def _no_worker(self, number: int | None) -> NoWorkerError:
        is_files = number in (errno.EMFILE, errno.ENFILE)
        what = "files (ulimit -n)" if is_files else "memory or processes (ulimit -u)"
        return NoWorkerError(
            f"verifier '{self._name}': no process can be started for it ({os.strerror(number or 0)}); "
            f"free some {what}"
        )

    def _order(self, pid: int, descriptors: list[int]) -> int:
        try:
            if self._is_lost:
                raise _LostError
            socket.send_fds(self._processes.control, [zygote.ORDER.pack(pid)], descriptors)
            reply = self._processes.control.recv(zygote.ORDER.size)
            return int(zygote.ORDER.unpack(reply)[0])
        except (OSError, struct.error):
            self._is_lost = True
            _kill_groups(self._processes.workers)
            raise _LostError from None
        except _LostError:
            raise
        except BaseException:  # an interrupt: the next order would get this one's reply
            self.close()
            raise

    def _restart(self) -> None:
        """Another zygote in the place of one that was killed; its workers, killed too, are forgotten."""
        processes = self._processes
        processes.control.close()
        processes.workers.clear()
        with contextlib.suppress(ChildProcessError, ProcessLookupError):  # somebody else has waited for it
            processes.child.kill()
            processes.child.wait()
        why = f"verifier '{self._name}': its process was killed from outside, maybe for lack of memory; "
        if self._num_starts < 1:
            self.close.detach()
            raise EngineError(why + "free some")
        warnings.warn(why + "it was started again, and no answer is lost", DataWarning, stacklevel=2)
        processes.child, processes.control = self._started()
        self._is_ready = self._is_lost = False
        self.wait_ready()

    def _started(self) -> tuple[Child, socket.socket]:
        self._num_starts -= 1
        try:
            return self._start()
        except OSError as error:
            raise EngineError(str(self._no_worker(error.errno))) from None


def _end(processes: _Processes, owner: int) -> None:
    """Closes the sockets, which ends the zygote; waits for it, in the process whose child it is."""
    child, workers = processes.child, processes.workers
    processes.control.close()
    for worker in [*workers.values()]:  # another thread may be asking
        worker.connection.close()
    if os.getpid() != owner:
        return
    with contextlib.suppress(ChildProcessError, ProcessLookupError):  # somebody else has waited for it
        if not workers:  # none to be killed by it, and it may still be importing
            child.kill()
        try:
            status = child.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            status = child.wait()
        if status != 0:  # it was killed, and could not kill its workers
            _kill_groups(workers)


def _kill_groups(workers: Mapping[int, Worker]) -> None:
    """Kills workers whose zygote is gone, with what they have started."""
    for pid in [*workers]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def start_named(name: str, memory_bytes: int | None) -> Zygote:
    """A zygote for a built-in verifier or 'module:function', with this process's path and then its folder."""
    return Zygote(name, partial(_start_named, name, memory_bytes), is_repeatable=True)


def _start_named(name: str, memory_bytes: int | None) -> tuple[Child, socket.socket]:
    ours, theirs = socket.socketpair()
    path = [*sys.path, os.getcwd()]
    setup = json.dumps([path, theirs.fileno(), os.getpid(), name, memory_bytes])
    with theirs, contextlib.ExitStack() as failed:
        failed.callback(ours.close)
        child = subprocess.Popen(  # noqa: S603 - this interpreter and this package
            [sys.executable, "-P", "-c", _BOOT, setup],
            stdin=subprocess.DEVNULL,
            stdout=2,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        failed.pop_all()
    return child, ours


def start_callable(reward: function.RewardFunction, name: str, memory_bytes: int | None) -> Zygote:
    """A zygote that is a fork of this process and knows `reward` as it is now."""
    return Zygote(name, partial(_start_callable, reward, memory_bytes), is_repeatable=False)


def _start_callable(reward: function.RewardFunction, memory_bytes: int | None) -> tuple[Child, socket.socket]:
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of locks that threads may hold; the fork runs nothing but the user's function.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:

        def body() -> None:
            os.setsid()
            ours.close()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            zygote.run(theirs, parent, lambda: judges.of_function(reward), memory_bytes)

        zygote.exit_after(body)
    theirs.close()
    return Forked(pid), ours
