"""`gpo watch RUN`: a run's rounds live, what they cost, and the time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Group, RenderableType

from gpo.commands import JSON, UsablePath, finish
from gpo.console import Ui
from gpo.record import Json, is_running, read_lines, stored_run
from gpo.record.base import Line
from gpo.record.rounds import EvaluatedRound, ProblemLine, RoundLine, TrainedLine
from gpo.record.run_json import check_shown
from gpo.report import terminal

KIND_OF: Mapping[str, type[Line]] = {"train": TrainedLine, "eval": EvaluatedRound}
"""What a round of a command is; only earlier versions evaluated in rounds."""
LATEST = 12
"""Rounds that are shown at once."""


def run(path: Path, ui: Ui, *, is_once: bool, every_s: float) -> Json:
    """Prints the run live until no process writes it; returns how far it got."""
    about = stored_run(path)
    command, settings = about.command, about.settings
    check_shown(path, settings)
    is_live = ui.console.is_terminal and not is_once
    num_told = 0
    found: list[Json] = []
    try:
        with ui.live() if is_live else nullcontext() as live:
            for found, going in followed(path, command, every_s, is_once):
                if live:
                    live.update(view(path, command, settings, found, going))
                else:
                    first = num_told + 1 if command == "train" else len(found)
                    for end in range(max(1, first), len(found) + 1):
                        ui.line(told(command, settings, found[:end]))
                num_told = len(found)
    except KeyboardInterrupt:
        pass  # looking away is no error, and the run goes on
    going = is_running(path)
    ledger = tokens(found)
    if not is_live:
        ui.print(terminal.ledger(ledger))
    ui.print(standing(path, command, settings, found, going))
    num = done(found) if has_rounds(path, command) else len(found)
    unit = "rounds" if has_rounds(path, command) else "problems"
    return {"run": str(path), "command": command, unit: num, "running": going, "tokens": ledger}


def followed(path: Path, command: str, every_s: float, is_once: bool) -> Iterator[tuple[list[Json], bool]]:
    """The complete lines so far and whether more may come, at once and whenever there are more."""
    size = -1
    is_round = has_rounds(path, command)
    kind = KIND_OF.get(command, RoundLine) if is_round else ProblemLine
    while True:
        going = is_running(path)  # before reading: what is written in between is then read too
        file = path / ("rounds.jsonl" if is_round else "problems.jsonl")
        found = file.stat().st_size if file.exists() else 0
        if found != size:
            size = found
            yield [line.record() for line in read_lines(file, kind)], going
        if is_once or not going:
            return
        time.sleep(every_s)


def has_rounds(path: Path, command: str) -> bool:
    """Whether the run writes a line a round, and not a line a problem."""
    return command == "train" or (path / "rounds.jsonl").is_file()


def view(path: Path, command: str, settings: Json, lines: Sequence[Json], going: bool) -> RenderableType:
    """What a terminal shows: the latest rounds, the ledger, and what is left."""
    is_training = command == "train"
    parts: list[RenderableType] = [f"{path}: gpo {command}"]
    if is_training:
        parts += [terminal.rounds(lines, LATEST), ""]
    if lines:
        parts += [told(command, settings, lines), "", terminal.ledger(tokens(lines))]
    return Group(*parts, "" if going else "ended")


def told(command: str, settings: Json, lines: Sequence[Json]) -> str:
    """One line about the last of these rounds."""
    last = lines[-1]
    if command != "train":
        return terminal.sweep_progress(lines, settings.get("limit"))
    if "time/round_s" not in last["metrics"]:
        rate = last.get("evaluation")
        measured = f": accuracy {terminal.percent(rate['accuracy'], rate['stderr'])}" if rate else ""
        return f"round {last['round']}/{settings.get('rounds', '?')}, evaluation{measured}"
    return terminal.progress(lines, settings.get("rounds") or last["round"])


def done(lines: Sequence[Json]) -> int:
    return int(lines[-1]["round"]) if lines else 0


def tokens(lines: Sequence[Json]) -> dict[str, int]:
    ledger: Counter[str] = Counter()
    for line in lines:
        ledger.update(line["tokens"])
    return dict(ledger)


def standing(path: Path, command: str, settings: Json, lines: Sequence[Json], going: bool) -> str:
    """Whether the run is still running, and how far it is."""
    state = f"{path}: {'running' if going else 'ended'}"
    if not has_rounds(path, command):
        return f"{state}; {len(lines)} problems finished"
    total = f" of {settings['rounds']}" if "rounds" in settings else ""
    rounds = done(lines) if "rounds" in settings else len(lines)
    return f"{state}; {rounds}{total} rounds complete"


@click.command("watch")
@click.argument("path", metavar="RUN", type=UsablePath())
@click.option("--once", is_flag=True, help="Print the run's current state and exit")
@click.option(
    "--every",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    help="Seconds between updates",
)
@click.option("--json", "as_json", is_flag=True, help=JSON)
def command(path: Path, once: bool, every: float, as_json: bool) -> None:
    finish(run(path, Ui(as_json), is_once=once, every_s=every), as_json)
