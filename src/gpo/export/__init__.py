"""Rows of `gpo pairs` for other trainers and for the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpo.export.formats import TARGETS
from gpo.export.rows import KINDS, Export, Json, Source
from gpo.files import replaced, write_whole
from gpo.types import InputError

__all__ = ["KINDS", "TARGETS", "Export", "Source", "export", "write"]


def export(target: str, kind: str, rows: Sequence[Json], source: Source, folder: str) -> Export:
    """The rows in the format of `target`, for files in `folder`.

    InputError for what the format cannot hold: a kind of rows, weights, an answer without its end token.
    """
    formats = TARGETS[target]
    if kind not in formats:
        known = ", ".join(formats)
        raise InputError(f"--rows {kind}: {target} cannot read these rows; it reads {known}")
    for number, row in enumerate(rows, start=1):
        if row.get("weight", 1.0) != 1.0:
            raise InputError(
                f"row {number}: weight is {row['weight']:g}, but {target} ignores weights; build pairs "
                "with --weight none, or train with gpo train"
            )
        if not row.get("is_ended", True):
            raise InputError(
                f"row {number}: the answer has no end token, and {target} would add one; build pairs with "
                "--target full, or train with gpo train"
            )
    made = formats[kind]([_bare(target, row, source) for row in rows], source, folder)
    inexact = sum(not row.get("is_exact_text", True) for row in rows)
    notes = [*made.notes]
    if inexact:
        notes.append(f"{inexact} of {len(rows)} rows do not re-tokenise to the sampled ids")
    if other := sum(not _ends(row, source.end_text) for row in rows):
        notes.append(f"{other} of {len(rows)} rows do not end with {source.end_text!r}, which is added")
    return Export(made.files, made.command, tuple(notes))


ADDS_BEGIN = ("trl", "axolotl", "ms-swift")
"""Targets that add the tokenizer's own begin token, which a prompt must not have twice."""


def _bare(target: str, row: Json, source: Source) -> Json:
    if target in ADDS_BEGIN and source.begin_text:
        return {**row, "prompt": row["prompt"].removeprefix(source.begin_text)}
    return row


def _ends(row: Json, end: str) -> bool:
    answers = [row[name] for name in ("chosen", "rejected", "completion") if name in row]
    return all(answer.endswith(end) for answer in answers)


def write(files: Mapping[str, Any], folder: Path) -> None:
    """Writes each file in the format of its suffix."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            with replaced(path) as file:
                pq.write_table(pa.Table.from_pylist(list(content)), file)
        elif name.endswith(".jsonl"):
            write_whole(path, "".join(json.dumps(row) + "\n" for row in content))
        elif name.endswith(".json"):
            write_whole(path, json.dumps(content, indent=2) + "\n")
        else:
            write_whole(path, content)
