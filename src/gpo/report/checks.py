"""The gold self-check in the terminal: a table of splits, and every row that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import RenderableType
from rich.table import Table

from gpo.visible import printable

SHOWN = 20
"""Rows that are listed, at most, of each kind."""


class Checked(Protocol):
    """What is shown of a split."""

    @property
    def split(self) -> str: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def failures(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def false_accepts(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def num_faults(self) -> int: ...
    @property
    def notes(self) -> Sequence[str]: ...


def report(task: str, found: Sequence[Checked]) -> list[RenderableType]:
    """The table, what failed, and in what the data differ from upstream."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(task)
    for name in ("rows", "verified", "failed", "of these upstream's", "false accepts"):
        table.add_column(name, justify="right")
    for one in found:
        counts = (one.num_rows, one.num_rows - len(one.failures), len(one.failures), one.num_faults)
        table.add_row(one.split, *(f"{count:,}" for count in (*counts, len(one.false_accepts))))
    findings = [*_lines([f for one in found for f in one.failures])]
    findings += _lines([f for one in found for f in one.false_accepts])
    return [table, *findings, *(printable(note) for one in found for note in one.notes)]


def overlap(file: str, num_rows: int, counts: Mapping[str, int]) -> list[RenderableType]:
    """How many rows of a file are in which benchmark."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{num_rows:,} rows of {printable(file)}")
    table.add_column("of these in it", justify="right")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    return [table]


def _lines(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [printable(f"{one['row']}: {one['what']} (gold {one['gold']!r})") for one in findings[:SHOWN]]
    more = [f"... and {len(findings) - SHOWN} more"] if len(findings) > SHOWN else []
    return [*lines, *more]
