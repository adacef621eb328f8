"""Records with the user's own column names -> rows of text -> problems that a model can be asked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from gpo.files import Number
from gpo.tasks.columns import column_of, shown
from gpo.tasks.read import read_records
from gpo.tasks.row import Row
from gpo.tasks.tables import HUB, Record
from gpo.types import Ids, InputError, Problem

ID_COLUMNS = ("id", "unique_id", "question_id")
ANSWER = "answer"
"""The usual name of the column with the known answer."""
REFUSED_COLUMNS = {
    **dict.fromkeys(("image", "images", "video", "videos", "audio"), "only text is supported"),
    **dict.fromkeys(("tools", "tool_calls", "functions"), "tool turns are not supported"),
}
MAX_PROMPT_CHARS = 4_000_000
MAX_ANSWER_CHARS = 100_000
MAX_ID_CHARS = 1000
MAX_EXPONENT = 400
"""Largest exponent of a number that is written out; a double has at most 308."""
_SHAREGPT = {"human": "user", "gpt": "assistant"}
_WRITTEN_TURNS = re.compile(r"""\s*\[\s*\{\s*["'](role|from|content|value)["']\s*:""")


def read_rows(
    data: str,
    prompt: str = "question",
    answer: str = "answer",
    *,
    limit: int | None = None,
    needs_answers: bool = True,
) -> list[Row]:
    """The rows, or the first `limit`, of a .jsonl or .parquet file or 'hub:OWNER/NAME[:CONFIG[:SPLIT]]'.

    `prompt` and `answer` name the columns; `a.b` is what the object in column `a` holds under `b`, and `a.0`
    the first of a list. A prompt is a string, or a list with one user message of plain text; an answer is a
    string or a number. Ids come from a column `id`, `unique_id` or `question_id` if it names every row
    differently, else from the file's name and the row's number. Unless it `needs_answers`, a row may have
    none, and then has the answer "". Raises InputError, naming file, row, column and value, for anything
    else; no row is skipped.
    """
    records = read_records(data, limit)
    ids = _ids(data, [record for _, record in records])
    return [
        row_of(id_, where, record, prompt, answer, needs_answer=needs_answers)
        for id_, (where, record) in zip(ids, records, strict=True)
    ]


def row_of(
    id_: str, where: str, record: Record, prompt: str, answer: str, *, needs_answer: bool = True
) -> Row:
    """The row of a record that was read at `where`; InputError as `read_rows`."""
    is_answered = needs_answer or not _is_open(record, answer, where)
    return Row(
        id=id_,
        question=_prompt(record, prompt, where),
        answer=answer_of(record, answer, where) if is_answered else "",
        columns={key: value for key, value in record.items() if key not in (prompt, answer)},
        named={key: column_of(record, key, where) for key in (prompt, answer)[: 1 + is_answered]},
        source=where,
    )


def _is_open(record: Record, answer: str, where: str) -> bool:
    """Whether the row has no answer: the usual column may be missing, one that the user named may not."""
    if answer == ANSWER and answer not in record:
        return True
    return column_of(record, answer, where, "--answer-column") in (None, "")


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
            _check_length("prompt", asked, MAX_PROMPT_CHARS)
            columns = {**row.named, **row.columns}
            problem = Problem(row.id, prompt_ids(asked), row.answer, task, row.question, columns, row.source)
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
            if longest := next((name for name in names if len(name) > MAX_ID_CHARS), None):
                raise InputError(
                    f"{data}: column '{column}' has an id of {len(longest):,} characters, {shown(longest)}; "
                    f"give ids of at most {MAX_ID_CHARS:,}"
                )
            return names
    stem = data.removeprefix(HUB) if data.startswith(HUB) else Path(data).stem
    return [f"{stem}-{number}" for number in range(1, len(records) + 1)]


def _is_name(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool) and str(value).strip() != ""


def _prompt(record: Record, column: str, where: str) -> str:
    _refuse_media_and_tools(record, where)
    value = column_of(record, column, where, "--prompt-column")
    if isinstance(value, list):
        value = _single_user_turn(value, column, f"{where}: prompt column '{column}'")
    if not isinstance(value, str):
        raise InputError(f"{where}: prompt '{column}' is {shown(value)}, not text; give a string")
    if not value.strip():
        raise InputError(f"{where}: prompt '{column}' is empty; fill it in or remove the row")
    if _WRITTEN_TURNS.match(value):
        raise InputError(
            f"{where}: prompt '{column}' is a conversation as text, {shown(value)}; store it as a list"
        )
    return value


def answer_of(record: Record, column: str, where: str) -> str:
    """The known answer of a row, as text; InputError, which names the row by `where`, if it is none."""
    value = column_of(record, column, where, "--answer-column")
    if isinstance(value, bool):
        raise InputError(
            f"{where}: answer '{column}' is {str(value).lower()}; write the text that a model should answer, "
            'such as "True" or "yes"'
        )
    if isinstance(value, int | float) and math.isfinite(value):
        value = _written_out(value, column, where)
    if not isinstance(value, str):
        raise InputError(f"{where}: answer '{column}' is {shown(value)}; give a string or a number")
    if not value.strip():
        raise InputError(f"{where}: answer '{column}' is empty; fill it in or remove the row")
    try:
        _check_length(f"answer '{column}'", value, MAX_ANSWER_CHARS)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None
    return value


def _written_out(value: float, column: str, where: str) -> str:
    """A number without an exponent, with every digit that it was given: 1e-7 is 0.0000001, and 18.0 is 18.

    Parquet and data frames turn whole numbers into floats, so a fraction of zeros is left out.
    """
    number = Decimal(value.literal if isinstance(value, Number) else repr(value))
    if number and abs(number.adjusted()) > MAX_EXPONENT:
        raise InputError(f"{where}: answer '{column}' is {shown(number)}; give it as text")
    text = f"{number if number else Decimal(0):f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text


def _check_length(what: str, text: str, most: int) -> None:
    if len(text) > most:
        raise ValueError(
            f"{what} has {len(text):,} characters and may have {most:,}; shorten or remove the row"
        )


def _refuse_media_and_tools(record: Record, where: str) -> None:
    for column, reason in REFUSED_COLUMNS.items():
        if record.get(column) not in (None, "", [], {}):
            raise InputError(f"{where}: has a column '{column}', and {reason}; remove the row or the column")


def _single_user_turn(messages: list[Any], column: str, where: str) -> Any:
    """The text of the only turn; turns are {role, content}, or {from, value} as ShareGPT has them."""
    if not messages or not all(isinstance(message, Mapping) for message in messages):
        raise InputError(f"{where} is a list, not text or messages with role and content; give a string")
    turns = [_turn(message) for message in messages]
    for message, (role, content) in zip(messages, turns, strict=True):
        if message.get("tool_calls") or role in ("tool", "function", "observation"):
            raise InputError(
                f"{where} has a tool turn, and only single-turn text is supported; remove the row"
            )
        if not isinstance(content, str):
            raise InputError(f"{where} has a {role} turn whose content is not plain text; remove the row")
        if role == "system":
            raise InputError(
                f"{where} has a system turn; leave it out and give --system-prompt, which all rows share"
            )
    if len(turns) > 1 or turns[0][0] != "user":
        roles = ", ".join(str(role) for role, _ in turns)
        key = "content" if "content" in messages[0] else "value"
        advice = (
            f"name the question alone, as in {column}.0.{key}" if turns[0][0] == "user" else "remove the row"
        )
        raise InputError(f"{where} has the turns {roles}, and only one user turn is supported; {advice}")
    return turns[0][1]


def _turn(message: Mapping[str, Any]) -> tuple[Any, Any]:
    """(role, content) of a message in either spelling."""
    if "role" in message or "from" not in message:
        return message.get("role"), message.get("content")
    role = str(message["from"])
    return _SHAREGPT.get(role, role), message.get("value")
