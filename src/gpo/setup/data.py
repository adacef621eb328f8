"""Settings to problems and their verifier; what may be trained on, and what is held out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from gpo import tasks, verifiers
from gpo.command_settings import PairsSettings, PreferenceSettings, TrainSettings
from gpo.protocols import Trace, Verifier
from gpo.seeds import derive_seed
from gpo.tasks.benchmarks import at_hand, read
from gpo.tasks.overlap import overlaps, summary
from gpo.tasks.settings import DataSettings, LearningDataSettings
from gpo.tasks.splits import check_training_rows, has_training
from gpo.types import CompletionText, DataWarning, Ids, InputError, Problem, State
from gpo.verifiers.routed import Routed


def load_verifier(settings: DataSettings) -> Verifier:
    """The verifier that the settings name, or the task's own; and that of the task to evaluate on."""
    other = getattr(settings, "eval_task", None)
    has_own = settings.task is not None or settings.data is not None
    task = settings.task if has_own else other
    spec = settings.verifier or (None if task is None else tasks.verifier(task))
    if spec is None:
        raise InputError(
            "--verifier: needed with --data: exact, number, option, math, bbh, gym or module:function"
        )
    own = verifiers.load(spec, limit_s=settings.verifier_limit_s)
    if spec not in verifiers.NAMES:
        try_out(settings, own)
    if other is None or not has_own or tasks.verifier(other) == spec:
        return own
    judge = verifiers.load(tasks.verifier(other), limit_s=settings.verifier_limit_s)
    return Routed({source_name(settings): own, other: judge})


def try_out(settings: DataSettings, verifier: Verifier) -> None:
    """Calls the user's function on the first row, before a model is loaded and samples for hours.

    InputError names the row, the function and what it did. Data that Ray streams are tried when they come.
    """
    if not settings.task and not settings.data:
        settings = settings.model_copy(
            update={
                "task": getattr(settings, "eval_task", None),
                "data": getattr(settings, "eval_data", None),
            }
        )
    if settings.data and settings.data.startswith("ray:"):
        return
    split = getattr(settings, "split", "train")
    row = load_rows(settings.model_copy(update={"limit": 1}), split, getattr(settings, "seed", 0))[0]
    tasks.problems([row], lambda _: (0,), source_name(settings), verifier.check)


class Asking(Protocol):
    """What asks, and reads what is answered: every policy, and its tokenizer and template alone."""

    def prompt_ids(self, question: str) -> Ids: ...

    def completion_text(self, state: State, action_ids: Ids) -> CompletionText: ...

    def trace(self, problem: Problem, completion: object) -> Trace: ...


def source_name(settings: DataSettings) -> str:
    """What the problems of these settings have as their task."""
    return settings.task or str(settings.data)


def load_problems(
    settings: DataSettings, asking: Asking, verifier: Verifier, *, split: str = "test", seed: int = 0
) -> list[Problem]:
    """The problems of a task's split or of the user's data, each with a gold answer that was checked."""
    rows = load_rows(settings, split, seed)
    prompt = tasks.prompt(settings.prompt, settings.task, settings.data_folder, settings.shots)
    name = source_name(settings)
    return tasks.problems(rows, asking.prompt_ids, name, gold_check(settings, verifier), prompt)


def gold_check(settings: DataSettings, verifier: Verifier) -> Callable[[Problem], None]:
    """The verifier's check of a known answer; a built-in one has nothing to check of a row that has none."""

    def check(problem: Problem) -> None:
        if problem.answer or settings.needs_answers or settings.verifier not in verifiers.NAMES:
            verifier.check(problem)

    return check


def load_rows(settings: DataSettings, split: str, seed: int) -> list[tasks.Row]:
    """The rows of a task's split or of the user's data, as many as the settings want."""
    if settings.task is None:
        return tasks.read_rows(
            str(settings.data),
            settings.prompt_column,
            settings.answer_column,
            limit=settings.limit,
            needs_answers=settings.needs_answers,
        )
    if settings.task in tasks.BENCHMARKS:
        return tasks.load(
            settings.task, split, settings.limit, data_dir=settings.data_folder, **settings.task_options
        )
    return tasks.load(settings.task, split, settings.limit or settings.size, seed, **settings.task_options)


def load_splits(
    settings: TrainSettings | PreferenceSettings, asking: Asking, verifier: Verifier
) -> tuple[list[Problem], list[Problem]]:
    """Problems to train on, none where rows are given, and held-out ones, whose questions are not trained on.

    Nothing is held out where nothing is evaluated.
    """
    held_out = load_held_out(settings, asking, verifier)
    if isinstance(settings, PreferenceSettings) and settings.pairs is not None:
        return [], held_out
    train = load_training(settings, asking, verifier)
    if settings.eval_problems and not held_out:
        train, held_out = hold_out(train, settings.eval_problems, settings.seed)
    seen = {problem.question for problem in held_out}
    kept = without_overlaps(
        [problem for problem in train if problem.question not in seen], held_out, settings
    )
    if not kept:
        raise InputError(
            "no training problem is left: all questions are in the evaluation data; give other --eval-data"
        )
    return kept, held_out


def load_held_out(
    settings: TrainSettings | PreferenceSettings, asking: Asking, verifier: Verifier
) -> list[Problem]:
    """The problems to evaluate on, where the settings name any."""
    task = settings.eval_task or (None if settings.eval_data else settings.task)
    if not settings.eval_problems or (task is None and settings.eval_data is None):
        return []
    source = {"task": task, "data": settings.eval_data, "limit": settings.eval_problems}
    return load_problems(settings.model_copy(update=source), asking, verifier, seed=settings.seed)


def load_training(
    settings: TrainSettings | PreferenceSettings, asking: Asking, verifier: Verifier
) -> list[Problem]:
    """The problems to train on; of a benchmark that has only tests its test split, which was allowed."""
    is_test = settings.task is not None and not has_training(settings.task)
    split = "test" if is_test else "train"
    return load_problems(settings, asking, verifier, split=split, seed=settings.seed)


def check_training(settings: TrainSettings | PreferenceSettings) -> None:
    """InputError, before anything is loaded, if the problems to train on are for testing."""
    source = {"task": settings.task, "data": settings.data}
    what = f"--task {settings.task}" if settings.task else "--data"
    check_training_rows(what, source, is_allowed=settings.allow_test)


def hold_out(problems: list[Problem], most: int, seed: int) -> tuple[list[Problem], list[Problem]]:
    """Training and evaluation problems of one file: a tenth is held out, at most `most`, by the seed."""
    num = min(most, len(problems) // 10)
    if num == 0:
        raise InputError(f"--data: {len(problems)} rows are too few to hold some out; give --eval-data")
    order = np.random.default_rng(derive_seed(seed, "hold out")).permutation(len(problems))
    held = {problems[i].question for i in order[:num]}
    return [p for p in problems if p.question not in held], [p for p in problems if p.question in held]


Questions = Mapping[str, str]
"""{id: question}"""


def without_overlaps(
    train: Sequence[Problem], held_out: Sequence[Problem], settings: LearningDataSettings
) -> list[Problem]:
    """The training problems that resemble none of the evaluation or an available benchmark.

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
    return {name: {row.id: bare(row) for row in read(name, "test", data_dir)[0]} for name in names}


def _questions(problems: Sequence[Problem]) -> Questions:
    return {problem.id: str(problem.columns.get("stem", problem.question)) for problem in problems}


def bare(row: tasks.Row) -> str:
    """The question without its options."""
    return str(row.columns.get("stem", row.question))


def excluded_questions(settings: PairsSettings) -> set[str]:
    """The questions that the user keeps out of pairs; none without --exclude."""
    if settings.exclude is None:
        return set()
    rows = tasks.read_rows(settings.exclude, settings.prompt_column, settings.answer_column)
    return {row.question for row in rows}
