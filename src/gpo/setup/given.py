"""The user's own trajectories: rows with a completion, as rollouts that are searched and never trained."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gpo.command_settings import LocateSettings
from gpo.explore import Task
from gpo.protocols import Policy, Trace, Verifier
from gpo.seeds import json_digest
from gpo.setup.data import Asking
from gpo.tasks.columns import column_of, shown, without
from gpo.tasks.rows import ID_COLUMNS
from gpo.types import OFF_POLICY, DataWarning, InputError, Problem, Rollout, State


def given_tasks(
    problems: Sequence[Problem], settings: LocateSettings, asking: Asking, verifier: Verifier
) -> list[Task]:
    """The trajectories of each question as one task: rows that ask the same share what is sampled of it."""
    own = [name for name in (settings.completion_column, settings.reward_column, *ID_COLUMNS) if name]
    alike: dict[str, list[Rollout]] = {}
    for rollout in given_rollouts(problems, settings, asking, verifier):
        problem = rollout.state.problem
        others: Any = problem.columns
        for name in own:
            others = without(others, name)
        rollouts = alike.setdefault(json_digest([problem.prompt_ids, problem.answer, others]), [])
        first = rollouts[0].state.problem if rollouts else problem
        rollouts.append(replace(rollout, state=State(first)))
    return [Task(place, given[0].state.problem, tuple(given)) for place, given in enumerate(alike.values())]


def given_rollouts(
    problems: Sequence[Problem], settings: LocateSettings, asking: Asking, verifier: Verifier
) -> list[Rollout]:
    """One rollout for each problem, from its completion column; text is tokenised here and only here.

    Its reward is its reward column's, else the verifier's. InputError names the row that cannot be used.
    """
    traces = [_trace(problem, settings, asking) for problem in problems]
    rewards: Sequence[float] | None = _rewards(problems, settings)
    _warn(traces)
    ids = [trace.ids for trace in traces]
    pairs = list(zip(problems, ids, strict=True))
    texts = [asking.completion_text(State(problem), one) for problem, one in pairs]
    if rewards is None:
        rewards = verifier.score(problems, texts)
    return [
        Rollout(State(problem), one, (), (), text, True, reward, OFF_POLICY)
        for problem, one, text, reward in zip(problems, ids, texts, rewards, strict=True)
    ]


def given_rollout(
    problem: Problem, completion: object, reward: float | None, policy: Policy, verifier: Verifier
) -> Rollout:
    """One completion from elsewhere as a rollout; its reward is the verifier's where None is given.

    InputError for a completion that cannot be used, and for a reward that is not in [0, 1].
    """
    trace = _checked(policy.trace, problem, completion, policy.max_tokens)
    _warn([trace])
    text = policy.completion_text(State(problem), trace.ids)
    if reward is None:
        [reward] = verifier.score([problem], [text])
    elif not 0 <= reward <= 1:
        raise InputError(f"reward: is {reward!r}; give a number from 0 to 1")
    return Rollout(State(problem), trace.ids, (), (), text, True, float(reward), OFF_POLICY)


def _trace(problem: Problem, settings: LocateSettings, asking: Asking) -> Trace:
    column = str(settings.completion_column)
    value = column_of(problem.columns, column, _place(problem), "--completion-column")
    try:
        return _checked(asking.trace, problem, value, settings.max_tokens)
    except InputError as error:
        raise _wrong(problem, column, value, str(error).removeprefix("trace: ")) from error


def _checked(
    read: Callable[[Problem, object], Trace], problem: Problem, completion: object, max_tokens: int
) -> Trace:
    """The trace as the model reads it; InputError if it is unusable or leaves no room for a continuation."""
    try:
        trace = read(problem, completion)
    except InputError as error:
        raise InputError(f"trace: {error}") from error
    if len(trace.ids) >= max_tokens:
        raise InputError(f"trace: it has {len(trace.ids)} tokens and max_tokens is {max_tokens}; raise that")
    return trace


def _warn(traces: Sequence[Trace]) -> None:
    """Says how many traces repeat the end of the prompt, and how many end thinking that nothing opens."""
    for repeated, num in Counter(trace.repeated for trace in traces if trace.repeated).items():
        warnings.warn(
            f"{num} of {len(traces)} traces repeat the end of the prompt ({repeated[-40:]!r}); the repeat "
            "is dropped",
            DataWarning,
            stacklevel=2,
        )
    if num := sum(trace.is_unopened for trace in traces):
        warnings.warn(
            f"{num} of {len(traces)} traces close thinking that neither they nor the prompt opened; "
            "set template_args or add the opening mark, as when they were written",
            DataWarning,
            stacklevel=2,
        )


def _rewards(problems: Sequence[Problem], settings: LocateSettings) -> Sequence[float] | None:
    """What the rows say of their outcomes; None where the verifier is to say it."""
    column = settings.reward_column
    return [_reward(problem, column) for problem in problems] if column else None


def _reward(problem: Problem, column: str) -> float:
    value = column_of(problem.columns, column, _place(problem), "--reward-column")
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _wrong(problem, column, value, "give a number from 0 to 1, or true or false")
    return float(value)


def _place(problem: Problem) -> str:
    return problem.source or f"problem {problem.id}"


def _wrong(problem: Problem, column: str, value: Any, reason: str) -> InputError:
    return InputError(f"{_place(problem)}: column {column!r} is {shown(value)}: {reason}")
