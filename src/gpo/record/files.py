"""JSON files and files of JSON lines: read with every fault named, written whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gpo.files import replaced, write_whole
from gpo.types import InputError

Json = dict[str, Any]

REQUIRED = {
    "problems.jsonl": {"problem", "place", "rates", "tokens"},
    "rounds.jsonl": {"round", "tokens", "sizes"},
    "curves.jsonl": {"steps", "successes", "trials", "critical", "values", "advantages", "intervals"},
}
"""Keys without which a line of these files is not one of ours."""


def read_json(path: Path) -> Json:
    try:
        content: Json = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is not valid JSON ({error}); restore it or start a new run") from None
    return content


def write_json(path: Path, content: Json) -> None:
    """Writes the file whole or not at all."""
    text = json.dumps(finite(content), indent=2, allow_nan=False) + "\n"
    write_whole(path, text)


def write_lines(path: Path, records: Iterable[Json]) -> None:
    """Writes a JSONL file whole or not at all."""
    with replaced(path) as file:
        file.writelines(line_of(record).encode() for record in records)


def read_lines(path: Path) -> Iterator[Json]:
    """The records of a JSONL file; a last line without its end was torn and is passed over."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except ValueError as error:
                raise InputError(
                    f"{path}: row {number}: is not valid JSON ({error}); restore it or start a new run"
                ) from None
            missing = REQUIRED.get(path.name, set()) - record.keys() if isinstance(record, dict) else {"keys"}
            if missing:
                raise InputError(
                    f"{path}: row {number}: is not what a run writes (it has no {min(missing)}), so it was "
                    "damaged since; restore it or start a new run"
                )
            yield record


def finite(content: Any) -> Any:
    """The same content with None for nan and infinity, which JSON does not know."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content


def line_of(record: Json) -> str:
    return json.dumps(finite(record), allow_nan=False) + "\n"
