"""`gpo runs [FOLDER]`: a table of the runs in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gpo.commands import JSON, UsablePath, finish
from gpo.console import Ui
from gpo.evaluation import mean_and_stderr
from gpo.objects import Run, read_run
from gpo.record import Json
from gpo.report.terminal import percent
from gpo.search import CREDIBLE
from gpo.types import InputError
from gpo.visible import printable


def run(folder: Path, ui: Ui) -> Json:
    """Prints a row for each run below the folder; returns what it printed."""
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; name the one that your runs are in, such as runs")
    rows = [row(path) for path in found(folder)]
    if not rows:
        raise InputError(f"{folder}: holds no run; name the folder that your runs are in, such as runs")
    ui.print(table(rows, folder))
    return {"folder": str(folder), "runs": rows}


def found(folder: Path) -> Iterator[Path]:
    """The run folders at or below this one, by name; those inside a run belong to it and are left out."""
    for place, inner, files in os.walk(folder):
        inner.sort()
        if "run.json" in files:
            inner.clear()
            yield Path(place)


def row(path: Path) -> Json:
    """What is shown of a run; of one that cannot be read, why."""
    try:
        one = read_run(path)
        settings = one.settings
        about = {
            "run": str(path),
            "command": one.command,
            "model": settings.get("model"),
            "task": settings.get("task") or settings.get("data"),
        }
        return about | figures(one) | {"state": one.state, "error": None}
    except InputError as error:
        return {"run": str(path), "command": None, "state": "damaged", "error": str(error)}


def figures(one: Run) -> Json:
    """The main numbers of a run, as far as it is; None where it has none."""
    if one.command == "train":
        lines = list(one.rounds)
        measured = [(line.evaluation.accuracy, line.evaluation.stderr) for line in lines if line.evaluation]
        return {
            "rounds": lines[-1].round if lines else 0,
            "before": measured[0] if measured else None,
            "after": measured[-1] if measured else None,
            "tokens": sum(sum(line.tokens.values()) for line in lines),
        }
    summary = one.summary or {}
    if one.command == "pairs":
        return {"rows": summary.get("rows"), "tokens": sum(summary.get("tokens", {}).values())}
    problems = list(one.problems)
    rates = [rate for line in problems for rate in line.rates]
    num = len(problems) if one.command == "solve" else len(rates)
    numbers = {"problems": num, "rate": mean_and_stderr(rates) if rates else None}
    numbers |= {"tokens": sum(sum(line.tokens.values()) for line in problems)}
    return numbers | (located(one) if one.command == "locate" else {})


def located(one: Run) -> Json:
    """How many trajectories were located, and how many of them have a credible step."""
    credible = [trajectory.line.is_credible(CREDIBLE) for trajectory in one.trajectories]
    return {"located": len(credible), "credible": sum(credible)}


def table(rows: list[Json], folder: Path) -> RenderableType:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", "command", "model", "task", "figures"):
        shown.add_column(name, overflow="fold")
    shown.add_column("tokens", justify="right")
    shown.add_column("state")
    for one in rows:
        path = Path(one["run"])
        name = path.name if path == folder else str(path.relative_to(folder))
        told = one["error"] or ", ".join(words(one))
        cells = (name, one["command"] or "", short(one.get("model")), one.get("task") or "", told)
        tokens = f"{one['tokens']:,}" if one.get("tokens") else ""
        shown.add_row(*(Text(printable(cell)) for cell in cells), tokens, one["state"])
    return shown


def words(one: Mapping[str, Any]) -> Iterator[str]:
    """The figures of a run in words."""
    if "rounds" in one:
        yield f"{one['rounds']} round{'s' * (one['rounds'] != 1)}"
    if one.get("after"):
        rates = dict.fromkeys((percent(*one["before"]), percent(*one["after"])))
        yield "accuracy " + " → ".join(rates)
    if "problems" in one:
        yield f"{one['problems']} problem{'s' * (one['problems'] != 1)}"
    if one.get("rate"):
        yield f"success rate {percent(*one['rate'])}"
    if "located" in one:
        yield f"credible {one['credible']} of {one['located']}"
    for kind, num in (one.get("rows") or {}).items():
        yield f"{num} {kind}"


def short(model: object) -> str:
    """A model's name; of a path, its last part."""
    text = str(model or "")
    return Path(text).name if Path(text).exists() else text


@click.command("runs")
@click.argument("folder", type=UsablePath(), default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help=JSON)
def command(folder: Path, as_json: bool) -> None:
    finish(run(folder, Ui(as_json)), as_json)
