"""`gpo show RUN`: a run's rounds and one of its trajectories."""

from __future__ import annotations

from pathlib import Path

from gpo.commands.located import place
from gpo.commands.ui import Ui
from gpo.record import Json, RunFolder, read_json, read_lines
from gpo.report import terminal
from gpo.types import InputError


def run(path: Path, ui: Ui, trajectory: int | None = None) -> Json:
    """Prints the run at `path`; returns its settings, last round and the trajectory shown."""
    settings = RunFolder.stored_settings(path)
    command = read_json(path / "run.json")["command"]
    lines = list(read_lines(path / "rounds.jsonl"))
    curves = sorted(read_lines(path / "curves.jsonl"), key=place)
    problems = list(read_lines(path / "problems.jsonl"))
    done = f"{len(problems)} finished problems" if problems else f"{len(lines)} complete rounds"
    if trajectory is not None and trajectory >= len(curves):
        raise InputError(
            f"--trajectory {trajectory}: the run {path} has {len(curves)} located trajectories, counted "
            "from 0"
        )
    ui.print(f"{path}: gpo {command}, {done}, {len(curves)} located trajectories", "")
    if lines and "metrics" in lines[0]:
        ui.print(terminal.rounds(lines), "")
    shown = curves[trajectory] if trajectory is not None else most_credible(curves)
    if shown:
        ui.print(terminal.trajectory(shown))
    return {
        "command": command,
        "settings": settings,
        "rounds": len(lines),
        "problems": len(problems),
        "last_round": lines[-1] if lines else None,
        "trajectories": len(curves),
        "trajectory": shown,
    }


def most_credible(curves: list[Json]) -> Json | None:
    """The failed trajectory whose critical step is the surest; None if none has one."""
    named = [curve for curve in curves if curve["critical"]]
    failed = [curve for curve in named if curve["reward"] < 1] or named
    return max(failed, key=lambda curve: curve["critical"]["credibility"]) if failed else None
