"""What runs in a worker: requests to replies, for the built-in verifiers and for the user's function.

Requests are {"items": [{question, text, answer, columns}, ...]}, {"check": one such item} or {"read": one
such item}. Replies are {"rewards": [...]}, {"ok": True}, {"answer": text or None} or {"error": why}: the
user's data or function is wrong. What a judge raises ends its worker, and the answer at hand counts as
failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

from gpo.verifiers import function, naming

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


class BuiltIn(Protocol):
    """A module of this room that verifies one answer at a time."""

    def check(self, answer: str, columns: Mapping[str, Any]) -> None:
        """Raises ValueError, saying why, if this cannot be a gold answer."""
        ...

    def score(self, text: str, answer: str, columns: Mapping[str, Any]) -> float:
        """The reward of the completion `text`, in [0, 1], whatever the text."""
        ...

    def read(self, text: str, columns: Mapping[str, Any]) -> str | None:
        """The final answer in one spelling, so that equal answers are equal texts; None if there is none."""
        ...


def named(name: str) -> Judge:
    """The judge for a built-in verifier's name or for 'module:function'."""
    if name in COLUMNS:
        return of_module(import_module(f"gpo.verifiers.{name}"))
    return of_function(naming.resolve(name))


def of_module(verifier: BuiltIn) -> Judge:
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
