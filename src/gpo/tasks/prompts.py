"""How a question is put to a model: a Jinja template over the row, ours or the user's own.

    plain      the question as it is
    zero-shot  for chat and reasoning models: the question, and how to write the answer
    few-shot   for base models: worked examples of the benchmark's own training, development or validation
               rows (for BBH the published chain-of-thought prompts), then the question
    FILE.jinja the user's own

A template sees `question` (with the options listed), `stem` (without them), `options`, `subject`, `shots`
(each with question, answer, solution), `preamble` and the row's other `columns`, but no gold answer. It runs
sandboxed: it can read and write text, and reach nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpo.files import read_text
from gpo.tasks.benchmarks import BBH_TASKS, BENCHMARKS, read
from gpo.tasks.row import Row
from gpo.types import InputError

if TYPE_CHECKING:
    from jinja2 import Template

Prompt = Callable[[Row], str]
STYLES = ("plain", "zero-shot", "few-shot")
FOLDER = Path(__file__).parent / "templates"
STOPS: Mapping[str, tuple[str, ...]] = {
    "number": ("\nQuestion:",),
    "math": ("\nProblem:",),
    "option": ("\nQuestion:",),
    "bbh": ("\nQ:",),
}
"""What ends the completion of a few-shot prompt, because a base model continues with the next example."""
MAX_BYTES = 4 * 2**20
"""Largest file with a template or worked examples."""
EXAMPLE_LENGTH = 300
"""Characters of a worked solution that is best shown."""
WITHHELD = ("solution", "answer", "steps", "entry", "pivot")
"""Columns that would give the answer away."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a benchmark's worked examples are, and how many the literature shows."""

    task: str
    split: str
    num: int


SHOTS: Mapping[str, Source] = {
    "gsm8k": Source("gsm8k", "train", 8),
    "math": Source("math", "train", 4),
    "math500": Source("math", "train", 4),
    "aime2024": Source("math", "train", 4),
    "aime2025": Source("math", "train", 4),
    "mmlu": Source("mmlu", "dev", 5),
    "mmlu_pro": Source("mmlu_pro", "validation", 5),
}


def prompt(
    style: str | None, task: str | None, data_dir: str | None = None, num: int | None = None
) -> Prompt:
    """How a row of `task` (None for the user's own rows) is put; `style` None is the task's own.

    That is zero-shot for a benchmark, else plain. `num` worked examples, or as many as the literature
    shows. InputError for a style that is none, a template that cannot be read, or missing examples.
    """
    is_benchmark = task in BENCHMARKS
    style = style or ("zero-shot" if is_benchmark else "plain")
    if style == "plain":
        return lambda row: row.question
    if style not in STYLES:
        return _filled(_own(style), str(style), _no_examples)
    if task is None or not is_benchmark:
        raise InputError(f"--prompt {style}: works for benchmarks only; give plain or FILE.jinja")
    verifier = BENCHMARKS[task].verifier
    template = _compiled((FOLDER / style / f"{verifier}.jinja").read_text(encoding="utf-8"), style)
    return _filled(template, style, _examples(task, data_dir, num) if style == "few-shot" else _no_examples)


def stops(style: str | None, task: str | None) -> tuple[str, ...]:
    """The strings that end a completion, which a few-shot prompt needs."""
    is_few_shot = style == "few-shot" and task in BENCHMARKS
    return STOPS[BENCHMARKS[str(task)].verifier] if is_few_shot else ()


def _filled(template: Template, name: str, examples: Callable[[Row], Mapping[str, Any]]) -> Prompt:
    from jinja2 import TemplateError

    def fill(row: Row) -> str:
        columns = {key: value for key, value in row.columns.items() if key not in WITHHELD}
        asked = {"question": row.question, "stem": row.question, "options": [], "subject": "", **columns}
        shown = examples(row)
        try:
            text = template.render({**asked, "columns": columns, **shown})
        except (TemplateError, TypeError, ValueError, ArithmeticError, MemoryError, RecursionError) as error:
            reason = str(error) or "too large"
            raise InputError(
                f"--prompt {name}: cannot be filled in ({reason}); correct the template"
            ) from error
        if not text.strip():
            raise InputError(f"--prompt {name}: makes an empty prompt; put {{{{ question }}}} into it")
        return text.strip()

    return fill


def _own(name: str) -> Template:
    path = Path(name)
    if path.suffix not in (".jinja", ".j2"):
        raise InputError(f"--prompt {name}: must be one of {', '.join(STYLES)} or a .jinja file")
    return _compiled(read_text(path, f"--prompt {name}", MAX_BYTES), name)


def _compiled(text: str, name: str) -> Template:
    from jinja2 import StrictUndefined, TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    try:
        return environment.from_string(text)
    except TemplateSyntaxError as error:
        raise InputError(
            f"--prompt {name}: line {error.lineno}: {error.message}; correct that line"
        ) from None


def _no_examples(row: Row) -> Mapping[str, Any]:
    del row
    return {"shots": [], "preamble": ""}


def _examples(task: str, data_dir: str | None, num: int | None) -> Callable[[Row], Mapping[str, Any]]:
    """What a few-shot prompt shows before a row; subjects have their own examples if there are any."""
    if task == "bbh":
        return lambda row: {"shots": [], "preamble": _published(str(row.columns["subject"]), data_dir)}
    source = SHOTS[task]
    pool = [row for row in read(source.task, source.split, data_dir)[0] if row.answer]
    wanted = source.num if num is None else num
    # Twice as many as are shown, for where the question itself is among them.
    general = _spread_out(pool, 2 * wanted) if source.split == "train" else None

    def examples(row: Row) -> Mapping[str, Any]:
        own = [one for one in pool if one.columns.get("subject") == row.columns.get("subject")]
        chosen = [one for one in (own if general is None else general) if one.question != row.question]
        if len(chosen) < wanted:
            raise InputError(
                f"--shots {wanted}: {source.task} {source.split} has {len(chosen)} for {row.id}; ask "
                "for fewer"
            )
        return {"shots": [_shown(one) for one in chosen[:wanted]], "preamble": ""}

    return examples


def _spread_out(rows: Sequence[Row], num: int) -> list[Row]:
    """At most `num` rows from all over the set, of a length that an example should have."""
    num = min(num, len(rows))
    parts = [rows[i * len(rows) // num : (i + 1) * len(rows) // num] for i in range(num)]
    parts = parts[::2] + parts[1::2]  # the first half of them is from all over the set too
    return [min(part, key=lambda row: abs(len(row.columns["solution"]) - EXAMPLE_LENGTH)) for part in parts]


def _shown(row: Row) -> Mapping[str, Any]:
    solution = str(row.columns.get("solution", ""))
    return {"question": row.question, "answer": row.answer, "solution": solution}


@cache
def _published(task: str, data_dir: str | None) -> str:
    """BBH's own chain-of-thought prompt: below the canary and the line that follows it."""
    where = Path(data_dir or ".") / "bbh" / "cot-prompts" / f"{task}.txt"
    if data_dir is None or task not in BBH_TASKS or not where.exists():
        raise InputError(
            f"--prompt few-shot: bbh needs its published prompts in --data-dir; put them at {where}"
        )
    return read_text(where, str(where), MAX_BYTES).split("-----\n", 1)[-1].strip()
