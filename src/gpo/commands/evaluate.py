"""`gpo eval`: rates with their errors, by subject, against another model; in resumable chunks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from gpo.commands import engines, setup
from gpo.commands.begin import Asked, asked, begun
from gpo.commands.harness import check_export, export
from gpo.commands.records import write_evaluated
from gpo.commands.tally import Tally
from gpo.commands.ui import Ui
from gpo.config import EvalSettings
from gpo.evaluation import Outcome, Scores, compare, evaluate, scores
from gpo.record import Json, RunFolder, read_lines, stored_run, write_json
from gpo.record.schema import EvaluatedLine
from gpo.report import scores as table
from gpo.report.unjudged import counted
from gpo.types import DataWarning, InputError, Policy, Problem, RunError, Verifier

CHUNK = 32
"""Problems between two commits: what a killed run loses at most."""


def run(settings: EvalSettings, ui: Ui, *, resume: Path | None = None) -> Json:
    """Evaluates, compares if asked to, writes summary.json and prints the tables."""
    ks = checked_ks(settings)
    check_export(settings)
    path = resume or setup.output_folder(settings.output, "eval", settings.seed)
    finished = finished_rival(settings)
    if settings.against is not None and finished is None:
        check_rival(settings, path)
    summary = measured(settings, path, ui, resume, finished) | {"run": str(path)}
    outcomes = read_outcomes(path)
    found = scores(outcomes, ks)
    summary |= as_json(found)
    parts = [*table.report(settings.task or str(settings.data), found, summary)]
    if settings.against is not None:
        theirs, where = (finished, settings.against) if finished else rival(settings, path, ui)
        warn_of_other_settings(settings, Path(where))
        difference = compare(outcomes, theirs)
        summary |= {"against": as_json(scores(theirs, ks)) | {"run": where}, "comparison": asdict(difference)}
        parts += table.comparison(*names(settings), difference)
    if settings.export is not None:
        summary["exported"] = export(settings, path)
        command = Text(summary["exported"]["command"], no_wrap=True, overflow="ignore")
        parts += ["", "the same evaluation by lm-evaluation-harness:", command]
    write_json(path / "summary.json", summary)
    ui.print(*parts, f"written to {path}")
    return summary


def names(settings: EvalSettings) -> tuple[str, str]:
    """How the two models of a comparison are told apart: by their adapters too."""
    pairs = (settings.model, settings.adapter), (str(settings.against), settings.against_adapter)
    first, second = (f"{model} with {adapter}" if adapter else model for model, adapter in pairs)
    return (first, second) if first != second else (f"{first} (this run)", second)


def checked_ks(settings: EvalSettings) -> list[int]:
    """The k of pass@k and maj@k: those asked for, else 1 and all samples where there are several."""
    if settings.num > 1 and settings.temperature == 0:
        raise InputError(f"--num {settings.num}: greedy samples of a problem are all alike; give --num 1")
    if wrong := [k for k in settings.k if not (k.isascii() and k.isdigit() and len(k) < 10)]:
        raise InputError(f"--k: must be whole numbers, got {wrong[0][:40]!r}; write --k 1 --k 4")
    ks = [int(k) for k in settings.k]
    for k in ks:
        if not 1 <= k <= settings.num:
            raise InputError(
                f"--k {k}: is not between 1 and the {settings.num} samples of a problem (--num); raise it"
            )
    return ks or ([1, settings.num] if settings.num > 1 else [])


def measured(
    settings: EvalSettings, path: Path, ui: Ui, resume: Path | None, others: Sequence[Outcome] | None = None
) -> Json:
    """Samples what is still to be sampled of the evaluation at `path`; returns its costs.

    InputError before anything is sampled if the problems are not those of `others`.
    """
    stored = settings.model_dump()

    def prepare(folder: RunFolder | None) -> Asked:
        found = asked(settings)
        if others is not None:
            check_against(settings, others, found.problems)
        if folder:
            check_same_problems(folder.rounds(), found.problems, path)
        return found

    with begun(
        "eval",
        path,
        stored,
        is_resumed=resume is not None,
        prepare=prepare,
        load=lambda _: nullcontext(engines.load_engine(settings)),
    ) as (folder, found, policy):
        engines.check_room(policy, found.problems)
        folder.take_up(stored, policy.fingerprint, found.rows)
        sampled(settings, folder, policy, found.verifier, found.problems, ui)
        lines = folder.rounds()
    return {
        "given": len(found.problems),
        "verifier_timeouts": sum(line["timeouts"] for line in lines),
        "unjudged": counted(lines),
        "tokens": {"evaluation": spent(lines)},
        **engines.engine_counts(policy),
    }


def sampled(
    settings: EvalSettings,
    folder: RunFolder,
    policy: Policy,
    verifier: Verifier,
    problems: Sequence[Problem],
    ui: Ui,
) -> None:
    """Chunk after chunk of problems, each committed when it is whole, until the budget is spent."""
    lines = folder.rounds()
    with ui.progress() as bar:
        done = sum(len(line["outcomes"]) for line in lines)
        task = bar.add_task("eval", total=len(problems), completed=done, note="")
        for index in range(len(lines), -(-len(problems) // CHUNK)):
            if spent(folder.rounds()) >= (settings.budget_tokens or float("inf")):
                break
            chunk = problems[index * CHUNK : (index + 1) * CHUNK]
            tally = Tally(verifier)
            result = evaluate(
                policy,
                verifier,
                chunk,
                num=settings.num,
                seed=settings.seed,
                success_at=settings.success_at,
                read=getattr(verifier, "read", None),
            )
            write_evaluated(folder, result.groups, index)
            folder.commit_round(
                {
                    "round": index,
                    "tokens": {"evaluation": result.tokens},
                    "outcomes": [asdict(outcome) for outcome in result.outcomes],
                    "timeouts": (missed := tally.since()).get("timeouts", 0),
                    "unjudged": missed,
                }
            )
            bar.update(task, advance=len(chunk))


def spent(lines: Sequence[Json]) -> int:
    """Tokens generated by all chunks."""
    return sum(line["tokens"]["evaluation"] for line in lines)


def read_outcomes(path: Path) -> list[Outcome]:
    """The outcomes that the evaluation at `path` has written."""
    RunFolder.stored_settings(path, "eval")  # says so if it is no such run
    return [
        Outcome(
            problem=one["problem"],
            subject=one["subject"],
            successes=tuple(one["successes"]),
            finished=tuple(one["finished"]),
            answers=None if one["answers"] is None else tuple(one["answers"]),
        )
        for line in read_lines(path / "rounds.jsonl", EvaluatedLine)
        for one in line["outcomes"]
    ]


def finished_rival(settings: EvalSettings) -> list[Outcome] | None:
    """The outcomes of the run folder to compare with; None if that is a model, or nothing."""
    if settings.against is None:
        return None
    run = Path(settings.against) / "run.json"
    is_model = not run.is_file() or stored_run(run.parent)["command"] == "train"
    if is_model and settings.engine != "transformers":
        raise InputError(
            f"--against {settings.against}: engine {settings.engine} holds one model; evaluate the other one "
            "first, and give the folder of that run"
        )
    return None if is_model else read_outcomes(run.parent)


def check_against(settings: EvalSettings, others: Sequence[Outcome], problems: Sequence[Problem]) -> None:
    """InputError if a finished evaluation to compare with is of other problems."""
    if {one.problem for one in others} != {problem.id for problem in problems}:
        raise InputError(
            f"--against {settings.against}: covers {len(others)} problems that differ from these "
            f"{len(problems)}; give it the same data, split and limit"
        )


def rival_settings(settings: EvalSettings, path: Path) -> EvalSettings:
    """The evaluation of the model to compare with, in a run folder of its own."""
    changes = {"model": settings.against, "adapter": settings.against_adapter, "against": None}
    return settings.model_copy(
        update={**changes, "against_adapter": None, "export": None, "output": str(path / "against")}
    )


def check_rival(settings: EvalSettings, path: Path) -> None:
    """InputError, before the first model has sampled for hours, if the second cannot be asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # it comes with the first model's rows too
        asked(rival_settings(settings, path))


COMPARED = (
    *("task", "data", "split", "limit", "size", "seed", "task_options", "prompt", "shots", "verifier"),
    *("success_at", "chat", "system_prompt", "template_args", "thinking_marks", "stop", "max_tokens"),
    *("temperature", "top_p", "top_k"),
)
"""Settings in which two evaluations that are compared should agree: the models alone should differ."""


def warn_of_other_settings(settings: EvalSettings, where: Path) -> None:
    """A DataWarning that names what was set otherwise in the evaluation to compare with."""
    ours, theirs = settings.model_dump(), RunFolder.stored_settings(where, "eval")
    others = [
        f"{key}: {theirs.get(key)!r} there, {ours[key]!r} here"
        for key in COMPARED
        if theirs.get(key) != ours[key]
    ]
    if others:
        warnings.warn(
            f"--against {where}: was evaluated with different settings ({'; '.join(others)})",
            DataWarning,
            stacklevel=2,
        )


def check_same_problems(lines: Sequence[Json], problems: Sequence[Problem], path: Path) -> None:
    """InputError if the problems that are evaluated already are not the first of `problems`."""
    done = [one["problem"] for line in lines for one in line["outcomes"]]
    now = [problem.id for problem in problems[: len(done)]]
    if done != now:
        other = next((name for name in done if name not in now), done[-1])
        raise InputError(
            f"--resume {path}: covers other problems than the data does now; {other} is missing or moved"
        )


def rival(settings: EvalSettings, path: Path, ui: Ui) -> tuple[list[Outcome], str]:
    """What the model to compare with came to on the same problems, in a run folder of its own."""
    own = path / "against"
    resume = own if (own / "run.json").is_file() else None
    try:
        measured(rival_settings(settings, path), own, ui, resume)
    except InputError as error:
        raise RunError(f"{error} (the evaluation of {settings.model} is complete in {path})") from error
    return read_outcomes(own), str(own)


def as_json(found: Scores) -> Json:
    """The scores; 'accuracy' is avg@G."""
    average = next(iter(found.metrics.values()))
    return {
        "problems": found.num_problems,
        "samples": found.num_samples,
        "accuracy": average.mean,
        "accuracy_stderr": average.stderr,
        "interval": average.interval,
        "metrics": {name: asdict(rate) for name, rate in found.metrics.items()},
        "subjects": {name: {"problems": num, **asdict(one)} for name, (num, one) in found.subjects.items()},
        "macro": asdict(found.macro) if found.macro else None,
        "truncated_frac": found.truncated_frac,
        "unparsed_frac": found.unparsed_frac,
    }
