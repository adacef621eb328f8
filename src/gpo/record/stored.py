"""What run.json says, and whether a run can be gone on with where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpo.record.files import Json, read_json
from gpo.record.schema import RunFile
from gpo.types import InputError

FORMAT = 2
"""Of run.json and the files beside it. Runs of format 1, which have no such number, are read as well."""

SAVED = ("model", "best")
"""Folders that a run saves models in."""

FOLDERS = (*SAVED, "checkpoints", "discarded", "trainer", "located", "against", "pairs")
"""All that runs write inside their own."""


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


def stored_run(path: Path) -> Json:
    """What run.json of the run at `path` says; InputError if there is none that this version reads."""
    if not (path / "run.json").exists():
        raise InputError(f"{path}: holds no run.json, so it is no run folder; give one that --output named")
    run = read_json(path / "run.json", RunFile)
    if (number := run.get("format", 1)) not in (1, FORMAT):
        wrote = run.get("versions", {}).get("gpo", number)
        raise InputError(
            f"{path}/run.json: was written by gpo {wrote}, which this version cannot read; use that one"
        )
    return run


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
