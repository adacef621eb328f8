"""JSON files and files of JSON lines: read with every fault named, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from gpo.files import JsonError, open_file, parse_json, read_text, replaced, write_whole
from gpo.record.base import AnyLine, Json, Line, checked, finite
from gpo.types import InputError

MAX_BYTES = 1 << 28
"""Largest file that is one JSON object."""


def read_json(path: Path) -> Json:
    """The object in the file; InputError for anything else."""
    try:
        content = parse_json(read_text(path, str(path), MAX_BYTES))
    except JsonError as error:
        raise InputError(f"{path}: is not valid JSON ({error}); restore it or start a new run") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not what a run writes, so it was damaged since; restore it from a copy")
    return content


def read_as(path: Path, kind: type[AnyLine]) -> AnyLine:
    """The object as one of a kind; InputError names the file and the field."""
    return checked(path, None, kind, read_json(path))


def write_json(path: Path, content: Json) -> None:
    """Writes the file whole or not at all."""
    text = json.dumps(finite(content), indent=2, allow_nan=False) + "\n"
    write_whole(path, text)


def write_as(path: Path, line: Line) -> None:
    """Writes the file whole or not at all."""
    write_json(path, line.record())


def write_lines(path: Path, lines: Iterable[Line]) -> None:
    """Writes a JSONL file whole or not at all."""
    with replaced(path) as file:
        file.writelines(line_of(line).encode() for line in lines)


def read_records(path: Path) -> Iterator[Json]:
    """The records of a JSONL file, whatever they are; none if there is no such file.

    A last line without its end was torn and is passed over. InputError names file and row.
    """
    return (record for _, record in _records(path))


def read_lines(path: Path, kind: type[AnyLine], num_ids: int | None = None) -> Iterator[AnyLine]:
    """The same as lines of a kind; InputError names the field too, and a token id of `num_ids` or more.

    A line that stands there twice, as no run writes it, is an InputError: it would count twice.
    """
    rows: dict[tuple[object, ...], int] = {}
    for row, record in _records(path):
        line = checked(path, row, kind, record, num_ids)
        if kind.named_by:
            name = tuple(getattr(line, key) for key in kind.named_by)
            if (first := rows.setdefault(name, row)) != row:
                named = ", ".join(f"{key} {value!r}" for key, value in zip(kind.named_by, name, strict=True))
                raise InputError(f"{path}: row {row}: repeats row {first} ({named}); remove one of them")
        yield line


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


def line_of(line: Line) -> str:
    return json.dumps(line.record(), allow_nan=False) + "\n"
