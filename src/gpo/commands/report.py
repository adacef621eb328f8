"""`gpo report RUN... -o FILE`: runs as one HTML page that needs nothing else; --live serves it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import click

from gpo import tasks, verifiers
from gpo.commands import JSON, UsablePath, finish
from gpo.commands import runs as runs_in
from gpo.console import Ui
from gpo.files import write_whole
from gpo.record import Json, is_running, outputs
from gpo.report import page
from gpo.report.answers import answers_data
from gpo.report.figures import Run
from gpo.report.index import index_data
from gpo.report.live import Followed, Server
from gpo.report.reading import is_solved, read_run, read_runs, read_solved, rollouts
from gpo.report.views import Limits, Sources, page_data
from gpo.search import CREDIBLE
from gpo.types import InputError
from gpo.verifiers.judges import built_in
from gpo.visible import printable


def run(paths: Sequence[Path], output: Path, num_trajectories: int, ui: Ui) -> Json:
    """Writes the page; returns its path, size, and what of the runs is in it."""
    outputs.check_file(output, is_report, "report.html")
    limits = Limits(num_trajectories, page.room(), CREDIBLE)
    if len(paths) == 1 and is_folder_of_runs(paths[0]):
        return indexed(paths[0], output, limits, ui)
    if len(paths) == 1 and is_solved(paths[0]):
        return answered(paths[0], output, limits, ui)
    runs = read_runs(paths)
    data = page_data(runs, SOURCES, limits)
    num_bytes = write(output, ", ".join(printable(run.name) for run in runs), data)
    num_shown = sum(len(run["trajectories"]) for run in data["runs"])
    for note in data["notes"]:
        ui.print(f"note: {note}")
    ui.print(
        f"{num_shown} trajectories of {', '.join(str(run.path) for run in runs)}; "
        f"{num_bytes / 1e6:.1f} MB written to {output}"
    )
    return {
        "output": str(output),
        "bytes": num_bytes,
        "runs": [str(run.path) for run in runs],
        "trajectories": num_shown,
        "located": sum(len(run.curves) for run in runs),
        "notes": data["notes"],
    }


def answered(path: Path, output: Path, limits: Limits, ui: Ui) -> Json:
    """Writes the page of a run of `gpo solve`."""
    lines = read_solved(path)
    data = answers_data(path.resolve().name, lines, limits)
    num_bytes = write(output, printable(path.resolve().name), data)
    for note in data["notes"]:
        ui.print(f"note: {note}")
    ui.print(f"{len(data['answers'])} problems of {path}; {num_bytes / 1e6:.1f} MB written to {output}")
    return {
        "output": str(output),
        "bytes": num_bytes,
        "runs": [str(path)],
        "problems": len(data["answers"]),
        "notes": data["notes"],
    }


def indexed(folder: Path, output: Path, limits: Limits, ui: Ui) -> Json:
    """Writes the page of all runs in a folder, with a table of them and the report of each."""
    paths = list(runs_in.found(folder))
    if not paths:
        raise InputError(f"{folder}: holds no run.json, so it is not a run, and no run is in it")
    rows = [(runs_in.row(path) | {"run": str(path.relative_to(folder))}, shown(path)) for path in paths]
    data = index_data(rows, SOURCES, limits)
    num_bytes = write(output, f"runs in {printable(folder.resolve().name)}", data)
    ui.print(
        f"{len(paths)} runs of {folder}, {len(data['reports'])} of them with a report; "
        f"{num_bytes / 1e6:.1f} MB written to {output}"
    )
    return {"output": str(output), "bytes": num_bytes, "runs": [str(path) for path in paths]}


def write(output: Path, title: str, data: Json) -> int:
    """Writes the page whole or not at all; returns its bytes."""
    content = page.render(f"gpo report: {title}", data).encode()
    try:
        write_whole(output, content)
    except OSError as error:
        raise InputError(f"--output {output}: cannot be written ({error.strerror})") from None
    return len(content)


def live(path: Path, num_trajectories: int, port: int, ui: Ui) -> Json:
    """Serves the page of a run on this machine, and follows the run, until it is interrupted."""
    limits = Limits(num_trajectories, page.room(), CREDIBLE)

    def make() -> Json:
        going = is_running(path)  # before reading: what is written in between is then read too
        data = page_data([read_run(path, may_be_empty=True)], SOURCES, limits)
        return data | {"is_running": going}

    read_run(path, may_be_empty=True)
    with Server(Followed(make, lambda: stamp(path)), port) as server:
        ui.print(f"following {path}; Ctrl-C ends this, and the run goes on")
        ui.line(server.url)
        with suppress(KeyboardInterrupt):  # looking away is no error
            server.serve_forever(poll_interval=0.2)
    return {"run": str(path), "url": server.url, "running": is_running(path)}


def stamp(path: Path) -> str:
    """What differs when the run has written, begun or ended."""
    files = [one.stat() for one in sorted(path.rglob("*.jsonl"))]
    return ",".join([*(f"{one.st_size}.{one.st_mtime_ns}" for one in files), str(is_running(path))])


def is_folder_of_runs(path: Path) -> bool:
    return path.is_dir() and not (path / "run.json").exists()


def is_report(head: bytes) -> bool:
    """Whether a file that begins so is a page of this command, of any version."""
    return head.startswith(b"<!doctype html>") and b"<title>gpo report: " in head


def shown(path: Path) -> Run | None:
    """The run, None where there is nothing to report of it."""
    try:
        return read_run(path)
    except InputError:
        return None  # its row says what is wrong with it, if it is that


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


SOURCES = Sources(rollouts, reader_of)


@click.command("report")
@click.argument("runs", type=UsablePath(), nargs=-1, required=True)
@click.option("--output", "-o", type=UsablePath(), default=None, help="File to write  [default: report.html]")
@click.option(
    "--trajectories",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Trajectories to list, of all runs together; those with a credible step come first",
)
@click.option("--live", "is_live", is_flag=True, help="Serve the page on this machine, and follow the run")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=None, help="Port of --live; by default a free one"
)
@click.option("--json", "as_json", is_flag=True, help=JSON)
def command(
    runs: tuple[Path, ...],
    output: Path | None,
    trajectories: int,
    is_live: bool,
    port: int | None,
    as_json: bool,
) -> None:
    ui = Ui(as_json)
    if not is_live:
        if port is not None:
            raise InputError("--port: has no effect without --live; leave it out")
        return finish(run(runs, output or Path("report.html"), trajectories, ui), as_json)
    if output is not None or len(runs) > 1:
        what = f"--output {output} is" if output is not None else f"{len(runs)} runs are"
        raise InputError(f"--live: serves the page of one run and writes no file, and {what} given")
    return finish(live(runs[0], trajectories, port or 0, ui), as_json)
