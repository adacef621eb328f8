"""The settings of a run, new or resumed; one that would have no effect is refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpo import tasks
from gpo.config import EXTENDABLE, PairsSettings, PreferenceSettings, S, TrainSettings, load_settings
from gpo.recipe import Locating
from gpo.record import stored_settings
from gpo.settings import Reading, Settings, Success, check_stored, checked, origins, read_yaml, with_new_names
from gpo.tasks.settings import LearningDataSettings
from gpo.types import DataWarning, InputError

Used = Callable[[Any], bool]
"""Whether, of these settings, the one in question is looked at."""


def _is_benchmark(name: str | None) -> bool:
    return name in tasks.BENCHMARKS


def _is_drawn(settings: Any) -> bool:
    return settings.task is not None and not _is_benchmark(settings.task)


def _has_rows(settings: Any) -> bool:
    """Whether rows of the user's own are read."""
    return not hasattr(settings, "task") or any(
        getattr(settings, key, None) for key in ("data", "eval_data", "exclude")
    )


def _has_benchmarks(settings: Any) -> bool:
    """Whether the folder of benchmarks is looked into: their rows, or what training must not see."""
    if not hasattr(settings, "data"):  # `gpo data` is about benchmarks
        return True
    is_learned = isinstance(settings, LearningDataSettings)
    named = _is_benchmark(settings.task) or _is_benchmark(getattr(settings, "eval_task", None))
    return named or (is_learned and not _is_drawn(settings))


SHARED = {**Reading.model_fields, **Success.model_fields}
LOCATING = [key for key in Locating.model_fields if key not in SHARED]
RULES: tuple[tuple[tuple[str, ...], Used, str], ...] = (
    (("shots",), lambda s: s.prompt == "few-shot", "without --prompt few-shot"),
    (("data_dir",), _has_benchmarks, "without a benchmark to read"),
    (
        ("size",),
        lambda s: _is_drawn(s) and s.limit is None,
        "unless a task draws its questions and --limit is not given",
    ),
    (("task_options",), lambda s: s.task is not None, "without --task"),
    (("prompt_column", "answer_column"), _has_rows, "without rows of your own in --data"),
    (("split",), lambda s: getattr(s, "data", None) is None, "with --data, which has one split"),
    (("fixed_step_tokens",), lambda s: s.splitter == "fixed", "without --splitter fixed"),
    (("min_step_tokens",), lambda s: s.splitter != "fixed", "with --splitter fixed"),
    (("forced_answer",), lambda s: s.proposal == "forced-answer", "without --proposal forced-answer"),
    (("proposal",), lambda s: s.search == "adaptive", "without --search adaptive"),
    (("values",), lambda s: s.search != "adaptive", "without --search uniform or bisect"),
    (("search_traces",), lambda s: s.search != "uniform", "with --search uniform"),
    (("top_p", "top_k"), lambda s: s.temperature > 0, "at temperature 0, which decodes greedily"),
    (("reward_column",), lambda s: s.completion_column is not None, "without --completion-column"),
    (("actor_gpus",), lambda s: s.actors > 0, "without --actors"),
    (
        ("request_timeout_s", "retries", "patience_s"),
        lambda s: s.engine == "server",
        "without --engine server",
    ),
    (("device", "dtype", "threads"), lambda s: getattr(s, "engine", "") != "server", "with --engine server"),
    (("against_adapter",), lambda s: s.against is not None, "without --against"),
    (
        ("archive_of", "archive_at", "archive_per_problem", "archive_decay"),
        lambda s: s.archived > 0,
        "with --archived 0",
    ),
    (("patience",), lambda s: s.eval_every > 0, "with --eval-every 0"),
    (("eval_data",), lambda s: s.eval_task is None, "beside --eval-task; give one of them"),
    (("eval_num", "eval_every", "patience"), lambda s: s.eval_problems > 0, "with --eval-problems 0"),
    (("simpo_gamma",), lambda s: s.method == "simpo", "without --method simpo"),
    (
        (
            *LOCATING,
            "data",
            "limit",
            "size",
            "budget_tokens",
        ),
        lambda s: getattr(s, "pairs", None) is None,
        "with --pairs, whose rows are made already",
    ),
    (("push", "repo", "private", "license"), lambda s: s.to == "hub", "without --to hub"),
    (("private",), lambda s: s.push, "without --push"),
    (("rows",), lambda s: s.to != "hub", "with --to hub, which takes all rows"),
)


NOTED = {
    *("values", "search_traces", "proposal", "min_step_tokens"),
    *("archive_of", "archive_at", "archive_per_problem", "archive_decay"),
}
"""Settings of the algorithm that only some recipes use: one file serves several, so these are only noted."""


def check_used(settings: Settings, origin: Mapping[str, str]) -> None:
    """InputError for the first setting that was given, differs from its default, and has no effect.

    Those of NOTED are a DataWarning instead.

    `origin` says how each was given: '--shots', or 'FILE: shots'.
    """
    fields = type(settings).model_fields
    if isinstance(settings, PairsSettings) and settings.run is not None:
        return  # the located run's settings count, and what differs from them is refused
    for name in (getattr(settings, "task", None), getattr(settings, "eval_task", None)):
        if name is not None and "data" in fields:
            tasks.verifier(name)  # says so if there is no such task
    for keys, is_used, where in RULES:
        for key in keys:
            if key not in fields or key not in origin or getattr(settings, key) == fields[key].default:
                continue
            if is_used(settings):
                continue
            message = f"{origin[key]}: has no effect {where}; leave it out"
            if key not in NOTED:
                raise InputError(message)
            warnings.warn(message, DataWarning, stacklevel=2)


def check_known(cls: type[Settings], origin: Mapping[str, str]) -> None:
    """InputError for a setting of the other kind of `gpo train`, whose flags are those of both."""
    others: dict[type[Settings], tuple[type[Settings], str]] = {
        TrainSettings: (PreferenceSettings, "is for offline training; give --method, or leave it out"),
        PreferenceSettings: (TrainSettings, "is for online training, and --method is offline; leave it out"),
    }
    if cls in others:
        other, message = others[cls]
        for key in origin.keys() & (other.model_fields.keys() - cls.model_fields.keys()):
            raise InputError(f"{origin[key]}: {message}")


def settings_of(
    name: str, cls: type[Settings], config: Path | None, resume: Path | None, flags: Mapping[str, Any]
) -> Settings:
    """The settings of the command `name`, new or of the run at `resume`; InputError for a wrong one."""
    if resume is not None:
        return resumed_settings(name, cls, resume, config, flags)
    values = {**(read_yaml(config) if config else {}), **flags}
    return new_settings(settings_class(name, cls, values), config, flags)


def settings_class(name: str, cls: type[Settings], values: Mapping[str, Any]) -> type[Settings]:
    """The class of a command's settings: that of offline training where a method is named."""
    if name == "train" and values.get("method"):
        return PreferenceSettings
    return cls


def new_settings(cls: type[S], config: Path | None, flags: Mapping[str, Any]) -> S:
    """The settings of a new run; InputError for a wrong one, and for one that has no effect."""
    origin = origins(config, read_yaml(config) if config else {}, flags)
    check_known(cls, origin)
    settings = load_settings(cls, config, flags)
    check_used(settings, origin)
    return settings


def resumed_settings(
    name: str, cls: type[Settings], path: Path, config: Path | None, flags: Mapping[str, Any]
) -> Settings:
    """The settings of the run at `path`; flags may only repeat them, or extend the run."""
    if config:
        raise InputError("--config: a resumed run has its settings already; give flags to extend it")
    stored = stored_settings(path, name)
    # What the run stored is what its recipe stood for then; a setting that is newer had its default.
    before = check_stored(settings_class(name, cls, stored), path, stored)
    then, origin = before.model_dump(), origins(None, {}, flags)
    settings = checked(type(before), {**then, **with_new_names(type(before), flags, origin)}, origin)
    for key, value in settings.model_dump().items():
        if key not in EXTENDABLE and value != then[key]:
            raise InputError(
                f"--resume {path}: belongs to a run with other settings "
                f"({key}: {then[key]!r} there, {value!r} here); leave that flag out, or start a new run"
            )
    return settings
