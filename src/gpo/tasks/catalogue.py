"""Every task by its name: the embedded ones, reasoning-gym's generators and the benchmarks."""

from __future__ import annotations

import difflib
import warnings
from typing import Any

from gpo.tasks import benchmarks, generated, gym
from gpo.tasks.benchmarks import BENCHMARKS
from gpo.tasks.row import Row
from gpo.types import DataWarning, InputError


def verifier(name: str) -> str:
    """The name of the verifier that judges the task; InputError for an unknown task."""
    check_name(name)
    return BENCHMARKS[name].verifier if name in BENCHMARKS else generated.verifier(name)


def load(
    name: str,
    split: str,
    size: int | None = None,
    seed: int = 0,
    *,
    data_dir: str | None = None,
    **options: Any,
) -> list[Row]:
    """`size` rows of a task with distinct ids; the same arguments give the same rows.

    A benchmark's rows come from `data_dir`, in upstream's schema, or without it from the hub: all of them,
    or `size` that are spread evenly. What upstream left without an answer is left out, and that as well as
    every difference from the known upstream is a DataWarning. Other tasks draw `size` questions by the
    seed, with `options` for the reasoning-gym generator; 'train' and 'test' share none, whatever the seeds.
    Raises InputError, naming the nearest valid one, for an unknown task, split or option.
    """
    check_name(name)
    if name not in BENCHMARKS:
        if size is None:
            raise InputError(f"{name}: draws its questions, so it needs a size; give how many")
        return generated.load(name, split, size, seed, options)
    if options:
        raise InputError(
            f"{name}: has no option '{next(iter(options))}'; it has none at all, so leave it out"
        )
    rows, notes = benchmarks.read(name, split, data_dir)
    kept, faults = benchmarks.usable(rows)
    for note in [*notes, *(f"{name} {split}: {fault}" for fault in faults)]:
        warnings.warn(note, DataWarning, stacklevel=2)
    return benchmarks.spread(kept, size)


def check_name(name: str) -> None:
    """InputError, naming the nearest tasks, unless there is a task of this name."""
    simple = [*generated.names(), *BENCHMARKS]
    if name in simple or (name.startswith(gym.PREFIX) and name in gym.names()):
        return
    known = [*simple, *gym.names()]
    near = difflib.get_close_matches(_plain(name), known, n=3) or difflib.get_close_matches(
        gym.PREFIX + name, known, n=3
    )
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(simple)} and gym/NAME"
    raise InputError(f"no task is called '{name}'; {hint}")


def _plain(name: str) -> str:
    """As our names are spelled: 'MMLU-Pro' and 'aime-2025' are near misses."""
    return name.lower().replace("mmlu-", "mmlu_").replace("-", "")
