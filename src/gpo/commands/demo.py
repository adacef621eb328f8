"""`gpo demo`: the main job end to end on the tiny model in the package."""

from __future__ import annotations

import time
from pathlib import Path

from gpo.command_settings import DemoSettings, TrainSettings
from gpo.commands import show, train
from gpo.console import Ui
from gpo.record import Json, read_lines
from gpo.record.lines import CurveLine
from gpo.report import terminal
from gpo.setup.start import output_folder


def run(settings: DemoSettings, ui: Ui) -> Json:
    """Trains the tiny model on its chain sums; returns accuracies, token ledger and the run's folder."""
    start = time.monotonic()
    path = output_folder(settings.output, "demo", settings.seed)
    ui.print(
        "A model of 0.4 million weights adds chains of numbers, a line a step, and sometimes slips.",
        "Its failed answers are cut into steps, the step that lost them is found by sampling around it,",
        "and it learns from what it does differently there.",
        "",
    )
    summary = train.run(training(settings, path), ui, is_part=True)
    if shown := show.most_credible(list(read_lines(path / "curves.jsonl", CurveLine))):
        ui.print(
            "", "A failed trajectory (V: chance of success before the step; A: what the step changed):", ""
        )
        ui.print(terminal.trajectory(shown))
    ui.print("", f"{time.monotonic() - start:.0f} s in all; look closer with: gpo show {path}")
    return summary


def training(settings: DemoSettings, path: Path) -> TrainSettings:
    """The demo as a training run: what it does, `gpo train` does with these settings."""
    return TrainSettings(
        model="demo",
        task="chain_sum",
        output=str(path),
        recipe="search",
        seed=settings.seed,
        rounds=settings.rounds,
        size=2048,
        max_tokens=128,
        min_step_tokens=1,
        rule="drop",
        explored="failed",
        max_located=4,
        learning_rate=1e-4,
        eval_problems=400,
        eval_every=0,
    )
