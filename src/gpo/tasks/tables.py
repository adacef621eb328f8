"""Records of tables that have types: Parquet files and the hub's data sets, as plain values.

What JSON has stays as it is. Dates become text, decimals keep their digits, bytes become base64, and a
number that was stored in 32 bits is the shortest that it can be: 0.1, not 0.10000000149011612.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gpo.files import Number, open_file
from gpo.types import InputError

Record = dict[str, Any]
HUB = "hub:"
BATCH = 256
"""Rows that are decoded at once."""
_NARROW = {"halffloat": "float16", "float": "float32", "float16": "float16", "float32": "float32"}
"""Types of Arrow and of `datasets`, by NumPy's names."""
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def read_parquet(path: Path) -> Iterator[tuple[str, Record]]:
    """('FILE row N', record) of a Parquet file, decoded in small batches; InputError as `read_records`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    with open_file(path) as file:
        try:
            table = pq.ParquetFile(file, pre_buffer=False)
            names = table.schema_arrow.names
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise InputError(f"{path}: has two columns '{twice}'; rename one of them")
            narrow = narrow_columns(names, table.schema_arrow.types)
            for batch in table.iter_batches(batch_size=BATCH):
                for record in batch.to_pylist():
                    number += 1
                    yield f"{path} row {number}", plain(record, narrow, f"{path} row {number}")
        except InputError:
            raise
        except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
            raise InputError(
                f"{path}: is not a readable Parquet file ({_first_line(error)}); write it again"
            ) from error


def read_hub(data: str) -> Iterator[tuple[str, Record]]:
    """('hub:... row N', record) of a data set on the hub; InputError if it cannot be had."""
    import datasets

    name, _, rest = data.removeprefix(HUB).partition(":")
    config, _, split = rest.partition(":")
    if not _HUB_NAME.fullmatch(name):
        raise InputError(f"{data}: names no dataset; write {HUB}OWNER/NAME[:CONFIG[:SPLIT]]")
    try:
        table = datasets.load_dataset(name, config or None, split=split or "test")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise InputError(
            f"{data}: cannot be loaded ({_first_line(error)}); check name, config and split"
        ) from error
    features = getattr(table, "features", None) or {}
    types = {name: str(getattr(one, "dtype", "")) for name, one in features.items()}
    narrow = {name: kind for name, kind in types.items() if kind in _NARROW}
    for number, record in enumerate(table, start=1):
        yield f"{data} row {number}", plain(record, narrow, f"{data} row {number}")


def narrow_columns(names: Iterable[str], types: Iterable[object]) -> dict[str, str]:
    """The columns of 16- or 32-bit floats among those of an Arrow schema, with their types."""
    return {name: str(kind) for name, kind in zip(names, types, strict=True) if str(kind) in _NARROW}


def plain(record: Record, narrow: Mapping[str, str], where: str) -> Record:
    """The record with values that JSON has; `narrow` says which columns are of 16- or 32-bit floats."""
    found = {}
    for name, value in record.items():
        try:
            found[name] = _narrow(value, narrow[name]) if name in narrow else _plain(value)
        except TypeError as error:
            raise InputError(f"{where}: column '{name}' holds {error}; remove the column") from None
    return found


def _narrow(value: Any, kind: str) -> Any:
    import numpy as np

    return None if value is None else Number(str(getattr(np, _NARROW[kind])(value)))


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case decimal.Decimal():
            return Number(str(value))
        case datetime.date() | datetime.time():  # a datetime is a date
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case bytes():
            return base64.b64encode(value).decode()
        case _ if type(value).__module__ == "numpy" and hasattr(value, "tolist"):  # as Ray hands rows out
            return _plain(value.tolist())
    raise TypeError(f"a {type(value).__name__}, which is neither text, number, list nor object")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
