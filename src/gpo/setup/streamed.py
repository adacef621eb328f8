"""Data sets larger than memory: Ray Data reads their files ahead, and rows become tasks as they are begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from gpo import tasks
from gpo.command_settings import LocateSettings, SweepSettings
from gpo.explore import Task
from gpo.protocols import Verifier
from gpo.record import RunFolder, check_begun_rows, read_lines
from gpo.record.rows import RowLine
from gpo.seeds import json_digest
from gpo.setup.data import Asking, gold_check
from gpo.setup.given import given_rollouts
from gpo.tasks.read import RAY
from gpo.tasks.rows import ID_COLUMNS, row_of
from gpo.tasks.tables import narrow_columns, plain
from gpo.types import InputError


def is_streamed(settings: SweepSettings) -> bool:
    return bool(settings.data and settings.data.startswith(RAY))


def open_data(settings: SweepSettings) -> tuple[Any, int]:
    """The Ray Dataset of `ray:PATH`, Parquet or JSON lines in a file, folder or bucket, and its length."""
    try:
        import ray
        from ray.data import DataContext, read_json, read_parquet
    except ImportError:
        raise InputError(f"--data {settings.data}: needs Ray; pip install 'gpo[ray]'") from None
    path = str(settings.data).removeprefix(RAY)
    if "://" not in path:  # Ray's processes may have been started in another folder
        path = str(Path(path).absolute())
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True  # a row's place decides what its search starts from
    try:
        data = (read_json if ".json" in path else read_parquet)(path)
        return data, data.count()
    except (OSError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"--data {settings.data}: cannot be read ({reason})") from None


def streamed(data: Any, settings: SweepSettings, asking: Asking, verifier: Verifier) -> Iterator[Task]:
    """A task for each row, in order; InputError names the row, when its turn comes.

    Without a column of ids a row is named by its content, and its repetitions by their number.
    """
    prompt = tasks.prompt(settings.prompt, settings.task, settings.data_folder, settings.shots)
    seen: Counter[str] = Counter()
    schema = data.schema()
    narrow = narrow_columns(schema.names, schema.types) if schema else {}
    for place, record in enumerate(islice(data.iter_rows(), settings.limit)):
        where = f"{settings.data} row {place + 1}"
        record = plain(record, narrow, where)
        name = str(next((record[key] for key in ID_COLUMNS if key in record), json_digest(record)))
        seen[name] += 1
        name = name if seen[name] == 1 else f"{name}#{seen[name]}"
        columns = settings.prompt_column, settings.answer_column
        row = row_of(name, where, record, *columns, needs_answer=settings.needs_answers)
        check = gold_check(settings, verifier)
        (problem,) = tasks.problems([row], asking.prompt_ids, str(settings.data), check, prompt)
        given = []
        if isinstance(settings, LocateSettings) and settings.completion_column:
            given = given_rollouts([problem], settings, asking, verifier)
        yield Task(place, problem, tuple(given))


def noted(folder: RunFolder, tasks: Iterable[Task]) -> Iterator[Task]:
    """The tasks, each noted as it is begun; InputError if its row was another when the run began."""
    known = list(read_lines(folder.path / "rows.jsonl", RowLine))
    for place, task in enumerate(tasks):
        line = RowLine.of(task.problem)
        if place < len(known):
            check_begun_rows(folder.path, [known[place]], [line], first=place + 1)
        else:
            folder.write("rows", line)
        yield task
