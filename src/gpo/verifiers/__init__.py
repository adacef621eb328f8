"""Is this answer right? Built-in verifiers and the user's own Python, all in processes with hard limits.

    with load("math") as verifier:
        rewards = verifier.score(problems, texts)

exact, number, option, math, bbh and gym read a completion's final answer, outside its thinking.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from typing import Any

from gpo.types import InputError
from gpo.verifiers.isolated import IsolatedVerifier
from gpo.verifiers.judges import COLUMNS
from gpo.verifiers.process import Zygote, start_callable, start_named

__all__ = ["NAMES", "IsolatedVerifier", "load"]

NAMES = tuple(COLUMNS)
"""The built-in verifiers."""

MAX_BATCH = 32
"""Maximum number of answers per call of a user's function."""

_GIB = 2**30


def load(
    spec: str | Callable[..., Any],
    *,
    limit_s: float = 10.0,
    memory_gib: float | None = 4.0,
    num_workers: int | None = None,
) -> IsolatedVerifier:
    """The verifier that `spec` names: one of `NAMES`, 'module:function', 'file.py:function', or a callable.

    Functions have TRL's reward signature, see `gpo.verifiers.function`. One that is named is imported
    in a process of its own, from this process's path or folder; a callable is used, in a fork, as it is
    now. They get up to 32 answers a call; a call that fails is repeated answer by answer.

    An answer has `limit_s` seconds of processor time and ten times as much on the wall clock, and may take
    `memory_gib` GiB of address space beyond what the loaded verifier has (None for no limit; only Linux
    enforces it). `num_workers` processes work at a time (default: 2, or 1 on a single core).

    InputError if the name is unknown, the function cannot be imported or called, or a setting is out of
    range.
    """
    if not limit_s > 0:
        raise InputError(f"limit_s must be positive, not {limit_s}")
    if memory_gib is not None and not memory_gib > 0:
        raise InputError(f"memory_gib must be positive, not {memory_gib}")
    if num_workers is None:
        num_workers = min(2, os.cpu_count() or 1)
    if num_workers < 1:
        raise InputError(f"num_workers must be at least 1, not {num_workers}")
    name, zygote = _start(spec, None if memory_gib is None else int(memory_gib * _GIB))
    is_builtin = name in NAMES and not callable(spec)
    if not is_builtin:
        zygote.wait_ready()  # a broken import shows at once; the built-in ones load meanwhile
    return IsolatedVerifier(
        name,
        zygote,
        columns=COLUMNS[name] if is_builtin else None,
        max_batch=1 if is_builtin else MAX_BATCH,
        num_workers=num_workers,
        limit_s=limit_s,
    )


def _start(spec: str | Callable[..., Any], memory_bytes: int | None) -> tuple[str, Zygote]:
    if not isinstance(spec, str):
        if not callable(spec):
            raise InputError(f"a verifier is a name or a function, not {spec!r:.80}")
        name = getattr(spec, "__qualname__", type(spec).__qualname__)
        return name, start_callable(spec, name, memory_bytes)
    if spec not in NAMES and not all(spec.partition(":")):
        near = difflib.get_close_matches(spec, NAMES, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InputError(
            f"unknown verifier '{spec}': {hint}There are {', '.join(NAMES)}, module:function and "
            "file.py:function"
        )
    return spec, start_named(spec, memory_bytes)
