"""Data sets as records with the place each came from: JSON Lines, JSON, Parquet or the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gpo.types import InputError

Record = dict[str, Any]
HUB = "hub:"


def read_records(data: str) -> list[tuple[str, Record]]:
    """[(where, record)] of a data set, `where` being 'FILE row N' (JSON Lines: 'FILE line N'), from 1.

    `data` is a path ending in .jsonl, .parquet or .json (a list, or {"examples": [...]} as BIG-bench has
    it), or 'hub:OWNER/NAME[:CONFIG[:SPLIT]]' (split 'test'
    unless given), which `datasets` downloads. Raises InputError when it is missing, of another
    kind, unreadable, torn, not made of objects, or empty.
    """
    if data.startswith(HUB):
        records = list(_read_hub(data))
    else:
        path = Path(data)
        records = list(_reader(path)(path))
    if not records:
        raise InputError(f"{data}: has no rows; give a data set with at least one")
    return records


def _reader(path: Path) -> Callable[[Path], Iterator[tuple[str, Record]]]:
    readers = {".jsonl": _read_jsonl, ".parquet": _read_parquet, ".json": _read_json}
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give one .jsonl or .parquet file")
    if not path.exists():
        raise InputError(f"{path}: no such file; for a hub dataset write {HUB}OWNER/NAME")
    if path.suffix not in readers:
        raise InputError(f"{path}: cannot read '{path.suffix}' files; convert it to .jsonl or .parquet")
    return readers[path.suffix]


def _read_jsonl(path: Path) -> Iterator[tuple[str, Record]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a readable UTF-8 file") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path} line {number}"
            yield where, _parse(line, where)


def _read_json(path: Path) -> Iterator[tuple[str, Record]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); mend it") from error
    records = content.get("examples") if isinstance(content, dict) else content
    if not isinstance(records, list):
        raise InputError(f"{path}: holds neither a list of rows nor one under 'examples'; write it as .jsonl")
    for number, record in enumerate(records, start=1):
        yield f"{path} row {number}", _object(record, f"{path} row {number}")


def _parse(line: str, where: str) -> Record:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: is no JSON ({error.msg} at column {error.colno}); mend or remove it"
        ) from error
    return _object(record, where)


def _object(record: Any, where: str) -> Record:
    if not isinstance(record, dict):
        raise InputError(f"{where}: is a {type(record).__name__}, not an object with columns; write {{...}}")
    return record


def _read_parquet(path: Path) -> Iterator[tuple[str, Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        records = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: is no readable Parquet file ({_first_line(error)}); write it anew"
        ) from error
    for number, record in enumerate(records, start=1):
        yield f"{path} row {number}", record


def _read_hub(data: str) -> Iterator[tuple[str, Record]]:
    import datasets

    name, _, rest = data.removeprefix(HUB).partition(":")
    config, _, split = rest.partition(":")
    try:
        table = datasets.load_dataset(name, config or None, split=split or "test")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise InputError(
            f"{data}: cannot be loaded ({_first_line(error)}); check name, config and split"
        ) from error
    for number, record in enumerate(table, start=1):
        yield f"{data} row {number}", dict(record)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
