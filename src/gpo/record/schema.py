"""The lines of a run's files, a class for each kind, by which all that is read of a run is checked.

Types are strict, since a run writes them exactly; what else a line holds is of no concern. Fields that older
versions did not write have a default. nan and infinity are not JSON: a run writes null for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from gpo.types import InputError

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
Tokens = dict[str, Count]
MAX_WEIGHT = 1e6
"""Of a pair; beyond it a batch's loss is that of one pair, and float32 has no room for its square."""


class Line(BaseModel):
    """One line, or a whole file of JSON."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    def misfit(self) -> str | None:
        """Which field does not fit the others; None if all do."""
        return None


class RunFile(Line):
    """run.json."""

    command: str
    settings: dict[str, Any]
    format: int = 1
    versions: dict[str, str] = {}
    fingerprint: dict[str, Any] | None = None
    has_rounds: bool | None = None
    rows: dict[str, Count | str] | None = None


class ShownSettings(Line):
    """The settings that are looked at when a run is shown."""

    task: str | None = None
    data: str | None = None
    rounds: Count | None = None
    limit: Count | None = None
    search: str | None = None
    rule: str | None = None
    success_at: Rate = 1.0


class ShownRun(Line):
    """run.json, as far as it is shown."""

    settings: ShownSettings


class Critical(Line):
    """The named step of a trajectory."""

    index: Count
    advantage: float | None
    interval: Interval
    probability: float
    credibility: float
    rule: str


class CurveLine(Line):
    """A located trajectory."""

    round: Count = 0
    place: Count = 0
    index: Count = 0
    problem: str
    question: str = ""
    answer: str
    given: str = ""
    completion_ids: Ids
    reward: Rate
    finished: bool
    steps: Annotated[tuple[str, ...], AsList]
    bounds: Counts
    successes: Counts
    trials: Counts
    values: Numbers
    advantages: Numbers
    intervals: Intervals
    value_intervals: Intervals = ()
    probabilities: Numbers = ()
    tokens: Count = 0
    critical: Critical | None

    @property
    def num_steps(self) -> int:
        return len(self.steps)

    def misfit(self) -> str | None:
        num = self.num_steps
        if num == 0:
            return "steps: is empty"
        sizes = {"bounds": num + 1, "successes": num + 1, "trials": num + 1, "values": num + 1}
        sizes |= {"advantages": num, "intervals": num}
        sizes |= {"value_intervals": num + 1} if self.value_intervals else {}
        sizes |= {"probabilities": num} if self.probabilities else {}
        for field, size in sizes.items():
            if (found := len(getattr(self, field))) != size:
                return f"{field}: has {found} entries, and {num} steps need {size}"
        for i, (wins, trials) in enumerate(zip(self.successes, self.trials, strict=True)):
            if wins > trials:
                return f"successes.{i}: {wins} is not between 0 and the {trials} trials"
        if list(self.bounds) != sorted(set(self.bounds)):
            return f"bounds: do not increase: {self.bounds[:8]}"
        if self.bounds[-1] > len(self.completion_ids):
            return f"bounds: end at {self.bounds[-1]}, behind the {len(self.completion_ids)} completion_ids"
        if self.critical and not 0 <= self.critical.index < num:
            return f"critical.index: {self.critical.index} is not one of the {num} steps"
        return None


class LocatedLine(CurveLine):
    """A located trajectory that pairs are made of, or that a resumed search goes on from."""

    round: Count
    prompt_ids: Ids


class SearchedLine(LocatedLine):
    """What `gpo locate` itself reads again: where the search began."""

    place: Count
    index: Count
    proposal: Numbers | None

    def misfit(self) -> str | None:
        num = self.num_steps
        if self.proposal and len(self.proposal) != num:
            return f"proposal: has {len(self.proposal)} entries, and there are {num} steps"
        return super().misfit()


class Evaluation(Line):
    """A held-out success rate."""

    accuracy: Rate
    stderr: float | None
    problems: Count = 0


class ProblemLine(Line):
    """A finished problem of `gpo sample` or `gpo locate`."""

    problem: str
    place: Count
    tokens: Tokens
    rates: Annotated[tuple[Rate | None, ...], AsList]
    no_signal: Count = 0
    timeouts: Count = 0
    unjudged: Tokens | None = None


class FinishedLine(ProblemLine):
    """The same, as a resume counts on it."""

    rates: Annotated[tuple[Rate, ...], AsList]
    no_signal: Count
    rollouts: Count
    truncated: Count
    timeouts: Count


class RoundLine(Line):
    """A round of training or evaluation, or all finished problems of `gpo locate`."""

    round: Count
    tokens: Tokens
    metrics: dict[str, float | None] = {}
    evaluation: Evaluation | None = None
    rates: Annotated[tuple[Rate | None, ...], AsList] = ()
    no_signal: Count | None = None
    unjudged: Tokens = {}


class Sizes(Line):
    """Bytes of the other files when the round was complete."""

    rollouts: Count
    curves: Count


class CommittedLine(RoundLine):
    """A round, and what it commits."""

    sizes: Sizes


class TrainedLine(CommittedLine):
    """A round of `gpo train`."""

    metrics: dict[str, float | None]
    samples: Count = 0
    left_out: dict[str, Count] = {}
    prior: dict[str, Any] | None = None

    def misfit(self) -> str | None:
        for name in ("evaluation", "prior"):
            if name in self.model_fields_set and getattr(self, name) is None:
                return f"{name}: is null"
        if "time/round_s" in self.metrics and (missing := set(TIMES) - self.metrics.keys()):
            return f"metrics.{min(missing)}: field required"
        for name in (*SUMMED, *TIMES):
            if name in self.metrics and self.metrics[name] is None:
                return f"metrics.{name}: is null"
        return None


TIMES = ("time/round_s", "time/sample_s", "time/verify_s", "time/train_s")
SUMMED = ("train/rows", "train/updates", "verify/timeouts")
"""Metrics that are never nan; the times are there together."""


class OutcomeLine(Line):
    """What the samples of one problem came to."""

    problem: str
    subject: str
    successes: Annotated[tuple[bool | float, ...], AsList]
    finished: Annotated[tuple[bool, ...], AsList]
    answers: Annotated[tuple[str | None, ...], AsList] | None

    def misfit(self) -> str | None:
        num = len(self.successes)
        for name in ("finished", "answers"):
            if (some := getattr(self, name)) is not None and len(some) != num:
                return f"{name}: has {len(some)} entries, and successes {num}"
        return None


class EvaluatedLine(OutcomeLine, FinishedLine):
    """A finished problem of `gpo eval`."""


class EvaluatedRound(RoundLine):
    """Some problems of `gpo eval`, as versions wrote them that evaluated in rounds."""

    outcomes: Annotated[tuple[OutcomeLine, ...], AsList]

    def misfit(self) -> str | None:
        found = [(i, one.misfit()) for i, one in enumerate(self.outcomes)]
        return next((f"outcomes.{i}.{wrong}" for i, wrong in found if wrong), None)


class RolloutLine(Line):
    """A rollout, as far as it is shown."""

    round: Count = 0
    purpose: str = ""
    problem: str
    prefix_ids: Ids
    action_ids: Ids
    text: str
    finished: bool
    reward: Rate


class StoredRollout(RolloutLine):
    """A rollout, as far as pairs are made of it."""

    round: Count
    purpose: str
    question: str = ""
    answer: str
    prompt_ids: Ids
    logprobs: Numbers
    entropies: Numbers
    policy_version: int
    row: Count | None = None

    def misfit(self) -> str | None:
        num = len(self.action_ids)
        for name in ("logprobs", "entropies"):
            if (found := len(getattr(self, name))) not in (0, num):
                return f"{name}: has {found} entries, and action_ids {num}"
        return None


class DrawnLine(StoredRollout):
    """A rollout of `gpo sample` or `gpo locate`, by what names it when a run goes on."""

    row: Count
    seed: Count


class Drawn(Line):
    """One of the samples of a line of samples.jsonl."""

    action_ids: Ids
    logprobs: Numbers
    entropies: Numbers
    finished: bool


class SampledLine(Line):
    """A line of samples.jsonl."""

    state: str
    seed: Count
    policy_version: int
    samples: Annotated[tuple[Drawn, ...], AsList]


class RowLine(Line):
    """A line of rows.jsonl."""

    use: str
    id: str
    prompt: str
    answer: str
    columns: str


class MadeLine(Line):
    """What every row of `gpo pairs` has, as it is exported."""

    problem: str
    question: str
    answer: str
    prompt: str
    prompt_ids: SomeIds
    is_exact_text: bool = True
    is_ended: bool = True


class PairLine(MadeLine):
    """A row of pairs.jsonl."""

    prefix: str
    chosen: str
    rejected: str
    chosen_ids: SomeIds
    rejected_ids: SomeIds
    weight: Annotated[float, Field(gt=0, le=MAX_WEIGHT)] = 1.0

    def misfit(self) -> str | None:
        is_same = self.chosen_ids == self.rejected_ids
        return "chosen_ids and rejected_ids are the same" if is_same else None


class UnpairedLine(MadeLine):
    """A row of unpaired.jsonl."""

    completion: str
    completion_ids: SomeIds
    label: bool


class StepsLine(MadeLine):
    """A row of steps.jsonl."""

    completions: Annotated[tuple[str, ...], AsList]
    labels: Annotated[tuple[bool, ...], AsList]
    values: Numbers

    def misfit(self) -> str | None:
        for name in ("labels", "values"):
            if (found := len(getattr(self, name))) != len(self.completions):
                return f"{name}: has {found} entries, and completions {len(self.completions)}"
        return None


class TunedLine(MadeLine):
    """A row of sft.jsonl."""

    completion: str
    completion_ids: SomeIds


class PairsSummary(Line):
    """summary.json of `gpo pairs`, as far as an export reads it."""

    at: str
    source: str
    rows: dict[str, Count]
    left_out: dict[str, Count]
    trajectories: Count
    tokens: Tokens
    begin_text: str
    end_text: str


class LocatedSummary(Line):
    """summary.json of `gpo locate`, as far as `gpo pairs` reads it."""

    tokens: Tokens


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


def check_shown(run: Path, settings: Mapping[str, Any]) -> None:
    """InputError, by file and field, unless these settings of the run can be shown."""
    checked(run / "run.json", None, ShownRun, {"settings": settings})


def _shown(value: Any) -> str:
    if isinstance(value, int) and not -(10**30) < value < 10**30:
        return "a huge number"
    return repr(str(value)[:80])
