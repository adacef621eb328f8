"""How often a policy is right: rates over problems with their errors, by subject; two policies compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gpo.pool import sample
from gpo.protocols import Policy, Verifier
from gpo.rates import Difference, Rate, majority_at, mean_and_stderr, mean_of, paired, pass_at, rate
from gpo.seeds import derive_seed
from gpo.types import Group, InputError, Problem, Request, State

__all__ = [
    "Evaluation",
    "Outcome",
    "Scores",
    "compare",
    "evaluate",
    "mean_and_stderr",
    "scores",
    "success_rate",
]

Reader = Callable[[Sequence[Problem], Sequence[str]], list[str | None] | None]
"""The final answers of completions in one spelling, None where there is none; a verifier's `read`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of one problem's G samples."""

    problem: str
    subject: str
    successes: tuple[int, ...]
    """[G] 1 where the reward reached `success_at`."""
    finished: tuple[bool, ...]
    answers: tuple[str | None, ...] | None
    """[G] final answers, None where none was found; None instead of a tuple if the verifier reads none."""

    @property
    def rate(self) -> float:
        return sum(self.successes) / len(self.successes)


@dataclass(frozen=True)
class Scores:
    """All rates of an evaluation. Keys of `metrics` are 'avg@G', 'pass@k' and 'maj@k'."""

    metrics: Mapping[str, Rate]
    subjects: Mapping[str, tuple[int, Rate]]
    """The number of problems and avg@G of every subject; empty if the problems have none."""
    macro: Rate | None
    """The unweighted mean over subjects, as BBH is reported; its error is propagated from theirs."""
    truncated_frac: float
    """Share of samples that the token limit cut; they are failures."""
    unparsed_frac: float | None
    """Share of samples that ended by themselves without a readable final answer."""
    num_problems: int
    num_samples: int


@dataclass(frozen=True)
class Evaluation:
    """Success rate over P problems with G samples each."""

    accuracy: float
    stderr: float
    """Clustered by problem; nan for a single problem."""
    truncated_frac: float
    """Share of samples that the token limit cut; they count as failures."""
    tokens: int
    groups: list[Group]
    outcomes: list[Outcome] = field(default_factory=list)

    def __sub__(self, other: Evaluation) -> Difference:
        """How much better this one is on the same problems, in pairs; InputError if the problems differ."""
        return compare(self.outcomes, other.outcomes)

    def __str__(self) -> str:
        num, samples = len(self.outcomes), sum(len(one.successes) for one in self.outcomes)
        error = f" ± {100 * self.stderr:.1f}" if num > 1 else ""
        return (
            f"{num} problems, success rate {100 * self.accuracy:.1f}{error} %, cut by the token limit "
            f"{100 * self.truncated_frac:.1f} %; {samples:,} samples, {self.tokens:,} tokens"
        )


def evaluate(
    policy: Policy,
    verifier: Verifier,
    problems: Sequence[Problem],
    *,
    num: int = 1,
    seed: int = 0,
    success_at: float = 1.0,
    read: Reader | None = None,
) -> Evaluation:
    """Success rate of `num` samples per problem, on separate random streams.

    `read` is the verifier's, for maj@k and the unparsed share of `scores`.
    """
    requests = [Request(State(p), num, derive_seed(seed, "evaluation", p.id)) for p in problems]
    groups = [
        Group(request.state, tuple(rollouts))
        for request, rollouts in zip(requests, sample(policy, verifier, requests), strict=True)
    ]
    accuracy, stderr = mean_and_stderr([success_rate(group, success_at) for group in groups])
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    return Evaluation(
        accuracy=accuracy,
        stderr=stderr,
        truncated_frac=sum(not r.finished for r in rollouts) / len(rollouts),
        tokens=sum(len(r.action_ids) for r in rollouts),
        groups=groups,
        outcomes=outcomes(groups, success_at, read),
    )


def success_rate(group: Group, success_at: float) -> float:
    """Share of the group's rollouts with a reward of at least `success_at`."""
    return sum(reward >= success_at for reward in group.rewards_G) / len(group.rollouts)


def scores(outcomes: Sequence[Outcome], ks: Sequence[int] = ()) -> Scores:
    """avg@G over all samples; pass@k and maj@k for every k, which must not exceed the samples at hand."""
    num = min((len(one.successes) for one in outcomes), default=0)
    for k in ks:
        if not 1 <= k <= num:
            raise InputError(f"k: {k} is not between 1 and the {num} samples of each problem")
    metrics = {f"avg@{num}": rate([one.rate for one in outcomes], num)}
    for k in ks:
        values = [pass_at(len(one.successes), sum(one.successes), k) for one in outcomes]
        metrics[f"pass@{k}"] = rate(values, num)
    for k in ks:
        votes = [_majority(one, k) for one in outcomes]
        if None not in votes and k > 1:
            metrics[f"maj@{k}"] = rate([vote for vote in votes if vote is not None], num)
    subjects = _by_subject(outcomes, num)
    finished = [is_finished for one in outcomes for is_finished in one.finished]
    return Scores(
        metrics=metrics,
        subjects=subjects,
        macro=mean_of([one for _, one in subjects.values()], len(outcomes), num)
        if len(subjects) > 1
        else None,
        truncated_frac=1 - sum(finished) / len(finished) if finished else 0.0,
        unparsed_frac=_unparsed_frac(outcomes),
        num_problems=len(outcomes),
        num_samples=len(finished),
    )


def compare(first: Sequence[Outcome], second: Sequence[Outcome]) -> Difference:
    """How much better the first is on the same problems; InputError if the problems differ."""
    theirs = {one.problem: one.rate for one in second}
    missing = [one.problem for one in first if one.problem not in theirs]
    if missing or len(theirs) != len(first):
        raise InputError(
            f"the two evaluations are of different problems ({len(first)} and {len(theirs)}"
            + (f"; {missing[0]} is in the first only)" if missing else ")")
        )
    return paired([one.rate for one in first], [theirs[one.problem] for one in first])


def outcomes(groups: Sequence[Group], success_at: float, read: Reader | None) -> list[Outcome]:
    """The outcome of each group, the samples of one problem; `read` is called once for all of them."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    problems, texts = [r.state.problem for r in rollouts], [r.text for r in rollouts]
    answers = read(problems, texts) if read else None
    remaining = iter(answers or [])
    return [
        Outcome(
            problem=group.state.problem.id,
            subject=str(group.state.problem.columns.get("subject", "")),
            successes=tuple(int(reward >= success_at) for reward in group.rewards_G),
            finished=tuple(rollout.finished for rollout in group.rollouts),
            answers=None if answers is None else tuple(next(remaining) for _ in group.rollouts),
        )
        for group in groups
    ]


def _majority(outcome: Outcome, k: int) -> float | None:
    """A sample that was cut has no answer, whatever its text holds so far."""
    if outcome.answers is None:
        return None
    pairs = zip(outcome.answers, outcome.finished, strict=True)
    votes = [answer if is_finished else None for answer, is_finished in pairs]
    return majority_at(votes, outcome.successes, k)


def _unparsed_frac(outcomes: Sequence[Outcome]) -> float | None:
    if not outcomes or any(one.answers is None for one in outcomes):
        return None
    missing = [
        answer is None and is_finished
        for one in outcomes
        for answer, is_finished in zip(one.answers or (), one.finished, strict=True)
    ]
    return sum(missing) / len(missing)


def _by_subject(outcomes: Sequence[Outcome], num: int) -> dict[str, tuple[int, Rate]]:
    names = sorted({one.subject for one in outcomes if one.subject})
    rates = {name: [one.rate for one in outcomes if one.subject == name] for name in names}
    return {name: (len(values), rate(values, num)) for name, values in rates.items()}
