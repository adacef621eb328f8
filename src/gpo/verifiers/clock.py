"""Two clocks that a busy machine does not speed up: a worker's processor time, and the time we were awake."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_PROC = Path("/proc")
_LONGEST_S = 1.0
"""A longer pause between two looks means that this process was stopped, or given no processor."""


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
