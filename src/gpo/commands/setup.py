"""Settings to the parts of a run: policy, verifier, problems, recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gpo import DEMO_MODEL, tasks, verifiers
from gpo.commands import outputs
from gpo.commands.held_out import check_training_rows
from gpo.commands.overlap import without_overlaps
from gpo.commands.routing import Routed
from gpo.config import PreferenceSettings, TrainSettings
from gpo.policies.settings import ModelSettings
from gpo.tasks.settings import DataSettings
from gpo.tasks.splits import has_training
from gpo.types import CompletionText, Ids, InputError, Problem, State, Trace, Verifier, derive_seed

if TYPE_CHECKING:
    from gpo.policies.prompting import Prompting
    from gpo.policies.transformers import TransformersPolicy


def output_folder(output: str | None, command: str, seed: int) -> Path:
    """The folder that was asked for, else the first of runs/COMMAND-SEED, -2, -3, ... that is free."""
    if output is not None:
        outputs.check_folder(Path(output))
        return Path(output)
    names = (f"{command}-{seed}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 10_000))))
    return next(path for path in (Path("runs", name) for name in names) if not path.exists())


def model_of(settings: ModelSettings, checkpoint: Path | None = None) -> tuple[str | Path, str | None]:
    """Where the model and its adapter are; `checkpoint` holds the one of them that is trained."""
    model: str | Path = DEMO_MODEL if settings.model == "demo" else settings.model
    if checkpoint is None:
        return model, settings.adapter
    has_adapter = settings.adapter or getattr(settings, "lora_rank", None)
    return (model, str(checkpoint)) if has_adapter else (checkpoint, None)


def load_policy(settings: ModelSettings, checkpoint: Path | None = None) -> TransformersPolicy:
    """The policy that the settings name, with the weights of `checkpoint` if there is one."""
    import torch

    from gpo.policies.transformers import TransformersPolicy

    # Matrices this small are slower on two threads, and far slower where another program runs.
    if threads := settings.threads or (1 if settings.model == "demo" else None):
        torch.set_num_threads(threads)
    model, adapter = model_of(settings, checkpoint)
    return TransformersPolicy.load(
        model,
        adapter=adapter,
        trust_remote_code=settings.trust_remote_code,
        device=settings.device,
        dtype=settings.dtype,
        batch_tokens=settings.batch_tokens,
        **prompting(settings),
    )


def prompting(settings: ModelSettings) -> Prompting:
    """How any engine asks and samples."""
    return {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "max_tokens": settings.max_tokens,
        "stop": [*settings.stop, *_few_shot_stops(settings)],
        "chat": settings.chat,
        "system_prompt": settings.system_prompt,
        "template_args": settings.template_args,
        "thinking_marks": settings.thinking_marks,
    }


def _few_shot_stops(settings: ModelSettings) -> tuple[str, ...]:
    return tasks.prompts.stops(getattr(settings, "prompt", None), getattr(settings, "task", None))


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
    return tasks.problems(rows, asking.prompt_ids, name, verifier.check, prompt)


def load_rows(settings: DataSettings, split: str, seed: int) -> list[tasks.Row]:
    """The rows of a task's split or of the user's data, as many as the settings want."""
    if settings.task is None:
        return tasks.read_rows(
            str(settings.data), settings.prompt_column, settings.answer_column, limit=settings.limit
        )
    if settings.task in tasks.BENCHMARKS:
        return tasks.load(
            settings.task, split, settings.limit, data_dir=settings.data_folder, **settings.task_options
        )
    return tasks.load(settings.task, split, settings.limit or settings.size, seed, **settings.task_options)


def load_splits(
    settings: TrainSettings | PreferenceSettings, asking: Asking, verifier: Verifier
) -> tuple[list[Problem], list[Problem]]:
    """Problems to train on, and held-out ones to evaluate on, none of whose questions is trained on."""
    train = load_training(settings, asking, verifier)
    task = settings.eval_task or (None if settings.eval_data else settings.task)
    if task is None and settings.eval_data is None:
        train, held_out = hold_out(train, settings.eval_problems, settings.seed)
    else:
        source = {"task": task, "data": settings.eval_data, "limit": settings.eval_problems}
        held_out = load_problems(settings.model_copy(update=source), asking, verifier, seed=settings.seed)
    seen = {problem.question for problem in held_out}
    kept = without_overlaps(
        [problem for problem in train if problem.question not in seen], held_out, settings
    )
    if not kept:
        raise InputError(
            "no problem is left to train on: all their questions are in the evaluation data; give "
            "other --eval-data"
        )
    return kept, held_out


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
