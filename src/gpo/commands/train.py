"""`gpo train`: rounds of learning, online by policy gradient or, with --method, offline by preferences."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path

from gpo.command_settings import TrainSettings
from gpo.console import Ui
from gpo.record import Json
from gpo.record.new import check_new
from gpo.setup.dry_run import example, row_of, shown
from gpo.setup.start import begun, output_folder
from gpo.setup.ways_on import ways_on
from gpo.training.costs import costs, told
from gpo.training.loop import Learner, Parts, Training, loaded
from gpo.training.offline import Offline
from gpo.training.online import Online
from gpo.training.weights import AnySettings
from gpo.value_settings import ValueSettings


def run(
    settings: AnySettings | ValueSettings,
    ui: Ui,
    *,
    resume: Path | None = None,
    is_part: bool = False,
    is_dry: bool = False,
) -> Json:
    """Trains until the rounds are done or the token budget is spent; returns the summary.

    Where it `is_part` of another command, that one says what comes next.
    """
    if isinstance(settings, ValueSettings):
        return of_values(settings, ui, resume=resume, is_dry=is_dry)
    learner: Learner = Online(settings) if isinstance(settings, TrainSettings) else Offline(settings)
    path = resume or output_folder(settings.output, "train", settings.seed)
    if is_dry:
        return rehearse(learner, settings, path, ui)
    with begun(
        "train",
        path,
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


def of_values(settings: ValueSettings, ui: Ui, *, resume: Path | None, is_dry: bool) -> Json:
    """Learns a model of V; one that was interrupted is learned again, as nothing was sampled."""
    from gpo.training import value

    path = resume or output_folder(settings.output, "train", settings.seed)
    settings = value.settings_of_runs(settings)
    stored = settings.model_dump()
    if is_dry:
        check_new(path, stored)
        parts = value.ValueParts(settings)
        ui.log(value.told(parts))
        return {"dry_run": True, "completions": len(parts.counted), "tokens": parts.num_tokens}
    if resume and (fitted := value.finished(path)):
        ui.print(f"{path}: is finished, and nothing is learned again", *value.report(fitted))
        return value.summary_of(path, fitted)
    with begun(
        "train",
        path,
        stored,
        is_resumed=resume is not None,
        prepare=partial(value.ValueParts, settings),
        load=value.loaded,
    ) as (folder, parts, policy):
        summary = value.learn(parts, policy, folder, stored, ui)
    ui.commands(ways_on("train", folder.path, settings, summary))
    return summary


def rehearse(learner: Learner, settings: AnySettings, path: Path, ui: Ui) -> Json:
    """All that is done before the weights load; prints and returns the costs and one example."""
    check_new(path, settings.model_dump())
    parts = Parts(learner, None)
    a_round, whole = costs(settings, learner.recipe, *parts.sizes)
    for line in told(a_round, whole):
        ui.log(line)
    if parts.problems:
        assert parts.verifier is not None  # noqa: S101 - problems have one
        one = example(parts.asking, parts.verifier, parts.problems[0], (), learner.recipe)
    else:
        one = row_of(parts.asking, learner.given)
    ui.print(*shown(one, settings.success_at))
    return {"dry_run": True, "cost": whole.record(), "cost_of_a_round": a_round.record()} | one
