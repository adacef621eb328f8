"""`gpo show RUN...`: a run's rounds and one of its trajectories; or several runs beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click
from rich.console import RenderableType
from rich.text import Text

from gpo.commands import JSON, UsablePath, finish
from gpo.console import Ui
from gpo.record import Json, read_lines, stored_run
from gpo.record.lines import CurveLine, RolloutLine
from gpo.record.rounds import ProblemLine, RoundLine, TrainedLine
from gpo.record.run_json import check_shown
from gpo.report import solved, terminal
from gpo.report.figures import Run, key, mean_reset_value, success_rate
from gpo.report.reading import read_runs, read_solved
from gpo.report.unjudged import counted, told
from gpo.search import CREDIBLE
from gpo.types import InputError
from gpo.visible import printable_lines

SHOWN = 50
"""Answers of `gpo solve` that are shown."""
KINDS = ("right", "wrong", "cut by the token limit")


def run(paths: Sequence[Path], ui: Ui, trajectory: int | None = None) -> Json:
    """Prints the run, or the comparison of several; returns what it printed."""
    if len(paths) == 1:
        return show(paths[0], ui, trajectory)
    if trajectory is not None:
        raise InputError(f"--trajectory {trajectory}: needs a single run, but {len(paths)} are named")
    return compare(paths, ui)


def show(path: Path, ui: Ui, trajectory: int | None = None) -> Json:
    """Prints the run at `path`; returns its settings, last round and the trajectory shown."""
    about = stored_run(path)
    command, settings = about.command, about.settings
    check_shown(path, settings)
    kind = TrainedLine if command == "train" else RoundLine
    rounds = [line.record() for line in read_lines(path / "rounds.jsonl", kind)]
    curves = sorted(read_lines(path / "curves.jsonl", CurveLine), key=lambda line: line.order)
    problems = [line.record() for line in read_lines(path / "problems.jsonl", ProblemLine)]
    num = num_rounds(command, [line["round"] for line in rounds])
    done = f"{len(problems)} finished problems" if problems else f"{num} complete round{'s' * (num != 1)}"
    if trajectory is not None and trajectory >= len(curves):
        raise InputError(
            f"--trajectory {trajectory}: the run {path} has {len(curves)} located trajectories, counted "
            "from 0"
        )
    ui.print(f"{path}: gpo {command}, {done}, {len(curves)} located trajectories", "")
    missed = counted([*rounds, *problems])
    ui.print(*told(missed))
    if command == "train" and rounds:
        ui.print(terminal.rounds(rounds), "")
    shown = curves[trajectory] if trajectory is not None else most_credible(curves)
    if shown:
        ui.print(terminal.trajectory(shown))
    elif command == "solve":
        lines = read_solved(path, may_be_empty=True)
        ui.print(solved.answers(lines[:SHOWN]), "", *solved.examples(lines))
    elif not curves:
        ui.print(*examples(read_lines(path / "rollouts.jsonl", RolloutLine)))
    return {
        "command": command,
        "settings": settings,
        "rounds": num,
        "problems": len(problems),
        "unjudged": missed,
        "last_round": rounds[-1] if rounds else None,
        "trajectories": len(curves),
        "trajectory": shown.record() if shown else None,
    }


def num_rounds(command: str, numbers: Sequence[int]) -> int:
    """How many rounds these lines tell of; that with number 0 is the evaluation before training."""
    return numbers[-1] if command == "train" and numbers else len(numbers)


def examples(rollouts: Iterable[RolloutLine]) -> list[RenderableType]:
    """The first rollout of each kind, as it was written: right, wrong, and cut by the token limit."""
    found: dict[str, RolloutLine] = {}
    for one in rollouts:
        kind = "right" if one.reward >= 1 else "wrong" if one.finished else "cut by the token limit"
        found.setdefault(kind, one)
        if len(found) == len(KINDS):
            break
    parts: list[RenderableType] = []
    for kind in (kind for kind in KINDS if kind in found):
        line = found[kind]
        parts += [
            f"{kind}: {line.problem} (answer: {line.answer})",
            Text(printable_lines(line.text.strip("\n"))),
            "",
        ]
    return parts


def most_credible(curves: Sequence[CurveLine]) -> CurveLine | None:
    """The failed trajectory whose critical step is the surest; None if none has one."""
    named = [(curve.named.credibility, curve) for curve in curves if curve.named]
    failed = [one for one in named if one[1].reward < 1] or named
    return max(failed, key=lambda one: one[0])[1] if failed else None


def compare(paths: Sequence[Path], ui: Ui) -> Json:
    """Prints a row for each run, and how often the others name the first one's step."""
    runs = read_runs(paths)
    rows = [_row(run) for run in runs]
    agreements = {run.name: _agreement(runs[0], run) for run in runs[1:]}
    ui.print(terminal.comparison(rows), "")
    for name, (same, shared) in agreements.items():
        found = f"the same critical step in {same} of {shared} shared trajectories"
        ui.print(f"{runs[0].name} and {name}: {found if shared else 'no trajectory shared'}")
    return {
        "runs": rows,
        "agreement": [
            {"first": runs[0].name, "other": name, "same": same, "shared": shared}
            for name, (same, shared) in agreements.items()
        ],
    }


def _row(run: Run) -> Json:
    rates = [line.evaluation for line in run.rounds if line.evaluation]
    before = (rates[0].accuracy, rates[0].stderr) if rates else success_rate(run)
    return {
        "run": run.name,
        "rounds": num_rounds(run.command, [line.round for line in run.rounds]),
        "before": before,
        "after": (rates[-1].accuracy, rates[-1].stderr) if rates else (None, None),
        "tokens": sum(run.ledger.values()),
        "located": len(run.curves),
        "credible": sum(curve.is_credible(CREDIBLE) for curve in run.curves),
        "reset_value": mean_reset_value(run.curves)[0],
    }


def _agreement(first: Run, other: Run) -> tuple[int, int]:
    """Shared trajectories with the same critical step, and all shared ones of several steps."""
    theirs: Mapping[str, CurveLine] = {key(line): line for line in other.curves}
    shared = (line for line in first.curves if line.num_steps > 1 and key(line) in theirs)
    both = [(line, theirs[key(line)]) for line in shared]
    return sum(_index(a) == _index(b) for a, b in both), len(both)


def _index(line: CurveLine) -> int | None:
    return line.named.index if line.named else None


@click.command("show")
@click.argument("runs", type=UsablePath(), nargs=-1, required=True)
@click.option("--trajectory", type=click.IntRange(min=0), help="Index of the trajectory in the data, from 0")
@click.option("--json", "as_json", is_flag=True, help=JSON)
def command(runs: tuple[Path, ...], trajectory: int | None, as_json: bool) -> None:
    finish(run(runs, Ui(as_json), trajectory), as_json)
