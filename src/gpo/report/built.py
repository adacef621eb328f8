"""What `gpo pairs` built, in the terminal."""

from __future__ import annotations

from rich.console import RenderableType

from gpo.record import Json
from gpo.report import terminal
from gpo.report.unjudged import told


def built(summary: Json) -> list[RenderableType]:
    """What was built, what was left out and why, and what it cost."""
    rows = ", ".join(f"{num} {name}" for name, num in summary["rows"].items())
    left = "; ".join(f"{num} {name}" for name, num in summary["left_out"].items()) or "nothing"
    inexact = summary["inexact_text"]
    return [
        f"{summary['trajectories']} trajectories, split at: {summary['at']}; rows: {rows}",
        f"left out: {left}",
        *told(summary["unjudged"]),
        *([f"{inexact} pairs whose text does not re-tokenise to the sampled ids"] if inexact else []),
        terminal.ledger(summary["tokens"]),
        f"written to {summary['run']}",
    ]
