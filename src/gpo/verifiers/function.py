"""The user's own Python as a verifier, called as TRL calls a reward function.

    def reward(prompts, completions, solution, **columns) -> list[float | None]

Every column of the rows comes under its own name and as the file has it, as a list of the same length.
`answer` is the gold answer as text where no column is called so; `prompts` are the questions and
`completions` the whole texts, or both are lists of messages where the column `prompt` holds messages. The
function is given what it names, and all of it where it has **keywords. It may be `async`; None means that it
has no opinion. `trainer_state` is None, and what is given to `log_extra` and `log_metric` goes nowhere.
`completion_ids` are not passed: a verifier sees text.
"""

from __future__ import annotations

import difflib
import errno
import inspect
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpo.named import place_of
from gpo.types import InputError

RewardFunction = Callable[..., Any]

_TRL_RESERVED = ("prompt", "completion", "completion_ids")
_NO_MEMORY = ("allocate memory", "out of memory")


def rewards(function: RewardFunction, items: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """The function's checked rewards, one for each item {question, text, answer, columns}.

    Raises ValueError, saying what happened, if the function cannot be called with the rows' columns, raises,
    or returns anything else than a list of numbers in [0, 1] or None. Running out of memory is the answer's
    fault and passes through.
    """
    try:
        return _called(function, arguments(items), len(items))
    except _WrongRewardError as error:
        raise ValueError(str(error)) from None
    except Exception as error:
        if _is_memory(error):
            raise MemoryError(str(error)) from error
        traceback.print_exc()
        raise ValueError(f"raised {type(error).__name__}: {error}{place_of(error)}") from error


def combined(functions: Sequence[RewardFunction], weights: Sequence[float] | None = None) -> RewardFunction:
    """One reward function of several: the mean of their rewards by `weights` (equal without them).

    A function that has no opinion (None) does not count; where none has one, the mean has none. InputError
    for no function, something that is none, or weights that are not one positive number for each.
    """
    if not functions or not all(map(callable, functions)):
        raise InputError(f"reward functions: give at least one, and functions alone, not {functions!r:.60}")
    shares = [1.0] * len(functions) if weights is None else [float(weight) for weight in weights]
    if len(shares) != len(functions) or not all(0 < share < math.inf for share in shares):
        raise InputError(
            f"reward_weights: are {shares} for {len(functions)} functions; give a positive one for each"
        )

    def reward(**given: Any) -> list[float | None]:
        found = [_named(function, given) for function in functions]
        return [_mean(some, shares) for some in zip(*found, strict=True)]

    reward.__name__ = reward.__qualname__ = "+".join(
        getattr(one, "__name__", "function") for one in functions
    )
    return reward


def _mean(rewards: Sequence[float | None], shares: Sequence[float]) -> float | None:
    known = [(reward, share) for reward, share in zip(rewards, shares, strict=True) if reward is not None]
    total = sum(share for _, share in known)
    return sum(reward * share for reward, share in known) / total if known else None


def _named(function: RewardFunction, given: dict[str, Any]) -> list[float | None]:
    """The rewards of one of several functions, which is named where it is at fault."""
    try:
        return _called(function, given, len(given["completions"]))
    except _WrongRewardError as error:
        raise _WrongRewardError(f"({getattr(function, '__name__', 'function')}) {error}") from None


def _called(function: RewardFunction, given: dict[str, Any], num: int) -> list[float | None]:
    """The function's checked rewards of `num` completions."""
    positional, named = _chosen(function, given)
    result = function(*positional, **named)
    if inspect.isawaitable(result):
        import asyncio

        result = asyncio.run(_awaited(result))
    return _checked(result, num)


def arguments(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """TRL's keyword arguments; a column that a row lacks is None there."""
    names = dict.fromkeys(name for item in items for name in item["columns"] if name not in _TRL_RESERVED)
    columns = {name: [item["columns"].get(name) for item in items] for name in names}
    asked = [item["columns"].get("prompt") for item in items]
    is_conversational = _is_messages(asked[0])
    texts = [item["text"] for item in items]
    return {
        "answer": [item["answer"] for item in items],
        **columns,
        "prompts": asked if is_conversational else [item["question"] for item in items],
        "completions": [[{"role": "assistant", "content": t}] for t in texts] if is_conversational else texts,
        "trainer_state": None,
        "log_extra": _log_nothing,
        "log_metric": _log_nothing,
    }


def _chosen(function: RewardFunction, given: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What of the given arguments the function takes, by position and by name.

    _WrongRewardError if it needs another one, with the nearest name.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function in C that does not tell
        return [], given
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for one in parameters:
        if one.kind is one.VAR_KEYWORD:
            named = given | named
        elif one.kind is not one.VAR_POSITIONAL and one.name in given:
            if one.kind is one.POSITIONAL_ONLY:
                positional.append(given[one.name])
            else:
                named[one.name] = given[one.name]
        elif one.kind is not one.VAR_POSITIONAL and one.default is one.empty:
            raise _WrongRewardError(_missing(one.name, given))
    taken = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
    return positional, {name: value for name, value in named.items() if name not in taken}


def _missing(name: str, given: Mapping[str, Any]) -> str:
    if name == "completion_ids":
        return "needs 'completion_ids', which are not passed: a verifier sees text; take `completions`"
    near = difflib.get_close_matches(name, given, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"needs '{name}', and there are only {', '.join(given)}{hint}"


async def _awaited(result: Any) -> Any:
    return await result


def _is_messages(prompt: Any) -> bool:
    is_list = isinstance(prompt, list) and bool(prompt)
    return is_list and all(isinstance(one, Mapping) and "role" in one and "content" in one for one in prompt)


def _log_nothing(*_: Any, **__: Any) -> None:
    """Stands for what TRL's trainer logs by."""


def _is_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


class _WrongRewardError(Exception):
    """What the function returned is not what it should."""


def _checked(result: Any, num: int) -> list[float | None]:
    if isinstance(result, str | bytes | Mapping) or not hasattr(result, "__iter__"):
        raise _WrongRewardError(f"returned {_shown(result)} instead of a list of {num} rewards")
    values = list(result)
    if len(values) != num:
        raise _WrongRewardError(f"returned {len(values)} rewards for {num} completions")
    return [None if value is None else _reward(value) for value in values]


def _reward(value: Any) -> float:
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise _WrongRewardError(f"returned {_shown(value)} as a reward instead of a number")
    try:
        reward = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # an array of several numbers
        raise _WrongRewardError(f"returned {_shown(value)} as a reward instead of a number") from None
    if not 0.0 <= reward <= 1.0:
        raise _WrongRewardError(f"returned a reward of {reward}, which is not in [0, 1]; scale it")
    return reward


def _shown(value: object) -> str:
    return f"{value!r:.80} (a {type(value).__name__})"
