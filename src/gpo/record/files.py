"""JSON files and files of JSON lines: read with every fault named, written whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gpo.files import JsonError, open_file, parse_json, read_text, replaced, write_whole
from gpo.record.schema import AnyLine, Line, checked
from gpo.types import InputError

Json = dict[str, Any]

MAX_BYTES = 1 << 28
"""Of a file that is one JSON object."""


def read_json(path: Path, kind: type[Line] | None = None) -> Json:
    """The object in the file, checked as a `kind`; InputError, with file and field, for anything else."""
    try:
        content = parse_json(read_text(path, str(path), MAX_BYTES))
    except JsonError as error:
        raise InputError(f"{path}: is not valid JSON ({error}); restore it or start a new run") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not what a run writes, so it was damaged since; restore it from a copy")
    if kind is not None:
        checked(path, None, kind, content)
    return content


def write_json(path: Path, content: Json) -> None:
    """Writes the file whole or not at all."""
    text = json.dumps(finite(content), indent=2, allow_nan=False) + "\n"
    write_whole(path, text)


def write_lines(path: Path, records: Iterable[Json]) -> None:
    """Writes a JSONL file whole or not at all."""
    with replaced(path) as file:
        file.writelines(line_of(record).encode() for record in records)


def read_lines(path: Path, kind: type[Line] | None = None, num_ids: int | None = None) -> Iterator[Json]:
    """The records of a JSONL file, each checked as a `kind`; none if there is no such file.

    A last line without its end was torn and is passed over. InputError names file, row and field, for a token
    id of `num_ids` or more too.
    """
    for row, record in _records(path):
        if kind is not None:
            checked(path, row, kind, record, num_ids)
        yield record


def lines(path: Path, kind: type[AnyLine]) -> Iterator[AnyLine]:
    """The same as objects."""
    for row, record in _records(path):
        yield checked(path, row, kind, record)


def _records(path: Path) -> Iterator[tuple[int, Json]]:
    if not path.exists():
        return
    with open_file(path) as file:
        for row, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                record = parse_json(line)
            except JsonError as error:
                raise InputError(
                    f"{path}: row {row}: is not valid JSON ({error}); restore it or start a new run"
                ) from None
            if not isinstance(record, dict):
                raise InputError(
                    f"{path}: row {row}: is not what a run writes; it was damaged since, so restore it"
                )
            yield row, record


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
