"""`gpo.solve`: the answer to one question, for a budget of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gpo import verifiers
from gpo.explore import Task
from gpo.objects.locating import Progress, asked
from gpo.protocols import Policy, ValueModel, Verifier
from gpo.seeds import derive_seed
from gpo.setup.engine import check_room
from gpo.solving import Attempt, Solved, Solver, Solving
from gpo.types import InputError, Problem

GIVEN = "(given)"
"""The setting `value` where a value model is passed as an object."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the attempts at a question come to; printed, it is one line."""

    answer: str | None
    """In the verifier's spelling; None if no attempt has one."""
    text: str
    """The attempt with this answer that its judge likes best."""
    votes: int
    """Attempts with this answer."""
    share: float
    """Its share of all scores."""
    reward: float | None
    """The verifier's, where it judges or the known answer was given."""
    tokens: int
    """Generated in all."""
    attempts: tuple[Attempt, ...]

    def __str__(self) -> str:
        judged = "" if self.reward is None else f", reward {self.reward:g}"
        return (
            f"{self.answer}: {self.votes} of {len(self.attempts)} attempts, {self.share:.0%} of the scores"
            f"{judged}; {self.tokens:,} tokens"
        )


def _check(verifier: Verifier, problem: Problem) -> None:
    """InputError if the verifier cannot judge without a known answer."""
    try:
        verifier.check(problem)
    except ValueError as error:
        raise InputError(
            f"judge: the verifier needs the answer ({error}); give it, or another judge"
        ) from None


def solve(
    policy: Policy,
    verifier: Verifier | str,
    question: str,
    answer: str | float | None = None,
    *,
    value: ValueModel | None = None,
    progress: Callable[[Progress], object] | None = None,
    columns: Mapping[str, Any] | None = None,
    seed: int = 0,
    **settings: Any,
) -> Answer:
    """The answer to a question, as `gpo solve` finds it.

        found = gpo.solve(policy, "math", question, strategy="restart", problem_tokens=8192)
        print(found)

    The verifier says which answers are equal; with judge="verifier" it also judges them, and the first that
    it accepts ends the search. The known `answer` is used by nothing else. `value` predicts values of states.
    `columns` are what the verifier needs beside question and answer. `settings` are those of
    `gpo.solving.Solving`. `progress` is called in this thread after each rollout. Equal seeds give equal
    results.

    InputError, before anything is sampled, for a setting or an answer that cannot be used.
    """
    wanted = Solving(**settings, **({} if value is None else {"value": GIVEN}))
    verifier = verifiers.load(verifier) if isinstance(verifier, str) else verifier
    problem = asked(policy, verifier, question, answer, columns or {}, "gpo.solve", needs_answer=False)
    if wanted.judged_by == "verifier" and not problem.answer:
        _check(verifier, problem)
    check_room(policy, [problem])
    splitter = policy.restartable(wanted.step_splitter())
    solver = Solver(
        policy, verifier, wanted, seed=derive_seed(seed, "solve"), splitter=splitter, values=value
    )
    found = _run(solver, problem, wanted.tokens_each(policy.max_tokens), progress)
    return _answer(found, is_told=bool(problem.answer) or wanted.judged_by == "verifier")


def _run(
    solver: Solver, problem: Problem, most: int, progress: Callable[[Progress], object] | None
) -> Solved:
    """Works on the problem to its end."""
    num, solved = 0, None
    for event in solver.run([Task(0, problem)]):
        if isinstance(event, Solved):
            solved = event
        elif progress:
            num += 1
            progress(Progress(event.ask.purpose, num, solver.tokens, most))
    assert solved is not None  # noqa: S101 - no budget keeps a single problem from being begun
    return solved


def _answer(solved: Solved, *, is_told: bool) -> Answer:
    found, best = solved.solution, solved.solution.attempt
    return Answer(
        answer=found.answer,
        text=best.path.text if best else "",
        votes=found.votes,
        share=found.share,
        reward=(best.path.reward if best else 0.0) if is_told else None,
        tokens=sum(solved.tokens.values()),
        attempts=solved.attempts,
    )
