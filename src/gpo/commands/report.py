"""`gpo report RUN... -o FILE`: one or more runs as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import click

from gpo import tasks, verifiers
from gpo.commands import JSON, UsablePath, finish
from gpo.console import Ui
from gpo.files import write_whole
from gpo.record import Json, outputs
from gpo.report import page
from gpo.report.figures import Run
from gpo.report.reading import read_runs, rollouts
from gpo.report.views import Limits, Sources, page_data
from gpo.search import CREDIBLE
from gpo.types import InputError
from gpo.verifiers.judges import built_in
from gpo.visible import printable


def run(paths: Sequence[Path], output: Path, num_trajectories: int, ui: Ui) -> Json:
    """Writes the page; returns its path, size, and what of the runs is in it."""
    outputs.check_file(output, is_report, "report.html")
    runs = read_runs(paths)
    data = page_data(runs, Sources(rollouts, reader_of), Limits(num_trajectories, page.room(), CREDIBLE))
    names = ", ".join(printable(run.name) for run in runs)
    content = page.render(f"gpo report: {names}", data).encode()
    try:
        write_whole(output, content)
    except OSError as error:
        raise InputError(f"--output {output}: cannot be written ({error.strerror})") from None
    num_shown = sum(len(run["trajectories"]) for run in data["runs"])
    for note in data["notes"]:
        ui.print(f"note: {note}")
    ui.print(
        f"{num_shown} trajectories of {', '.join(str(run.path) for run in runs)}; "
        f"{len(content) / 1e6:.1f} MB written to {output}"
    )
    return {
        "output": str(output),
        "bytes": len(content),
        "runs": [str(run.path) for run in runs],
        "trajectories": num_shown,
        "located": sum(len(run.curves) for run in runs),
        "notes": data["notes"],
    }


def reader_of(run: Run) -> Callable[[str], str | None]:
    """How the run's verifier reads a final answer; a user's function is not run here."""
    spec = run.settings.get("verifier")
    if spec is None and (task := run.settings.get("task")):
        with suppress(InputError):  # a task of another version
            spec = tasks.verifier(task)
    read = built_in(spec if spec in verifiers.NAMES else "gym").read

    @lru_cache(maxsize=50_000)
    def answer(text: str) -> str | None:
        try:
            return read(text, {})
        except (ValueError, RecursionError):
            return None  # as the verifier's own process ends there, and the answer is none

    return answer


def is_report(head: bytes) -> bool:
    """Whether a file that begins so is a page of this command, of any version."""
    return head.startswith(b"<!doctype html>") and b"<title>gpo report: " in head


@click.command("report")
@click.argument("runs", type=UsablePath(), nargs=-1, required=True)
@click.option(
    "--output", "-o", type=UsablePath(), default=Path("report.html"), show_default=True, help="File to write"
)
@click.option(
    "--trajectories",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Trajectories to list, of all runs together; those with a credible step first, then a random sample",
)
@click.option("--json", "as_json", is_flag=True, help=JSON)
def command(runs: tuple[Path, ...], output: Path, trajectories: int, as_json: bool) -> None:
    finish(run(runs, output, trajectories, Ui(as_json)), as_json)
