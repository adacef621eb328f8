"""Rows from reasoning-gym's generators, split into train and test by the text of the question."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from gpo.seeds import derive_seed
from gpo.tasks.row import Row, distinct_rows, draws
from gpo.types import InputError

PREFIX = "gym/"


def names() -> list[str]:
    """Every 'gym/NAME', sorted. Importing reasoning-gym takes a second."""
    from reasoning_gym.factory import DATASETS

    return sorted(PREFIX + name for name in DATASETS)


def gym_rows(
    task: str, generator: str, split: str, size: int, seed: int, options: Mapping[str, Any]
) -> list[Row]:
    """`size` rows of a generator (its name without 'gym/'); `options` are fields of its configuration.

    `columns` hold what reasoning-gym's verifier needs: {'gym': generator, 'entry': item}. The answer
    is '' where the generator has no single one and only its verifier knows. `task` starts the ids.
    Raises InputError for an unknown option, values that the generator refuses, or too few questions.
    """
    _check_options(task, generator, options)
    items = _items(task, generator, derive_seed("gym", generator, split, seed) % 2**31, draws(size), options)
    rows = (
        Row("", item["question"], item["answer"] or "", {"gym": generator, "entry": item}) for item in items
    )
    return distinct_rows(rows, task, split, size)


def _items(
    task: str, generator: str, seed: int, size: int, options: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """`size` items. Item i depends on seed + i alone, so the streams of near seeds overlap."""
    import reasoning_gym

    try:
        dataset = reasoning_gym.create_dataset(generator, seed=seed, size=size, **options)
    except (AssertionError, TypeError, ValueError) as error:
        settings = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "the default setting"
        raise InputError(f"{task}: {settings} is refused: {error}; change it") from error
    return (dataset[index] for index in range(size))


def _check_options(task: str, generator: str, options: Mapping[str, Any]) -> None:
    from reasoning_gym.factory import DATASETS

    _, config = DATASETS[generator]
    known = [field.name for field in fields(config) if field.name not in ("seed", "size")]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known) or 'none'}"
            raise InputError(f"{task}: has no option '{name}'; {hint}")
