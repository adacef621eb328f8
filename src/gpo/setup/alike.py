"""Settings that were written for another run or command: those that this command has are taken over."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpo import command_settings as config
from gpo.recipe import Recipe
from gpo.recipes import RECIPES
from gpo.record import stored_settings
from gpo.settings import Settings, with_new_names
from gpo.solve_settings import SolveSettings
from gpo.tasks.settings import CheckSettings, OverlapSettings
from gpo.types import DataWarning
from gpo.value_settings import ValueEvalSettings, ValueSettings

CLASSES: Mapping[str, tuple[type[Settings], ...]] = {
    "sample": (config.SampleSettings,),
    "locate": (config.LocateSettings,),
    "train": (config.TrainSettings, config.PreferenceSettings, ValueSettings),
    "eval": (config.EvalSettings, ValueEvalSettings),
    "solve": (SolveSettings,),
    "pairs": (config.PairsSettings,),
    "export": (config.ExportSettings,),
    "demo": (config.DemoSettings,),
    "data check": (CheckSettings,),
    "data overlap": (OverlapSettings,),
}
"""The settings of every command; the first class is the usual one."""

NOT_TAKEN = ("output", "allow_test", "trust_remote_code", "push")
"""Where a run wrote, and what it was allowed: each run is asked anew."""

EXCLUSIVE: Mapping[str, tuple[str, ...]] = {
    "task": ("data", "verifier", "prompt_column", "answer_column", "limit"),
    "data": ("task", "task_options", "split", "size", "limit", "prompt", "shots"),
    "eval_task": ("eval_data",),
    "eval_data": ("eval_task",),
    "run": ("task", "data"),
    "pairs": ("task", "data"),
}
"""What is about other problems where these are given."""


def settings_like(run: Path, cls: type[Settings], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that `cls` has, but for NOT_TAKEN and what contradicts the `given` ones.

    A recipe that is given replaces what the run's own recipe stood for. InputError if there is no such run.
    """
    stored = with_new_names(cls, cls.of_older_run(stored_settings(run)), {})
    found = {key: value for key, value in stored.items() if key in cls.model_fields}
    left = {*NOT_TAKEN, *given, *(other for key in given for other in EXCLUSIVE.get(key, ()))}
    if "recipe" in given:
        meant = {key: info.default for key, info in config.TrainSettings.model_fields.items()}
        meant |= RECIPES.get(str(stored.get("recipe")), {})
        left |= {key for key in Recipe.model_fields if _same(stored.get(key), meant.get(key))}
    return {key: value for key, value in found.items() if key not in left}


def _same(stored: Any, meant: Any) -> bool:
    """Whether a setting as JSON holds it is another's value."""
    return bool(stored == (list(meant) if isinstance(meant, tuple) else meant))


def without_others(cls: type[Settings], values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The values of a settings file without keys that only other commands have; a DataWarning names these."""
    own = {*cls.model_fields, *cls.renamed}
    others: dict[str, str] = {}
    for name, kinds in CLASSES.items():
        for key in (key for kind in kinds for key in kind.model_fields):
            others.setdefault(key, name)
    ignored = [key for key in values if key not in own and key in others]
    if ignored:
        told = ", ".join(f"{key} (of gpo {others[key]})" for key in ignored)
        warnings.warn(
            f"--config {path}: ignores what this command does not have: {told}", DataWarning, stacklevel=2
        )
    return {key: value for key, value in values.items() if key not in ignored}
