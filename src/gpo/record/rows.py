"""Which rows a run is made of, by their content: a resume with others would mix two data sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

from gpo.record.base import Json, Line
from gpo.record.files import read_lines
from gpo.record.run_json import RunFile
from gpo.seeds import json_digest
from gpo.types import InputError, Problem, TrainedRows

PARTS = {"id": "id", "prompt": "prompt", "answer": "answer", "columns": "other columns"}
"""What of a row is compared, and how it is called."""

TELLING = ("prompt", "answer", "other columns", "id")
"""What of it is named first: an id may stand for the content, and the columns hold the answer too."""


class RowLine(Line):
    """A line of rows.jsonl: a row that the run is made of, by digests of what a model or verifier may see."""

    use: str
    id: str
    prompt: str
    answer: str
    columns: str

    @classmethod
    def of(cls, problem: Problem, use: str = "sampled") -> Self:
        prompt = json_digest([problem.question, problem.prompt_ids])
        answer, columns = json_digest(problem.answer), json_digest(problem.columns)
        return cls(use=use, id=problem.id, prompt=prompt, answer=answer, columns=columns)


def row_lines(problems: Iterable[Problem], use: str = "sampled") -> list[RowLine]:
    """The line of each problem."""
    return [RowLine.of(problem, use) for problem in problems]


def trained_lines(rows: TrainedRows) -> list[RowLine]:
    """The same for rows that are trained as they are; they have numbers and no ids."""
    contents: list[Json] = [asdict(row) for row in rows]
    return [
        RowLine(use="trained", id=str(number), prompt=json_digest(row), answer="", columns="")
        for number, row in enumerate(contents, start=1)
    ]


def rows_digest(rows: Sequence[RowLine]) -> Json:
    """What run.json says of the rows."""
    return {"num": len(rows), "digest": json_digest([row.record() for row in rows])}


TOLD = "give the data that the run began with, or start a new run"


def check_rows(path: Path, run: RunFile, now: Sequence[RowLine]) -> None:
    """InputError if the rows are not those that the run at `path` began with, as its run.json says.

    It names the first row that is not what it was, or says that there are more or fewer.
    """
    if run.rows in (None, rows_digest(now)):
        return
    stored = list(read_lines(path / "rows.jsonl", RowLine))
    check_begun_rows(path, stored, now)
    if len(now) != len(stored):
        raise InputError(
            f"--resume {path}: the data has {len(now)} rows now, and had {len(stored)} when the run began; "
            f"{TOLD}"
        )
    raise InputError(
        f"--resume {path}: the data has changed since the run began, and rows.jsonl, which says "
        "where, is not what the run wrote; start a new run"
    )


def check_begun_rows(run: Path, stored: Sequence[RowLine], now: Sequence[RowLine], first: int = 1) -> None:
    """InputError that names the first row that is another, as far as both go; the first is row `first`."""
    for number, (old, new) in enumerate(zip(stored, now, strict=False), start=first):
        parts = [name for key, name in PARTS.items() if getattr(old, key) != getattr(new, key)]
        if old.use != new.use or parts:
            where = f"row {number} of the {new.use} rows ({new.id})"
            was = f", which was {old.id}" if old.id != new.id else ""
            what = next((name for name in TELLING if name in parts), "use")
            raise InputError(f"--resume {run}: the data has changed: {where}{was} has another {what}; {TOLD}")
