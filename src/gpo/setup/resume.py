"""The settings of a run, new or resumed: a resumed run keeps its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpo.command_settings import (
    EXTENDABLE,
    PreferenceSettings,
    S,
    load_settings,
)
from gpo.record import stored_settings
from gpo.settings import Settings, check_stored, checked, origins, read_yaml, with_new_names
from gpo.setup.unused import check_known, check_used
from gpo.types import InputError


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
