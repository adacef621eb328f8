"""The lines of a run, a class for each kind: how it is written, and by what it is checked when it is read."""

from __future__ import annotations

from dataclasses import asdict
from itertools import accumulate, pairwise
from typing import Annotated, Any, Self

from gpo.curve import Estimate
from gpo.protocols import Tokenizer
from gpo.record.base import (
    AsList,
    Count,
    Counts,
    Ids,
    Interval,
    Intervals,
    Line,
    Numbers,
    Rate,
    Texts,
    Tokens,
    number,
    sized,
)
from gpo.steps import token_texts
from gpo.types import OFF_POLICY, RECORDED_DIGITS, CriticalStep, Problem, Rollout, Sample, State, ValueCurve


class RolloutLine(Line):
    """A line of rollouts.jsonl: a rollout, with the round and purpose it was sampled for."""

    round: Count
    purpose: str
    baseline: float | None = None
    row: Count | None = None
    seed: Count | None = None  # these two name it in a run without rounds
    problem: str
    question: str = ""
    answer: str
    prompt_ids: Ids
    prefix_ids: Ids
    action_ids: Ids
    logprobs: Numbers
    entropies: Numbers
    text: str
    finished: bool
    reward: Rate
    policy_version: int

    def misfit(self) -> str | None:
        num = len(self.action_ids)
        if len(self.logprobs) in (0, num) and len(self.entropies) in (0, num):
            return None
        sizes = {name: num for name in ("logprobs", "entropies") if getattr(self, name)}
        return sized(self, sizes, f"action_ids {num}")

    @classmethod
    def of(cls, rollout: Rollout, **labels: Any) -> Self:
        """The line of a rollout; `labels` are its round, purpose and what else names it."""
        problem = rollout.state.problem
        return cls.made(
            labels
            | {
                "problem": problem.id,
                "question": problem.question,
                "answer": problem.answer,
                "prompt_ids": problem.prompt_ids,
                "prefix_ids": rollout.state.prefix_ids,
                "action_ids": rollout.action_ids,
                "logprobs": [round(x, RECORDED_DIGITS) for x in rollout.logprobs],
                "entropies": [round(x, RECORDED_DIGITS) for x in rollout.entropies],
                "text": rollout.text,
                "finished": rollout.finished,
                "reward": rollout.reward,
                "policy_version": rollout.policy_version,
            }
        )

    def rollout(self, problem: Problem | None = None) -> Rollout:
        """What was written; without the problem itself it is one that has no task and no other columns."""
        problem = problem or Problem(self.problem, self.prompt_ids, self.answer, "", self.question)
        return Rollout(
            state=State(problem, self.prefix_ids),
            action_ids=self.action_ids,
            logprobs=tuple(map(number, self.logprobs)),
            entropies=tuple(map(number, self.entropies)),
            text=self.text,
            finished=self.finished,
            reward=self.reward,
            policy_version=self.policy_version,
        )


class DrawnLine(RolloutLine):
    """The same without rounds, by what names it when the run goes on."""

    row: Count
    seed: Count


class Critical(Line):
    """The named step of a trajectory."""

    index: Count
    advantage: float | None
    interval: Interval
    probability: float
    credibility: float
    rule: str
    within_one: float | None = None

    @property
    def step(self) -> CriticalStep:
        numbers = {"advantage": number(self.advantage), "within_one": number(self.within_one)}
        return CriticalStep(**(self.model_dump() | numbers))


class CurveLine(Line):
    """A line of curves.jsonl: a located trajectory."""

    round: Count
    place: Count = 0
    index: Count = 0
    fingerprint: str | None = None
    """Of the policy whose values they are."""
    proposal: Numbers | None = None
    predicted: Numbers | None = None
    trusted: float | None = None
    """The values [S] that a value model predicted, and the rollouts each counted for if it was trusted."""
    policy_version: int | None = None
    problem: str
    question: str = ""
    answer: str
    prompt_ids: Ids
    completion_ids: Ids
    reward: Rate
    finished: bool
    given: str = ""
    steps: Texts
    bounds: Counts
    ends: Counts = ()
    """Characters of the joined steps up to the end of each token from the first bound on."""
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

    @property
    def named(self) -> Critical | None:
        """The critical step; None also of a single step, which no other could be compared with."""
        return self.critical if self.num_steps > 1 else None

    def is_credible(self, at: float) -> bool:
        """Whether a step is named, with at least this credibility."""
        return self.named is not None and self.named.credibility >= at

    @property
    def order(self) -> tuple[int, int, int]:
        """Where it belongs in the order of the data; lines are written as searches end."""
        return self.round, self.place, self.index

    def misfit(self) -> str | None:
        num = self.num_steps
        if num == 0:
            return "steps: is empty"
        sizes = dict.fromkeys(("bounds", "successes", "trials", "values"), num + 1)
        sizes |= dict.fromkeys(("advantages", "intervals"), num)
        sizes |= {"value_intervals": num + 1} if self.value_intervals else {}
        sizes |= {name: num for name in ("probabilities", "proposal", "predicted") if getattr(self, name)}
        sizes |= {"ends": self.bounds[-1] - self.bounds[0]} if self.ends and self.bounds else {}
        if wrong := sized(self, sizes, f"{num} steps need {{size}}"):
            return wrong
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

    @classmethod
    def of(
        cls,
        curve: ValueCurve,
        critical: CriticalStep | None,
        estimate: Estimate,
        tokenizer: Tokenizer,
        **labels: Any,
    ) -> Self:
        """The line of a located trajectory; `labels` are what else is known of it."""
        rollout = curve.rollout
        if rollout is None:
            raise ValueError("a curve is recorded with the rollout it belongs to")
        ids, problem = rollout.completion_ids, rollout.state.problem
        steps = [token_texts(ids[a:b], tokenizer) for a, b in pairwise(curve.bounds)]
        return cls.made(
            labels
            | {
                "problem": problem.id,
                "question": problem.question,
                "answer": problem.answer,
                "prompt_ids": problem.prompt_ids,
                "completion_ids": ids,
                "reward": rollout.reward,
                "finished": rollout.finished,
                "given": tokenizer.decode(ids[: curve.bounds[0]]),
                "steps": ["".join(texts) for texts in steps],
                "bounds": curve.bounds,
                "ends": list(accumulate(len(text) for texts in steps for text in texts)),
                "successes": curve.successes,
                "trials": curve.trials,
                **asdict(estimate),
                "critical": asdict(critical) if critical else None,
            }
        )

    @property
    def estimate(self) -> Estimate:
        values, advantages = [*map(number, self.values)], [*map(number, self.advantages)]
        return Estimate(values, advantages, [*self.intervals], [*self.value_intervals])

    @property
    def rollout(self) -> Rollout:
        """The trajectory as a rollout that no policy of the run sampled."""
        start = self.bounds[0]
        problem = Problem(self.problem, self.prompt_ids, self.answer, "", self.question)
        return Rollout(
            state=State(problem, self.completion_ids[:start]),
            action_ids=self.completion_ids[start:],
            logprobs=(),
            entropies=(),
            text="".join(self.steps),
            finished=self.finished,
            reward=self.reward,
            policy_version=OFF_POLICY,
        )


class SearchedLine(CurveLine):
    """The same without rounds, with where its search began."""

    named_by = ("place", "index")

    place: Count
    index: Count
    proposal: Numbers | None


class Continuation(Line):
    """One of the samples of a line of samples.jsonl."""

    action_ids: Ids
    logprobs: Numbers
    entropies: Numbers
    finished: bool

    @classmethod
    def of(cls, sample: Sample) -> Self:
        return cls.made(asdict(sample))

    @property
    def sample(self) -> Sample:
        logprobs, entropies = (tuple(map(number, some)) for some in (self.logprobs, self.entropies))
        return Sample(self.action_ids, logprobs, entropies, self.finished)


class SampledLine(Line):
    """A line of samples.jsonl: what `gpo pairs` sampled by one request."""

    state: str
    seed: Count
    policy_version: int
    samples: Annotated[tuple[Continuation, ...], AsList]


class LocatedSummary(Line):
    """summary.json of `gpo locate`, as far as `gpo pairs` reads it."""

    tokens: Tokens
