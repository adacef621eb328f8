"""The user's own Python as a verifier, called as TRL calls a reward function.

    def reward(prompts, completions, answer, **columns) -> list[float | None]

`prompts` are the questions, `completions` the whole completion texts, `answer` and every other column
of the rows are lists of the same length. May be `async`. None means that the function has no opinion.
What only a trainer has (`completion_ids`, `trainer_state`, `log_extra`, `log_metric`) is not passed.
"""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

RewardFunction = Callable[..., Any]

_TRL_RESERVED = ("prompt", "completion", "completion_ids")


def resolve(spec: str) -> RewardFunction:
    """The callable that 'module:function' names. Raises what the import raises, TypeError if not callable."""
    module, _, name = spec.partition(":")
    function = attrgetter(name)(importlib.import_module(module))
    if not callable(function):
        raise TypeError(f"'{name}' is a {type(function).__name__}, not a function")
    result: RewardFunction = function
    return result


def rewards(function: RewardFunction, items: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """The function's checked rewards, one for each item {question, text, answer, columns}.

    Raises ValueError, saying what happened, if the function raises or returns anything else than a
    list of numbers in [0, 1] or None. Running out of memory is the answer's fault and passes through.
    """
    try:
        result = function(**_arguments(items))
        if inspect.iscoroutine(result):
            import asyncio

            result = asyncio.run(result)
    except MemoryError:
        raise
    except Exception as error:
        traceback.print_exc()
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise ValueError(
            f"raised {type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
        ) from error
    return _checked(result, len(items))


def _arguments(items: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """TRL's keyword arguments; a column that a row lacks is None there."""
    names = dict.fromkeys(name for item in items for name in item["columns"] if name not in _TRL_RESERVED)
    columns = {name: [item["columns"].get(name) for item in items] for name in names}
    return columns | {
        "prompts": [item["question"] for item in items],
        "completions": [item["text"] for item in items],
        "answer": [item["answer"] for item in items],
    }


def _checked(result: Any, num: int) -> list[float | None]:
    if isinstance(result, str | bytes | Mapping) or not hasattr(result, "__iter__"):
        raise ValueError(f"returned {_shown(result)} instead of a list of {num} rewards")
    values = list(result)
    if len(values) != num:
        raise ValueError(f"returned {len(values)} rewards for {num} completions")
    return [None if value is None else _reward(value) for value in values]


def _reward(value: Any) -> float:
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise ValueError(f"returned {_shown(value)} as a reward instead of a number")
    reward = float(value)
    if not 0.0 <= reward <= 1.0:
        raise ValueError(f"returned a reward of {reward}, which is not in [0, 1]; scale it")
    return reward


def _shown(value: object) -> str:
    return f"{value!r:.80} (a {type(value).__name__})"
