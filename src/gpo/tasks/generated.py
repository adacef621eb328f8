"""The tasks that need no file: their names, their rows and which verifier judges them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from gpo.tasks import chain_sum, gym, planted
from gpo.tasks.row import SPLITS, Row
from gpo.types import InputError


def names() -> list[str]:
    """The demo's tasks, its main one first. Besides, every reasoning-gym generator is 'gym/NAME'."""
    return [chain_sum.NAME, *planted.TASKS]


def verifier(name: str) -> str:
    """The name of the verifier that judges the task."""
    return "exact" if name in planted.TASKS else "gym"


def load(name: str, split: str, size: int, seed: int, options: Mapping[str, Any]) -> list[Row]:
    """`size` rows of one of `names()` or of a generator; see `gpo.tasks.load`."""
    if split not in SPLITS:
        raise InputError(f"{name}: split is {split!r}; it must be 'train' or 'test'")
    if size < 1:
        raise InputError(f"{name}: size is {size}; it must be at least 1")
    if name in planted.TASKS:
        if options:
            raise InputError(
                f"{name}: has no option '{next(iter(options))}'; it has none at all, so leave it out"
            )
        return planted.planted_rows(name, split, size, seed)
    if name == chain_sum.NAME:
        return chain_sum.chain_sum_rows(split, size, seed, options)
    return gym.gym_rows(name, name.removeprefix(gym.PREFIX), split, size, seed, options)


def demonstration(name: str, question: str, rng: random.Random | None = None) -> list[str]:
    """Lines that answer a question of one of `names()`: the right ones, or with `rng` flawed ones."""
    if name not in names():
        raise InputError(f"there are no demonstrations of '{name}', only of {', '.join(names())}")
    if name == chain_sum.NAME:
        return chain_sum.demonstration(question, rng)
    return planted.demonstration(question, rng)
