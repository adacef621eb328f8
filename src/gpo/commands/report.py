"""`gpo report RUN... -o FILE`: one or more runs as one HTML page that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gpo.commands.ui import Ui
from gpo.files import write_whole
from gpo.record import Json
from gpo.report import page
from gpo.report.reading import read_runs, rollouts
from gpo.report.terminal import printable
from gpo.report.views import Limits, page_data
from gpo.search import CREDIBLE
from gpo.types import InputError


def run(paths: Sequence[Path], output: Path, num_trajectories: int, ui: Ui) -> Json:
    """Writes the page; returns its path, size, and what of the runs is in it."""
    check_writable(output)
    runs = read_runs(paths)
    data = page_data(runs, rollouts, Limits(num_trajectories, page.room(), CREDIBLE))
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


def check_writable(output: Path) -> None:
    """InputError, before any work, unless a file can be made at `output`."""
    folder = output.absolute().parent
    if output.is_dir():
        raise InputError(f"--output {output}: is a folder; name a file, such as {output}/report.html")
    if not folder.is_dir():
        raise InputError(f"--output {output}: there is no folder {folder}")
    if not os.access(folder, os.W_OK) or (output.exists() and not os.access(output, os.W_OK)):
        raise InputError(f"--output {output}: cannot be written; choose another place")
