"""Which rows are for testing: they are not trained on unless the user says so."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

from gpo.tasks.benchmarks import BENCHMARKS
from gpo.tasks.tables import HUB
from gpo.types import DataWarning, InputError

_TESTS = frozenset(
    {
        *("test", "tests", "testing", "validation", "valid", "val", "dev", "devtest", "development"),
        *("eval", "evaluation", "heldout", "holdout", "held", "hold"),
    }
)
"""Words in the name of a split that mark it as one to test on."""


def held_out_rows(source: Mapping[str, Any]) -> str | None:
    """What the rows of a run's settings are, such as "gsm8k's split 'test'", if they are for testing.

    None for a split to train on, and for a file of the user's own, of which no split is known. A task's
    splits other than `train` are for testing, those of generators too: `gpo train` evaluates on them.
    """
    task, data = source.get("task"), source.get("data")
    if data is not None:
        return _of_hub(str(data)) if str(data).startswith(HUB) else None
    split = source.get("split") or "train"
    if task is None or (split == "train" and has_training(str(task))):
        return None
    if not has_training(str(task)):
        return f"{task}, which has no split to train on"
    return f"{task}'s split {split!r}"


def check_training_rows(what: str, source: Mapping[str, Any], *, is_allowed: bool) -> None:
    """InputError if the settings in `source` name rows for testing; a DataWarning where they are allowed.

    `what` names the setting that led to them: '--run runs/located'.
    """
    found = held_out_rows(source)
    if found is None:
        return
    if is_allowed:
        warnings.warn(f"{what}: trains on {found}; do not test the model on them", DataWarning, stacklevel=3)
        return
    raise InputError(
        f"{what}: would train on {found}, and no model trained on these rows can be tested on them; "
        f"{_instead(source)}, or give --allow-test"
    )


def _instead(source: Mapping[str, Any]) -> str:
    if source.get("data") is not None:
        return "name another split, as in hub:OWNER/NAME:CONFIG:train"
    return "take gsm8k, math or your own --data" if "split" not in source else "use rows of --split train"


def has_training(task: str) -> bool:
    """Whether a task has rows to train on: every generator, and some benchmarks."""
    return task not in BENCHMARKS or "train" in BENCHMARKS[task].splits


def is_test(split: str) -> bool:
    """Whether any part of a split, as `datasets` writes it (`train+test[:10%]`), is one to test on."""
    names = re.sub(r"\[[^]]*\]?", "", split).lower()
    return not _TESTS.isdisjoint(re.split(r"[^a-z]+", names))


def held_out_dataset(dataset: Any) -> str | None:
    """What the rows of a `datasets.Dataset` are, if they are for testing, by the names that it still has.

    None for a data set made from lists, joined, or read from the user's own file: it has no names.
    """
    split, name = str(getattr(dataset, "split", None) or ""), str(dataset.info.dataset_name or "")
    for task, known in BENCHMARKS.items():
        if name and not has_training(task) and _bare(known.hub.partition("/")[2]) == _bare(name):
            return f"{name}, the benchmark {task}, which has no split to train on"
    return f"{name or 'a data set'}'s split {split!r}" if is_test(split) else None


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _of_hub(data: str) -> str | None:
    name, _, rest = data.removeprefix(HUB).partition(":")
    split = rest.partition(":")[2]
    for task, known in BENCHMARKS.items():
        if known.hub.lower() == name.lower() and not has_training(task):
            return f"{data}, the benchmark {task}, which has no split to train on"
    if not split:
        return f"{data}, which reads the split 'test' as it names none"
    return data if is_test(split) else None
