"""Starting a zygote. Nothing is pickled and no `__main__` runs twice.

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
import subprocess
import sys
import time
import warnings
from functools import partial

from gpo.verifiers import function, judges, zygote
from gpo.verifiers.process import Child, Zygote

_BOOT = """
import json, sys
sys.path[:], *setup = json.loads(sys.argv[1])
from gpo.verifiers.zygote import main
main(*setup)
"""


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
