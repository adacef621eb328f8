"""`gpo sample` and `gpo locate`: once over the problems, without learning, in resumable chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from gpo.commands import engines, setup
from gpo.commands.given import given_rollouts
from gpo.commands.records import write_round
from gpo.commands.ui import Ui
from gpo.config import LocateSettings, SampleSettings
from gpo.evaluation import mean_and_stderr, success_rate
from gpo.gpo import Memory, Round, locate_given, run_round
from gpo.paths import PathPrior
from gpo.recipe import Recipe
from gpo.record import Json, RunFolder, read_lines, write_json
from gpo.report import terminal
from gpo.search import CREDIBLE
from gpo.types import Policy, Problem, Verifier, derive_seed

FIFTHS = 5
CHUNK = 32
"""Problems between two commits: what a killed run loses at most."""

AnySettings = SampleSettings | LocateSettings


def sample(settings: SampleSettings, ui: Ui, *, resume: Path | None = None) -> Json:
    """Samples and verifies `num` completions of each problem."""
    summary = sweep("sample", settings, _plain(settings), ui, resume)
    ui.print(_rate(summary), terminal.ledger(summary["tokens"]), f"written to {summary['run']}")
    return summary


def locate(settings: LocateSettings, ui: Ui, *, resume: Path | None = None) -> Json:
    """Samples each problem, explores one trajectory of it and names its critical step."""
    summary = sweep(
        "locate",
        settings,
        setup.load_recipe(settings, max_located=CHUNK, resets=False, archived=0),
        ui,
        resume,
    )
    curves = list(read_lines(Path(summary["run"]) / "curves.jsonl"))
    named = [curve for curve in curves if curve["critical"]]
    summary |= found(curves, summary["tokens"])
    write_json(Path(summary["run"]) / "summary.json", summary)
    if named:
        ui.print(terminal.trajectory(max(named, key=lambda curve: curve["critical"]["credibility"])), "")
    ui.print(
        _rate(summary),
        *_signal(settings, summary),
        *_found(summary),
        terminal.ledger(summary["tokens"]),
        f"written to {summary['run']}",
    )
    return summary


def found(curves: list[Json], tokens: Json) -> Json:
    """How many trajectories have a critical step, where in the trace, and what one costs in value tokens."""
    credible = [c for c in curves if c["critical"] and c["critical"]["credibility"] >= CREDIBLE]
    fifths = [0] * FIFTHS
    for curve in credible:
        first, last = curve["bounds"][0], curve["bounds"][-1]
        start = curve["bounds"][curve["critical"]["index"]]
        fifths[FIFTHS * (start - first) // (last - first)] += 1
    return {
        "trajectories": len(curves),
        "critical": sum(bool(curve["critical"]) for curve in curves),
        "credible": len(credible),
        "credible_starts_by_fifth": fifths,
        "value_tokens_per_credible": tokens.get("values", 0) / len(credible) if credible else None,
    }


def _found(summary: Json) -> list[str]:
    lines = [
        f"explored {summary['trajectories']} trajectories; a critical step named in {summary['critical']}, "
        f"credible in {summary['credible']} (P(|A| >= 0.2) >= {CREDIBLE})"
    ]
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
    """One round of the recipe without learning for each chunk of problems; returns the totals."""
    path = resume or setup.output_folder(settings.output, command, settings.seed)
    stored = settings.model_dump()
    if resume is None:
        RunFolder.check_new(path, stored)
    policy = engines.load_engine(settings)
    verifier = setup.load_verifier(settings)
    problems = setup.load_problems(settings, policy, verifier, split=settings.split, seed=settings.seed)
    explore = _explorer(settings, engines.suited(recipe, policy), policy, verifier, problems)
    chunks = [problems[first : first + CHUNK] for first in range(0, len(problems), CHUNK)]
    with RunFolder.resume(path) if resume else RunFolder.create(path, command, stored) as folder:
        folder.extend(stored)
        folder.belongs_to(policy.fingerprint)
        folder.discard_torn()
        lines = folder.rounds()
        memory = Memory(PathPrior.from_json(lines[-1]["prior"])) if lines else Memory()
        with ui.progress() as bar:
            done = sum(len(line["rates"]) for line in lines)
            task = bar.add_task(command, total=len(problems), completed=done, note="")
            for index, chunk in enumerate(chunks[len(lines) :], start=len(lines)):
                if _spent(lines) >= (settings.budget_tokens or float("inf")):
                    break
                data = explore(
                    chunk,
                    index=index,
                    seed=derive_seed(settings.seed, command),
                    memory=memory,
                    watch=lambda purpose, _, num: bar.update(task, note=f"{purpose}: {num} rollouts"),
                )
                write_round(folder, data)
                folder.commit_round(_line(data, settings.success_at))
                lines, memory = folder.rounds(), data.memory
                bar.update(task, advance=len(chunk))
    summary = _summarise(lines) | engines.engine_counts(policy)
    summary |= {"given": len(problems), "run": str(path)}
    write_json(path / "summary.json", summary)
    return summary


def _explorer(
    settings: AnySettings, recipe: Recipe, policy: Policy, verifier: Verifier, problems: list[Problem]
) -> Callable[..., Round]:
    """What makes a round of a chunk of problems: fresh samples, or the trajectories that came with them."""
    if not isinstance(settings, LocateSettings) or settings.completion_column is None:
        return lambda chunk, **place: run_round(policy, verifier, chunk, recipe, **place)
    rollouts = given_rollouts(problems, settings, policy, verifier)
    given = {rollout.state.problem.id: rollout for rollout in rollouts}
    return lambda chunk, **place: locate_given(
        policy, verifier, [given[problem.id] for problem in chunk], recipe, **place
    )


def _plain(settings: SampleSettings) -> Recipe:
    return Recipe.named("base", group_size=settings.num, success_at=settings.success_at)


def _line(data: Round, success_at: float) -> Json:
    rollouts = [rollout for group in data.explored for rollout in group.rollouts]
    return {
        "round": data.index,
        "tokens": data.tokens,
        "rates": [success_rate(group, success_at) for group in data.explored],
        "no_signal": sum(not group.has_signal for group in data.explored),
        "rollouts": len(rollouts),
        "truncated": sum(not rollout.finished for rollout in rollouts),
        "timeouts": data.num_timeouts,
        "prior": asdict(data.memory.prior),
    }


def _spent(lines: list[Json]) -> int:
    return sum(sum(line["tokens"].values()) for line in lines)


def _summarise(lines: list[Json]) -> Json:
    tokens: Counter[str] = Counter()
    for line in lines:
        tokens.update(line["tokens"])
    rates = [rate for line in lines for rate in line["rates"]]
    accuracy, stderr = mean_and_stderr(rates)
    return {
        "problems": len(rates),
        "accuracy": accuracy,
        "accuracy_stderr": stderr,
        "no_signal": sum(line["no_signal"] for line in lines),
        "verifier_timeouts": sum(line["timeouts"] for line in lines),
        "truncated_frac": sum(line["truncated"] for line in lines)
        / max(1, sum(line["rollouts"] for line in lines)),
        "tokens": dict(tokens),
    }


def _rate(summary: Json) -> str:
    left = summary["given"] - summary["problems"]
    return (
        f"{summary['problems']} problems, success rate "
        f"{terminal.percent(summary['accuracy'], summary['accuracy_stderr'])}, "
        f"cut by the token limit {terminal.percent(summary['truncated_frac'], None)}"
        + (f"; {left} problems left when the budget was spent" if left else "")
    )
