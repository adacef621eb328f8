"""Data sets as records with the place each came from: JSON Lines, JSON, Parquet or the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from gpo.files import JsonError, check_path, open_file, parse_json, read_text
from gpo.tasks.tables import HUB, Record, read_hub, read_parquet
from gpo.types import InputError

RAY = "ray:"
MAX_ROW_BYTES = 16 * 2**20
"""Longest line: no prompt is that long, and a file without line ends must not fill the memory."""
MAX_JSON_BYTES = 256 * 2**20
"""Largest .json file, which can only be read whole."""
_TO_JSONL = "pandas.read_{kind}('FILE').to_json('FILE.jsonl', orient='records', lines=True)"
_CONVERSIONS = {
    ".csv": _TO_JSONL.format(kind="csv"),
    ".tsv": "pandas.read_csv('FILE', sep='\\t').to_json('FILE.jsonl', orient='records', lines=True)",
    ".xlsx": _TO_JSONL.format(kind="excel"),
    ".xls": _TO_JSONL.format(kind="excel"),
    ".arrow": "datasets.Dataset.from_file('FILE').to_parquet('FILE.parquet')",
    ".feather": _TO_JSONL.format(kind="feather"),
}
_STARTS = {
    b"\x1f\x8b": "is compressed with gzip; unpack it first with gunzip -k",
    b"\xfd7zXZ\x00": "is compressed with xz; unpack it first with xz -dk",
    b"BZh": "is compressed with bzip2; unpack it first with bzip2 -dk",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd; unpack it first with zstd -d",
    b"PK\x03\x04": "is a zip archive, as an .xlsx file is too; unpack it and give .jsonl or .parquet",
    b"PAR1": "is a Parquet file; name it .parquet",
    b"ARROW1": f"is an Arrow file; convert it: {_CONVERSIONS['.arrow']}",
    b"\xff\xff\xff\xff": f"is an Arrow stream; convert it: {_CONVERSIONS['.arrow']}",
    b"SQLite format 3": "is a database; export its table as .jsonl",
    b"version https://git-lfs": "is a Git LFS pointer, not the data; fetch them with git lfs pull",
    b"\xff\xfe": "is UTF-16; save it as UTF-8",
    b"\xfe\xff": "is UTF-16; save it as UTF-8",
    b"<": "is HTML or XML, such as an error page that was downloaded; give the data themselves",
}
"""How files of other kinds begin, whatever they are called."""


def read_records(data: str, limit: int | None = None) -> list[tuple[str, Record]]:
    """[(where, record)] of a data set, `where` being 'FILE row N' (JSON Lines: 'FILE line N'), from 1.

    `data` is a path ending in .jsonl, .parquet or .json (a list, or {"examples": [...]} as BIG-bench has
    it), or 'hub:OWNER/NAME[:CONFIG[:SPLIT]]' (split 'test' unless given), which `datasets` downloads. With
    `limit`, no more than that many rows are read, and no faults behind them are seen. Raises InputError when
    it is missing, of another kind, no ordinary file, unreadable, torn, not made of objects, or empty.
    """
    if data.startswith(HUB):
        found = read_hub(data)
    elif data.startswith(RAY):
        raise InputError(f"{data}: only sample, locate and eval read it; give a file or {HUB}OWNER/NAME")
    else:
        found = _reader(data)(Path(data))
    records = list(islice(found, limit))
    if not records:
        raise InputError(f"{data}: has no rows; give a data set with at least one")
    return records


def _reader(data: str) -> Callable[[Path], Iterator[tuple[str, Record]]]:
    """The function for a file's kind, after a look at how it begins."""
    readers = {".jsonl": _read_jsonl, ".ndjson": _read_jsonl, ".json": _read_json, ".parquet": read_parquet}
    check_path(data, "data")
    path = Path(data)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; {_of_folder(path)}")
    head, suffix = _head(path), path.suffix.lower()
    if suffix in _CONVERSIONS:
        raise InputError(f"{path}: cannot read '{path.suffix}' files; convert it: {_CONVERSIONS[suffix]}")
    what = next((what for start, what in _STARTS.items() if head.startswith(start)), None)
    if what and not (suffix == ".parquet" and head.startswith(b"PAR1")):
        raise InputError(f"{path}: {what}")
    if suffix not in readers:
        raise InputError(f"{path}: cannot read '{path.suffix}' files; convert it to .jsonl or .parquet")
    if suffix != ".parquet" and b"\0" in head:
        raise InputError(f"{path}: holds NUL bytes, so it is not UTF-8 text; save it as UTF-8")
    return readers[suffix]


def _head(path: Path) -> bytes:
    """How the file begins, without leading white space."""
    try:
        with open_file(path) as file:
            return file.read(64).lstrip()
    except InputError as error:
        if "no such file" in str(error):
            raise InputError(f"{path}: no such file; for a hub dataset write {HUB}OWNER/NAME") from None
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a readable file") from None


def _of_folder(path: Path) -> str:
    if (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file():
        return "convert it: datasets.load_from_disk('FOLDER').to_parquet('FILE.parquet')"
    return "give one .jsonl or .parquet file"


def _read_jsonl(path: Path) -> Iterator[tuple[str, Record]]:
    is_first = True
    with open_file(path) as file:
        for number, line in enumerate(_lines(path, file), start=1):
            if stripped := line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").strip():
                yield f"{path} line {number}", _parsed(stripped, f"{path} line {number}", is_first)
                is_first = False


def _lines(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    number = 1
    try:
        while line := file.readline(MAX_ROW_BYTES + 1):
            if len(line) > MAX_ROW_BYTES:
                raise InputError(
                    f"{path} line {number}: is longer than {MAX_ROW_BYTES:,} bytes; remove or shorten the row"
                )
            yield line
            number += 1
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a readable file") from None


def _parsed(line: bytes, where: str, is_first: bool) -> Record:
    if is_first and line.startswith(b"["):
        raise InputError(f"{where}: begins a JSON list; name the file .json, or write one object per line")
    if line == b"{":
        raise InputError(f"{where}: is the start of an object over several lines; write one object per line")
    try:
        record = parse_json(line, is_data=True)
    except JsonError as error:
        raise InputError(f"{where}: is not JSON ({error}); correct or remove the row") from None
    return _object(record, where)


def _read_json(path: Path) -> Iterator[tuple[str, Record]]:
    text = read_text(path, str(path), MAX_JSON_BYTES)
    try:
        content = parse_json(text, is_data=True)
    except JsonError as error:
        is_lines = "more text after the value" in str(error)
        advice = "name it .jsonl if each line is a row" if is_lines else "correct the file"
        raise InputError(f"{path}: cannot be read as JSON ({error}); {advice}") from None
    records = content.get("examples") if isinstance(content, dict) else content
    if not isinstance(records, list):
        raise InputError(f"{path}: holds neither a list of rows nor one under 'examples'; write it as .jsonl")
    for number, record in enumerate(records, start=1):
        yield f"{path} row {number}", _object(record, f"{path} row {number}")


def _object(record: Any, where: str) -> Record:
    if not isinstance(record, dict):
        raise InputError(f"{where}: is a {type(record).__name__}, not an object with columns; write {{...}}")
    return record
