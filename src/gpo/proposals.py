"""Cheap scores of a trajectory's steps, from which an adaptive search starts.

A proposal scores every step; higher means likelier critical. Only the order within a trace counts, and only
as far as `PathPrior` has learned that this proposal's ranks predict jumps. A useless proposal stops counting,
and no score enters a value. A value model also predicts values, which count for as many rollouts as earlier
counts say they are worth: none at first.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from gpo.curve import mean_over_steps
from gpo.named import place_of, user_function
from gpo.protocols import Policy
from gpo.self_judge import first_wrong
from gpo.types import Ids, InputError, Problem, Rollout, State, ValueCurve

Scores = list[float] | None
"""[S] finite scores; None if a proposal has none."""


class Predicted(list[float]):
    """Scores of steps that come from predicted values."""

    def __init__(self, scores: Sequence[float], means: Sequence[float], say: float | None = None) -> None:
        super().__init__(scores)
        self.means = means
        """[S] values at the boundaries."""
        self.say = say
        """Rollouts that each counts for where it is trusted; None where that is to be learned."""


Proposal = Callable[[Policy, Sequence[ValueCurve]], list[Scores]]
"""A policy and trajectories, as curves without counts, to the scores of each."""

FORCED_ANSWER = "\nThe answer is {answer}"


def none(policy: Policy, traces: Sequence[ValueCurve]) -> list[Scores]:
    """No step is favoured."""
    del policy
    return [None] * len(traces)


def entropy(policy: Policy, traces: Sequence[ValueCurve]) -> list[Scores]:
    """Mean entropy of each step's next-token distributions, in nats: free for trajectories sampled here."""
    return [
        None if rollout is None else _finite(mean_over_steps(trace, rollout.entropies))
        for trace, rollout in zip(traces, _read(policy, traces), strict=True)
    ]


def surprisal(policy: Policy, traces: Sequence[ValueCurve]) -> list[Scores]:
    """Mean negative log-probability of each step's tokens: free, and any engine has it."""
    return [
        None if rollout is None else _finite(mean_over_steps(trace, [-x for x in rollout.logprobs]))
        for trace, rollout in zip(traces, _read(policy, traces), strict=True)
    ]


def _read(policy: Policy, traces: Sequence[ValueCurve]) -> list[Rollout | None]:
    """The trajectories with their log-probabilities; one forward pass for each that came without."""
    rollouts = [trace.rollout for trace in traces]
    bare = [k for k, one in enumerate(rollouts) if one is not None and not one.logprobs]
    given = [(one.state, one.action_ids) for k in bare if (one := rollouts[k]) is not None]
    for k, sample in zip(bare, policy.read(given), strict=True):
        if (one := rollouts[k]) is not None:
            rollouts[k] = replace(one, logprobs=sample.logprobs, entropies=sample.entropies)
    return rollouts


def _finite(scores: list[float]) -> Scores:
    return scores if all(map(math.isfinite, scores)) else None


def forced_answer(template: str = FORCED_ANSWER) -> Proposal:
    """How much each step changes the mean likelihood of the known answer's tokens.

    `template` is put after each step, with the answer in place of {answer}. Nothing is generated; each
    boundary costs one forward pass over its prefix, or one in all if the engine shares prefixes. The last
    step, whose effect the outcome shows, gets the mean score.
    """
    check_template(template)

    def scores(policy: Policy, traces: Sequence[ValueCurve]) -> list[Scores]:
        read = answer_logprobs(policy, traces, template)
        return [None if one is None else _changes([math.exp(x) for x in one]) for one in read]

    return scores


def check_template(template: str) -> None:
    """InputError unless the text has one place for the answer."""
    if template.count("{answer}") != 1:
        raise InputError(f"forced_answer: {template!r} must hold {{answer}} once")


def answer_logprobs(
    policy: Policy, traces: Sequence[ValueCurve], template: str, *, is_bare: bool = False
) -> list[Scores]:
    """[S] mean log-likelihoods of the known answer's tokens, in nats, were it given before each step.

    Those of the template's words count too, unless it `is_bare`: then what stands before the answer is given.
    """
    asked: list[tuple[State, Ids]] = []
    for trace in traces:
        if trace.rollout is not None:
            words, forced = forced_ids(policy, trace.rollout.state.problem.answer, template)
            given, ids = (words, forced) if is_bare else ((), words + forced)
            states = [trace.rollout.state_at(bound) for bound in trace.bounds[:-1]]
            asked += [(replace(state, prefix_ids=state.prefix_ids + given), ids) for state in states]
    read = iter([sum(one.logprobs) / max(1, len(one.logprobs)) for one in policy.read(asked)])
    return [None if trace.rollout is None else [next(read) for _ in trace.bounds[:-1]] for trace in traces]


def forced_ids(policy: Policy, answer: str, template: str) -> tuple[Ids, Ids]:
    """The ids of the template with the answer, cut where the answer's tokens begin."""
    ids = tuple(policy.tokenizer.encode(template.replace("{answer}", answer)))
    words = policy.tokenizer.encode(template.partition("{answer}")[0])
    num = next(
        (i for i, (a, b) in enumerate(zip(ids, words, strict=False)) if a != b), min(len(ids), len(words))
    )
    return (ids[:num], ids[num:]) if num < len(ids) else ((), ids)


def _changes(values: Sequence[float]) -> list[float]:
    """[S] absolute changes from boundary to boundary, and their mean for the last step."""
    changes = [abs(after - before) for before, after in pairwise(values)]
    return [*changes, sum(changes) / len(changes) if changes else 0.0]


Judge = Callable[..., Any]
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def judge(function: Judge, setting: str = "proposal") -> Proposal:
    """The user's own scores: `function(question, answer, steps)` gives a number for each step's text.

    A function that names some of `question`, `answer`, `steps` and `columns` (the row's other columns) is
    given these. InputError, in one line that begins with the `setting`, if it raises or gives anything else.
    """

    def scores(policy: Policy, traces: Sequence[ValueCurve]) -> list[Scores]:
        return [_judged(function, policy, trace, setting) for trace in traces]

    return scores


def _judged(function: Judge, policy: Policy, trace: ValueCurve, setting: str) -> Scores:
    if trace.rollout is None:
        return None
    ids = trace.rollout.completion_ids
    steps = [policy.text(ids[a:b]) for a, b in pairwise(trace.bounds)]
    return judged(function, trace.rollout.state.problem, steps, setting)


def judged(function: Judge, problem: Problem, steps: Sequence[str], setting: str) -> list[float]:
    """[S] what the user's function gives for a problem's steps; InputError unless all are finite numbers."""
    try:
        found = _called(function, problem, list(steps))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}{place_of(error)}"
        raise InputError(f"{setting}: the function raised {reason} for problem {problem.id}") from error
    try:
        if isinstance(found, str | bytes | Mapping):
            raise TypeError
        scores = [float(score) for score in found]
    except (TypeError, ValueError):
        scores = []
    if len(scores) != len(steps) or not all(map(math.isfinite, scores)):
        raise InputError(
            f"{setting}: the function gave {str(found)[:60]!r} for the {len(steps)} steps of problem "
            f"{problem.id}; give a finite number for each"
        )
    return scores


def try_out(spec: str | None, problem: Problem, setting: str = "proposal") -> None:
    """Calls a user's function on a problem's answer as its only step, before a model is loaded.

    InputError if it raises or gives anything else than one number.
    """
    if spec is not None and ":" in spec and value_path(spec) is None:
        judged(user_function(spec, setting), problem, [problem.answer], setting)


def _called(function: Judge, problem: Problem, steps: list[str]) -> Any:
    given = {"question": problem.question, "answer": problem.answer, "steps": steps}
    named = given | {"columns": problem.columns}
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a function in C that does not tell
        return function(*given.values())
    wanted = {p.name for p in parameters.values() if p.default is p.empty and p.kind in _BY_NAME}
    if wanted and wanted <= named.keys():
        return function(**{name: named[name] for name in parameters.keys() & named.keys()})
    return function(*given.values())


VALUE = "value:"
"""What a proposal by a model of values begins with; the rest is where the model is."""


def value_path(spec: object) -> str | None:
    """Where the value model of a proposal is; None for another proposal."""
    return spec.removeprefix(VALUE) if isinstance(spec, str) and spec.startswith(VALUE) else None


def unbound(policy: Policy, traces: Sequence[ValueCurve]) -> list[Scores]:
    """A value model that no policy was given to yet: gpo.setup.engine does that."""
    del policy, traces
    raise InputError("proposal: a value model serves gpo locate and gpo pairs alone; give another proposal")


NAMES = ("entropy", "surprisal", "forced-answer", "self", "none")


def by_name(spec: str, *, template: str = FORCED_ANSWER) -> Proposal:
    """The proposal of one of `NAMES`, or the judge that module:function names; else InputError."""
    known = {"entropy": entropy, "surprisal": surprisal, "self": first_wrong, "none": none}
    if spec in known:
        return known[spec]
    if spec == "forced-answer":
        return forced_answer(template)
    if (path := value_path(spec)) is not None:
        if not path.strip():
            raise InputError("proposal: names no value model; give its folder, as in value:runs/value")
        return unbound
    if ":" not in spec:
        raise InputError(
            f"proposal: {spec!r} is unknown; one of {', '.join(NAMES)}, value:PATH or module:function"
        )
    return judge(user_function(spec, "proposal"))
