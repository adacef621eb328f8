"""Lines of a run as objects, read when asked for, and as data frames of the library that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from gpo.types import InputError

T = TypeVar("T")
Cells = Mapping[str, Any]
"""A row of a data frame, by its columns."""

LIBRARIES = ("pandas", "polars")
"""In the order in which they are looked for."""


class Table(Generic[T]):
    """A run's lines of one kind, in the order of the file.

    Each loop reads the file anew, line by line: it may be longer than memory, and grow while the run works.
    A loop raises InputError, naming file, row and field, for a line that was damaged.
    """

    def __init__(self, name: str, read: Callable[[], Iterator[T]], cells: Callable[[T], Cells]) -> None:
        self._name, self._read, self._cells = name, read, cells

    def __iter__(self) -> Iterator[T]:
        return self._read()

    def __repr__(self) -> str:
        return f"<{self._name}: loop over them, or call to_frame()>"

    def to_frame(self) -> Any:
        """All lines as a pandas or else polars DataFrame, a row each; InputError if neither is installed."""
        return frame(map(self._cells, self))


def frame(rows: Iterable[Cells]) -> Any:
    """The rows as a DataFrame of pandas or else polars; InputError if neither is installed."""
    for name in LIBRARIES:
        try:
            library = import_module(name)
        except ImportError:
            continue
        more = {"infer_schema_length": None} if name == "polars" else {}
        return library.DataFrame(list(map(dict, rows)), **more)
    raise InputError("to_frame: needs pandas or polars; pip install pandas")
