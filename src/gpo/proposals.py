"""Cheap scores of a trajectory's steps, from which an adaptive search starts.

A proposal scores every step; higher means likelier critical. Only the order within a trace counts, and only
as far as `PathPrior` has learned that this proposal's ranks predict jumps. A useless proposal stops counting,
and none ever enters a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from gpo.curve import mean_over_steps
from gpo.named import user_function
from gpo.protocols import Policy
from gpo.types import Ids, InputError, Rollout, State, ValueCurve

Scores = list[float] | None
"""[S] finite scores; None if a proposal has none."""

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
    if template.count("{answer}") != 1:
        raise InputError(f"forced_answer: {template!r} must hold {{answer}} once")

    def scores(policy: Policy, traces: Sequence[ValueCurve]) -> list[Scores]:
        asked: list[tuple[State, Ids]] = []
        for trace in traces:
            if trace.rollout is not None:
                forced = template.replace("{answer}", trace.rollout.state.problem.answer)
                ids = tuple(policy.tokenizer.encode(forced))
                asked += [(trace.rollout.state_at(bound), ids) for bound in trace.bounds[:-1]]
        likelihoods = iter(
            [math.exp(sum(one.logprobs) / max(1, len(one.logprobs))) for one in policy.read(asked)]
        )
        return [
            None if trace.rollout is None else _changes([next(likelihoods) for _ in trace.bounds[:-1]])
            for trace in traces
        ]

    return scores


def _changes(values: Sequence[float]) -> list[float]:
    """[S] absolute changes from boundary to boundary, and their mean for the last step."""
    changes = [abs(after - before) for before, after in pairwise(values)]
    return [*changes, sum(changes) / len(changes) if changes else 0.0]


Judge = Callable[..., Any]


def judge(function: Judge) -> Proposal:
    """The user's own scores: `function(question, answer, steps)` gives a number for each step's text.

    InputError if it gives anything else; its own exceptions pass through.
    """

    def scores(policy: Policy, traces: Sequence[ValueCurve]) -> list[Scores]:
        return [None if trace.rollout is None else _judged(function, policy, trace) for trace in traces]

    return scores


def _judged(function: Judge, policy: Policy, trace: ValueCurve) -> list[float]:
    rollout = trace.rollout
    assert rollout is not None  # noqa: S101 - for the type checker
    ids, bounds = rollout.completion_ids, trace.bounds
    steps = [policy.text(ids[a:b]) for a, b in pairwise(bounds)]
    found = function(rollout.state.problem.question, rollout.state.problem.answer, steps)
    try:
        scores = [float(score) for score in found]
    except (TypeError, ValueError):
        scores = []
    if len(scores) != len(steps) or not all(map(math.isfinite, scores)):
        raise InputError(
            f"proposal: the judge gave {str(found)[:60]!r} for the {len(steps)} steps of problem "
            f"{rollout.state.problem.id}; give a finite number for each"
        )
    return scores


NAMES = ("entropy", "surprisal", "forced-answer", "none")


def by_name(spec: str, *, template: str = FORCED_ANSWER) -> Proposal:
    """The proposal of one of `NAMES`, or the judge that module:function names; else InputError."""
    known = {"entropy": entropy, "surprisal": surprisal, "none": none}
    if spec in known:
        return known[spec]
    if spec == "forced-answer":
        return forced_answer(template)
    if ":" not in spec:
        raise InputError(f"proposal: {spec!r} is unknown; one of {', '.join(NAMES)}, or module:function")
    return judge(user_function(spec, "proposal"))
