"""Answers of `gpo solve` as a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gpo.record.rounds import SolvedLine
from gpo.visible import printable, printable_lines

LONGEST = 60
"""Characters of an answer that the table shows."""
RIGHT = {True: "right", False: "wrong", None: ""}


def answers(lines: Sequence[SolvedLine]) -> RenderableType:
    """A row for each problem: its answer, the attempts that gave it, and its share of their scores."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("problem", overflow="fold")
    table.add_column("answer", overflow="fold")
    for name in ("votes", "share", "tokens"):
        table.add_column(name, justify="right")
    table.add_column("")
    for line in lines:
        said = "(none)" if line.answer is None else " ".join(line.answer.split())
        table.add_row(
            Text(printable(line.problem)),
            Text(printable(said if len(said) <= LONGEST else said[: LONGEST - 3] + "...")),
            f"{line.votes} of {len(line.attempts)}",
            f"{line.share:.2f}",
            f"{sum(line.tokens.values()):,}",
            RIGHT[line.right],
        )
    return table


def examples(lines: Sequence[SolvedLine]) -> list[RenderableType]:
    """The first answer that is right, wrong or not known to be either, as it was written."""
    found: dict[str, SolvedLine] = {}
    for line in lines:
        if line.finished:
            found.setdefault(RIGHT[line.right] or "unchecked", line)
    parts: list[RenderableType] = []
    for kind, line in found.items():
        parts += [f"{kind}: {printable(line.problem)}", Text(printable_lines(line.text.strip("\n"))), ""]
    return parts
