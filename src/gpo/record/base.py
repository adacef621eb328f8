"""What every line of a run's files is: fields with strict types, written and read through one class.

Types are strict, since a run writes them exactly; what else a line holds is of no concern when it is read.
Fields that older versions did not write have a default. nan and infinity are not JSON: a run writes null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from gpo.types import InputError

Json = dict[str, Any]
UNKNOWN = "unknown_id"


def _known(ids: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
    """The ids; the context of the validation is how many the model has, if that is to be checked."""
    if info.context is not None and ids and max(ids) >= info.context:
        raise PydanticCustomError(
            UNKNOWN,
            "has {id}, and the model's ids are 0 to {last}",
            {"id": max(ids), "last": info.context - 1},
        )
    return ids


Count = Annotated[int, Field(ge=0, lt=2**63)]
Id = Annotated[int, Field(ge=0, lt=2**31)]
Rate = Annotated[float, Field(ge=0, le=1)]
AsList = Strict(False)  # JSON knows no tuples; what is in them stays strict
Ids = Annotated[tuple[Id, ...], AsList, AfterValidator(_known)]
SomeIds = Annotated[Ids, Field(min_length=1)]
Counts = Annotated[tuple[Count, ...], AsList]
Numbers = Annotated[tuple[float | None, ...], AsList]
Interval = Annotated[tuple[float, float], AsList]
Intervals = Annotated[tuple[Interval, ...], AsList]
Texts = Annotated[tuple[str, ...], AsList]
Tokens = dict[str, Count]


class Line(BaseModel):
    """One line, or a whole file of JSON; its fields stand in the order in which they are written."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)
    named_by: ClassVar[tuple[str, ...]] = ()
    """Fields that no two lines of a file share; empty where lines have no name."""

    def misfit(self) -> str | None:
        """Which field does not fit the others; None if all do."""
        return None

    @classmethod
    def made(cls, values: Mapping[str, Any]) -> Self:
        """The line to write of these values; nan and infinity become None."""
        if unknown := values.keys() - cls.model_fields.keys():
            raise TypeError(f"{cls.__name__} has no field {min(unknown)}")
        return cls.model_validate(finite(values))

    def record(self) -> Json:
        """The fields that were given, in order, as they stand in the file."""
        return self.model_dump(mode="json", exclude_unset=True)


def finite(content: Any) -> Any:
    """The same content with None for nan and infinity, which JSON does not know."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content


def number(value: float | None) -> float:
    """What null stands for."""
    return math.nan if value is None else value


def sized(line: Line, sizes: Mapping[str, int], why: str) -> str | None:
    """Which of these fields has not as many entries as `why` says that it needs; None if all have."""
    for name, size in sizes.items():
        if (found := len(getattr(line, name))) != size:
            return f"{name}: has {found} entries, and {why.format(size=size)}"
    return None


DAMAGED = "it was damaged since it was written, so restore it from a copy"

AnyLine = TypeVar("AnyLine", bound=Line)


def checked(
    path: Path, row: int | None, cls: type[AnyLine], record: Mapping[str, Any], num_ids: int | None = None
) -> AnyLine:
    """The line; InputError names the file, the row, the first wrong field and its value.

    `num_ids` is how many token ids the model has that they are given to.
    """
    where = str(path) if row is None else f"{path}: row {row}"
    try:
        line = cls.model_validate(record, context=num_ids)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        found = "" if first["type"] in ("missing", UNKNOWN) else f", got {_shown(first['input'])}"
        message = str(first["msg"]).replace("Tuple should", "List should")
        raise InputError(f"{where}: {field}: {message[0].lower()}{message[1:]}{found}; {DAMAGED}") from None
    if wrong := line.misfit():
        raise InputError(f"{where}: {wrong}; {DAMAGED}")
    return line


def _shown(value: Any) -> str:
    if isinstance(value, int) and not -(10**30) < value < 10**30:
        return "a huge number"
    return repr(str(value)[:80])
