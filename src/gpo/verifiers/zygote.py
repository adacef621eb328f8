"""A process that loads a verifier once and then forks a worker, ready to answer, whenever asked to.

Killing a worker is therefore cheap: its successor is there in milliseconds, with all it needs imported.
The name is the one that Android and Chromium use. It runs no answers itself, so that nothing can hang
it, and when the process that started it is gone it kills its workers, with all they started, and ends.

The verifier's print() goes to standard error: standard output belongs to the command line's JSON.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from gpo.verifiers import judges, wire

ORDER = struct.Struct("!i")
"""0, with a socket attached: fork a worker for it. Else: kill this worker. The reply is the worker's pid, or
minus the number of the error that kept the system from making one."""

_WATCH_S = 1.0
_LAST_WORDS = wire.encode(wire.OUT_OF_MEMORY)


def main(descriptor: int, parent: int, name: str, memory_bytes: int | None) -> NoReturn:
    """A fresh interpreter's way in: a zygote for a verifier that is known by name."""
    control = socket.socket(fileno=descriptor)
    exit_after(lambda: run(control, parent, lambda: judges.named(name), memory_bytes))


def run(
    control: socket.socket, parent: int, load: Callable[[], judges.Judge], memory_bytes: int | None
) -> None:
    """Makes this process a zygote: loads the verifier, says 'ready' or why not, and obeys `parent`."""
    with contextlib.suppress(OSError):  # this process was started without a standard error
        os.dup2(2, 1)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    judge = _load(control, load, parent)
    if judge is not None:
        _obey(control, parent, judge, memory_bytes)


def exit_after(body: Callable[[], None]) -> NoReturn:
    """Ends this process after `body`; nothing may continue in the frames that a fork left below it."""
    status = 1
    try:
        body()
        status = 0
    except BaseException:  # noqa: BLE001 - SystemExit of a user's function ends the worker like any error
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stderr.flush()
        finally:  # the user's function may have closed it
            os._exit(status)


def _load(control: socket.socket, load: Callable[[], judges.Judge], parent: int) -> judges.Judge | None:
    judge = None
    news: dict[str, object] = {"ready": True}
    loaded = threading.Event()
    watch = threading.Thread(target=_end_with, args=(parent, loaded), daemon=True)
    watch.start()
    try:
        judge = load()
    except BaseException as error:  # noqa: BLE001 - a user's module may do anything on import
        news = {"error": f"{type(error).__name__}: {error}"}
    loaded.set()
    watch.join()  # a fork must not have a thread of its parent's in mid-air
    with contextlib.suppress(BrokenPipeError):  # closed before it was ready: nobody wants to know
        control.sendall(wire.encode(news))
    return judge


def _end_with(parent: int, loaded: threading.Event) -> None:
    """Ends this process if its parent is gone before the verifier is loaded: an import may hang for ever."""
    while not loaded.wait(_WATCH_S):
        if os.getppid() != parent:
            os._exit(1)


def _obey(control: socket.socket, parent: int, judge: judges.Judge, memory_bytes: int | None) -> None:
    """Forks and kills workers as told, and kills those that are left at the end."""
    workers: set[int] = set()
    try:
        while (order := _next_order(control, parent)) is not None:
            pid, connection = order
            if connection is not None:
                pid = _fork_worker(control, connection, judge, memory_bytes)
                workers |= {pid} if pid > 0 else set()
            elif pid in workers:
                workers.remove(pid)
                _kill(pid)
            control.sendall(ORDER.pack(pid or -errno.EMFILE))  # 0: the socket could not be received
    except ConnectionError:
        return  # whoever gave the orders is gone
    finally:
        for pid in workers:
            _kill(pid)


def _next_order(control: socket.socket, parent: int) -> tuple[int, socket.socket | None] | None:
    """(pid to kill, None) or (0, the new worker's socket); None once nobody gives orders any more.

    The end of the file tells that, unless another child of the parent has inherited its end of the
    socket; therefore the parent's pid is watched too.
    """
    while os.getppid() == parent:
        if not select.select([control], [], [], _WATCH_S)[0]:
            continue
        try:
            order, descriptors, _, _ = socket.recv_fds(control, ORDER.size, 1)
        except ConnectionResetError:  # the parent ended before it had read all that was written to it
            return None
        if len(order) < ORDER.size:
            return None
        return ORDER.unpack(order)[0], socket.socket(fileno=descriptors[0]) if descriptors else None
    return None


def _fork_worker(
    control: socket.socket, connection: socket.socket, judge: judges.Judge, memory_bytes: int | None
) -> int:
    """The pid of a new worker, or minus the number of the error that came instead."""
    try:
        pid = os.fork()
    except OSError as error:  # no memory, or too many processes
        connection.close()
        return -(error.errno or errno.EAGAIN)
    if pid == 0:
        exit_after(lambda: _work(control, connection, judge, memory_bytes))
    with contextlib.suppress(PermissionError, ProcessLookupError):  # the child may be first, or gone
        os.setpgid(pid, pid)
    connection.close()
    return pid


def _work(
    control: socket.socket, connection: socket.socket, judge: judges.Judge, memory_bytes: int | None
) -> None:
    """Answers requests until the connection closes."""
    os.setpgid(0, 0)
    control.close()
    _limit_memory(memory_bytes)
    with contextlib.suppress(ConnectionError):  # whoever asked is gone, and nobody waits for the answer
        while (request := wire.receive(connection)) is not None:
            try:
                reply = wire.encode(judge(request))
            except MemoryError:
                connection.sendall(_LAST_WORDS)
                return
            connection.sendall(reply)


def _kill(pid: int) -> None:
    """Kills a worker and what it started. It was not waited for until now, so the pid is still its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _limit_memory(num_bytes: int | None) -> None:
    """Lets the address space grow by `num_bytes` from here; Linux only, as others do not count it so."""
    statm = Path("/proc/self/statm")
    if num_bytes is None or not statm.exists():
        return
    now = int(statm.read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = now + num_bytes
    resource.setrlimit(
        resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
    )
