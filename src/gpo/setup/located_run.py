"""The settings of a finished `gpo locate`, for what is built from it."""

from __future__ import annotations

from pathlib import Path

from gpo.command_settings import SAMPLED_HOW, LocateSettings, PairsSettings
from gpo.record import stored_settings
from gpo.settings import check_stored
from gpo.types import InputError

PLACES = ("model", "adapter", "trust_remote_code", "device", "dtype", "threads", "batch_tokens", *SAMPLED_HOW)
"""Settings of a located run that may differ when pairs are built from it: where the model is and runs."""


def with_settings_of(run: Path, settings: PairsSettings) -> PairsSettings:
    """The settings with all that the located run fixed; InputError for a flag that contradicts it."""
    stored = stored_settings(run, "locate")
    check_stored(LocateSettings, run, stored)
    for key in settings.model_fields_set & (stored.keys() - {*PLACES, "output", "seed"}):
        if (value := getattr(settings, key)) not in (stored[key], PairsSettings.model_fields[key].default):
            flag = key.replace("_", "-")
            said = f"is {value!r} here and {stored[key]!r} in the run {run}"
            raise InputError(f"--{flag}: {said}; leave it out")
    fixed = {key: value for key, value in stored.items() if key not in ("output", "seed")}
    given = {key: getattr(settings, key) for key in settings.model_fields_set & set(PLACES)}
    return settings.model_copy(update={**fixed, **given})
