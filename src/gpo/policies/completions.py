"""The completions endpoint: what is sent for a request, and what has to come back for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gpo.policies.prompting import PromptedPolicy
from gpo.policies.replicas import Json, MalformedError
from gpo.policies.sampler import Sampling
from gpo.types import Ids, Sample, derive_seed

PATH = "/v1/completions"


@dataclass(frozen=True, slots=True)
class Ask:
    """Continue `ids` [L + t] by at most `num_new` >= 1 tokens, `num` times."""

    ids: Ids
    num_new: int
    num: int
    seed: int


def body_of(ask: Ask, policy: PromptedPolicy, model: str, sampling: Sampling) -> Json:
    """The JSON of a call. Everything is said, as a server takes what is not from its generation_config.

    Servers draw row i from `seed + i`, so that seeds are spread: neighbouring ones would share streams.
    """
    return {
        "model": model,
        "prompt": list(ask.ids),
        "n": ask.num,
        "max_tokens": ask.num_new,
        **_sampling(sampling),
        "seed": derive_seed("request", ask.seed) >> 1,  # room for `+ i` in 63 bits
        "logprobs": 0,
        "return_token_ids": True,
        "stop": list(policy.stop),
        "stop_token_ids": list(policy.end_ids),
        "skip_special_tokens": False,  # or a stop string that spells one is never seen
        "spaces_between_special_tokens": False,
    }


def _sampling(sampling: Sampling) -> Json:
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }


def samples_of(answer: Any, ask: Ask, policy: PromptedPolicy) -> list[Sample]:
    """[num] the rows of an answer, each checked; MalformedError for what is not there or cannot be."""
    rows = choices_of(answer, ask.num)
    if any(row.get("prompt_token_ids") not in (None, list(ask.ids)) for row in rows):
        raise MalformedError("the prompt that it read is not the one that was sent")
    return [_sample(row, ask, policy) for row in rows]


def choices_of(answer: Any, num: int) -> list[Json]:
    """The rows of an answer in order; MalformedError unless there are `num` of them."""
    rows = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedError("no list of choices")
    rows = sorted(rows, key=lambda row: str(row.get("index")).zfill(9))
    if [row.get("index") for row in rows] != list(range(num)):
        raise MalformedError(f"{len(rows)} rows instead of {num}")
    return rows


def _sample(row: Json, ask: Ask, policy: PromptedPolicy) -> Sample:
    ids, logprobs = _ids(row, ask.num_new), _logprobs(row)
    if len(logprobs) != len(ids):
        raise MalformedError(f"{len(logprobs)} log-probabilities for {len(ids)} tokens")
    if row.get("finish_reason") not in ("stop", "length"):
        raise MalformedError(f"finish_reason is {str(row.get('finish_reason'))[:20]!r}")
    is_finished = row["finish_reason"] == "stop"
    if is_finished != has_ended(ids, policy):
        raise MalformedError(f"finish_reason is {row['finish_reason']!r}, which its tokens do not bear out")
    return Sample(ids, logprobs, (), is_finished)


def has_ended(ids: Ids, policy: PromptedPolicy) -> bool:
    """Whether a completion ended by itself, by its tokens."""
    if ids and ids[-1] in policy.end_ids:
        return True
    text = policy.tokenizer.decode(ids) if policy.stop else ""
    return any(string in text for string in policy.stop)


def _ids(row: Json, most: int) -> Ids:
    ids = row.get("token_ids")
    if not isinstance(ids, list) or not all(type(one) is int and one >= 0 for one in ids):
        raise MalformedError("no token ids")
    if not 1 <= len(ids) <= most:
        raise MalformedError(f"{len(ids)} tokens where at most {most} were asked for")
    return tuple(ids)


def _logprobs(row: Json) -> tuple[float, ...]:
    found = row.get("logprobs")
    values = found.get("token_logprobs") if isinstance(found, dict) else None
    if not isinstance(values, list) or not all(_is_logprob(value) for value in values):
        raise MalformedError("no log-probabilities")
    return tuple(map(float, values))


def _is_logprob(value: Any) -> bool:
    # Rounding lifts that of a sure token a little above 0.
    return type(value) in (int, float) and math.isfinite(value) and value <= 1e-2


def prompt_logprobs_of(answer: Any, ids: Ids) -> tuple[float, ...]:
    """[L - 1] the log-probabilities of a prompt's tokens, from the second on."""
    row = choices_of(answer, 1)[0]
    found = row.get("prompt_logprobs")
    if not isinstance(found, list) or len(found) != len(ids):
        raise MalformedError("no log-probabilities of the prompt (prompt_logprobs)")
    try:
        values = [float(place[str(one)]["logprob"]) for one, place in zip(ids[1:], found[1:], strict=True)]
    except (TypeError, KeyError, ValueError):
        raise MalformedError("log-probabilities of another prompt") from None
    if not all(map(_is_logprob, values)):
        raise MalformedError("log-probabilities of the prompt that are none")
    return tuple(values)
