"""`gpo sample` and `gpo locate`: once over the problems, without learning, in lock-step; resumable."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpo.commands import engines, setup
from gpo.commands.actors import sampling, slots
from gpo.commands.begin import asked, begun
from gpo.commands.given import given_tasks
from gpo.commands.progress import Recorded, Writer
from gpo.commands.streamed import is_streamed, noted, open_data, streamed
from gpo.commands.ui import Ui
from gpo.config import LocateSettings, SampleSettings
from gpo.explore import Explorer, Finished, Task
from gpo.explore.engine import FULL, Fill
from gpo.recipe import Recipe
from gpo.record import Json, RunFolder, read_lines, row_lines, write_json
from gpo.record.schema import CurveLine
from gpo.report import terminal
from gpo.report.unjudged import told
from gpo.search import CREDIBLE
from gpo.types import Policy, Problem, Verifier, derive_seed

FIFTHS = 5
AnySettings = SampleSettings | LocateSettings
SHORTER_STEPS = {
    "fixed": "a smaller --fixed-step-tokens",
    **dict.fromkeys(
        ("newline", "as-released"),
        "a smaller --min-step-tokens, or --splitter sentence for text without line breaks",
    ),
}
"""What makes more steps of the same text, by the splitter that is set."""


def sample(settings: SampleSettings, ui: Ui, *, resume: Path | None = None) -> Json:
    """Samples and verifies `num` completions of each problem."""
    summary = sweep("sample", settings, _plain(settings), ui, resume)
    ui.print(
        _rate(summary),
        *told(summary["unjudged"]),
        terminal.ledger(summary["tokens"]),
        _busy(summary),
        f"written to {summary['run']}",
    )
    return summary


def locate(settings: LocateSettings, ui: Ui, *, resume: Path | None = None) -> Json:
    """Samples each problem, explores one trajectory of it and names its critical step."""
    summary = sweep(
        "locate",
        settings,
        settings.part(Recipe, resets=False, archived=0),
        ui,
        resume,
    )
    path = Path(summary["run"]) / "curves.jsonl"
    summary |= found(read_lines(path, CurveLine), summary["tokens"])
    write_json(Path(summary["run"]) / "summary.json", summary)
    named = (curve for curve in read_lines(path, CurveLine) if curve["critical"])
    if best := max(named, key=lambda curve: float(curve["critical"]["credibility"]), default=None):
        ui.print(terminal.trajectory(best), "")
    ui.print(
        _rate(summary),
        *told(summary["unjudged"]),
        *_signal(settings, summary),
        *_found(summary, str(settings.splitter)),
        terminal.ledger(summary["tokens"]),
        _busy(summary),
        f"written to {summary['run']}",
    )
    return summary


def found(curves: Iterable[Json], tokens: Json) -> Json:
    """How many trajectories have a critical step, where in the trace, and what one costs in value tokens."""
    num = num_one_step = num_critical = num_credible = 0
    fifths = [0] * FIFTHS
    for curve in curves:
        num += 1
        num_one_step += len(curve["bounds"]) == 2
        num_critical += bool(curve["critical"])
        if curve["critical"] and curve["critical"]["credibility"] >= CREDIBLE:
            num_credible += 1
            first, last = curve["bounds"][0], curve["bounds"][-1]
            start = curve["bounds"][curve["critical"]["index"]]
            fifths[FIFTHS * (start - first) // (last - first)] += 1
    return {
        "trajectories": num,
        "one_step": num_one_step,
        "critical": num_critical,
        "credible": num_credible,
        "credible_starts_by_fifth": fifths,
        "value_tokens_per_credible": tokens.get("values", 0) / num_credible if num_credible else None,
    }


def _found(summary: Json, splitter: str) -> list[str]:
    lines = [
        f"explored {summary['trajectories']} trajectories; a critical step named in {summary['critical']}, "
        f"credible in {summary['credible']} (P(|A| >= 0.2) >= {CREDIBLE})"
    ]
    if summary["one_step"]:
        lines.append(
            f"of a single step, so with nothing to tell apart: {summary['one_step']}; give "
            + SHORTER_STEPS.get(splitter, "a smaller --min-step-tokens")
        )
    if summary["credible"]:
        fifths = " ".join(map(str, summary["credible_starts_by_fifth"]))
        lines.append(
            f"credible steps by the fifth of the trace they start in: {fifths}; "
            f"{summary['value_tokens_per_credible']:,.0f} tokens of value rollouts for each"
        )
    return lines


def _signal(settings: LocateSettings, summary: Json) -> list[str]:
    """How many problems said nothing; trajectories that were given come one a problem and cannot tell."""
    if settings.completion_column:
        return []
    return [
        f"no signal in {summary['no_signal']} of {summary['problems']} problems (all rollouts ended alike)"
    ]


def sweep(command: str, settings: AnySettings, recipe: Recipe, ui: Ui, resume: Path | None) -> Json:
    """All problems in lock-step, without learning; returns the totals."""
    path = resume or setup.output_folder(settings.output, command, settings.seed)
    stored = settings.model_dump()
    with begun(
        command,
        path,
        stored,
        is_resumed=resume is not None,
        prepare=lambda _: _queue(settings, path),
        load=lambda _: sampling(settings),
    ) as (folder, queue, policy):
        engines.check_room(policy, queue.problems)
        folder.take_up(stored, policy.fingerprint, queue.rows)
        for name, size in folder.repair().items():
            ui.log(f"{path / name}: removed an incomplete last line ({size} bytes)")
        summary = _run(folder, queue, settings, engines.suited(recipe, policy), policy, ui, command)
        summary |= engines.engine_counts(policy)
    summary |= {"given": queue.num_rows, "run": str(path)}
    write_json(path / "summary.json", summary)
    return summary


@dataclass(frozen=True)
class Queue:
    """The tasks of a run, and the problems that they are made of, where these are known beforehand."""

    verifier: Verifier
    fingerprint: dict[str, Any]
    recorded: Recorded
    tasks: Iterable[Task]
    num_rows: int
    num_tasks: int
    problems: Sequence[Problem] = ()

    @property
    def rows(self) -> list[Json] | None:
        """The rows by their content; None where they are streamed."""
        return row_lines(self.problems) if self.problems else None

    @property
    def longest(self) -> int | None:
        """Tokens of the longest prompt, where it is known."""
        return max((len(problem.prompt_ids) for problem in self.problems), default=None)


def _queue(settings: AnySettings, path: Path) -> Queue:
    """Problems to sample afresh, or the trajectories that came with them; `path` is the run's folder."""
    if not is_streamed(settings):
        found = asked(settings)
        recorded = Recorded.read(path, 0, found.asking.num_known)
        tasks = [Task(place, problem) for place, problem in enumerate(found.problems)]
        if isinstance(settings, LocateSettings) and settings.completion_column is not None:
            tasks = given_tasks(found.problems, settings, found.asking, found.verifier)
        num = len(found.problems)
        return Queue(found.verifier, found.fingerprint, recorded, tasks, num, len(tasks), found.problems)
    verifier, asking = setup.load_verifier(settings), engines.load_asking(settings)
    recorded = Recorded.read(path, 0, asking.num_known)
    data, num = open_data(settings)
    next(streamed(data, settings, asking, verifier), None)  # so that the first row is read before the weights
    num = min(num, settings.limit or num)
    rows = streamed(data, settings, asking, verifier)
    return Queue(verifier, asking.fingerprint, recorded, rows, num, num)


def _run(
    folder: RunFolder,
    queue: Queue,
    settings: AnySettings,
    recipe: Recipe,
    policy: Policy,
    ui: Ui,
    command: str,
) -> Json:
    """Does what is left of the tasks and writes every line as it comes."""
    verifier, recorded, is_known = queue.verifier, queue.recorded, bool(queue.problems)
    seed = derive_seed(settings.seed, command)
    if num := sum(map(len, recorded.rollouts.values())):
        ui.log(f"{folder.path}: {num} rollouts of unfinished problems are there already")
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
    writer = Writer(folder, policy, verifier, recorded, settings.success_at)
    with ui.progress() as bar:
        shown = bar.add_task(command, total=queue.num_tasks, completed=len(done), note="")
        tasks = queue.tasks if is_known else noted(folder, queue.tasks)
        for event in explorer.run(task for task in tasks if task.problem.id not in done):
            writer.write(event)
            if isinstance(event, Finished):
                bar.update(shown, advance=1, note=f"{explorer.tokens:,} tokens")
    return writer.totals.summary() | {"fill": _filled(explorer.engine.fill)}


def _filled(fill: Fill) -> Json:
    """How well this process kept the engine busy."""
    return {
        "num_slots": fill.slots,
        "seconds": fill.total_s,
        "full_frac": fill.utilisation,
        "filled_frac": fill.mean,
    }


def _plain(settings: SampleSettings) -> Recipe:
    return Recipe.named("base", group_size=settings.num, success_at=settings.success_at)


def _rate(summary: Json) -> str:
    left = summary["given"] - summary["problems"]
    return (
        f"{summary['problems']} problems, success rate "
        f"{terminal.percent(summary['accuracy'], summary['accuracy_stderr'])}, "
        f"cut by the token limit {terminal.percent(summary['truncated_frac'], None)}"
        + (f"; {left} problems left when the budget was spent" if left else "")
    )


def _busy(summary: Json) -> str:
    fill = summary["fill"]
    return (
        f"engine: {fill['num_slots']} slots, {fill['filled_frac']:.0%} of them filled on average, at least "
        f"{FULL:.0%} for {fill['full_frac']:.0%} of {fill['seconds']:.1f} s"
    )
