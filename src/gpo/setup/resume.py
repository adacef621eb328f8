"""The settings of a run: new, like another run's, or resumed, which keeps its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpo.command_settings import (
    EXTENDABLE,
    PreferenceSettings,
    merged,
)
from gpo.record import stored_settings
from gpo.settings import S, Settings, check_stored, checked, origins, read_yaml, with_new_names
from gpo.setup.alike import settings_like, without_others
from gpo.setup.unused import check_known, check_used
from gpo.types import InputError
from gpo.value_settings import ValueEvalSettings, ValueSettings


def settings_of(
    name: str,
    cls: type[Settings],
    config: Path | None,
    resume: Path | None,
    flags: Mapping[str, Any],
    like: Path | None = None,
) -> Settings:
    """The settings of the command `name`, new or of the run at `resume`; InputError for a wrong one."""
    if resume is not None:
        for flag, given in (("--config", config), ("--like", like)):
            if given:
                raise InputError(f"{flag}: a resumed run has its settings already; give flags to extend it")
        return resumed_settings(name, cls, resume, flags)
    values = {**(read_yaml(config) if config else {}), **flags}
    stored = stored_settings(like) if like else {}
    return new_settings(settings_class(name, cls, stored | values), config, flags, like)


def settings_class(name: str, cls: type[Settings], values: Mapping[str, Any]) -> type[Settings]:
    """The class of a command's settings: that of the method of training where one is named."""
    if name == "train" and values.get("method"):
        return ValueSettings if values["method"] == "value" else PreferenceSettings
    if name == "eval" and values.get("value"):
        return ValueEvalSettings
    return cls


def new_settings(cls: type[S], config: Path | None, flags: Mapping[str, Any], like: Path | None = None) -> S:
    """The settings of a new run: those of the run `like`, overlaid by a settings file, overlaid by flags.

    InputError for a wrong one, and for one that was given and has no effect.
    """
    values = read_yaml(config) if config else {}
    check_known(cls, origins(config, values, flags))
    values = without_others(cls, values, config) if config else {}
    given, origin = {**values, **flags}, origins(config, values, flags)
    taken = settings_like(like, cls, with_new_names(cls, given, {})) if like else {}
    settings = merged(cls, taken | given, {key: f"--like {like}: {key}" for key in taken} | origin)
    check_used(settings, origin)
    return settings


def resumed_settings(name: str, cls: type[Settings], path: Path, flags: Mapping[str, Any]) -> Settings:
    """The settings of the run at `path`; flags may only repeat them, or extend the run."""
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
