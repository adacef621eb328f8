"""Decontamination: of a training run, and as `gpo data overlap FILE`."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gpo import tasks
from gpo.commands.ui import Ui
from gpo.config import LearningDataSettings, OverlapSettings
from gpo.record import Json
from gpo.report import checks
from gpo.tasks.benchmarks import at_hand, read
from gpo.tasks.overlap import overlaps, summary
from gpo.types import DataWarning, InputError, Problem

Questions = Mapping[str, str]
"""{id: question}"""


def without_overlaps(
    train: Sequence[Problem], held_out: Sequence[Problem], settings: LearningDataSettings
) -> list[Problem]:
    """The training problems that resemble none to evaluate on, nor one of a benchmark at hand.

    What is left out is a DataWarning. Generated questions share their wording by design and are kept
    apart by their own splits, so for them nothing is done.
    """
    excluded = contaminated(_questions(train), held_out, settings, settings.task)
    return [problem for problem in train if problem.id not in excluded]


def contaminated(
    train: Questions, held_out: Sequence[Problem], settings: LearningDataSettings, task: str | None
) -> set[str]:
    """The ids of the training questions, which are of `task`, that must be left out; see above."""
    is_generated = task is not None and task not in tasks.BENCHMARKS
    if not settings.decontaminate or is_generated:
        return set()
    known = benchmark_questions(settings.data_folder)
    if settings.allow_test:  # its own rows are what was allowed
        known.pop(str(task), None)
    tests = {"the evaluation": _questions(held_out), **known}
    found = overlaps(train, tests)
    if found:
        warnings.warn(
            f"left out {len(found)} of {len(train)} training problems that resemble test problems "
            f"(--no-decontaminate keeps them); {summary(found)}",
            DataWarning,
            stacklevel=3,
        )
    return {one.train for one in found}


def benchmark_questions(data_dir: str | None) -> dict[str, Questions]:
    """The questions of all tests in the data folder; none without a folder."""
    names = at_hand(data_dir) if data_dir else []
    return {name: {row.id: _bare(row) for row in read(name, "test", data_dir)[0]} for name in names}


def run(settings: OverlapSettings, ui: Ui) -> Json:
    """Which rows of a file are in a benchmark at hand; prints how many of which, and the first."""
    if settings.data_folder is None:
        raise InputError(
            "--data-dir: needed, with the benchmarks that the file is held against; name their folder"
        )
    rows = tasks.read_rows(settings.file, settings.prompt_column, settings.answer_column)
    tests = benchmark_questions(settings.data_folder)
    found = overlaps({row.id: _bare(row) for row in rows}, tests)
    sources = {row.id: row.source for row in rows}
    counts = Counter(one.among for one in found)
    ui.print(*checks.overlap(settings.file, len(rows), {name: counts[name] for name in tests}))
    ui.print(*(f"{sources[one.train]}: {one.frac:.0%} of {one.test}" for one in found[: checks.SHOWN]))
    return {
        "rows": len(rows),
        "overlapping": len(found),
        "by_set": {name: counts[name] for name in tests},
        "overlaps": [{"row": sources[one.train], **asdict(one)} for one in found],
    }


def _questions(problems: Sequence[Problem]) -> Questions:
    return {problem.id: str(problem.columns.get("stem", problem.question)) for problem in problems}


def _bare(row: tasks.Row) -> str:
    """The question without its options."""
    return str(row.columns.get("stem", row.question))
