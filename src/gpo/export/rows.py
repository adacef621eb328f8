"""What every format is made of: the rows' source, the files of an export, and rows in other columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

KINDS = ("pairs", "unpaired", "steps", "sft")


@dataclass(frozen=True)
class Source:
    """Where rows come from, for what depends on it."""

    model: str
    settings: Mapping[str, Any]
    """Settings of the run that built them and of the search before it."""
    summary: Mapping[str, Any]
    begin_text: str = ""
    """What the tokenizer puts before any text by itself and every prompt begins with already."""
    end_text: str = ""
    """Its end token: what targets add to an answer that does not end with it."""
    verifier: str = ""
    held_out: str | None = None
    """What the rows are if they are for testing."""


@dataclass(frozen=True)
class Export:
    """Files by name, and what its user types next."""

    files: dict[str, Any]
    """.jsonl and .parquet: rows; .json: any content; others: text."""
    command: str
    notes: tuple[str, ...] = ()


Format = Callable[[Sequence[Json], Source, str], Export]
"""Rows, their source and the folder they will lie in, to files and the next command."""


def columns(rows: Sequence[Json], *names: str, **renamed: str) -> list[Json]:
    """The named columns of the rows, and others under new names."""
    return [
        {**{name: row[name] for name in names}, **{new: row[old] for new, old in renamed.items()}}
        for row in rows
    ]


def steps(rows: Sequence[Json]) -> list[Json]:
    """Steps without the line end that closes them, which the targets put between steps."""
    return [
        {
            "prompt": row["prompt"],
            "completions": [step.removesuffix("\n") for step in row["completions"]],
            "labels": row["labels"],
            "values": row["values"],
        }
        for row in rows
    ]


def messages(prompt: str, answer: str) -> list[Json]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
