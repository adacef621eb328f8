"""`gpo sample`: completions of each problem, verified."""

from __future__ import annotations

from pathlib import Path

from gpo.command_settings import SampleSettings
from gpo.commands import sweep
from gpo.console import Ui
from gpo.record import Json, write_json
from gpo.setup.start import output_folder
from gpo.setup.ways_on import ways_on


def run(settings: SampleSettings, ui: Ui, *, resume: Path | None = None, is_dry: bool = False) -> Json:
    """Samples and verifies `num` completions of each problem."""
    path = resume or output_folder(settings.output, "sample", settings.seed)
    recipe = sweep.at_prompts(settings.num, settings.success_at)
    if is_dry:
        return sweep.rehearse("sample", settings, recipe, ui, path)
    summary = sweep.sweep("sample", settings, recipe, ui, path, is_resumed=resume is not None)
    write_json(path / "summary.json", summary)
    ui.print(sweep.rate(summary), *sweep.costs(summary))
    ui.commands(ways_on("sample", path, settings, summary))
    return summary
