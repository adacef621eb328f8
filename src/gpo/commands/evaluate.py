"""`gpo eval`: rates with their errors, by subject, against another model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from gpo.command_settings import EvalSettings
from gpo.commands import sweep
from gpo.console import Ui
from gpo.evaluation import Outcome, Scores, compare, scores
from gpo.objects.runs import read_outcomes
from gpo.record import Json, stored_run, stored_settings, write_json
from gpo.report import scores as table
from gpo.setup.lm_eval import check_export, export
from gpo.setup.start import output_folder
from gpo.setup.ways_on import ways_on
from gpo.types import DataWarning, InputError, Problem, RunError
from gpo.value_settings import ValueEvalSettings


def run(
    settings: EvalSettings | ValueEvalSettings, ui: Ui, *, resume: Path | None = None, is_dry: bool = False
) -> Json:
    """Evaluates, compares if asked to, writes summary.json and prints the tables."""
    if isinstance(settings, ValueEvalSettings):
        return of_value(settings, ui, is_dry=is_dry)
    ks = checked_ks(settings)
    check_export(settings)
    path = resume or output_folder(settings.output, "eval", settings.seed)
    finished = finished_rival(settings)
    if settings.against is not None and finished is None:
        check_rival(settings, path)
    if is_dry:
        return measured(settings, path, ui, is_resumed=False, others=finished, is_dry=True)
    summary = measured(settings, path, ui, is_resumed=resume is not None, others=finished)
    found = scores(outcomes := read_outcomes(path), ks)
    summary |= as_json(found)
    parts = [*table.report(settings.task or str(settings.data), found, summary)]
    if settings.against is not None:
        compared, lines = against(settings, outcomes, finished, ks, path, ui)
        summary |= compared
        parts += lines
    if settings.export is not None:
        summary["exported"] = export(settings, path)
        command = Text(summary["exported"]["command"], no_wrap=True, overflow="ignore")
        parts += ["", "the same evaluation by lm-evaluation-harness:", command]
    write_json(path / "summary.json", summary)
    ui.print(*parts, sweep.busy(summary), f"written to {path}")
    ui.commands(ways_on("eval", path, settings, summary))
    return summary


def of_value(settings: ValueEvalSettings, ui: Ui, *, is_dry: bool) -> Json:
    """Judges a value model by runs of other problems and by labelled solutions; returns the figures."""
    from gpo.setup import value_model

    judge = value_model.Judge(settings)
    if is_dry:
        ui.log(judge.told())
        return {"dry_run": True, "completions": len(judge.counted)}
    found = judge.figures()
    ui.print(*value_model.report(found))
    return found


def against(
    settings: EvalSettings,
    outcomes: Sequence[Outcome],
    finished: Sequence[Outcome] | None,
    ks: Sequence[int],
    path: Path,
    ui: Ui,
) -> tuple[Json, list[RenderableType]]:
    """The comparison, for the summary and in words; a model that has not been evaluated is so first.

    RunError for what is wrong with that one, since the run at `path` is complete.
    """
    try:
        theirs, where = (finished, str(settings.against)) if finished else rival(settings, path, ui)
        warn_of_other_settings(settings, Path(where))
        difference = compare(outcomes, theirs)
    except InputError as error:
        raise RunError(f"{error} (the evaluation of {settings.model} is complete in {path})") from error
    summary = {"against": as_json(scores(theirs, ks)) | {"run": where}, "comparison": asdict(difference)}
    return summary, table.comparison(*names(settings), difference)


def names(settings: EvalSettings) -> tuple[str, str]:
    """How the two models of a comparison are told apart: by their adapters too."""
    pairs = (settings.model, settings.adapter), (str(settings.against), settings.against_adapter)
    first, second = (f"{model} with {adapter}" if adapter else model for model, adapter in pairs)
    return (first, second) if first != second else (f"{first} (this run)", second)


def checked_ks(settings: EvalSettings) -> list[int]:
    """The k of pass@k and maj@k: those asked for, else 1 and all samples where there are several."""
    if settings.num > 1 and settings.temperature == 0:
        raise InputError(f"--num {settings.num}: greedy samples of a problem are all alike; give --num 1")
    if wrong := [k for k in settings.k if not (k.isascii() and k.isdigit() and len(k) < 10)]:
        raise InputError(f"--k: must be whole numbers, got {wrong[0][:40]!r}; write --k 1 --k 4")
    ks = [int(k) for k in settings.k]
    for k in ks:
        if not 1 <= k <= settings.num:
            raise InputError(
                f"--k {k}: is not between 1 and the {settings.num} samples of a problem (--num); raise it"
            )
    return ks or ([1, settings.num] if settings.num > 1 else [])


def measured(
    settings: EvalSettings,
    path: Path,
    ui: Ui,
    *,
    is_resumed: bool,
    others: Sequence[Outcome] | None = None,
    is_dry: bool = False,
) -> Json:
    """Samples what is still to be sampled of the evaluation at `path`; returns its costs.

    InputError before anything is sampled if the problems are not those of `others`.
    """

    def check(problems: Sequence[Problem]) -> None:
        if others is not None:
            check_against(settings, others, problems)

    recipe = sweep.at_prompts(settings.num, settings.success_at)
    if is_dry:
        return sweep.rehearse("eval", settings, recipe, ui, path, check)
    summary = sweep.sweep("eval", settings, recipe, ui, path, is_resumed=is_resumed, check=check)
    return summary | {"tokens": {"evaluation": summary["tokens"].get("evaluation", 0)}}


def finished_rival(settings: EvalSettings) -> list[Outcome] | None:
    """The outcomes of the run folder to compare with; None if that is a model, or nothing."""
    if settings.against is None:
        return None
    run = Path(settings.against) / "run.json"
    is_model = not run.is_file() or stored_run(run.parent).command == "train"
    if is_model and settings.engine != "transformers":
        raise InputError(
            f"--against {settings.against}: engine {settings.engine} holds one model; evaluate the other one "
            "first, and give the folder of that run"
        )
    return None if is_model else read_outcomes(run.parent)


def check_against(settings: EvalSettings, others: Sequence[Outcome], problems: Sequence[Problem]) -> None:
    """InputError if a finished evaluation to compare with is of other problems."""
    if {one.problem for one in others} != {problem.id for problem in problems}:
        raise InputError(
            f"--against {settings.against}: covers {len(others)} problems that differ from these "
            f"{len(problems)}; give it the same data, split and limit"
        )


def rival_settings(settings: EvalSettings, path: Path) -> EvalSettings:
    """The evaluation of the model to compare with, in a separate run folder."""
    changes = {"model": settings.against, "adapter": settings.against_adapter, "against": None}
    return settings.model_copy(
        update={**changes, "against_adapter": None, "export": None, "output": str(path / "against")}
    )


def check_rival(settings: EvalSettings, path: Path) -> None:
    """InputError, before the first model has sampled for hours, if the second cannot be asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # it comes with the first model's rows too
        sweep.queue("eval", rival_settings(settings, path), path / "against")


COMPARED = (
    *("task", "data", "split", "limit", "size", "seed", "task_options", "prompt", "shots", "verifier"),
    *("success_at", "chat", "system_prompt", "template_args", "thinking_marks", "stop", "max_tokens"),
    *("temperature", "top_p", "top_k"),
)
"""Settings in which two evaluations that are compared should agree: the models alone should differ."""


def warn_of_other_settings(settings: EvalSettings, where: Path) -> None:
    """A DataWarning that names the settings that differ in the evaluation to compare with."""
    ours, theirs = settings.model_dump(), stored_settings(where, "eval")
    others = [
        f"{key}: {theirs.get(key)!r} there, {ours[key]!r} here"
        for key in COMPARED
        if theirs.get(key) != ours[key]
    ]
    if others:
        warnings.warn(
            f"--against {where}: was evaluated with different settings ({'; '.join(others)})",
            DataWarning,
            stacklevel=2,
        )


def rival(settings: EvalSettings, path: Path, ui: Ui) -> tuple[list[Outcome], str]:
    """The results of the model to compare with on the same problems, in a separate run folder."""
    own = path / "against"
    measured(rival_settings(settings, path), own, ui, is_resumed=(own / "run.json").is_file())
    return read_outcomes(own), str(own)


def as_json(found: Scores) -> Json:
    """The scores; 'accuracy' is avg@G."""
    average = next(iter(found.metrics.values()))
    return {
        "problems": found.num_problems,
        "samples": found.num_samples,
        "accuracy": average.mean,
        "accuracy_stderr": average.stderr,
        "interval": average.interval,
        "metrics": {name: asdict(rate) for name, rate in found.metrics.items()},
        "subjects": {name: {"problems": num, **asdict(one)} for name, (num, one) in found.subjects.items()},
        "macro": asdict(found.macro) if found.macro else None,
        "truncated_frac": found.truncated_frac,
        "unparsed_frac": found.unparsed_frac,
    }
