"""`gpo train`: rounds of learning, online by policy gradient or, with --method, offline by preferences."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path

from gpo.command_settings import PreferenceSettings, TrainSettings
from gpo.console import Ui
from gpo.record import Json
from gpo.setup.start import begun, output_folder
from gpo.setup.ways_on import ways_on
from gpo.training.loop import Learner, Parts, Training, loaded
from gpo.training.offline import Offline
from gpo.training.online import Online


def run(
    settings: TrainSettings | PreferenceSettings, ui: Ui, *, resume: Path | None = None, is_part: bool = False
) -> Json:
    """Trains until the rounds are done or the token budget is spent; returns the summary.

    Where it `is_part` of another command, that one says what comes next.
    """
    learner: Learner = Online(settings) if isinstance(settings, TrainSettings) else Offline(settings)
    with begun(
        "train",
        resume or output_folder(settings.output, "train", settings.seed),
        settings.model_dump(),
        is_resumed=resume is not None,
        prepare=partial(Parts, learner),
        load=lambda parts: nullcontext(loaded(learner, parts)),
        is_first=learner.ranks.is_first,
    ) as (folder, parts, weights):
        summary = Training(learner, parts, weights, folder, ui).complete()
    if not is_part:
        ui.commands(ways_on("train", folder.path, settings, summary))
    return summary
