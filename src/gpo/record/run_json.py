"""run.json: what it says, and whether a run can be gone on with where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from gpo.record.base import Count, Json, Line, Rate, checked
from gpo.record.files import read_as
from gpo.types import InputError

FORMAT = 2
"""Version of run.json and the files beside it. Runs of format 1, which lack the number, are read as well."""

SAVED = ("model", "best", "value")
"""Folders that a run saves models in."""

FOLDERS = (*SAVED, "checkpoints", "discarded", "trainer", "located", "against", "pairs")
"""All that runs write inside their own."""


class RunFile(Line):
    """run.json."""

    command: str
    format: int = 1
    settings: dict[str, Any]
    versions: dict[str, str] = Field({})
    has_rounds: bool | None = None
    fingerprint: dict[str, Any] | None = None
    rows: dict[str, Count | str] | None = None


class ShownSettings(Line):
    """The settings that are looked at when a run is shown."""

    task: str | None = None
    data: str | None = None
    rounds: Count | None = None
    limit: Count | None = None
    search: str | None = None
    rule: str | None = None
    success_at: Rate = 1.0


class ShownRun(Line):
    """run.json, as far as it is shown."""

    settings: ShownSettings


class Stored(dict[str, Any]):
    """The settings in a run.json; InputError for one that is asked for by name and is not there."""

    def __init__(self, run: Path, settings: Json) -> None:
        super().__init__(settings)
        self.run = run

    def __missing__(self, key: str) -> Any:
        raise InputError(
            f"{self.run}/run.json: settings.{key}: field required; it was damaged since it was written, so "
            "restore it from a copy"
        )


def stored_run(path: Path) -> RunFile:
    """What run.json of the run at `path` says; InputError if there is none that this version reads."""
    if not (path / "run.json").exists():
        raise InputError(f"{path}: holds no run.json, so it is not a run; give one that --output named")
    run = read_as(path / "run.json", RunFile)
    if run.format not in (1, FORMAT):
        wrote = run.versions.get("gpo", run.format)
        raise InputError(
            f"{path}/run.json: was written by gpo {wrote}, which this version cannot read; use that one"
        )
    return run


def stored_settings(path: Path, command: str | None = None) -> Json:
    """The settings that the run at `path` was started with, by `command` if one is named.

    InputError, too, for a setting that is asked of them and is not there.
    """
    run = stored_run(path)
    if command not in (None, run.command):
        raise InputError(
            f"{path}: is a run of `gpo {run.command}`, not of `gpo {command}`; give one of those"
        )
    return Stored(path, run.settings)


def fingerprint_of(run: Path) -> Json:
    """What the policy of a run was; InputError where the run does not say."""
    fingerprint = stored_run(run).fingerprint
    if fingerprint is None:
        raise InputError(
            f"{run}/run.json: has no fingerprint of its model; run `gpo locate` again with this version"
        )
    return fingerprint


def check_places(run: Path) -> None:
    """InputError if something stands where the run writes, and cannot be written: a folder, a dead link."""
    for path in sorted(run.iterdir()):
        if path.suffix in (".json", ".jsonl") and not path.is_file():
            raise InputError(f"{path}: is not a file, and the run writes files of such names; move it away")
        if path.name in FOLDERS and not path.is_dir():
            raise InputError(f"{path}: is not a folder, and the run needs one of that name; move it away")
    for path in sorted(one for name in SAVED for one in run.glob(f"{name}/*")):
        if path.suffix in (".json", ".jinja", ".safetensors") and path.is_dir():
            raise InputError(f"{path}: is a folder, and the run saves a file of that name; move it away")


def check_shown(run: Path, settings: Mapping[str, Any]) -> None:
    """InputError, by file and field, unless these settings of the run can be shown."""
    checked(run / "run.json", None, ShownRun, {"settings": settings})
