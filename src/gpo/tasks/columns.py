"""The value in a column that the user named, or one line that says which columns there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from gpo.types import InputError

USUAL = {
    "--prompt-column": (
        "question",
        "problem",
        "prompt",
        "instruction",
        "query",
        "input",
        "conversations.0.value",
    ),
    "--completion-column": ("completion", "response", "trace", "output", "generation", "messages"),
    "--reward-column": ("reward", "score", "correct", "is_correct"),
    "--answer-column": ("answer", "solution", "ground_truth", "final_answer", "target", "gold", "label"),
}
"""How other data sets call these columns."""
NUM_SHOWN = 12
_MISSING = object()


def column_of(record: Mapping[str, Any], column: str, where: str, flag: str = "") -> Any:
    """The value in a column, `a.b` and `a.0` reaching into objects and lists.

    InputError if there is none, with the nearest name; `flag` is the setting that names the column.
    """
    value = record[column] if column in record else _inner(record, column)
    if value is not _MISSING:
        return value
    names = list(_names(record))
    listed = ", ".join(names[:NUM_SHOWN]) + (", ..." if len(names) > NUM_SHOWN else "")
    near = _nearest(column, names, flag)
    if near:
        hint = f"did you mean {flag} {near}?" if flag else f"did you mean '{near}'?"
    else:
        hint = f"name the one that holds it with {flag}" if flag else "name the one that holds it"
    raise InputError(f"{where}: has no column '{column}', only {listed or 'none'}; {hint}")


def without(record: Any, column: str) -> Any:
    """A copy of the record or list without what `column_of` finds; the same if it finds nothing."""
    head, _, rest = column.partition(".")
    if isinstance(record, Mapping):
        if column in record:
            return {name: value for name, value in record.items() if name != column}
        return {**record, head: without(record[head], rest)} if rest and head in record else record
    if isinstance(record, list) and head.isdecimal() and head.isascii() and len(head) < 6:
        place = int(head)
        inner = [without(record[place], rest)] if rest and place < len(record) else []
        return [*record[:place], *inner, *record[place + 1 :]]
    return record


def shown(value: Any) -> str:
    """A value in a message, at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _inner(record: Mapping[str, Any], column: str) -> Any:
    value: Any = record
    for part in column.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and part.isascii() and len(part) < 6:
            value = value[int(part)] if int(part) < len(value) else _MISSING
        else:
            return _MISSING
    return value


def _names(record: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """The columns, and after each the names in an object or in the first object of a list, one level down."""
    for key, value in record.items():
        yield f"{before}{key}"
        first = value[0] if isinstance(value, list) and value else None
        inner, path = (first, f"{key}.0.") if isinstance(first, Mapping) else (value, f"{key}.")
        if not before and isinstance(inner, Mapping):
            yield from _names(inner, path)


def _nearest(column: str, names: list[str], flag: str) -> str | None:
    if near := difflib.get_close_matches(column, names, n=1):
        return near[0]
    usual = USUAL.get(flag, ())
    return next((name for one in usual for name in names if name == one or name.endswith(f".{one}")), None)
