"""Settings that would have no effect beside the others: they are refused by name, not passed over."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from gpo import tasks
from gpo.command_settings import (
    EvalSettings,
    PairsSettings,
    PreferenceSettings,
    TrainSettings,
)
from gpo.recipe import Locating
from gpo.recipes import RECIPES
from gpo.rules import VALUE_RULES
from gpo.settings import Reading, Settings, Success
from gpo.tasks.settings import LearningDataSettings
from gpo.types import DataWarning, InputError
from gpo.value_settings import ValueEvalSettings, ValueSettings

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


def _has_search(settings: Any) -> bool:
    return getattr(settings, "rule", "absolute") in VALUE_RULES


def _has_located(settings: Any) -> bool:
    """Whether trajectories are chosen and cut into steps; `gpo locate` chooses them by any rule."""
    return settings.rule != "base" or not hasattr(settings, "resets")


def _has_steps(settings: Any) -> bool:
    own = ("ladders", "step_reward")
    return (
        not hasattr(settings, "rule") or _has_located(settings) or any(getattr(settings, key) for key in own)
    )


NO_SEARCH = "with a rule that needs no search, such as `entropy`, `random` or `base`"
LOCATES_NOTHING = "with the rule `base`, which locates nothing"
SHARED = {**Reading.model_fields, **Success.model_fields}
LOCATING = [key for key in Locating.model_fields if key not in SHARED]
USES: tuple[tuple[tuple[str, ...], Used, str], ...] = (
    (("step_credit",), _has_search, f"{NO_SEARCH}: it takes searched values"),
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
    (
        ("forced_answer",),
        lambda s: s.proposal == "forced-answer" or getattr(s, "step_reward", None) == "repro",
        "without --proposal forced-answer",
    ),
    (("step_reward_weight",), lambda s: s.step_reward is not None, "without --step-reward"),
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
    (("beam", "branches", "beam_step_tokens"), lambda s: s.strategy == "beam", "without --strategy beam"),
    (("tries",), lambda s: s.strategy == "restart", "without --strategy restart"),
    (
        ("value",),
        lambda s: getattr(s, "strategy", "") != "majority",
        "with --strategy majority, which counts votes",
    ),
    (("push", "repo", "private", "license"), lambda s: s.to == "hub", "without --to hub"),
    (("private",), lambda s: s.push, "without --push"),
    (("rows",), lambda s: s.to != "hub", "with --to hub, which takes all rows"),
)


NOTED: tuple[tuple[tuple[str, ...], Used, str], ...] = (
    (("search", "search_traces", "values", "proposal", "trust_value"), _has_search, NO_SEARCH),
    (("max_located", "explored", "resets", "reset_at", "max_reset_frac"), _has_located, LOCATES_NOTHING),
    (("splitter", "min_step_tokens", "max_steps"), _has_steps, LOCATES_NOTHING),
    (("reset_at", "max_reset_frac"), lambda s: s.resets, "with --no-resets"),
    (
        ("reset_size",),
        lambda s: s.ladders > 0 or (s.resets and s.rule != "base"),
        "where nothing is reset and there are no ladders",
    ),
    (("min_step_tokens",), lambda s: s.splitter != "fixed", "with --splitter fixed"),
    (
        ("min_step_tokens",),
        lambda s: not isinstance(s.splitter, str) or ":" not in s.splitter,
        "with your own splitter, whose cuts stand",
    ),
    (("proposal",), lambda s: s.search == "adaptive", "without --search adaptive"),
    (("values",), lambda s: s.search != "adaptive", "without --search uniform or bisect"),
    (("search_traces",), lambda s: s.search != "uniform", "with --search uniform"),
)
"""Settings of the algorithm that only some recipes use: one file serves several, so these are only noted."""
EMPTIED: tuple[tuple[str, Used, str], ...] = (
    (
        "ladders",
        lambda s: s.ladders > 0 or s.recipe != "ladder",
        "0 leaves nothing of the recipe `ladder` but the rollouts at its prompts",
    ),
    (
        "max_reset_frac",
        lambda s: s.rule == "base" or not s.resets or s.most_resets(s.problems_per_round) > 0,
        "leaves no room for a group at a reset state: steps are located, and nothing is reset there",
    ),
)
"""Settings of which some values take from a recipe what it is for."""


def check_used(settings: Settings, origin: Mapping[str, str]) -> None:
    """InputError for the first setting that was given, differs from what it would be, and has no effect.

    For those of NOTED and EMPTIED it is a DataWarning instead.

    `origin` says how each was given: '--shots', or 'FILE: shots'.
    """
    fields = type(settings).model_fields
    usual = {key: info.default for key, info in fields.items()} | RECIPES.get(
        getattr(settings, "recipe", ""), {}
    )
    if isinstance(settings, PairsSettings) and settings.run is not None:
        return  # the located run's settings count, and what differs from them is refused
    for name in (getattr(settings, "task", None), getattr(settings, "eval_task", None)):
        if name is not None and "data" in fields:
            tasks.verifier(name)  # says so if there is no such task
    usual |= {"resets": None}  # who gives it asks for resets, though it is the default
    given = {key for key in fields.keys() & origin.keys() if getattr(settings, key) != usual[key]}
    for keys, is_used, where in (*USES, *NOTED):
        for key in [key for key in keys if key in given and not is_used(settings)]:
            message = f"{origin[key]}: has no effect {where}; leave it out"
            if (keys, is_used, where) in USES:
                raise InputError(message)
            warnings.warn(message, DataWarning, stacklevel=2)
            given.remove(key)  # one reason is enough
    for key, is_used, what in EMPTIED:
        if key in given and not is_used(settings):
            warnings.warn(f"{origin[key]}: {what}", DataWarning, stacklevel=2)


def check_known(cls: type[Settings], origin: Mapping[str, str]) -> None:
    """InputError for a setting of the other kind of `gpo train`, whose flags are those of both."""
    others: dict[type[Settings], tuple[tuple[type[Settings], str], ...]] = {
        EvalSettings: ((ValueEvalSettings, "is for judging a value model; give --value, or leave it out"),),
        ValueEvalSettings: (
            (EvalSettings, "is for a model's success rate, and --value judges a value model; leave it out"),
        ),
        TrainSettings: (
            (PreferenceSettings, "is for offline training; give --method, or leave it out"),
            (ValueSettings, "is for a model of values; give --method value, or leave it out"),
        ),
        PreferenceSettings: (
            (TrainSettings, "is for online training, and --method is offline; leave it out"),
            (ValueSettings, "is for a model of values; give --method value, or leave it out"),
        ),
        ValueSettings: (
            (TrainSettings, "is for training a policy, and --method value learns values; leave it out"),
            (PreferenceSettings, "is for training a policy, and --method value learns values; leave it out"),
        ),
    }
    for other, message in others.get(cls, ()):
        for key in sorted(origin.keys() & (other.model_fields.keys() - cls.model_fields.keys())):
            raise InputError(f"{origin[key]}: {message}")
