"""What runs in a worker: requests to replies, for the built-in verifiers and for the user's function.

Requests are {"items": [{question, text, answer, columns}, ...]}, {"check": one such item} or {"read": one
such item}. Replies are {"rewards": [...]}, {"ok": True}, {"answer": text or None} or {"error": why}: the
user's data or function is wrong. What a judge raises ends its worker, and the answer at hand counts as
failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from gpo.named import resolve
from gpo.verifiers import function

Judge = Callable[[Mapping[str, Any]], Mapping[str, Any]]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "algebra": (),
    "bbh": ("options", "subject"),
    "exact": (),
    "gym": ("gym", "entry"),
    "math": (),
    "number": (),
    "option": ("options",),
}
"""The built-in verifiers, and which columns of a row each needs."""

LEAST_ECHO = 16
"""Characters; a shorter question may be a part of an answer to it."""


@dataclass(frozen=True)
class BuiltIn:
    """A built-in verifier, which verifies one answer at a time: what a module of this room offers."""

    check: Callable[[str, Mapping[str, Any]], None]
    """(gold answer, columns): raises ValueError, saying why, if this cannot be a gold answer."""
    score: Callable[[str, str, Mapping[str, Any]], float]
    """(completion, gold answer, columns) to the reward in [0, 1], whatever the completion."""
    read: Callable[[str, Mapping[str, Any]], str | None]
    """(completion, columns) to the final answer, equal answers in one spelling; None if there is none."""


def built_in(name: str) -> BuiltIn:
    """The verifier of this name; `algebra` is `math` without its fast path, and must agree with it."""
    module = import_module(f"gpo.verifiers.{'math' if name == 'algebra' else name}")
    score = partial(module.score, is_fast=False) if name == "algebra" else module.score
    return BuiltIn(module.check, score, module.read)


def named(name: str) -> Judge:
    """The judge for a built-in verifier's name or for 'module:function'."""
    return of_built_in(built_in(name)) if name in COLUMNS else of_function(resolve(name))


def of_built_in(verifier: BuiltIn) -> Judge:
    """One answer a request, so that a hanging one is known and takes no other with it."""

    def judge(request: Mapping[str, Any]) -> Mapping[str, Any]:
        if "check" in request:
            return _check(verifier, request["check"])
        if "read" in request:
            return {"answer": verifier.read(without_echo(request["read"]), request["read"]["columns"])}
        try:
            return {"rewards": [_score(verifier, item) for item in request["items"]]}
        except ValueError:
            for item in request["items"]:
                if "error" in (reply := _check(verifier, item)):
                    return {"error": f"cannot use the gold answer: {reply['error']}"}
            raise

    return judge


def of_function(reward: function.RewardFunction) -> Judge:
    """As many answers a request as come, as TRL calls it."""

    def judge(request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return {"rewards": function.rewards(reward, request["items"])}
        except ValueError as error:
            return {"error": str(error)}

    return judge


def _check(verifier: BuiltIn, item: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        verifier.check(item["answer"], item["columns"])
    except ValueError as error:
        return {"error": str(error)}
    return {"ok": True}


def _score(verifier: BuiltIn, item: Mapping[str, Any]) -> float:
    columns = {"question": item["question"], **item["columns"]}  # it may ask for an order
    return verifier.score(without_echo(item), item["answer"], columns)


def without_echo(item: Mapping[str, Any]) -> str:
    """The completion without the question, where it repeats it word for word: that answers nothing."""
    question, text = str(item["question"]).strip(), str(item["text"])
    return text.replace(question, "\n") if len(question) >= LEAST_ECHO else text
