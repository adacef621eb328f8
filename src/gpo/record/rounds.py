"""Lines that say that something is complete: a problem, or a round of training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gpo.record.base import AsList, Count, Line, Rate, Tokens, sized


class Evaluation(Line):
    """A held-out success rate."""

    accuracy: Rate
    stderr: float | None
    truncated_frac: Rate | None = None
    problems: Count = 0


class ProblemLine(Line):
    """A line of problems.jsonl: a finished problem of `gpo sample`, `gpo locate` or `gpo eval`."""

    named_by = ("problem",)

    problem: str
    place: Count
    tokens: Tokens
    rates: Annotated[tuple[Rate, ...], AsList]
    no_signal: Count
    rollouts: Count
    truncated: Count
    timeouts: Count
    unjudged: Tokens | None = None

    @property
    def missed(self) -> dict[str, int]:
        """Answers without a verdict, by kind; earlier versions wrote time-outs alone."""
        return {"timeouts": self.timeouts} if self.unjudged is None else self.unjudged


class OutcomeLine(Line):
    """The results of one problem's samples."""

    problem: str
    subject: str
    successes: Annotated[tuple[bool | Annotated[int, Field(ge=0, le=1)], ...], AsList]
    finished: Annotated[tuple[bool, ...], AsList]
    answers: Annotated[tuple[str | None, ...], AsList] | None

    def misfit(self) -> str | None:
        num = len(self.successes)
        sizes = {name: num for name in ("finished", "answers") if getattr(self, name) is not None}
        return sized(self, sizes, f"successes {num}")


class EvaluatedLine(OutcomeLine, ProblemLine):
    """A finished problem of `gpo eval`."""


class AttemptLine(Line):
    """A whole completion of a problem that `gpo solve` works on."""

    tokens: Count
    """Spent on the problem by the time it was there."""
    start: Count
    """Tokens of it that were there before."""
    finished: bool
    answer: str | None
    score: Rate
    reward: Rate | None = None
    """The verifier's; None where it does not know what is right."""


class SolvedLine(ProblemLine):
    """A finished problem of `gpo solve`."""

    answer: str | None
    text: str
    votes: Count
    share: Rate
    finished: bool
    attempts: Annotated[tuple[AttemptLine, ...], AsList]

    @property
    def right(self) -> bool | None:
        """None where the gold answer is not known."""
        return self.rates[0] == 1 if self.rates else None


class AnswerLine(Line):
    """A line of answers.jsonl: what `gpo solve` answers."""

    id: str
    answer: str | None
    text: str
    votes: Count
    attempts: Count
    share: Rate
    tokens: Count
    finished: bool
    right: bool | None
    """None where the gold answer is not known."""

    @classmethod
    def of(cls, line: SolvedLine) -> AnswerLine:
        return cls(
            id=line.problem,
            answer=line.answer,
            text=line.text,
            votes=line.votes,
            attempts=len(line.attempts),
            share=line.share,
            tokens=sum(line.tokens.values()),
            finished=line.finished,
            right=line.right,
        )


class Update(Line):
    """What offline learning measured of one update; not every loss has all."""

    loss: float | None = None
    margin: float | None = None
    accuracy: float | None = None


class RoundLine(Line):
    """A line of rounds.jsonl: a round, or all finished problems of `gpo locate`."""

    round: Count
    tokens: Tokens
    samples: Count = 0
    left_out: dict[str, Count] = Field({})
    metrics: dict[str, float | None] = Field({})
    evaluation: Evaluation | None = None
    rates: Annotated[tuple[Rate | None, ...], AsList] = ()
    no_signal: Count | None = None
    unjudged: Tokens = Field({})
    updates: Annotated[tuple[Update, ...], AsList] = ()


class EvaluatedRound(RoundLine):
    """Some problems of `gpo eval`, as versions wrote them that evaluated in rounds."""

    outcomes: Annotated[tuple[OutcomeLine, ...], AsList]

    def misfit(self) -> str | None:
        found = [(i, one.misfit()) for i, one in enumerate(self.outcomes)]
        return next((f"outcomes.{i}.{wrong}" for i, wrong in found if wrong), None)


class Sizes(Line):
    """Bytes of the other files when the round was complete."""

    rollouts: Count
    curves: Count


class TrainedLine(RoundLine):
    """A round of `gpo train`, and what it commits."""

    metrics: dict[str, float | None]
    sizes: Sizes

    def misfit(self) -> str | None:
        if "evaluation" in self.model_fields_set and self.evaluation is None:
            return "evaluation: is null"
        if "time/round_s" in self.metrics and (missing := set(TIMES) - self.metrics.keys()):
            return f"metrics.{min(missing)}: field required"
        for name in (*SUMMED, *TIMES):
            if name in self.metrics and self.metrics[name] is None:
                return f"metrics.{name}: is null"
        return None


TIMES = ("time/round_s", "time/sample_s", "time/verify_s", "time/train_s")
SUMMED = ("train/rows", "train/updates", "verify/timeouts")
"""Metrics that are never nan; the times are there together."""
