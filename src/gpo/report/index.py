"""Many runs on one page: a row for each, and a report of each that has something to show."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpo.record import read_lines, stored_run
from gpo.record.rounds import ProblemLine
from gpo.report.figures import Run, success_rate
from gpo.report.reading import LOCATING, in_one, read_run
from gpo.report.views import Limits, Sources, is_credible, page_data
from gpo.types import InputError, spent_tokens

Json = dict[str, Any]

LEAST_BYTES = 60_000
"""Of a report in an index."""


def found(folder: Path) -> Iterator[Path]:
    """The run folders below this one, by name; those inside a run belong to it and are left out."""
    for place, inner, files in os.walk(folder):
        inner.sort()
        if "run.json" in files:
            inner.clear()
            yield Path(place)


def row(path: Path, name: str, state: Callable[[Path], str], credible_at: float) -> tuple[Json, Run | None]:
    """What the table shows of a run, with the run where it has a report; of one that cannot be read, why."""
    try:
        about = stored_run(path)
        settings = about.settings
        first: Json = {
            "run": name,
            "command": about.command,
            "model": settings.get("model"),
            "task": settings.get("task") or settings.get("data"),
            "state": state(path),
        }
        is_shown = about.command in LOCATING or (path / "located" / "run.json").is_file()
        run = read_run(path, may_be_empty=True) if is_shown else _plain(path, about.command, settings)
        shown = {key: None if value is None else str(value) for key, value in first.items()}
        return shown | figures(run, credible_at), run if is_shown and (run.rounds or run.curves) else None
    except InputError as error:
        return {"run": name, "state": "damaged", "error": str(error)}, None


def _plain(path: Path, command: str, settings: Json) -> Run:
    """A run that locates nothing, as far as its finished problems tell."""
    problems = tuple(read_lines(path / "problems.jsonl", ProblemLine))
    return Run(path.name, path, command, settings, in_one(problems), ())


def figures(run: Run, credible_at: float) -> Json:
    """Its main numbers, those that it has."""
    rates = [(one.evaluation.accuracy, one.evaluation.stderr) for one in run.rounds if one.evaluation]
    tokens: Counter[str] = Counter()
    for line in run.rounds:
        tokens.update(line.tokens)
    numbers: Json = {"tokens": spent_tokens(tokens) + tokens["evaluation"]}
    if run.command == "train":
        numbers["rounds"] = run.rounds[-1].round if run.rounds else 0
    elif run.rounds:
        numbers["problems"] = sum(len(line.rates) for line in run.rounds)
        numbers["rate"] = success_rate(run)
    if rates:
        numbers |= {"before": rates[0], "after": rates[-1]}
    if run.curves:
        numbers["located"] = len(run.curves)
        numbers["credible"] = sum(is_credible(line, credible_at) for line in run.curves)
    return numbers


def index_data(rows: Iterable[tuple[Json, Run | None]], sources: Sources, limits: Limits) -> Json:
    """All that the page of an index draws: its reports share what a page may hold."""
    table = list(rows)
    shown = [run for _, run in table if run]
    share = replace(
        limits,
        num_trajectories=max(1, limits.num_trajectories // max(1, len(shown))),
        num_bytes=max(LEAST_BYTES, limits.num_bytes // max(1, len(shown))),
    )
    data: Json = {"index": [], "reports": []}
    for one, run in table:
        if run:
            one["report"] = len(data["reports"])
            data["reports"].append({"data": page_data([run], sources, share)})
        data["index"].append(one)
    return data
