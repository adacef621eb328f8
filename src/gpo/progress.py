"""What a command shows while it works: how far it is, what it spent and how fast, what is left at most.

On a terminal it is redrawn in its place; elsewhere it is a line on standard error every half minute.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Self

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from gpo.console import Ui, shown

EVERY_S = 30.0
"""Seconds between two lines where nothing is redrawn."""
WINDOW_S = 60.0
"""The speed is that of the last minute: it changes when searches follow the first rollouts."""


def clock(seconds: float) -> str:
    """A time that has passed: 1:20, or 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """A time to come, rounded up: 45 s, 7 min, 3.2 h."""
    if seconds <= 90:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds <= 5400 else f"{math.ceil(seconds / 360) / 10:g} h"


class Speed:
    """Tokens a second over the last WINDOW_S."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._seen: deque[tuple[float, int]] = deque([(now_s(), 0)])

    def of(self, tokens: int) -> float:
        """The speed, now that so many tokens are there in all; 0 before any."""
        now = self._now_s()
        self._seen.append((now, tokens))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_S:
            self._seen.popleft()
        then, before = self._seen[0]
        return (tokens - before) / (now - then) if now > then else 0.0


class Progress:
    """`done` of `total` units of the command `name`, the tokens so far, and `most` that there can be.

    `drawn` counts the tokens while it works. `stage` says what it is at, and `note` more. A command of
    several parts has tokens and `most` for each of them (`begin`), and then nothing is said of the time left.
    """

    def __init__(
        self,
        ui: Ui,
        name: str,
        unit: str,
        total: int,
        *,
        done: int = 0,
        drawn: Callable[[], int] = int,
        most: float = math.inf,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ui, self.name, self.unit = ui, name, unit
        self.total, self.most, self.stage, self.note = total, most, "", ""
        self._drawn, self._num_before = drawn, 0
        self.is_redrawn = ui.progress_console.is_terminal and not ui.progress_console.is_dumb_terminal
        self._start_s, self._now_s, self._speed = now_s(), now_s, Speed(now_s)
        self._is_over = threading.Event()
        self._view: AbstractContextManager[Any] = nullcontext()
        self.at(done)

    def at(self, done: int) -> None:
        """So many units are done."""
        self.done = done
        self.ui.counted = done, self.total

    def begin(self, stage: str, most: float) -> None:
        """A part that takes at most so many tokens."""
        self.stage, self.most, self._num_before = stage, most, self._drawn()

    @property
    def tokens(self) -> int:
        """Those of the part that it is at."""
        return self._drawn() - self._num_before

    def __enter__(self) -> Self:
        if self.is_redrawn:
            self._view = self.ui.redrawn(self.render)
        else:
            threading.Thread(target=self._tell, name="progress", daemon=True).start()
        self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._view.__exit__(kind, error, trace)
        if not self.is_redrawn and kind is None:
            self.ui.log(self.line())

    def _tell(self) -> None:
        while not self._is_over.wait(EVERY_S):
            self.ui.log(self.line())

    def line(self) -> str:
        """All of it as one line."""
        return f"{self.name}: {self.done:,} of {self.total:,} {self.unit} · {self.spent()}"

    def render(self) -> RenderableType:
        """All of it as a terminal shows it; the bar is by tokens where it is known how many there can be."""
        is_whole = not self.stage and math.isfinite(self.most) and self.done < self.total
        share = self.tokens / max(1, self.most) if is_whole else self.done / max(1, self.total)
        bar = ProgressBar(total=1.0, completed=min(1.0, share), width=30)
        counts = Text(shown(f"{self.done:,}/{self.total:,} {self.unit}"))
        rows: list[RenderableType] = [
            Columns([Text(shown(self.name)), bar, counts]),
            Text(shown(self.spent())),
        ]
        return Group(*rows, *([Text(shown(self.note))] if self.note else []))

    def spent(self) -> str:
        """Time, tokens, speed and what is left at most, as far as each is known."""
        tokens, speed = self.tokens, self._speed.of(self._drawn())
        is_bounded = math.isfinite(self.most) and self.done < self.total
        parts = [f"elapsed {clock(self._now_s() - self._start_s)}", *([self.stage] if self.stage else [])]
        if tokens or is_bounded:
            most = f"of at most {max(tokens, self.most):,.0f} " if is_bounded else ""
            parts.append(f"{tokens:,} {most}tokens")
        if speed:
            parts.append(f"{speed:,.0f} tokens/s")
        if speed and is_bounded and not self.stage:
            parts.append(f"at most {duration(max(0.0, self.most - tokens) / speed)} left")
        return " · ".join(parts)
