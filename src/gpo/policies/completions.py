"""The completions endpoint: what is sent for a request, and what has to come back for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpo.policies.prompting import PromptedPolicy
from gpo.policies.replicas import Json, MalformedError
from gpo.policies.sampler import Sampling
from gpo.seeds import derive_seed
from gpo.types import Ids, Sample

PATH = "/v1/completions"
_LEAST_LOGPROB = -1000.0
"""What is less likely was never drawn: vLLM writes -9999 for a probability of 0."""
_ECHO = 16
"""So many prompt ids at the start of a completion are no coincidence."""
_LONGEST = 60
"""Characters of a value that a message shows."""


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
    """[num] the rows of an answer, each checked; MalformedError names the field that cannot be right."""
    rows = choices_of(answer, ask.num)
    for place, row in enumerate(rows):
        if row.get("prompt_token_ids") not in (None, list(ask.ids)):
            raise MalformedError(f"choices[{place}].prompt_token_ids is not the prompt that was sent")
    samples = [_sample(row, f"choices[{place}]", ask, policy) for place, row in enumerate(rows)]
    check_usage(answer, "prompt_tokens", len(ask.ids))
    check_usage(answer, "completion_tokens", sum(len(one.action_ids) for one in samples))
    return samples


def choices_of(answer: Any, num: int) -> list[Json]:
    """The rows of an answer in order; MalformedError unless there are `num` of them, numbered from 0."""
    rows = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        said = answer.get("error") if isinstance(answer, dict) else None
        raise MalformedError(f"no list of choices{f', but error: {shown(said)}' if said else ''}")
    indices = [row.get("index") for row in rows]
    if not all(type(index) is int for index in indices) or sorted(indices) != list(range(num)):
        raise MalformedError(f"choices have the indices {shown(indices)}, but {num} rows were requested")
    return sorted(rows, key=lambda row: int(row["index"]))


def check_name(answer: Any, served: Json) -> None:
    """MalformedError if another model answers than the one served; some add a revision or tag to its name."""
    said = answer.get("model") if isinstance(answer, dict) else None
    name = str(served["id"])
    known = (name, f"{name}:latest", served.get("root"))
    if said is not None and said not in known and str(said).partition("@")[0] != name:
        raise MalformedError(f"model is {shown(said)}, but {name!r} was requested")


def check_usage(answer: Json, field: str, num: int) -> None:
    """MalformedError if the server counts other tokens than are there, or than were meant to be read."""
    usage = answer.get("usage")
    said = usage.get(field) if isinstance(usage, dict) else None
    if said is not None and (type(said) is not int or said != num):
        why = ": it adds some, or has another tokenizer" if field == "prompt_tokens" else ""
        raise MalformedError(f"usage.{field} is {shown(said)}, not {num}{why}")


def shown(value: Any) -> str:
    """A value of an answer in a message, cut."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _sample(row: Json, place: str, ask: Ask, policy: PromptedPolicy) -> Sample:
    ids, logprobs = ids_of(row, place, policy.num_ids), _logprobs(row, place)
    if not 1 <= len(ids) <= ask.num_new:
        raise MalformedError(f"{place}.token_ids has {len(ids)} ids, not 1 to {ask.num_new}")
    if len(logprobs) != len(ids):
        raise MalformedError(f"{place}.logprobs has {len(logprobs)} log-probabilities for {len(ids)} tokens")
    if len(ask.ids) >= _ECHO and ids[: len(ask.ids)] == ask.ids:
        raise MalformedError(f"{place}.token_ids begins with the prompt: leave echo off")
    is_finished = _is_finished(row, place, ids, ask, policy)
    check_text(row, place, ids, policy)
    return Sample(ids, logprobs, (), is_finished)


def _is_finished(row: Json, place: str, ids: Ids, ask: Ask, policy: PromptedPolicy) -> bool:
    """Whether the row ended by itself; its tokens have to say the same."""
    reason = row.get("finish_reason")
    if reason not in ("stop", "length"):
        raise MalformedError(f"{place}.finish_reason is {shown(reason)}, neither stop nor length")
    ends = [i for i, one in enumerate(ids[:-1]) if one in policy.end_ids]
    if ends:
        raise MalformedError(f"{place}.token_ids continues after the end token {ids[ends[0]]} at {ends[0]}")
    if (reason == "stop") != has_ended(ids, policy):
        raise MalformedError(f"{place}.finish_reason is {reason!r}, which its tokens contradict")
    if reason == "length" and len(ids) < ask.num_new:
        raise MalformedError(f"{place}.finish_reason is 'length' after {len(ids)} of {ask.num_new} tokens")
    return bool(reason == "stop")


def has_ended(ids: Ids, policy: PromptedPolicy) -> bool:
    """Whether a completion ended by itself, by its tokens."""
    if ids and ids[-1] in policy.end_ids:
        return True
    text = policy.tokenizer.decode(ids) if policy.stop else ""
    return any(string in text for string in policy.stop)


def check_text(row: Json, place: str, ids: Ids, policy: PromptedPolicy) -> None:
    """MalformedError if the row's text has other letters and digits than its ids, which is another tokenizer.

    All else may differ: white space, half a character, and what is cut off as the end.
    """
    text = row.get("text")
    if text is None:
        return
    if not isinstance(text, str):
        raise MalformedError(f"{place}.text is {shown(text)}, not text")
    theirs, ours = _letters(text), _letters(policy.tokenizer.decode(ids))
    if policy.stop and has_ended(ids, policy):
        is_same = ours.startswith(theirs)  # which stop string, and whether it is cut off, is not said
    else:
        is_same = theirs in (ours, _letters(policy.tokenizer.decode(ids[:-1])))
    if not is_same:
        said, meant = shown(text), shown(policy.tokenizer.decode(ids))
        raise MalformedError(f"{place}.text is {said}, and its ids are {meant} here: another tokenizer")


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def ids_of(row: Json, place: str, num_ids: int) -> Ids:
    """The token ids of a row, each below `num_ids`."""
    ids = row.get("token_ids")
    if not isinstance(ids, list):
        raise MalformedError(f"{place}.token_ids is {shown(ids)}, not a list of ids")
    for i, one in enumerate(ids):
        if type(one) is not int or not 0 <= one < num_ids:
            raise MalformedError(f"{place}.token_ids[{i}] is {shown(one)}, not an id below {num_ids:,}")
    return tuple(ids)


def _logprobs(row: Json, place: str) -> tuple[float, ...]:
    found = row.get("logprobs")
    values = found.get("token_logprobs") if isinstance(found, dict) else None
    if not isinstance(values, list):
        raise MalformedError(f"{place}.logprobs.token_logprobs is {shown(values)}, not a list")
    return tuple(_logprob(value, f"{place}.logprobs.token_logprobs[{i}]") for i, value in enumerate(values))


def _logprob(value: Any, place: str) -> float:
    # Rounding lifts that of a sure token a little above 0.
    if type(value) not in (int, float) or not _LEAST_LOGPROB <= value <= 1e-2:
        raise MalformedError(f"{place} is {shown(value)}, not a log-probability of a drawn token")
    return float(value)


def prompt_logprobs_of(answer: Any, ids: Ids) -> tuple[float, ...]:
    """[L - 1] the log-probabilities of a prompt's tokens, from the second on."""
    found = choices_of(answer, 1)[0].get("prompt_logprobs")
    if not isinstance(found, list) or len(found) != len(ids):
        raise MalformedError(f"no log-probabilities of the prompt: prompt_logprobs is {shown(found)}")
    places = [f"choices[0].prompt_logprobs[{i}]" for i in range(len(ids))]
    try:
        values = [entry[str(one)]["logprob"] for one, entry in zip(ids[1:], found[1:], strict=True)]
    except (TypeError, LookupError):
        raise MalformedError("choices[0].prompt_logprobs: log-probabilities of another prompt") from None
    return tuple(_logprob(value, place) for value, place in zip(values, places[1:], strict=True))
