"""The lines of a run's files, checked field by field before anything is drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from gpo.types import InputError


class Line(BaseModel):
    """Whatever else a line holds is of no concern here; nan and infinity are not JSON."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Critical(Line):
    """The named step of a trajectory."""

    index: int
    advantage: float | None
    interval: tuple[float, float]
    probability: float
    credibility: float
    rule: str


class CurveLine(Line):
    """A located trajectory. What older versions did not write has a default."""

    round: int = 0
    problem: str
    question: str = ""
    answer: str
    given: str = ""
    completion_ids: tuple[int, ...]
    reward: float
    finished: bool
    steps: tuple[str, ...]
    bounds: tuple[int, ...]
    successes: tuple[int, ...]
    trials: tuple[int, ...]
    values: tuple[float | None, ...]
    advantages: tuple[float | None, ...]
    intervals: tuple[tuple[float, float], ...]
    value_intervals: tuple[tuple[float, float], ...] = ()
    probabilities: tuple[float | None, ...] = ()
    tokens: int = 0
    critical: Critical | None

    @property
    def num_steps(self) -> int:
        return len(self.steps)


class Evaluation(Line):
    """A held-out success rate."""

    accuracy: float
    stderr: float | None
    problems: int = 0


class ProblemLine(Line):
    """A finished problem of `gpo sample` or `gpo locate`."""

    tokens: Mapping[str, int]
    rates: tuple[float | None, ...]
    no_signal: int = 0
    timeouts: int = 0
    unjudged: Mapping[str, int] | None = None


class RoundLine(Line):
    """A round of training, or all finished problems of `gpo locate`."""

    round: int
    tokens: Mapping[str, int]
    metrics: Mapping[str, float | None] = {}
    evaluation: Evaluation | None = None
    rates: tuple[float | None, ...] = ()
    no_signal: int | None = None
    unjudged: Mapping[str, int] = {}


class RolloutLine(Line):
    """A rollout, as far as it is shown."""

    round: int = 0
    purpose: str = ""
    problem: str
    prefix_ids: tuple[int, ...]
    action_ids: tuple[int, ...]
    text: str
    finished: bool
    reward: float

    @field_validator("reward")
    @classmethod
    def _is_rate(cls, reward: float) -> float:
        if not 0 <= reward <= 1:
            raise ValueError("a reward lies between 0 and 1")
        return reward


AnyLine = TypeVar("AnyLine", bound=Line)


def checked(path: Path, row: int, cls: type[AnyLine], record: Mapping[str, Any]) -> AnyLine:
    """The line; InputError names the file, the row, the first wrong field and its value."""
    try:
        line = cls.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        found = "" if first["type"] == "missing" else f", got {str(first['input'])[:80]!r}"
        message = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(f"{path}: row {row}: {field}: {message[0].lower()}{message[1:]}{found}") from None
    if isinstance(line, CurveLine) and (wrong := _misfit(line)):
        raise InputError(
            f"{path}: row {row}: {wrong}; it was damaged since it was written, so take the row out"
        )
    return line


def _misfit(line: CurveLine) -> str | None:
    """Which field of a trajectory does not fit the others; None if all do."""
    num = line.num_steps
    if num == 0:
        return "steps: is empty"
    sizes = {"bounds": num + 1, "successes": num + 1, "trials": num + 1, "values": num + 1}
    sizes |= {"advantages": num, "intervals": num}
    sizes |= {"value_intervals": num + 1} if line.value_intervals else {}
    sizes |= {"probabilities": num} if line.probabilities else {}
    for field, size in sizes.items():
        if (found := len(getattr(line, field))) != size:
            return f"{field}: has {found} entries, and {num} steps need {size}"
    for i, (wins, trials) in enumerate(zip(line.successes, line.trials, strict=True)):
        if not 0 <= wins <= trials:
            return f"successes.{i}: {wins} is not between 0 and the {trials} trials"
    if list(line.bounds) != sorted(set(line.bounds)) or line.bounds[0] < 0:
        return f"bounds: do not increase: {line.bounds[:8]}"
    if line.bounds[-1] > len(line.completion_ids):
        return f"bounds: end at {line.bounds[-1]}, behind the {len(line.completion_ids)} completion_ids"
    if line.critical and not 0 <= line.critical.index < num:
        return f"critical.index: {line.critical.index} is not one of the {num} steps"
    return None
