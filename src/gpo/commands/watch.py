"""`gpo watch RUN`: a run live, its rounds or its problems, what they cost, and the time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Group, RenderableType

from gpo.commands import JSON, UsablePath, finish
from gpo.console import Ui
from gpo.record import Json, is_running, read_lines, stored_run
from gpo.record.base import Line
from gpo.record.begun import Begun
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
    num_told, last = 0, Seen([], (0, 0, 0), False)
    try:
        with ui.live() if is_live else nullcontext() as live:
            for last in followed(path, command, every_s, is_once):
                if live:
                    live.update(view(path, command, settings, last))
                else:
                    for end in ends(command, num_told, last):
                        ui.line(told(command, settings, last.upto(end)))
                num_told = len(last.lines)
    except KeyboardInterrupt:
        pass  # looking away is no error, and the run goes on
    last = Seen(last.lines, last.begun, is_running(path))
    ledger = tokens(last)
    if not is_live:
        ui.print(terminal.ledger(ledger))
    ui.print(standing(path, command, settings, last))
    summary = {"run": str(path), "command": command, "running": last.is_going, "tokens": ledger}
    if has_rounds(path, command):
        return summary | {"rounds": done(last.lines)}
    begun = dict(zip(("problems", "rollouts", "tokens"), last.begun, strict=True))
    return summary | {"problems": len(last.lines), "unfinished": begun}


@dataclass(frozen=True)
class Seen:
    """What is on disk: complete lines, problems that are begun with their rollouts and tokens."""

    lines: Sequence[Json]
    begun: tuple[int, int, int]
    is_going: bool

    def upto(self, end: int) -> Seen:
        """As it was when there were so many lines."""
        return self if end == len(self.lines) else Seen(self.lines[:end], (0, 0, 0), self.is_going)


def ends(command: str, num_told: int, seen: Seen) -> Iterable[int]:
    """The numbers of lines up to which something is told: every round, or how problems stand now."""
    if command == "train":
        return range(num_told + 1, len(seen.lines) + 1)
    return [len(seen.lines)] if seen.lines or any(seen.begun) else []


def followed(path: Path, command: str, every_s: float, is_once: bool) -> Iterator[Seen]:
    """What is there and whether more may come, at once and whenever there is more."""
    is_round, place = has_rounds(path, command), place_of(path, command)
    kind = KIND_OF.get(command, RoundLine) if is_round else ProblemLine
    rollouts, sizes = Begun(place), [-1]
    file = place / ("rounds.jsonl" if is_round else "problems.jsonl")
    while True:
        going = is_running(path)  # before reading: what is written in between is then read too
        found = [one.stat().st_size if one.exists() else 0 for one in (file, rollouts.file)]
        if found != sizes and not (is_round and found[0] == sizes[0]):
            sizes = found
            lines = [line.record() for line in read_lines(file, kind)]
            begun = (0, 0, 0) if is_round else rollouts.besides({line["problem"] for line in lines})
            yield Seen(lines, begun, going)
        if is_once or not going:
            return
        time.sleep(every_s)


def place_of(path: Path, command: str) -> Path:
    """Where the run's problems are: `gpo pairs` locates in a folder of its own."""
    located = path / "located"
    return located if command == "pairs" and located.is_dir() else path


def has_rounds(path: Path, command: str) -> bool:
    """Whether the run writes a line a round, and not a line a problem."""
    return command == "train" or (path / "rounds.jsonl").is_file()


def view(path: Path, command: str, settings: Json, seen: Seen) -> RenderableType:
    """What a terminal shows: the latest rounds, the ledger, and what is left."""
    parts: list[RenderableType] = [f"{path}: gpo {command}"]
    if command == "train":
        parts += [terminal.rounds(seen.lines, LATEST), ""]
    if seen.lines or any(seen.begun):
        parts += [told(command, settings, seen), "", terminal.ledger(tokens(seen))]
    return Group(*parts, "" if seen.is_going else "ended")


def told(command: str, settings: Json, seen: Seen) -> str:
    """One line about the last of these rounds, or about the problems so far."""
    if command != "train":
        problems, rollouts, drawn = seen.begun
        more = f"; begun: {problems} more, {rollouts} rollouts, {drawn:,} tokens" if problems else ""
        return terminal.sweep_progress(seen.lines, settings.get("limit")) + more
    last = seen.lines[-1]
    if "time/round_s" not in last["metrics"]:
        rate = last.get("evaluation")
        measured = f": accuracy {terminal.percent(rate['accuracy'], rate['stderr'])}" if rate else ""
        return f"round {last['round']}/{settings.get('rounds', '?')}, evaluation{measured}"
    return terminal.progress(
        seen.lines, settings.get("rounds") or last["round"], settings.get("budget_tokens")
    )


def done(lines: Sequence[Json]) -> int:
    return int(lines[-1]["round"]) if lines else 0


def tokens(seen: Seen) -> dict[str, int]:
    ledger: Counter[str] = Counter()
    for line in seen.lines:
        ledger.update(line["tokens"])
    return dict(ledger) | ({"unfinished problems": seen.begun[2]} if seen.begun[0] else {})


def standing(path: Path, command: str, settings: Json, seen: Seen) -> str:
    """Whether the run is still running, and how far it is."""
    state = f"{path}: {'running' if seen.is_going else 'ended'}"
    if not has_rounds(path, command):
        begun = f", {seen.begun[0]} begun" if seen.begun[0] else ""
        return f"{state}; {len(seen.lines)} problems finished{begun}"
    total = f" of {settings['rounds']}" if "rounds" in settings else ""
    rounds = done(seen.lines) if "rounds" in settings else len(seen.lines)
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
