"""Where a command prints: results on standard output, progress on standard error."""

from __future__ import annotations

import os
import sys

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class _Terminal(Console):
    """A console that says so where nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Ui:
    """With `as_json` standard output is kept for the one JSON object, and all else goes to standard error."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._bar: Progress | None = None
        # Of several processes that torchrun started, the first speaks.
        is_quiet = os.environ.get("RANK", "0") != "0"
        self.progress_console = _Terminal(file=sys.stderr, highlight=False, quiet=is_quiet)
        self.console = (
            self.progress_console if as_json else _Terminal(highlight=False, soft_wrap=False, quiet=is_quiet)
        )

    def print(self, *parts: RenderableType) -> None:
        """Prints each part; strings are plain text, never markup."""
        for part in parts:
            self.console.print(part, markup=False)

    def line(self, text: str) -> None:
        """Prints one line, however long: what reads it from a pipe counts lines."""
        self.console.print(text, markup=False, soft_wrap=True)

    def log(self, text: str) -> None:
        """Prints a line of a run's log on standard error."""
        self.progress_console.print(text, markup=False, soft_wrap=True)

    def progress(self) -> Progress:
        """A bar with time left, redrawn on a terminal and silent elsewhere."""
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.progress_console,
        )
        return self._bar

    def kept(self, unit: str) -> str:
        """How far the last bar came, as "8 of 10 problems are kept"; nothing without a unit or a bar."""
        tasks = self._bar.tasks if self._bar else []
        return f"{tasks[0].completed:.0f} of {tasks[0].total:.0f} {unit} are kept" if unit and tasks else ""
