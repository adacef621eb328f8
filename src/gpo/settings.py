"""The base of all settings: declared once, read from Python, a YAML file and flags, refused by name.

A class of settings is a frozen pydantic model. Each field is at once an argument in Python, a key of the YAML
file and a flag (`group_size` and `--group-size`); its description is the flag's help. A command's settings
inherit those of the parts that it is made of, and `Settings.part` hands each part its own.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core.core_schema import ValidationInfo

from gpo.files import read_text
from gpo.limits import check_given, check_number, shown
from gpo.types import DataWarning, InputError
from gpo.yaml_text import parse_yaml

MAX_CONFIG_BYTES = 2**20

Pair = Annotated[list[str], Field(min_length=2, max_length=2)]

S = TypeVar("S", bound="Settings")

HadEffect = Callable[[Mapping[str, Any]], bool]
"""Whether a setting, among all those of a run, changed what the run did."""


class Settings(BaseModel):
    """Frozen, and refuses unknown keys; InputError names the first wrong setting and its value."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

    section: ClassVar[str] = ""
    """The heading that `--help` puts these settings under."""
    mode: ClassVar[str] = ""
    """Where a command has settings of several kinds, when these are meant: `with --method`."""
    arguments: ClassVar[tuple[str, ...]] = ()
    """Settings that are arguments on the command line, not flags."""
    renamed: ClassVar[Mapping[str, tuple[str, Mapping[Any, Any]]]] = {}
    """Names of the minor version before: the name today, and values that are spelled differently today."""

    removed: ClassVar[Mapping[str, HadEffect]] = {}
    """Settings that older runs have and this version does not."""

    @classmethod
    def of_older_run(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """What a run of an older version stored, without values that are gone and had no effect."""
        return dict(stored)

    def __init__(self, /, **values: Any) -> None:
        fill(self, with_new_names(type(self), values, {key: key for key in values}), {})

    @field_validator("*", mode="before")
    @classmethod
    def _usable(cls, value: Any, info: ValidationInfo) -> Any:
        key = str(info.field_name)
        check_given(key, value, cls.model_fields[key].annotation)
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _within_bounds(cls, value: Any, info: ValidationInfo) -> Any:
        check_number(str(info.field_name), value)
        return value

    def part(self, cls: type[S], **changes: Any) -> S:
        """The settings of one part, as far as these have them; the others are `changes` or defaults."""
        shared = cls.model_fields.keys() & type(self).model_fields.keys()
        return cls(**{key: getattr(self, key) for key in shared} | changes)

    def changed(self: S, **changes: Any) -> S:
        """A copy with other values, checked as a whole."""
        given = {key: getattr(self, key) for key in type(self).model_fields}
        return type(self)(**given | changes)


@dataclass(frozen=True)
class FirstIn:
    """Marks a setting as one of the dozen that a command's `--help` begins with."""

    commands: tuple[str, ...]

    def __init__(self, *commands: str) -> None:
        object.__setattr__(self, "commands", commands)


T = TypeVar("T")
First = Annotated[T, FirstIn()]
"""A setting that the `--help` of every command with it begins with."""


def is_first(info: FieldInfo, command: str) -> bool:
    """Whether a setting is among those that the `--help` of a command begins with."""
    marks = [one for one in info.metadata if isinstance(one, FirstIn)]
    return any(not one.commands or command in one.commands for one in marks)


class Reading(Settings):
    """What a reader sees of a completion."""

    section = "Model and sampling"

    thinking_marks: list[Pair] = Field(
        [], description="Further marks around thinking, which readers do not see: its opening and its closing"
    )

    @field_validator("thinking_marks")
    @classmethod
    def _two_marks(cls, pairs: list[list[str]]) -> list[list[str]]:
        for opened, closed in pairs:
            if not opened.strip() or not closed.strip() or opened == closed:
                raise ValueError(f"{opened!r} {closed!r} are not two different marks; give a pair of them")
        return pairs


class Success(Settings):
    """What counts as a success."""

    section = "Data and verifier"

    success_at: float = Field(
        1.0, gt=0, le=1, description="Lowest reward that counts as a success; learners use the raw reward"
    )


def fill(settings: Settings, values: Mapping[str, Any], origin: Mapping[str, str]) -> None:
    """Validates `values` into new settings; InputError names the first wrong one as `origin` does."""
    try:
        BaseModel.__init__(settings, **values)
    except ValidationError as error:
        raise InputError(_message(error, type(settings), origin)) from None


def checked(cls: type[S], values: Mapping[str, Any], origin: Mapping[str, str]) -> S:
    """Settings of these values; InputError names the first wrong one as `origin` does."""
    settings = cls.__new__(cls)
    fill(settings, values, origin)
    return settings


def check_stored(cls: type[S], run: Path, stored: Mapping[str, Any]) -> S:
    """The settings in a run's run.json that are of this kind; InputError names file, setting and value."""
    for key, had_effect in cls.removed.items():
        if key in stored and had_effect(stored):
            raise InputError(
                f"{run / 'run.json'}: settings.{key} is {stored[key]!r}, which this version of gpo no "
                "longer has; resume it with the version that began it, or begin a new run with --like "
                f"{run}"
            )
    stored = with_new_names(cls, cls.of_older_run(stored), {})
    origin = {key: f"{run / 'run.json'}: settings.{key}" for key in stored}
    return checked(cls, {key: value for key, value in stored.items() if key in cls.model_fields}, origin)


def origins(config: Path | None, values: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, str]:
    """Where each setting was given, as messages name it: '--group-size', or 'FILE: group_size'."""
    given = {key: flag_of(key, is_off=value is False) for key, value in flags.items()}
    return {key: f"{config}: {key}" for key in values} | given


def with_new_names(
    cls: type[Settings], values: Mapping[str, Any], origin: Mapping[str, str]
) -> dict[str, Any]:
    """The values under the names of today; a DataWarning for each old name that `origin` knows."""
    found = dict(values)
    for old in cls.renamed.keys() & found.keys():
        new, spelled = cls.renamed[old]
        value = found.pop(old)
        found.setdefault(new, spelled.get(value, value) if isinstance(value, str | bool) else value)
        if old in origin:
            text = f"{origin[old]}: is called {new} now; the next minor version refuses the old name"
            warnings.warn(text, DataWarning, stacklevel=2)
    return found


def flag_of(key: str, *, is_off: bool = False) -> str:
    return ("--no-" if is_off else "--") + key.replace("_", "-")


def home_of(cls: type[Settings], key: str) -> type[Settings]:
    """The part that declared a setting first; its section is the setting's heading."""
    parts = [one for one in reversed(cls.__mro__) if issubclass(one, Settings)]
    return next(one for one in parts if key in vars(one).get("__annotations__", {}))


def default_of(info: FieldInfo) -> Any:
    """A setting's default; None where it has to be given."""
    return None if info.is_required() else info.get_default(call_default_factory=True)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a settings file; InputError if it holds anything else."""
    name = f"--config {path}"
    text = read_text(path, name, MAX_CONFIG_BYTES)
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"{name}: cannot be read as YAML ({error}); correct that line") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(
            f"{name}: must hold `key: value` lines, found {type(content).__name__}; one setting per line"
        )
    return content


_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("above", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("below", "lt"),
}


def told(error: Mapping[str, Any]) -> str:
    """What one of pydantic's errors says, as this program words it."""
    if error["type"] in _BOUNDS:
        words, name = _BOUNDS[error["type"]]
        bound = f"{error['ctx'][name]:,}".removesuffix(".0")
        return f"must be {words} {bound}"
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    return message[0].lower() + message[1:]


def _message(error: ValidationError, cls: type[Settings], origin: Mapping[str, str]) -> str:
    first = error.errors()[0]
    if not first["loc"]:
        key, colon, reason = str(first["msg"]).removeprefix("Value error, ").partition(": ")
        return f"{origin.get(key, key)}{colon}{reason}"
    key = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, cls.model_fields, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(cls.model_fields)}"
        return f"{origin.get(key, key)}: unknown setting{hint}"
    if first["type"] == "missing":
        name = key.upper() if key in cls.arguments else flag_of(key)
        return f"{name}: is required; give {_choices(cls, key)}"
    got = "" if key == "server" else f", got {shown(first['input'])}"  # a URL may hold a key
    return f"{origin.get(key, key)}: {told(first)}{got}"


def _choices(cls: type[Settings], key: str) -> str:
    """What a setting may be, or what it is."""
    values = get_args(cls.model_fields[key].annotation)
    return f"one of {', '.join(map(str, values))}" if values else str(cls.model_fields[key].description)
