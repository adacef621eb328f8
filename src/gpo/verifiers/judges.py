"""What runs in a worker: requests to replies, for the built-in verifiers and for the user's function.

Requests are {"items": [{question, text, answer, columns}, ...]}, {"check": one such item} or {"read": one
such item}. Replies are {"rewards": [...]}, {"ok": True}, {"answer": text or None} or {"error": why}: the
user's data or function is wrong. What a judge raises ends its worker, and the answer at hand counts as
failed.
"""

from __future__ import annotations

import difflib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

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

_FILE = ".py"
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


def resolve(spec: str) -> function.RewardFunction:
    """The callable that `spec` names; the name may have dots, for what a class or an object holds.

    Raises what the import raises; ImportError with a hint if there is no such module, AttributeError with the
    nearest name if it has no such function, TypeError if that cannot be called.
    """
    where, _, name = spec.rpartition(":")
    module = _of_file(Path(where)) if where.endswith(_FILE) else _of_name(where)
    try:
        found = attrgetter(name)(module)
    except AttributeError as error:
        near = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise AttributeError(f"{error}{hint}") from None
    if not callable(found):
        raise TypeError(f"'{name}' is a {type(found).__name__}, not a function")
    result: function.RewardFunction = found
    return result


def _of_name(name: str) -> ModuleType:
    if "/" in name or name.startswith("."):
        raise ImportError(f"'{name}' is a path; name the file, as in {name}{_FILE}:function")
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0] and error.name != name:
            raise  # it is there, and imports something that is not
        raise ModuleNotFoundError(
            f"{error}; it is looked for in the folder you start in and where Python's packages are, and a "
            f"file elsewhere is named by its path, as in rewards/mine{_FILE}:function"
        ) from None


def _of_file(path: Path) -> ModuleType:
    """The module in a file, whose folder is searched for what it imports."""
    path = path.expanduser().absolute()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    sys.path.append(str(path.parent))
    name = f"{path.stem} of {path.parent}" if path.stem in sys.modules else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as an import does it: a dataclass looks its own module up
    spec.loader.exec_module(module)
    return module
