"""How a command that cannot continue ends: one line, an exit code, and nothing left running.

A signal raises `Interrupted` in the main thread. If that thread is deep in a library and does not come to it,
or if a second signal says that it is too slow, another thread ends the process: files are only ever appended
to or replaced whole, so that this costs no more than what was in flight.
"""

from __future__ import annotations

import atexit
import errno
import os
import re
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from gpo.types import EngineError, InputError, RunError

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
GRACE_S = 15.0
"""From the first signal to the end of the process, whatever it is at."""
INTERRUPTED = "interrupted"
BROKEN_PIPE = 141
LOWER = {
    "train": "--batch-tokens for sampling, --microbatch-tokens or --microbatch for learning",
    "": "--batch-tokens",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_MEMORY = re.compile(r"out of memory|allocate memory|not enough memory|\bbad_alloc\b", re.IGNORECASE)
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


class FinalError(RunError):
    """A run that would end in the same way if it went on, so --resume is not offered."""


def is_first() -> bool:
    """Whether this process speaks: of several that torchrun started, the first does."""
    return os.environ.get("RANK", "0") == "0"


class Interrupted(KeyboardInterrupt):
    """A signal asks this program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"by {signal.Signals(number).name}")
        self.code = 128 + number


class Stage:
    """Which command runs, and how to ask what it has kept so far: for its last words."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.command, self.is_told = "", False
        self.resumed: Path | None = None
        self.kept: Callable[[], str] = str

    def way_on(self) -> str:
        """What is saved, and the command that continues; nothing if there is no run folder yet."""
        folder = sys.modules.get("gpo.record.folder")
        run = folder.opened[0] if folder and folder.opened else self.resumed
        if not (self.command and run and (run / "run.json").is_file()):
            return ""
        kept = self.kept()
        advice = f"continue with gpo {self.command} --resume {shlex.quote(str(run))}"
        return f"{kept}; {advice}" if kept else advice


STAGE = Stage()


def explained(error: BaseException) -> tuple[str, int] | None:
    """The line to end with and the exit code; None for what is a fault of ours, whose traceback is wanted."""
    if isinstance(error, InputError):
        return one_line(error), 2
    if isinstance(error, BrokenPipeError):
        return "", BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt):
        code = error.code if isinstance(error, Interrupted) else 130
        return with_way_on(INTERRUPTED), code
    if why := want_of(error):
        return with_way_on(why), 1
    if isinstance(error, EngineError | RunError):
        line = one_line(error)
        return line if isinstance(error, FinalError) else with_way_on(line), 1
    if isinstance(error, FloatingPointError):
        return one_line(error), 1
    return None


def want_of(error: BaseException) -> str:
    """What the machine lacks, in words, if that is what the error says; else nothing."""
    if is_memory(error):
        lower = LOWER.get(STAGE.command, LOWER[""])
        return f"out of memory ({one_line(error)[:120] or 'MemoryError'}): free some, or lower {lower}"
    number, where = number_of(error)
    what = f"{os.strerror(number)}{where}" if number else ""
    if number in _FULL:
        return f"{what}: free some space, or raise the quota"
    if number in (errno.EMFILE, errno.ENFILE):
        return f"{what}: raise the limit of open files (ulimit -n)"
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{what}: give this user access to it"
    if isinstance(error, OSError) and number:
        return what
    if "PytorchStreamWriter" in str(error) or "inline_container" in str(error):
        return f"a file could not be written ({one_line(error)[:120]}): is the disk full?"
    return ""


def is_memory(error: BaseException) -> bool:
    """Whether this says that memory is used up: the machine's or the GPU's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error)))


def number_of(error: BaseException) -> tuple[int, str]:
    """The system's number of an error, 0 if it has none, and the file that it is about."""
    if isinstance(error, OSError):
        return error.errno or 0, f": {error.filename}" if error.filename else ""
    # Libraries in Rust have no OSError, and write its number into their own.
    found = _OS_ERROR.search(str(error))
    return (int(found[1]), "") if found else (0, "")


def with_way_on(message: str) -> str:
    """The message with what is saved and the command that continues, unless it says so itself."""
    way_on = "" if "--resume" in message else STAGE.way_on()
    sign = ": " if message == INTERRUPTED else "; "
    return f"{message}{sign}{way_on}" if way_on else message


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


@contextmanager
def heeding_signals() -> Iterator[None]:
    """Inside, the first of SIGNALS raises Interrupted in the main thread, and a second one ends the process.

    A signal that whoever started us has set to be ignored (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    theirs, ours = socket.socketpair()
    ours.setblocking(False)
    before = {one: signal.getsignal(one) for one in SIGNALS}
    heard = {one: handler for one, handler in before.items() if handler is not signal.SIG_IGN}
    threading.Thread(target=_watch, args=(theirs, set(heard)), name="signals", daemon=True).start()
    wakeup = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    handle = _Once()
    for one in heard:
        signal.signal(one, handle)
    try:
        yield
    finally:
        for one, handler in heard.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(wakeup)
        ours.close()


class _Once:
    """A handler that raises once in the process that set it: what was forked since dies of the signal."""

    def __init__(self) -> None:
        self._owner, self._is_heard = os.getpid(), False

    def __call__(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._owner:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not self._is_heard:
            self._is_heard = True
            raise Interrupted(number)


def _watch(signals: socket.socket, heard: set[signal.Signals]) -> None:
    """Counts the signals; ends the process at the second one, and when the time since the first is over."""
    first, end_s = 0, float("inf")
    while True:
        signals.settimeout(None if not first else max(0.001, end_s - time.monotonic()))
        try:
            data = signals.recv(64)
        except TimeoutError:
            end_at_once(first)
        if not data:
            signals.close()
            return
        numbers = [number for number in data if number in heard]
        if len(numbers) > 1 or (first and numbers):
            end_at_once(first or numbers[0])
        if numbers:
            first, end_s = numbers[0], time.monotonic() + GRACE_S


def end_at_once(number: int) -> NoReturn:
    """Ends the process from any thread, with the line if it was not said yet."""
    if not STAGE.is_told and is_first():
        with suppress(Exception):  # whatever the main thread is changing meanwhile
            os.write(2, f"gpo: error: {with_way_on(INTERRUPTED)}\n".encode(errors="replace"))
    os._exit(128 + number)


@contextmanager
def leaving(*, is_program: bool) -> Iterator[None]:
    """Ends a program without unwinding the threads that are still in a library.

    Python ends its daemon threads in the midst of C++ code, which then aborts ("terminate called"). Where
    this is not the whole program, what is raised passes through.
    """
    try:
        yield
    except BaseException as error:
        code = _code_of(error)
        if not is_program or (code < 128 and not _is_busy()):
            raise
        if not isinstance(error, SystemExit):
            sys.excepthook(type(error), error, error.__traceback__)
        _leave(code)
    if is_program and _is_busy():
        _leave(0)


def _is_busy() -> bool:
    """Whether an engine's thread is still at work."""
    return any(one.name.startswith("gpo-") for one in threading.enumerate())


def _code_of(error: BaseException) -> int:
    code = error.code if isinstance(error, SystemExit) else 1
    return code if isinstance(code, int) else int(code is not None)


def _leave(code: int) -> NoReturn:
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)
