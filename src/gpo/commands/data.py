"""`gpo data`: a benchmark's gold answers, and a training file against the benchmarks.

Each gold answer goes through extraction and verifier like a completion, in several forms; where the
verifier has a fast path, once more without it. Then the different gold answer of another row of the same
subject is written in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any

import click

from gpo import flags, tasks, verifiers
from gpo.commands import JSON, finish, quiet
from gpo.console import Ui
from gpo.record import Json
from gpo.report import checks
from gpo.settings import Settings
from gpo.setup.data import bare, benchmark_questions
from gpo.setup.resume import new_settings
from gpo.tasks import gold
from gpo.tasks.benchmarks import read, spread
from gpo.tasks.overlap import overlaps
from gpo.tasks.settings import CheckSettings, OverlapSettings
from gpo.types import InputError, Problem
from gpo.verifiers.judges import COLUMNS

WITHOUT_FAST_PATH = {"math": "algebra"}
EMPTY = "the gold answer is empty upstream"


@dataclass(frozen=True)
class Checked:
    """What the check of one split found."""

    split: str
    num_rows: int
    failures: list[Json]
    """One a row whose gold answer is not accepted in every form: {row, id, gold, what, is_upstream_fault}."""
    false_accepts: list[Json]
    num_without_other: int
    """Rows for which no different gold answer was found, so that none was refused."""
    notes: list[str] = field(default_factory=list)

    @property
    def num_faults(self) -> int:
        """Failures that are upstream's."""
        return sum(failure["is_upstream_fault"] for failure in self.failures)


def check(settings: CheckSettings, ui: Ui) -> Json:
    """The check of all splits of a benchmark, or of one; prints a table and what failed."""
    verifier = tasks.verifier(settings.task)  # says which name is near if there is none
    if settings.task not in tasks.BENCHMARKS:
        raise InputError(
            f"{settings.task}: makes its own questions, so there are no gold answers to check; give one "
            f"of {', '.join(tasks.BENCHMARKS)}"
        )
    splits = [settings.split] if settings.split else list(tasks.BENCHMARKS[settings.task].splits)
    found = [check_split(settings, split, verifier) for split in splits]
    ui.print(*checks.report(settings.task, found))
    failures = [failure for one in found for failure in one.failures]
    num_rows = sum(one.num_rows for one in found)
    return {
        "task": settings.task,
        "splits": {one.split: one.num_rows for one in found},
        "rows": num_rows,
        "verified": num_rows - len(failures),
        "failed": len(failures),
        "upstream_faults": sum(one.num_faults for one in found),
        "false_accepts": sum(len(one.false_accepts) for one in found),
        "failures": failures,
        "accepted": [accept for one in found for accept in one.false_accepts],
        "without_other": sum(one.num_without_other for one in found),
        "notes": [note for one in found for note in one.notes],
    }


def is_clean(summary: Json) -> bool:
    """Whether nothing failed but upstream's own faults."""
    return bool(summary["failed"] == summary["upstream_faults"] and summary["false_accepts"] == 0)


def check_split(settings: CheckSettings, split: str, verifier: str) -> Checked:
    """Every gold answer of a split, and another's in its place, through the task's verifier."""
    rows, notes = read(settings.task, split, settings.data_folder)
    rows = spread(rows, settings.limit)
    usable = [row for row in rows if row.answer]
    others = gold.other_answers(usable, settings.seed)
    refused: dict[str, Json] = {row.id: _finding(row, EMPTY) for row in rows if not row.answer}
    accepted = []
    specs = {"": verifier, "fast path off, ": WITHOUT_FAST_PATH.get(verifier)}
    for label, spec in specs.items():
        if spec is None:
            continue
        with verifiers.load(spec, limit_s=settings.verifier_limit_s) as judge:
            for row, form in _refused(judge, usable, verifier):
                refused.setdefault(row.id, _finding(row, f"{label}refused: {form}"))
            for row, other, form in _accepted(judge, usable, others, verifier):
                accepted.append(_finding(row, f"{label}accepted {other!r}: {form}"))
    return Checked(split, len(rows), list(refused.values()), accepted, others.count(None), notes)


def _refused(
    judge: verifiers.IsolatedVerifier, rows: Sequence[tasks.Row], verifier: str
) -> Iterator[tuple[tasks.Row, str]]:
    """(row, form) of every gold answer that is not accepted."""
    asked = [(row, form) for row in rows for form in gold.FORMS[verifier]]
    texts = [gold.written(row, verifier, form, row.answer) for row, form in asked]
    rewards = _rewards(judge, verifier, [row for row, _ in asked], texts)
    yield from (one for one, reward in zip(asked, rewards, strict=True) if reward < 1.0)


def _accepted(
    judge: verifiers.IsolatedVerifier,
    rows: Sequence[tasks.Row],
    others: Sequence[str | None],
    verifier: str,
) -> Iterator[tuple[tasks.Row, str, str]]:
    """(row, answer, form) of every different answer that is accepted; the forms take turns."""
    asked = [
        (row, other, form)
        for row, other, form in zip(rows, others, cycle(gold.FORMS[verifier]))
        if other is not None
    ]
    texts = [gold.written(row, verifier, form, other) for row, other, form in asked]
    rewards = _rewards(judge, verifier, [row for row, _, _ in asked], texts)
    yield from (one for one, reward in zip(asked, rewards, strict=True) if reward > 0.0)


def _rewards(
    judge: verifiers.IsolatedVerifier, verifier: str, rows: Sequence[tasks.Row], texts: Sequence[str]
) -> list[float]:
    """The rewards of completions; those that are alike in all that the verifier sees are verified once."""
    keys = [
        (text, row.answer, *(str(row.columns.get(name)) for name in COLUMNS[verifier]))
        for row, text in zip(rows, texts, strict=True)
    ]
    places = {key: place for place, key in enumerate(keys)}
    problems = [Problem(row.id, (), row.answer, "", row.question, row.columns) for row in rows]
    asked = [problems[place] for place in places.values()], [texts[place] for place in places.values()]
    rewards = dict(zip(places, judge.score(*asked), strict=True))
    return [rewards[key] for key in keys]


def _finding(row: tasks.Row, what: str) -> Json:
    is_fault = what == EMPTY
    return {"row": row.source, "id": row.id, "gold": row.answer, "what": what, "is_upstream_fault": is_fault}


def overlap(settings: OverlapSettings, ui: Ui) -> Json:
    """Which rows of a file are in an available benchmark; prints counts and the first rows."""
    if settings.data_folder is None:
        raise InputError("--data-dir: needed; give the folder of the benchmarks to compare the file with")
    rows = tasks.read_rows(settings.file, settings.prompt_column, settings.answer_column)
    tests = benchmark_questions(settings.data_folder)
    found = overlaps({row.id: bare(row) for row in rows}, tests)
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


def _command(name: str, cls: type[Settings], about: str) -> click.Command:
    """`gpo data NAME`, with one argument and its settings as flags."""

    def call(as_json: bool, **options: Any) -> None:
        settings: Any = new_settings(cls, None, flags.given((cls,), options))
        quiet()
        summary = (check if name == "check" else overlap)(settings, Ui(as_json))
        finish(summary, as_json)
        if name == "check" and not is_clean(summary):
            raise SystemExit(1)

    own = [click.Option(["--json", "as_json"], is_flag=True, help=JSON)]
    return flags.command(name, about, call, cls, own=own)


ABOUT = {
    "check": "Check that every gold answer of a benchmark is accepted and another row's is refused.",
    "overlap": "Find rows of a training file that are in the tests of available benchmarks.",
}
command = click.Group("data")
command.add_command(_command("check", CheckSettings, ABOUT["check"]))
command.add_command(_command("overlap", OverlapSettings, ABOUT["overlap"]))
