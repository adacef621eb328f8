"""The settings of a finished run, for what is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from gpo.command_settings import SAMPLED_HOW, LocateSettings, PairsSettings
from gpo.policies.settings import ModelSettings
from gpo.record import stored_settings
from gpo.settings import Settings, check_stored
from gpo.types import InputError

M = TypeVar("M", bound=ModelSettings)
PLACES = ("model", "adapter", "trust_remote_code", "device", "dtype", "threads", "batch_tokens", *SAMPLED_HOW)
"""Settings of a located run that may differ when pairs are built from it: where the model is and runs."""


def with_settings_of(run: Path, settings: PairsSettings) -> PairsSettings:
    """The settings with all that the located run fixed; InputError for a flag that contradicts it."""
    stored = stored_settings(run, "locate")
    check_stored(LocateSettings, run, stored)
    fixed = {key: value for key, value in stored.items() if key not in ("output", "seed")}
    return settings.model_copy(update=_fixed(run, settings, fixed))


def sampled_as(run: Path, settings: M) -> M:
    """The settings with a run's model and sampling; InputError for a flag that contradicts it."""
    stored = stored_settings(run)
    fixed = {key: stored[key] for key in ModelSettings.model_fields}
    check_stored(ModelSettings, run, fixed)
    return settings.model_copy(update=_fixed(run, settings, fixed))


def _fixed(run: Path, settings: Settings, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """What the run fixes, but for PLACES that are given; InputError for a flag that contradicts it."""
    fields = type(settings).model_fields
    for key in settings.model_fields_set & (fixed.keys() - set(PLACES)):
        if (value := getattr(settings, key)) not in (fixed[key], fields[key].default):
            flag = key.replace("_", "-")
            said = f"is {value!r} here and {fixed[key]!r} in the run {run}"
            raise InputError(f"--{flag}: {said}; leave it out")
    given = {key: getattr(settings, key) for key in settings.model_fields_set & set(PLACES)}
    return {**fixed, **given}
