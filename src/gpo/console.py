"""Where a command prints: results on standard output, progress and errors on standard error.

All text that leaves for the terminal leaves here, so that it is made harmless in one place: data cannot move
the cursor, colour or link anything, reverse what stands beside it, or forge a line; and keys are masked.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from gpo import ending
from gpo.masking import secrets
from gpo.visible import printable, printable_lines

LONGEST_LINE = 4000
"""Characters of an error, a warning or a line of a log."""


def shown(text: str) -> str:
    """The text as a terminal may have it, on one line."""
    return printable(secrets().mask(text))


def one_line(message: str) -> str:
    """An error or warning as one line of bounded length, whatever it quotes."""
    text = shown(" ".join(message.split()))
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} ..."


def error(message: str) -> None:
    """Prints the one line with which a program ends."""
    print(f"gpo: error: {one_line(message)}", file=sys.stderr)


def warning(message: str) -> None:
    """Prints one line about what is wrong with the data but stops nothing."""
    print(f"gpo: warning: {one_line(message)}", file=sys.stderr)


def others_warning(message: Warning | str, category: type[Warning], *about: Any) -> None:
    """Prints a library's own warning, with its place."""
    place = ":".join(map(str, about[:2]))
    print(f"{shown(place)}: {category.__name__}: {one_line(str(message))}", file=sys.stderr)


def crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Prints a traceback; what an exception quotes is as untrusted as all else."""
    text = "".join(traceback.format_exception(kind, error, trace))
    print(printable_lines(secrets().mask(text.rstrip("\n"))), file=sys.stderr)


def json_object(summary: Mapping[str, Any]) -> None:
    """Prints the object on one line of plain ASCII, where JSON's escapes keep every character."""
    text = json.dumps(_masked(summary), allow_nan=False).replace("\x7f", "\\u007f")
    print(text, flush=True)


def _masked(content: Any) -> Any:
    if isinstance(content, str):
        return secrets().mask(content)
    if isinstance(content, Mapping):
        return {_masked(key): _masked(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_masked(value) for value in content]
    return content


class _Console(Console):
    """Prints what it is given as plain text: no markup, no emoji names, no control character of the data."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **settings)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # which says so where nobody reads any more

    def render_str(self, text: str, **settings: Any) -> Text:
        """A string, alone or in a table, is one line, however it names itself."""
        return super().render_str(shown(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control:  # the cursor of a bar that is redrawn: never made of data
                yield segment
            else:
                yield Segment(printable_lines(secrets().mask(segment.text)), segment.style)


def printed(shown: RenderableType) -> str:
    """What a terminal as wide as the one that is there shows, as plain text."""
    width = shutil.get_terminal_size((110, 24)).columns
    console = _Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


class Ui:
    """With `as_json` standard output is kept for the one JSON object, and all else goes to standard error."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.counted: tuple[int, int] | None = None
        """How far the command came, of how much; None before it counts."""
        is_quiet = not ending.is_first()
        self.progress_console: Console = _Console(file=sys.stderr, quiet=is_quiet)
        self.console: Console = self.progress_console if as_json else _Console(quiet=is_quiet)

    def print(self, *parts: RenderableType) -> None:
        """Prints each part; a string is one line of plain text, never markup, and wraps where it is long."""
        for part in parts:
            self.console.print(Text(shown(part)) if isinstance(part, str) else part)

    def line(self, text: str) -> None:
        """Prints one line, however long: what reads it from a pipe counts lines."""
        self.console.print(Text(one_line(text)), soft_wrap=True)

    def commands(self, lines: Iterable[str]) -> None:
        """Prints lines that can be pasted: each stays one line, with its spaces."""
        for line in lines:
            self.console.print(Text(shown(line)), soft_wrap=True)

    def log(self, text: str) -> None:
        """Prints a line of a run's log on standard error."""
        self.progress_console.print(Text(one_line(text)), soft_wrap=True)

    def live(self) -> AbstractContextManager[Live]:
        """A view that is redrawn in its place on the terminal."""
        return Live(console=self.console, refresh_per_second=4)

    def redrawn(self, render: Callable[[], RenderableType]) -> AbstractContextManager[Live]:
        """The same on standard error, of what `render` returns each time."""
        return Live(console=self.progress_console, refresh_per_second=4, get_renderable=render)

    def kept(self, unit: str) -> str:
        """How far the command came, as "8 of 10 problems saved"; nothing without a unit or a count."""
        return "{} of {} {} saved".format(*self.counted, unit) if unit and self.counted else ""
