"""Starting a zygote, and giving it orders. Nothing is pickled and no `__main__` runs twice.

A verifier known by name is loaded in a fresh interpreter that shares nothing with this one. A callable
cannot be sent there, so its zygote is a fork: it sees the callable and all that it refers to as they
were at that moment. (A fork of a process with threads inherits their locks, and its memory is copied
as this process writes to it; prefer a name, or load the verifier before the model.)
"""

from __future__ import annotations

import contextlib
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
from dataclasses import dataclass
from typing import Protocol

from gpo.types import InputError
from gpo.verifiers import function, judges, wire, zygote

START_LIMIT_S = 120.0
"""For importing the verifier, torch and all on a cold disk; it does not count against any answer."""

_END_LIMIT_S = 5.0

_BOOT = """
import json, sys
sys.path[:], *setup = json.loads(sys.argv[1])
from gpo.verifiers.zygote import main
main(*setup)
"""


@dataclass(eq=False, slots=True)
class Worker:
    """A process that answers one request at a time."""

    pid: int
    connection: socket.socket


class Child(Protocol):
    """What we use of subprocess.Popen, and offer for a fork."""

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


class Zygote:
    """This side of a zygote: get workers, give them back to be killed."""

    def __init__(self, name: str, child: Child, control: socket.socket) -> None:
        """`name` is the verifier's, for messages; see `start_named` and `start_callable`."""
        self._name = name
        self._control = control
        self._is_ready = False
        self._workers: dict[int, Worker] = {}
        self.close = weakref.finalize(self, _end, child, control, self._workers, os.getpid())
        """Ends all its processes; also called when it is collected and when Python ends."""

    def wait_ready(self) -> None:
        """Returns once the verifier is loaded. InputError, saying why, if it cannot be."""
        if not self.close.alive:
            raise RuntimeError(f"verifier '{self._name}' was closed")
        if self._is_ready:
            return
        self._control.settimeout(START_LIMIT_S)
        try:
            reply = wire.receive(self._control)
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
        """A new worker."""
        ours, theirs = socket.socketpair()
        with theirs:
            pid = self._order(0, [theirs.fileno()])
        self._workers[pid] = Worker(pid, ours)
        return self._workers[pid]

    def kill(self, worker: Worker) -> None:
        """Ends a worker, dead or alive, with all processes that it started; once is enough."""
        if self.close.alive and self._workers.pop(worker.pid, None) is worker:
            worker.connection.close()
            self._order(worker.pid, [])

    def _order(self, pid: int, descriptors: list[int]) -> int:
        try:
            socket.send_fds(self._control, [zygote.ORDER.pack(pid)], descriptors)
            reply = self._control.recv(zygote.ORDER.size)
            return int(zygote.ORDER.unpack(reply)[0])
        except BaseException as error:  # an interrupt too: the next order would get this one's reply
            self.close()
            if isinstance(error, OSError | struct.error):
                raise RuntimeError(f"the process of verifier '{self._name}' was killed") from error
            raise


def start_named(name: str, memory_bytes: int | None) -> Zygote:
    """A zygote for a built-in verifier or 'module:function', with this process's path and then its folder."""
    ours, theirs = socket.socketpair()
    path = [*sys.path, os.getcwd()]
    setup = json.dumps([path, theirs.fileno(), os.getpid(), name, memory_bytes])
    with theirs:
        child = subprocess.Popen(  # noqa: S603 - this interpreter and this package
            [sys.executable, "-P", "-c", _BOOT, setup],
            stdin=subprocess.DEVNULL,
            stdout=2,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return Zygote(name, child, ours)


def start_callable(reward: function.RewardFunction, name: str, memory_bytes: int | None) -> Zygote:
    """A zygote that is a fork of this process and knows `reward` as it is now."""
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
    return Zygote(name, Forked(pid), ours)


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


def _end(child: Child, control: socket.socket, workers: dict[int, Worker], owner: int) -> None:
    """Closes the sockets, which ends the zygote; waits for it, in the process whose child it is."""
    control.close()
    for worker in workers.values():
        worker.connection.close()
    if os.getpid() != owner:
        return
    with contextlib.suppress(ChildProcessError, ProcessLookupError):  # somebody else has waited for it
        if not workers:  # none to be killed by it, and it may still be importing
            child.kill()
        try:
            child.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
