"""Rollouts and located trajectories as the JSON lines of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gpo.protocols import Tokenizer
from gpo.record.files import Json
from gpo.types import CriticalStep, Problem, Rollout, State, ValueCurve


def rollout_record(rollout: Rollout, **labels: Any) -> Json:
    """The JSON line of a rollout; `labels` are its round and purpose."""
    return {
        **labels,
        "problem": rollout.state.problem.id,
        "question": rollout.state.problem.question,
        "answer": rollout.state.problem.answer,
        "prompt_ids": rollout.state.problem.prompt_ids,
        "prefix_ids": rollout.state.prefix_ids,
        "action_ids": rollout.action_ids,
        "logprobs": [round(x, 6) for x in rollout.logprobs],
        "entropies": [round(x, 6) for x in rollout.entropies],
        "text": rollout.text,
        "finished": rollout.finished,
        "reward": rollout.reward,
        "policy_version": rollout.policy_version,
    }


def rollout_of(record: Json) -> Rollout:
    """The rollout of a line that `rollout_record` wrote; its problem has no task and no other columns."""
    problem = Problem(
        record["problem"], tuple(record["prompt_ids"]), record["answer"], "", record.get("question", "")
    )
    return Rollout(
        state=State(problem, tuple(record["prefix_ids"])),
        action_ids=tuple(record["action_ids"]),
        logprobs=tuple(math.nan if x is None else x for x in record["logprobs"]),
        entropies=tuple(record["entropies"]),
        text=record["text"],
        finished=record["finished"],
        reward=record["reward"],
        policy_version=record["policy_version"],
    )


def curve_record(
    curve: ValueCurve,
    critical: CriticalStep | None,
    estimate: Mapping[str, Any],
    tokenizer: Tokenizer,
    **labels: Any,
) -> Json:
    """The JSON line of a located trajectory; `estimate` has its values, advantages and intervals."""
    rollout = curve.rollout
    if rollout is None:
        raise ValueError("a curve is recorded with the rollout it belongs to")
    ids = rollout.completion_ids
    return {
        **labels,
        "problem": rollout.state.problem.id,
        "question": rollout.state.problem.question,
        "answer": rollout.state.problem.answer,
        "prompt_ids": rollout.state.problem.prompt_ids,
        "completion_ids": ids,
        "reward": rollout.reward,
        "finished": rollout.finished,
        "given": tokenizer.decode(ids[: curve.bounds[0]]),
        "steps": [tokenizer.decode(ids[a:b]) for a, b in zip(curve.bounds, curve.bounds[1:], strict=False)],
        "bounds": curve.bounds,
        "successes": curve.successes,
        "trials": curve.trials,
        **estimate,
        "critical": asdict(critical) if critical else None,
    }
