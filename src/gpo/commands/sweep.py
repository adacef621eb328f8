"""What `gpo sample`, `gpo locate`, `gpo eval` and `gpo solve` share: once over the problems, resumable."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from gpo.command_settings import LocateSettings, SweepSettings
from gpo.console import Ui
from gpo.cost import Bound, Cost, of_searches, of_solving, of_sweep
from gpo.explore import Explorer, Finished, Scheduler, Task
from gpo.explore.engine import FULL, Fill
from gpo.outlook import Outlook
from gpo.progress import Progress
from gpo.protocols import Policy, Verifier
from gpo.recipe import Recipe
from gpo.record import Json, RunFolder, row_lines
from gpo.record.new import check_new
from gpo.record.progress import Recorded, Writer
from gpo.record.rows import RowLine
from gpo.report import terminal
from gpo.report.unjudged import told
from gpo.seeds import derive_seed
from gpo.setup.data import load_verifier
from gpo.setup.dry_run import example, shown
from gpo.setup.engine import check_room, engine_counts, load_asking, sampling, slots, suited
from gpo.setup.given import given_tasks
from gpo.setup.start import asked, begun
from gpo.setup.streamed import is_streamed, noted, open_data, streamed
from gpo.solve_settings import SolveSettings
from gpo.types import Problem

if TYPE_CHECKING:
    from gpo.policies.described import DescribedPolicy

Check = Callable[[Sequence[Problem]], None]


def sweep(
    command: str,
    settings: SweepSettings,
    recipe: Recipe,
    ui: Ui,
    path: Path,
    *,
    is_resumed: bool,
    check: Check = lambda _: None,
    drive: Drive | None = None,
) -> Json:
    """All problems, as many at once as the engine holds, each written as it is finished; returns the totals.

    `check` is given the problems, where they are known, before the weights are loaded. `drive` does the work
    instead of exploring and searching.
    """
    stored = settings.model_dump()
    with begun(
        command,
        path,
        stored,
        is_resumed=is_resumed,
        prepare=lambda _: queue(command, settings, path, check),
        load=lambda _: sampling(settings),
    ) as (folder, found, policy):
        check_room(policy, found.problems)
        folder.take_up(stored, policy.fingerprint, found.rows)
        for name, size in folder.repair().items():
            ui.log(f"{path / name}: removed an incomplete last line ({size} bytes)")
        parts = folder, found, settings, suited(recipe, policy), policy, ui
        summary = drive(*parts) if drive else _run(*parts, command)
        summary |= engine_counts(policy)
    return summary | {"given": found.num_rows, "run": str(path)}


def rehearse(
    command: str, settings: SweepSettings, recipe: Recipe, ui: Ui, path: Path, check: Check = lambda _: None
) -> Json:
    """All that the command does before it loads weights; prints and returns its cost and one example."""
    check_new(path, settings.model_dump())
    found = queue(command, settings, path, check)
    cost = announce(found, settings, recipe, ui)
    task = next(iter(found.tasks))
    one = example(found.asking, found.verifier, task.problem, task.given, recipe)
    ui.print(*shown(one, settings.success_at))
    return {"dry_run": True, "problems": found.num_tasks, "cost": cost.record()} | one


@dataclass(frozen=True)
class Queue:
    """The tasks of a run, and the problems that they are made of, where these are known beforehand."""

    asking: DescribedPolicy
    verifier: Verifier
    fingerprint: dict[str, Any]
    recorded: Recorded
    tasks: Iterable[Task]
    num_rows: int
    num_tasks: int
    problems: Sequence[Problem] = ()

    @property
    def rows(self) -> list[RowLine] | None:
        """The rows by their content; None where they are streamed."""
        return row_lines(self.problems) if self.problems else None

    @property
    def longest(self) -> int | None:
        """Tokens of the longest prompt, where it is known."""
        return max((len(problem.prompt_ids) for problem in self.problems), default=None)


Drive = Callable[[RunFolder, Queue, Any, Recipe, Policy, Ui], Json]
"""Does the remaining tasks of a run's folder and queue, by its settings, and returns the totals."""


def queue(command: str, settings: SweepSettings, path: Path, check: Check = lambda _: None) -> Queue:
    """Problems to sample afresh, or the trajectories that came with them; `path` is the run's folder."""
    if not is_streamed(settings):
        found = asked(settings)
        check(found.problems)
        recorded = Recorded.read(path, command, found.asking.num_known)
        tasks = [Task(place, problem) for place, problem in enumerate(found.problems)]
        if isinstance(settings, LocateSettings) and settings.completion_column is not None:
            tasks = given_tasks(found.problems, settings, found.asking, found.verifier)
        num = len(found.problems)
        return Queue(
            found.asking, found.verifier, found.fingerprint, recorded, tasks, num, len(tasks), found.problems
        )
    verifier, asking = load_verifier(settings), load_asking(settings)
    recorded = Recorded.read(path, command, asking.num_known)
    data, num = open_data(settings)
    next(streamed(data, settings, asking, verifier), None)  # so that the first row is read before the weights
    num = min(num, settings.limit or num)
    rows = streamed(data, settings, asking, verifier)
    return Queue(asking, verifier, asking.fingerprint, recorded, rows, num, num)


def _run(
    folder: RunFolder,
    queue: Queue,
    settings: SweepSettings,
    recipe: Recipe,
    policy: Policy,
    ui: Ui,
    command: str,
) -> Json:
    """Does the remaining tasks and writes every line at once."""
    verifier, recorded, is_known = queue.verifier, queue.recorded, bool(queue.problems)
    seed = derive_seed(settings.seed, command)
    tell_reused(folder, recorded, ui)
    done = recorded.done
    explorer = Explorer(
        policy,
        verifier,
        recipe,
        seed=seed,
        slots=slots(settings, policy, queue.longest),
        recorded=lambda task: recorded.of(task, seed),
        lessons=recorded.lessons(),
        budget_tokens=(settings.budget_tokens or math.inf) - recorded.tokens,
    )
    writer = Writer(folder, policy, verifier, recorded, settings.success_at, is_evaluation=command == "eval")
    bound = Bound(recipe, policy.max_tokens, announce(queue, settings, recipe, ui))
    reused = [bound.drawn(one.purpose, len(one.action_ids)) for one in recorded.unfinished]
    outlook = Outlook(recipe, policy, is_measured=command in ("sample", "eval"))
    drawn = counter(explorer, policy, sum(reused))
    with Progress(ui, command, "problems", queue.num_tasks, done=len(done), drawn=drawn) as bar:
        bar.most = bound.most
        tasks = queue.tasks if is_known else noted(folder, queue.tasks)
        for event in explorer.run(task for task in tasks if task.problem.id not in done):
            writer.write(event)
            bar.most = bound.after(event)
            for note in outlook.after(event):
                ui.log(f"note: {note}")
            if isinstance(event, Finished):
                bar.at(bar.done + 1)
    return writer.totals.summary() | {"fill": filled(explorer.engine.fill)}


def tell_reused(folder: RunFolder, recorded: Recorded, ui: Ui) -> None:
    """Says how much of what is there will not be sampled again."""
    if num := sum(map(len, recorded.rollouts.values())):
        ui.log(f"{folder.path}: {num} rollouts of unfinished problems are reused")


def counter(explorer: Scheduler[Any], policy: Policy, reused: int) -> Callable[[], int]:
    """What counts the tokens of a run while it samples, those that are `reused` too."""
    before = policy.num_drawn
    return lambda: reused + max(explorer.tokens, policy.num_drawn - before)


def cost_of(queue: Queue, settings: SweepSettings, recipe: Recipe) -> Cost:
    """What is left to do costs at most so much."""
    limit, num = settings.max_tokens, queue.num_tasks - len(queue.recorded.done)
    if isinstance(settings, SolveSettings):
        return of_solving(num, settings.tokens_each(limit))
    if isinstance(settings, LocateSettings) and settings.completion_column is not None:
        given = (len(task.given) for task in queue.tasks if task.problem.id not in queue.recorded.done)
        return Cost(of_searches(recipe, sum(given) if queue.problems else num, limit))
    return of_sweep(recipe, num, limit)


def announce(queue: Queue, settings: SweepSettings, recipe: Recipe, ui: Ui) -> Cost:
    """Says what is left to do costs at most, and returns it."""
    cost = cost_of(queue, settings, recipe)
    budget = f"; ends near --budget-tokens {settings.budget_tokens:,}" if settings.budget_tokens else ""
    ui.log(f"costs at most {cost}{budget}")
    return cost


def filled(fill: Fill) -> Json:
    """How well this process kept the engine busy."""
    return {
        "num_slots": fill.slots,
        "seconds": fill.total_s,
        "full_frac": fill.utilisation,
        "filled_frac": fill.mean,
    }


def at_prompts(num: int, success_at: float) -> Recipe:
    """So many rollouts at each prompt, and nothing else."""
    return Recipe.named("base", group_size=num, success_at=success_at)


def rate(summary: Json) -> str:
    """The success rate, and what was left out."""
    left = summary["given"] - summary["problems"]
    return (
        f"{summary['problems']} problems, success rate "
        f"{terminal.percent(summary['accuracy'], summary['accuracy_stderr'])}, "
        f"cut by the token limit {terminal.percent(summary['truncated_frac'], None)}"
        + (f"; {left} problems left when the budget was spent" if left else "")
    )


def costs(summary: Json, notes: Sequence[str] = ()) -> list[RenderableType]:
    """What a run says last: answers without a verdict, its `notes`, tokens, the engine, and its folder."""
    written = f"written to {summary['run']}"
    return [*told(summary["unjudged"]), *notes, terminal.ledger(summary["tokens"]), busy(summary), written]


def busy(summary: Json) -> str:
    """How full the engine was."""
    fill = summary["fill"]
    return (
        f"engine: {fill['num_slots']} slots, {fill['filled_frac']:.0%} filled on average, at least "
        f"{FULL:.0%} for {fill['full_frac']:.0%} of {fill['seconds']:.1f} s"
    )
