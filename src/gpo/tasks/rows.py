"""Records with the user's own column names -> rows of text -> problems that a model can be asked."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpo.tasks.read import HUB, Record, read_records
from gpo.tasks.row import Row
from gpo.types import Ids, InputError, Problem

ID_COLUMNS = ("id", "unique_id", "question_id")
REFUSED_COLUMNS = {
    **dict.fromkeys(("image", "images", "video", "videos", "audio"), "only text can be asked"),
    **dict.fromkeys(("tools", "tool_calls", "functions"), "tool turns are not supported"),
}


def read_rows(data: str, prompt: str = "question", answer: str = "answer") -> list[Row]:
    """The rows of a .jsonl or .parquet file or 'hub:OWNER/NAME[:CONFIG[:SPLIT]]', in order.

    `prompt` and `answer` name the columns. A prompt is a string, or a list with one user message of
    plain text; an answer is a string or a number. Ids come from a column `id`, `unique_id` or
    `question_id` if it names every row differently, else from the file's name and the row's number.
    Raises InputError, naming file, row, column and value, for anything else; no row is skipped.
    """
    records = read_records(data)
    ids = _ids(data, [record for _, record in records])
    return [
        row_of(id_, where, record, prompt, answer) for id_, (where, record) in zip(ids, records, strict=True)
    ]


def row_of(id_: str, where: str, record: Record, prompt: str, answer: str) -> Row:
    """The row of a record that was read at `where`; InputError as `read_rows`."""
    return Row(
        id=id_,
        question=_prompt(record, prompt, where),
        answer=_answer(record, answer, where),
        columns={key: value for key, value in record.items() if key not in (prompt, answer)},
        source=where,
    )


def problems(
    rows: Iterable[Row],
    prompt_ids: Callable[[str], Ids],
    task: str = "",
    check: Callable[[Problem], None] | None = None,
    prompt: Callable[[Row], str] | None = None,
) -> list[Problem]:
    """Each row as a problem for the model whose chat template `prompt_ids` applies.

    `prompt` says how a row is put, see `gpo.tasks.prompt`; the bare question without it.
    `check` is a verifier's, and raises ValueError for a gold answer that it cannot use. What either
    raises comes out as InputError with the row's place in front.
    """
    made = []
    for row in rows:
        try:
            asked = row.question if prompt is None else prompt(row)
            problem = Problem(row.id, prompt_ids(asked), row.answer, task, row.question, row.columns)
            if check is not None:
                check(problem)
        except ValueError as error:
            raise InputError(f"{row.source or row.id}: {error}") from error
        made.append(problem)
    return made


def _ids(data: str, records: Sequence[Record]) -> list[str]:
    for column in ID_COLUMNS:
        values = [record.get(column) for record in records]
        names = [str(value) for value in values]
        if all(_is_name(value) for value in values) and len(set(names)) == len(names):
            return names
    stem = data.removeprefix(HUB) if data.startswith(HUB) else Path(data).stem
    return [f"{stem}-{number}" for number in range(1, len(records) + 1)]


def _is_name(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool) and str(value).strip() != ""


def _prompt(record: Record, column: str, where: str) -> str:
    _refuse_media_and_tools(record, where)
    value = column_of(record, column, where)
    if isinstance(value, list):
        value = _single_user_turn(value, f"{where}: prompt column '{column}'")
    if not isinstance(value, str):
        raise InputError(f"{where}: prompt '{column}' is {shown(value)}, not text; give a string")
    if not value.strip():
        raise InputError(f"{where}: prompt '{column}' is empty; fill it in or remove the row")
    return value


def _answer(record: Record, column: str, where: str) -> str:
    value = column_of(record, column, where)
    if isinstance(value, float) and math.isfinite(value):
        # Parquet and data frames turn whole numbers into floats; the answer is 18, not 18.0.
        value = int(value) if value.is_integer() else value
    if isinstance(value, int | float) and math.isfinite(value):
        value = str(value)
    if not isinstance(value, str):
        raise InputError(f"{where}: answer '{column}' is {shown(value)}; give a string or a number")
    if not value.strip():
        raise InputError(f"{where}: answer '{column}' is empty; fill it in or remove the row")
    return value


def column_of(record: Mapping[str, Any], column: str, where: str) -> Any:
    """The value in a column; InputError, with the nearest name, if there is none."""
    if column in record:
        return record[column]
    near = difflib.get_close_matches(column, record, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "name the one that holds it"
    raise InputError(f"{where}: has no column '{column}', only {', '.join(record) or 'none'}; {hint}")


def _refuse_media_and_tools(record: Record, where: str) -> None:
    for column, reason in REFUSED_COLUMNS.items():
        if record.get(column) not in (None, "", [], {}):
            raise InputError(f"{where}: has a column '{column}', and {reason}; remove the row or the column")


def _single_user_turn(messages: list[Any], where: str) -> Any:
    if not messages or not all(isinstance(message, Mapping) for message in messages):
        raise InputError(f"{where} is a list, not text or messages with role and content; give a string")
    for message in messages:
        role = message.get("role")
        if message.get("tool_calls") or role == "tool":
            raise InputError(
                f"{where} has a tool turn, and only single-turn text is supported; remove the row"
            )
        if not isinstance(message.get("content"), str):
            raise InputError(f"{where} has a {role} turn whose content is no plain text; remove the row")
        if role == "system":
            raise InputError(f"{where} has a system turn; give the system prompt as a setting of the model")
    if len(messages) > 1 or messages[0].get("role") != "user":
        roles = ", ".join(str(message.get("role")) for message in messages)
        raise InputError(
            f"{where} has the turns {roles}, and only one user turn is supported; remove the row"
        )
    return messages[0]["content"]


def shown(value: Any) -> str:
    """A value in a message, at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
