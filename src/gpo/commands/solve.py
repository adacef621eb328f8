"""`gpo solve`: a budget of tokens for each problem, spent on its answer."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import RenderableType

from gpo.commands import sweep
from gpo.console import Ui
from gpo.explore import Drawn
from gpo.progress import Progress
from gpo.protocols import Policy
from gpo.rates import rate
from gpo.recipe import Recipe
from gpo.record import Json, RunFolder, write_json, write_lines
from gpo.record.progress import Writer
from gpo.record.rounds import AnswerLine, AttemptLine, SolvedLine
from gpo.report import solved
from gpo.report.reading import read_solved
from gpo.seeds import derive_seed
from gpo.setup.engine import load_values, slots
from gpo.setup.start import output_folder
from gpo.setup.streamed import noted
from gpo.setup.ways_on import ways_on
from gpo.solve_settings import SolveSettings
from gpo.solving import Attempt, Solved, Solver, Solving

SHOWN = 10
"""Answers that the command prints; `gpo show` prints more, and answers.jsonl holds all."""
FOUND = (
    "the verifier ended a problem once it accepted an answer, so where it knows the gold answer this says "
    "how often a right one was found, not how often it could be told"
)
MEASURED = "gold answers were only used to measure this"


def run(settings: SolveSettings, ui: Ui, *, resume: Path | None = None, is_dry: bool = False) -> Json:
    """Spends the tokens, writes answers.jsonl and summary.json, and prints what came of it."""
    path = resume or output_folder(settings.output, "solve", settings.seed)
    recipe = settings.part(Recipe, rule="entropy", group_size=1)
    if is_dry:
        return sweep.rehearse("solve", settings, recipe, ui, path)
    summary = sweep.sweep("solve", settings, recipe, ui, path, is_resumed=resume is not None, drive=drive)
    lines = read_solved(path, may_be_empty=True)
    write_lines(path / "answers.jsonl", map(AnswerLine.of, lines))
    summary |= totals(lines) | {"strategy": settings.strategy, "judge": settings.judged_by}
    write_json(path / "summary.json", summary)
    ui.print(solved.answers(lines[:SHOWN]), "", *said(summary), *sweep.costs(summary))
    ui.commands(ways_on("solve", path, settings, summary))
    return summary


def drive(
    folder: RunFolder,
    queue: sweep.Queue,
    settings: SolveSettings,
    recipe: Recipe,
    policy: Policy,
    ui: Ui,
) -> Json:
    """Works on the remaining problems and writes every line at once."""
    recorded, seed = queue.recorded, derive_seed(settings.seed, "solve")
    sweep.tell_reused(folder, recorded, ui)
    solver = Solver(
        policy,
        queue.verifier,
        settings.part(Solving),
        seed=seed,
        splitter=recipe.step_splitter(),
        values=load_values(settings.value, policy, settings.device) if settings.value else None,
        slots=slots(settings, policy, queue.longest),
        recorded=lambda task: recorded.of(task, seed),
        budget_tokens=(settings.budget_tokens or math.inf) - recorded.totals.tokens.total(),
    )
    writer = Writer(folder, policy, solver.verifier, recorded, settings.success_at)
    cost = sweep.announce(queue, settings, recipe, ui)
    drawn = sweep.counter(solver, policy, sum(len(one.action_ids) for one in recorded.unfinished))
    done = recorded.done
    with Progress(ui, "solve", "problems", queue.num_tasks, done=len(done), drawn=drawn) as bar:
        bar.most = cost.total
        tasks = queue.tasks if queue.problems else noted(folder, queue.tasks)
        for event in solver.run(task for task in tasks if task.problem.id not in done):
            if isinstance(event, Drawn):
                writer.write(event)
                continue
            writer.finish(line_of(event, settings, writer.missed()))
            bar.most -= settings.tokens_each(policy.max_tokens) - sum(event.tokens.values())
            bar.at(bar.done + 1)
    return writer.totals.summary() | {"fill": sweep.filled(solver.engine.fill)}


def line_of(event: Solved, settings: SolveSettings, missed: Json) -> SolvedLine:
    """The line of a finished problem; it has a rate where the verifier could tell what is right."""
    found, problem = event.solution, event.task.problem
    reward = found.attempt.path.reward if found.attempt else 0.0
    is_known = bool(problem.answer) or settings.judged_by == "verifier"
    values = {
        "problem": problem.id,
        "place": event.task.place,
        "tokens": event.tokens,
        "rates": [float(reward >= settings.success_at)] if is_known else [],
        "no_signal": 0,
        "rollouts": len(event.rollouts),
        "truncated": sum(not one.path.finished for one in event.attempts),
        "answer": found.answer,
        "text": found.attempt.path.text if found.attempt else "",
        "votes": found.votes,
        "share": found.share,
        "finished": found.attempt is not None,
        "attempts": [_attempt(one, is_known=is_known) for one in event.attempts],
    }
    return SolvedLine.made(values | missed)


def _attempt(one: Attempt, *, is_known: bool) -> AttemptLine:
    return AttemptLine(
        tokens=one.tokens,
        start=one.start,
        finished=one.path.finished,
        answer=one.answer,
        score=one.score,
        reward=one.path.reward if is_known else None,
    )


def totals(lines: list[SolvedLine]) -> Json:
    """What the problems come to: how many have an answer, and how many of the known ones a right one."""
    rates = [one for line in lines for one in line.rates]
    found = rate(rates) if rates else None
    tokens = [sum(line.tokens.values()) for line in lines]
    return {
        "problems": len(lines),
        "answered": sum(line.finished for line in lines),
        "known": len(rates),
        "accuracy": found.mean if found else None,
        "accuracy_stderr": found.stderr if found else None,
        "interval": found.interval if found else None,
        "tokens_per_problem": sum(tokens) / len(tokens) if tokens else None,
        "attempts": sum(len(line.attempts) for line in lines),
    }


def said(summary: Json) -> list[RenderableType]:
    """The result in words: what was spent, how often it was right, and what that rate means."""
    left = summary["given"] - summary["problems"]
    lines: list[RenderableType] = [
        f"{summary['problems']} problems, {summary['answered']} with an answer, "
        f"{summary['attempts']:,} attempts, {summary['tokens_per_problem'] or 0:,.0f} tokens a problem"
        + (f"; {left} problems left when the budget was spent" if left else "")
    ]
    if summary["known"]:
        low, high = summary["interval"]
        lines.append(
            f"success rate {100 * summary['accuracy']:.1f} %, 95 % interval {100 * low:.1f} .. "
            f"{100 * high:.1f} %, of {summary['known']} known answers; "
            f"{FOUND if summary['judge'] == 'verifier' else MEASURED}"
        )
    return lines
