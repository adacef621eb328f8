"""What rewards the steps of completions: the user's own function, or the likelihood of the answer (RePro).

A step reward is what a proposal is, a number for each step of a trajectory, but it reaches the gradient:
gpo.learn.process makes advantages of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from pydantic import Field, model_validator

from gpo.learn.process import StepRewards
from gpo.located import bounds_of, unsampled
from gpo.named import user_function
from gpo.proposals import FORCED_ANSWER, Proposal, answer_logprobs, check_template, judge
from gpo.protocols import Policy, Splitter
from gpo.settings import Settings
from gpo.types import Group, InputError, Rollout, State, ValueCurve

NAMES = ("repro",)
STABILITY = 0.2
"""Weight of RePro's stability beside its magnitude. The paper finds small weights best; this one is ours."""


class StepRewardSettings(Settings):
    """What rewards the steps of the trained rollouts, beside the outcome."""

    section = "Training"

    step_reward: str | None = Field(
        None,
        description="Reward of every step beside the outcome's: `repro`, or your own module:function, which "
        "takes a question, an answer and the steps' texts",
    )

    @model_validator(mode="after")
    def _known_reward(self) -> Self:
        self.reward()
        return self

    def reward(self) -> Proposal | None:
        """What rewards steps, if anything does; InputError for an unknown name."""
        template = getattr(self, "forced_answer", FORCED_ANSWER)
        return by_name(self.step_reward, template=template) if self.step_reward is not None else None


def by_name(spec: str, *, template: str = FORCED_ANSWER) -> Proposal:
    """The step reward of one of `NAMES`, or the function that module:function names; else InputError."""
    if spec == "repro":
        check_template(template)
        return repro(template)
    if ":" not in spec:
        raise InputError(f"step_reward: {spec!r} is unknown; give {', '.join(NAMES)}, or module:function")
    return judge(user_function(spec, "step_reward"), "step_reward")


def repro(template: str = FORCED_ANSWER, stability: float = STABILITY) -> Proposal:
    """RePro's reward of each step: by how much it raises the score of the reasoning so far.

    J is the mean log-likelihood of the known answer's tokens alone, read after the words of `template`;
    nothing is generated. The last step, whose effect the outcome shows, gets 0.
    """

    def rewards(policy: Policy, traces: Sequence[ValueCurve]) -> list[list[float] | None]:
        read = answer_logprobs(policy, traces, template, is_bare=True)
        return [None if one is None else repro_rewards(one, stability) for one in read]

    return rewards


def repro_rewards(likelihoods: Sequence[float], stability: float = STABILITY) -> list[float]:
    """[S] rewards from J [S] before each step, in nats below 0 (RePro, arXiv 2512.01925).

    The score after step t is (1 - w) magnitude + w stability, and a step's reward is what the score rose by;
    the first's is its score, the last's 0. Read from notes on the paper that two readers wrote, not from the
    paper itself, and both give signs that contradict the ranges beside them. What is here follows the ranges:

        magnitude = 1 - tanh(J_t / J_0), in (0, 1], higher for a likelier answer
        stability = (tau + 1) / 2, in [0, 1]; tau is Kendall's, of J_1 ... J_t with time; 1/2 for one alone

    The paper scores only segments that begin with a high entropy; this scores every step.
    """
    first, *after = likelihoods
    scores = [
        (1 - stability) * (1 - math.tanh(value / min(first, -1e-9))) + stability * _stability(after[: t + 1])
        for t, value in enumerate(after)
    ]
    rises = [b - a for a, b in zip([0.0, *scores], scores, strict=False)]
    return [*rises, 0.0]


def _stability(values: Sequence[float]) -> float:
    """The share of pairs that rise with time, ties counting half; 1/2 without a pair."""
    pairs = [(a, b) for i, a in enumerate(values) for b in values[i + 1 :]]
    return sum((b > a) + (b == a) / 2 for a, b in pairs) / len(pairs) if pairs else 0.5


def rewarded(
    reward: Proposal,
    policy: Policy,
    splitter: Splitter,
    groups: Sequence[Group],
    explored: Sequence[Group] = (),
) -> list[StepRewards]:
    """The rewards of the sampled steps of every rollout of the groups.

    A step reward sees whole completions, the steps of a given prefix too. A rollout that is the head of an
    `explored` one gets the rewards of the steps that followed it there, too.
    """
    wholes = [one for group in explored for one in group.rollouts]
    rollouts = [one for group in groups for one in group.rollouts if one.action_ids]
    longest = [next((whole for whole in wholes if _begins(one, whole)), one) for one in rollouts]
    traces = {id(one): _trace(one, policy, splitter) for one in longest}
    scores = dict(zip(traces, reward(policy, list(traces.values())), strict=True))
    found = []
    for one, whole in zip(rollouts, longest, strict=True):
        bounds, rewards = traces[id(whole)].bounds, scores[id(whole)]
        first = bounds.index(len(one.state.prefix_ids))
        if rewards is not None:
            found.append(StepRewards(one, bounds[first:], tuple(rewards[first:])))
    return found


def _begins(one: Rollout, whole: Rollout) -> bool:
    ids = one.completion_ids
    return one.state.problem == whole.state.problem and whole.completion_ids[: len(ids)] == ids


def _trace(one: Rollout, policy: Policy, splitter: Splitter) -> ValueCurve:
    """The whole completion in steps, of which one ends where the sampled tokens begin."""
    prefix = one.state.prefix_ids
    given = splitter(prefix, policy.tokenizer)[:-1] if prefix else []
    whole = replace(
        one, state=State(one.state.problem), action_ids=one.completion_ids, logprobs=(), entropies=()
    )
    return unsampled(whole, [*given, *bounds_of(one, splitter, policy)])
