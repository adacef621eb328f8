"""`--dry-run`: what a run would ask, how it would read an answer and what it costs, without any weights."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gpo.located import bounds_of
from gpo.protocols import Policy
from gpo.recipe import Recipe
from gpo.record import Json
from gpo.types import OFF_POLICY, Problem, Rollout, State, TrainedRows
from gpo.visible import printable, printable_lines


def example(asking: Any, verifier: Any, problem: Problem, given: Iterable[Rollout], recipe: Recipe) -> Json:
    """A problem as the model would see it, its trajectory or its known answer in steps, and their reward."""
    found, is_given = next(iter(given), None), True
    asked = {
        "problem": problem.source or problem.id,
        "prompt": asking.tokenizer.decode(problem.prompt_ids),
        "prompt_tokens": len(problem.prompt_ids),
    }
    if found is None and not problem.answer:
        return asked | {"is_given": False, "text": None, "steps": None, "reward": None}
    if found is None:
        ids, is_given = tuple(asking.tokenizer.encode(problem.answer)), False
        text = asking.completion_text(State(problem), ids)
        [reward] = verifier.score([problem], [text])
        found = Rollout(State(problem), ids, (), (), text, False, reward, OFF_POLICY)
    steps = None if recipe.rule == "base" else steps_of(found, recipe, asking)
    return asked | {
        "is_given": is_given,
        "text": asking.tokenizer.decode(found.action_ids),
        "steps": steps,
        "reward": found.reward,
    }


def steps_of(rollout: Rollout, recipe: Recipe, asking: Policy) -> list[str]:
    """The rollout's text, cut where a search would cut it."""
    bounds = bounds_of(rollout, recipe.step_splitter(), asking)
    return [asking.tokenizer.decode(rollout.action_ids[a:b]) for a, b in pairwise(bounds)]


def row_of(asking: Any, rows: TrainedRows) -> Json:
    """The first of the rows to train on that were given."""
    decode, first = asking.tokenizer.decode, rows[0]
    answers = {name.removesuffix("_ids"): decode(ids) for name, ids in first.answers.items()}
    return {"rows": len(rows), "prompt": decode(first.prompt_ids), "answers": answers}


NOTHING = "nothing was sampled or written, and no weights were loaded"


def shown(found: Json, success_at: float) -> list[RenderableType]:
    """The example as a terminal shows it."""
    prompt = Text(printable_lines(found["prompt"]))
    if "rows" in found:
        texts = [Text(printable_lines(f"{name}: {text}")) for name, text in found["answers"].items()]
        return [f"the first of {found['rows']} rows, and what is trained after it:", prompt, *texts, NOTHING]
    title = f"prompt of {found['problem']}, {found['prompt_tokens']} tokens:"
    if found["text"] is None:
        return [title, prompt, "", "it has no known answer", NOTHING]
    what = "given trajectory" if found["is_given"] else "known answer"
    steps = [found["text"]] if found["steps"] is None else found["steps"]
    cut = "" if found["steps"] is None else f" in {len(steps)} step{'s' * (len(steps) != 1)}"
    table = Table(box=None, pad_edge=False, show_header=False)
    for number, step in enumerate(steps):
        table.add_row(str(number), Text(printable(step.strip("\n").replace("\n", " ⏎ "))))
    parts: list[RenderableType] = [
        title,
        prompt,
        "",
        f"its {what}{cut}:",
        table,
        "",
        f"reward of that {what}: {found['reward']:g}",
    ]
    if not found["is_given"] and found["reward"] < success_at:
        parts.append("note: the verifier wants it written in another way, as a model would answer")
    return [*parts, NOTHING]
