"""Rows of `gpo pairs` for everybody else's trainer, and for the hub."""

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
    """The rows as `target` reads them, `folder` being where they will lie.

    InputError for what the target has no format for: a kind of rows, weights, an answer without its end.
    """
    formats = TARGETS[target]
    if kind not in formats:
        known = ", ".join(formats)
        raise InputError(f"--rows {kind}: {target} reads no such rows; it reads {known}")
    for number, row in enumerate(rows, start=1):
        if row.get("weight", 1.0) != 1.0:
            raise InputError(
                f"row {number}: weight is {row['weight']:g}, and {target} reads none; build pairs with "
                "--weight none, or train them with gpo train"
            )
        if not row.get("is_ended", True):
            raise InputError(
                f"row {number}: the answer does not end, and {target} would put an end token there; build "
                "pairs with --target full, or train them with gpo train"
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
"""Targets that tokenise a prompt with the tokenizer's own begin token, which it must not have twice."""


def _bare(target: str, row: Json, source: Source) -> Json:
    if target in ADDS_BEGIN and source.begin_text:
        return {**row, "prompt": row["prompt"].removeprefix(source.begin_text)}
    return row


def _ends(row: Json, end: str) -> bool:
    answers = [row[name] for name in ("chosen", "rejected", "completion") if name in row]
    return all(answer.endswith(end) for answer in answers)


def write(files: Mapping[str, Any], folder: Path) -> None:
    """Writes each file by what its name ends with."""
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
