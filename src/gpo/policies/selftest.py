"""Whether a server can do what is needed, found out before anything is sampled from it.

What a server leaves out it mostly leaves out in silence, so each need is asked for once and looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gpo.masking import secrets
from gpo.policies.completions import (
    PATH,
    Ask,
    body_of,
    check_name,
    check_text,
    choices_of,
    ids_of,
    samples_of,
    shown,
)
from gpo.policies.prompting import PromptedPolicy
from gpo.policies.replicas import Json, MalformedError, RefusedError, Replica, Replicas
from gpo.policies.sampler import Sampling
from gpo.types import Ids, InputError, Sample

QUESTION = "Count from 1 to 9, one number a line."
ANYTHING = "Once"
"""A text with many continuations, so identical draws show that nothing was drawn."""
_PLAIN, _GREEDY = Sampling(), Sampling(temperature=0.0)
_NUM_TOKENS, _NUM_ROWS = 8, 8
_NUM_NAMES, _LONGEST_NAME = 10, 1000
_SURE = -15.0
"""Log-probability of what is not put down to chance: once in 3 million times."""


class Examined:
    """One server under examination; every method raises InputError with the reason why it will not do."""

    def __init__(self, replicas: Replicas, replica: Replica, policy: PromptedPolicy, served: Json) -> None:
        self.replicas, self.replica, self.policy, self.served = replicas, replica, policy, served
        self.ids = policy.prompt_ids(QUESTION)

    def check(self) -> None:
        """Token ids in and out, n rows, log-probabilities, and a continuation that begins where it should."""
        self.check_fields(self.ask(self.asked(2), _PLAIN, _object))
        ask = self.asked(_NUM_ROWS, tuple(self.policy.tokenizer.encode(ANYTHING)), 4 * _NUM_TOKENS)
        rows: list[Sample] = self.ask(ask, _PLAIN, lambda found: samples_of(found, ask, self.policy))
        are_alike = len({row.action_ids for row in rows}) == 1
        if are_alike and (_NUM_ROWS - 1) * sum(rows[0].logprobs) < _SURE:
            raise self.refused(
                "draws all rows of a request alike: it ignores temperature, or n shares a seed"
            )
        self.check_continues()

    def asked(self, num: int, ids: Ids | None = None, num_new: int = _NUM_TOKENS) -> Ask:
        return Ask(self.ids if ids is None else ids, num_new, num, seed=0)

    def ask(self, ask: Ask, sampling: Sampling, parse: Callable[[Any], Any], **more: Any) -> Any:
        body = body_of(ask, self.policy, self.served["id"], sampling) | more

        def parsed(answer: Any) -> Any:
            check_name(answer, self.served)
            return parse(answer)

        try:
            return self.replicas.call("POST", PATH, body, parsed, only=self.replica)
        except RefusedError as error:
            reason = f"refuses a prompt of token ids with n, logprobs and return_token_ids: {error}"
            raise self.refused(reason) from None

    def check_fields(self, answer: Json) -> None:
        try:
            rows = choices_of(answer, 2)
        except MalformedError as error:
            is_one = isinstance(answer.get("choices"), list) and len(answer["choices"]) == 1
            why = "ignores n: two rows were requested" if is_one else str(error)
            raise self.refused(why) from None
        if any(not isinstance(row.get("token_ids"), list) for row in rows):
            raise self.refused("returns no token ids (return_token_ids): vLLM from 0.10.2 on does")
        read = [row["prompt_token_ids"] for row in rows if row.get("prompt_token_ids") is not None]
        if any(ids != list(self.ids) for ids in read):
            raise self.refused("changes the prompt: it re-tokenises it or applies a template")
        if any(not isinstance(row.get("logprobs"), dict) for row in rows):
            raise self.refused("ignores logprobs")
        self.check_text(rows)

    def check_text(self, rows: list[Json]) -> None:
        """Whether ids mean the same text here and there."""
        try:
            for place, row in enumerate(rows):
                ids = ids_of(row, f"choices[{place}]", self.policy.num_ids)
                check_text(row, f"choices[{place}]", ids, self.policy)
        except MalformedError as error:
            raise self.refused(f"has another tokenizer than --model: {error}") from None

    def check_continues(self) -> None:
        """A greedy continuation, restarted from its own middle, must end the same way."""
        whole = self.greedy(self.ids, _NUM_TOKENS)
        middle = len(whole.action_ids) // 2
        if not middle:
            return
        rest = self.greedy(self.ids + whole.action_ids[:middle], _NUM_TOKENS - middle)
        is_same = rest.action_ids[0] == whole.action_ids[middle]
        if not is_same and not _is_tie(rest.logprobs[0], whole.logprobs[middle]):
            raise self.refused(
                "cannot continue an assistant's turn: resuming mid-completion gave a different continuation"
            )

    def greedy(self, ids: Ids, num_new: int) -> Sample:
        ask = self.asked(1, ids, num_new)
        rows: list[Sample] = self.ask(ask, _GREEDY, lambda found: samples_of(found, ask, self.policy))
        return rows[0]

    def gives_raw_logprobs(self) -> bool:
        """Whether log-probabilities are at temperature 1 whatever the temperature is (vLLM's default)."""
        plain, hot = (self.top(sampling) for sampling in (_PLAIN, replace(_PLAIN, temperature=2.0)))
        shared = plain.keys() & hot.keys()
        if len(shared) < 2:
            raise self.refused("returns no log-probabilities of the likeliest tokens (logprobs: 5)")
        width, hot_width = (max(d[k] for k in shared) - min(d[k] for k in shared) for d in (plain, hot))
        return abs(hot_width - width) < abs(hot_width - width / 2)

    def top(self, sampling: Sampling) -> dict[str, float]:
        def parse(answer: Any) -> dict[str, float]:
            try:
                found = choices_of(answer, 1)[0]["logprobs"]["top_logprobs"][0]
                return {str(token): float(value) for token, value in found.items()}
            except (LookupError, TypeError, AttributeError):
                raise MalformedError("no top_logprobs") from None

        top: dict[str, float] = self.ask(self.asked(1, num_new=1), sampling, parse, logprobs=5)
        return top

    def refused(self, reason: str) -> InputError:
        return InputError(f"--server {self.replica.url}: {reason}")


def _is_tie(one: float, other: float) -> bool:
    """Whether either of two tokens may be the likeliest within half-precision rounding."""
    return max(one, other) < -0.6 and abs(one - other) < 0.1


def served(replicas: Replicas, replica: Replica, name: str | None) -> Json:
    """What the server says of the model it serves under `name`, or of its only one."""
    try:
        models = replicas.call("GET", "/v1/models", None, _models, only=replica)
    except RefusedError as error:
        raise InputError(f"--server {error}") from None
    found = [model for model in models if name in (None, model["id"])]
    if len(found) != 1:
        names = [secrets(short=True).mask(shown(model["id"])) for model in models[:_NUM_NAMES]]
        more = [f"{len(models) - _NUM_NAMES} more"] if len(models) > _NUM_NAMES else []
        wanted = f"no model {name!r}" if name else "several models; give --served-model"
        listed = ", ".join(names + more) or "nothing"
        raise InputError(f"--server {replica.url}: serves {wanted}: {listed}")
    return found[0]


def _models(answer: Any) -> list[Json]:
    models = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(models, list):
        raise MalformedError("no list of models")
    return [_model(model, f"data[{i}]") for i, model in enumerate(models)]


def _model(found: Any, place: str) -> Json:
    """Name, origin and context of a listed model, each of the kind that it must be."""
    model = _object(found)
    for key in ("id", "root", "parent"):
        value = model.get(key)
        is_name = isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME
        if not is_name and (value is not None or key == "id"):
            raise MalformedError(f"{place}.{key} is {shown(value)}, not a model name")
    length = model.get("max_model_len")
    if length is not None and (type(length) is not int or length < 1):
        raise MalformedError(f"{place}.max_model_len is {shown(length)}, not a number of tokens")
    return {key: model.get(key) for key in ("id", "root", "parent", "max_model_len")}


def _object(answer: Any) -> Json:
    if not isinstance(answer, dict):
        raise MalformedError(f"{shown(answer)} is not a JSON object")
    return answer
