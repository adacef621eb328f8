"""The model as the judge of its own first wrong step: a question, and its answer read as untrusted text.

Self-Reset Policy Optimization resets failed trajectories to before the step that the model itself names
(arXiv 2605.25507). Here the named step is where a search begins. The prompt is ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from gpo.protocols import Policy
from gpo.seeds import derive_seed
from gpo.types import InputError, Problem, Request, Sample, State, ValueCurve

ANSWER_TOKENS = 32
"""Tokens that a judgement may have: a number, and a few words about it."""
QUESTION = """A problem, and an attempt at it in numbered steps, whose answer is wrong.

Problem:
{problem}

Attempt:
{steps}

Which step is the first wrong one? Reply with its number and nothing else."""
_FIRST = re.compile(r"[^\w-]*(?:step[^\w-]*)?(\d{1,4})(?![\d.,]*\d)", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"-?\d+", re.ASCII)


def first_wrong(policy: Policy, traces: Sequence[ValueCurve]) -> list[list[float] | None]:
    """1 for the step that the model names as the first wrong one, 0 for the others.

    None, and nothing is asked, for a trajectory that succeeded, has one step, or is too long to ask about;
    None for an answer that names no step. Costs up to ANSWER_TOKENS a trajectory. For instruct models that
    answer without thinking first.
    """
    requests = [_request(policy, trace) for trace in traces]
    asked = [one for one in requests if one is not None]
    answers = iter(policy.sample(asked) if asked else [])
    return [
        None if one is None else _scores(policy, one.state, next(answers), trace.num_steps)
        for trace, one in zip(traces, requests, strict=True)
    ]


def _request(policy: Policy, trace: ValueCurve) -> Request | None:
    rollout = trace.rollout
    if rollout is None or rollout.reward >= 1 or trace.num_steps == 1:
        return None
    problem, ids = rollout.state.problem, rollout.completion_ids
    texts = [policy.text(ids[a:b]).strip() for a, b in pairwise(trace.bounds)]
    steps = "\n".join(f"Step {i}: {text}" for i, text in enumerate(texts, start=1))
    question = QUESTION.replace("{steps}", steps).replace("{problem}", problem.question)
    try:
        prompt_ids = policy.prompt_ids(question)
    except InputError:  # longer than the context
        return None
    seed = derive_seed("self", rollout.state.key, *ids)
    return Request(State(Problem(problem.id, prompt_ids, "", question=question)), 1, seed, ANSWER_TOKENS)


def _scores(policy: Policy, state: State, samples: Sequence[Sample], num_steps: int) -> list[float] | None:
    named = [step_of(policy.completion_text(state, one.action_ids).seen, num_steps) for one in samples]
    if not named or named[0] is None:
        return None
    return [float(step == named[0]) for step in range(num_steps)]


def step_of(answer: str, num_steps: int) -> int | None:
    """The index of the step that an answer names, from 0; None unless it begins with one, or has only one.

    'Step 3 is wrong: 2 + 2 = 5' gives 2, and so do '3' and 'The error is in step 3.'.
    """
    found = _FIRST.match(answer)
    numbers = {found[1]} if found else set(_NUMBER.findall(answer[:1000]))
    if len(numbers) != 1:
        return None
    text = numbers.pop()
    number = int(text) if len(text) <= 4 else 0
    return number - 1 if 1 <= number <= num_steps else None
