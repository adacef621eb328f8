"""An evaluation in the terminal: rates with their errors, by subject, and two models compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import RenderableType
from rich.table import Table

from gpo.report.terminal import percent
from gpo.report.unjudged import told
from gpo.visible import printable


class Rate(Protocol):
    """A mean with its standard error and interval."""

    @property
    def mean(self) -> float: ...
    @property
    def stderr(self) -> float: ...
    @property
    def interval(self) -> tuple[float, float]: ...


class Scores(Protocol):
    """What is shown of an evaluation."""

    @property
    def metrics(self) -> Mapping[str, Rate]: ...
    @property
    def subjects(self) -> Mapping[str, tuple[int, Rate]]: ...
    @property
    def macro(self) -> Rate | None: ...
    @property
    def truncated_frac(self) -> float: ...
    @property
    def unparsed_frac(self) -> float | None: ...
    @property
    def num_problems(self) -> int: ...


class Difference(Protocol):
    """Two evaluations of the same problems; as text, how far they are apart and how sure that is."""

    @property
    def num_problems(self) -> int: ...


def report(name: str, scores: Scores, summary: Mapping[str, Any]) -> list[RenderableType]:
    """The rates, the subjects' where there are several, and what went wrong with samples."""
    rates = _table(printable(name))
    for metric, rate in scores.metrics.items():
        _row(rates, metric, scores.num_problems, rate)
    if scores.macro is not None:
        _row(rates, "mean of subjects", len(scores.subjects), scores.macro)
    parts: list[RenderableType] = [rates]
    if len(scores.subjects) > 1:
        subjects = _table("subject")
        for subject, (num, rate) in scores.subjects.items():
            _row(subjects, printable(subject), num, rate)
        parts += ["", subjects]
    return [*parts, "", _shares(scores, summary), *told(summary.get("unjudged", {}))]


def comparison(first: str, second: str, difference: Difference) -> list[RenderableType]:
    """The first minus the second, on the same problems."""
    return [
        "",
        f"{printable(first)} minus {printable(second)}, on the same {difference.num_problems} problems:",
        str(difference),
    ]


def _shares(scores: Scores, summary: Mapping[str, Any]) -> str:
    unparsed = scores.unparsed_frac
    left = summary["given"] - scores.num_problems
    return (
        f"cut by the token limit {percent(scores.truncated_frac, None)}; no answer found in "
        f"{'?' if unparsed is None else percent(unparsed, None)}; "
        f"{summary['tokens']['evaluation']:,} tokens"
        + (f"; {left} problems left when the budget was spent" if left else "")
    )


def _table(name: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(name)
    for column in ("n", "rate", "95 %"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _row(table: Table, name: str, num: int, rate: Rate) -> None:
    low, high = rate.interval
    table.add_row(name, f"{num:,}", percent(rate.mean, rate.stderr), f"{100 * low:.1f} .. {100 * high:.1f}")
