"""`gpo train --method`: preference training on pairs that are given, or on each round's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import datasets
from rich.console import RenderableType
from rich.table import Table

from gpo import pairs
from gpo.commands import learning, trackers
from gpo.commands.pairs import OUTCOMES, first_step_of, nothing_left, rule_for
from gpo.commands.trackers import Trackers
from gpo.config import PreferenceSettings
from gpo.console import Ui
from gpo.curriculum import Memory
from gpo.evaluation import evaluate
from gpo.gpo import problem_order, run_round
from gpo.learn import trainer_checkpoints
from gpo.learn.optimisation import PreferenceOptimisation
from gpo.learn.preference import check_one_side, check_rows, check_trl, train
from gpo.learn.rows import check_vocabulary, fitting
from gpo.pairs import Options
from gpo.pairs.filling import filled
from gpo.pairs.rows import FILES, Writer, read_labelled, read_preferences
from gpo.pairs.trajectories import check_same_prompts, of_round
from gpo.paths import PathPrior
from gpo.pool import Watch
from gpo.protocols import Tally, Verifier
from gpo.ranks import Ranks
from gpo.recipe import Recipe
from gpo.record import Json, RunFolder, row_lines, stored_settings, trained_lines, write_lines
from gpo.record.lines import RowLine
from gpo.record.run_json import fingerprint_of
from gpo.record.runs import write_round
from gpo.report import terminal
from gpo.report.unjudged import counted, told
from gpo.seeds import derive_seed
from gpo.setup.data import (
    Asking,
    check_training,
    contaminated,
    load_problems,
    load_splits,
    load_training,
    load_verifier,
)
from gpo.setup.start import begun, output_folder
from gpo.tasks.splits import check_training_rows
from gpo.types import InputError, Labelled, Preference, Problem, spent_tokens

Rows = Sequence[Preference] | Sequence[Labelled]


def run(settings: PreferenceSettings, ui: Ui, *, resume: Path | None = None) -> Json:
    """Trains for all rounds; returns accuracies, rows and token ledger."""
    check_trl()
    datasets.disable_progress_bars()
    check_rows_trained(settings)
    path = resume or output_folder(settings.output, "train", settings.seed)
    with begun(
        "train",
        path,
        settings.model_dump(),
        is_resumed=resume is not None,
        prepare=partial(Parts, settings),
        load=lambda parts: nullcontext(PreferenceTraining(settings, parts)),
    ) as (folder, _, training):
        return complete(folder, training, ui)


def check_rows_trained(settings: PreferenceSettings) -> None:
    """InputError, before anything is loaded, if what is trained on is for testing."""
    if settings.pairs is None:
        check_training(settings)
    else:
        stored = stored_settings(Path(settings.pairs), "pairs")
        check_training_rows(f"--pairs {settings.pairs}", stored, is_allowed=settings.allow_test)


def complete(folder: RunFolder, training: PreferenceTraining, ui: Ui) -> Json:
    """Does what is left of the run, saves the model, prints and returns the summary."""
    fingerprint = {k: v for k, v in training.policy.fingerprint.items() if k != "weights"}
    folder.take_up(training.settings.model_dump(), fingerprint, training.parts.rows)
    training.run(folder, ui)
    folder.save("model", partial(learning.save_model, training.policy))
    lines = folder.rounds()
    for line in lines:  # what TRL wrote in between is needed by no committed round
        folder.warn_of(trainer_checkpoints.drop(folder.path / "trainer" / f"{line['round']:04d}"))
    summary = summarise(lines) | {"method": training.settings.method, "run": str(folder.path)}
    ui.print(*report(lines, summary))
    return summary


class Parts:
    """What a run is made of beside weights, and the checkpoint that it goes on from; all of it checked."""

    verifier: Verifier | None = None

    def __init__(self, settings: PreferenceSettings, folder: RunFolder | None) -> None:
        self.settings = settings
        trackers.check(settings.track)
        self.optimisation = settings.part(PreferenceOptimisation)
        self.options = settings.part(Options)
        self.made = made_rows(settings)
        self.recipe = recipe_of(settings)
        if settings.task or settings.data or settings.eval_task or settings.eval_data:
            self.verifier = load_verifier(settings)
        self.checkpoint = folder.last_checkpoint() if folder else None
        self.asking = learning.load_asking(settings, Ranks(), self.checkpoint)
        self.fingerprint = self.asking.fingerprint
        self.problems: list[Problem] = []
        self.held_out: list[Problem] = []
        self.given: Rows = []
        self.num_left_out = {"too long": 0, "held out": 0}
        if settings.pairs is not None:
            if self.verifier:
                self.held_out = held_out_problems(settings, self.asking, self.verifier)
            self.given = self.not_held_out(Path(settings.pairs))
        elif self.verifier and settings.eval_problems:
            self.problems, self.held_out = load_splits(settings, self.asking, self.verifier)
        elif self.verifier:
            self.problems = load_training(settings, self.asking, self.verifier)

    def not_held_out(self, run: Path) -> Rows:
        """The rows of a finished `gpo pairs` that this model can be trained on."""
        check_same_prompts(run, fingerprint_of(run), self.fingerprint, "to be trained")
        held = {problem.question for problem in self.held_out}
        asked = {question: question for question, _ in self.made if question not in held}
        task = stored_settings(run, "pairs")["task"]
        held |= contaminated(asked, self.held_out, self.settings, task)
        kept: Any = [row for question, row in self.made if question not in held]
        self.num_left_out["held out"] = len(self.made) - len(kept)
        if not kept:
            raise InputError(
                f"--pairs {run}: all {len(self.made)} rows are of questions in the evaluation data; give "
                "other --eval-data or --no-decontaminate"
            )
        fitted = self.fit(kept, file_of(self.settings, run))
        check_rows(fitted, self.optimisation)
        return fitted

    def fit(self, rows: Rows, source: Path | str) -> Rows:
        """The rows that are short enough, the others counted; InputError for ids that the model lacks."""
        asking = self.asking
        check_vocabulary(rows, asking.num_rows or asking.num_ids, asking.end_ids, source)
        kept = fitting(rows, asking.context, self.settings.max_length, source)
        self.num_left_out["too long"] = len(rows) - len(kept)
        check_one_side(asking.config, kept)
        if rows and not kept:
            raise InputError(
                f"{source}: all {len(rows)} rows exceed --max-length {self.settings.max_length}; raise it"
            )
        return kept

    @property
    def rows(self) -> list[RowLine]:
        """The rows that it is made of."""
        held_out = row_lines(self.held_out, "held-out")
        return [*row_lines(self.problems), *trained_lines(self.given), *held_out]


class PreferenceTraining:
    """One offline run: its parts, with the weights."""

    def __init__(self, settings: PreferenceSettings, parts: Parts) -> None:
        self.settings, self.parts = settings, parts
        self.problems, self.held_out, self.given = parts.problems, parts.held_out, parts.given
        self.verifier = cast(Verifier, parts.verifier)  # where nothing is verified it is never asked
        checkpoint = parts.checkpoint
        self.policy = learning.load_policy(settings, Ranks(), checkpoint / "model" if checkpoint else None)
        self.memory = Memory()
        self.num_updates = 0
        self.tally = Tally(parts.verifier) if parts.verifier else None

    def run(self, folder: RunFolder, ui: Ui) -> None:
        """All rounds that are still to be done; line 0 is the evaluation before the first."""
        lines = folder.rounds()
        done = lines[-1]["round"] if lines else 0
        if done and "prior" in lines[-1]:
            self.memory = Memory(PathPrior.from_json(lines[-1]["prior"]))
        self.num_updates = int(sum(line["metrics"].get("train/updates", 0) for line in lines))
        self.tracked = Trackers(
            self.settings.track,
            folder.path,
            self.settings.model_dump(),
            is_cpu=self.policy.model.device.type == "cpu",
        )
        spent = sum(spent_tokens(line["tokens"]) for line in lines)
        with ui.progress() as bar:
            total = self.settings.rounds
            task = bar.add_task(self.settings.method, total=total, completed=done, note="evaluating")

            def watch(purpose: str, num: int, total: int) -> None:
                bar.update(task, note=f"{purpose}: {num or ''}{'/' if num else ''}{total}")

            if not lines:
                first: Json = {"round": 0, "metrics": {}, "tokens": {}, **self.evaluation()}
                folder.commit_round(first | {"unjudged": self.unjudged()})
            for index in range(done + 1, self.settings.rounds + 1):
                if spent >= (self.settings.budget_tokens or float("inf")):
                    break
                spent += self.round(folder, index, watch)
                bar.update(task, completed=index)
        self.tracked.close()

    def round(self, folder: RunFolder, index: int, watch: Watch) -> int:
        """Round `index`, from 1: rows, training, evaluation; returns the tokens it sampled."""
        self.policy.version = index - 1
        line: Json = {"round": index, "tokens": {}, "left_out": dict(self.parts.num_left_out)}
        rows = self.given if self.settings.pairs else self.sampled_rows(folder, index, line, watch)
        metrics = self.learn(folder, rows, index, watch) if rows else {"train/rows": 0.0}
        self.num_updates += int(metrics.get("train/updates", 0))
        self.policy.version = index
        watch("evaluating", 0, len(self.held_out) * self.settings.eval_num)
        evaluation = self.evaluation()
        tokens = dict(line["tokens"])
        line |= {**evaluation, "metrics": metrics, "tokens": tokens | evaluation.get("tokens", {})}
        with folder.new_checkpoint(index) as part:
            learning.save_model(self.policy, part / "model")
        line["unjudged"] = self.unjudged()
        folder.commit_round(line)
        self.tracked.log(line, self.num_updates)
        folder.prune_checkpoints(self.settings.keep_checkpoints)
        return sum(tokens.values())

    def unjudged(self) -> dict[str, int]:
        """Answers without a verdict since the last line; none where nothing is verified."""
        return self.tally.since() if self.tally else {}

    def learn(self, folder: RunFolder, rows: Rows, index: int, watch: Watch) -> dict[str, float]:
        """Trains on the rows; a round that was torn goes on from TRL's last checkpoint of it."""
        return train(
            self.policy.model,
            self.policy.raw_tokenizer,
            rows,
            self.parts.optimisation,
            folder=folder.path / "trainer" / f"{index:04d}",
            seed=derive_seed(self.settings.seed, "preference", index),
            watch=partial(watch, "updates"),
            note=lambda update, found: self.tracked.numbers(found, self.num_updates + update),
        )

    def sampled_rows(self, folder: RunFolder, index: int, line: Json, watch: Watch) -> Rows:
        """Samples, locates and pairs; what was sampled and what it cost goes to `folder` and `line`."""
        settings = self.settings
        order = problem_order(len(self.problems), settings.problems_per_round, index - 1, settings.seed)
        batch = [self.problems[i] for i in order]
        data = run_round(
            self.policy, self.verifier, batch, self.parts.recipe,
            index=index, seed=settings.seed, memory=self.memory, watch=watch,
        )  # fmt: skip
        self.memory = data.memory
        first_step = first_step_of(settings, self.policy.tokenizer)
        found = of_round(data)
        if settings.fill:
            found = filled(
                data.pool, found, self.parts.options, settings.fill,
                seed=settings.seed, first_step=first_step, whole=lambda state: state,
            )  # fmt: skip
        rows = pairs.build(found, self.parts.options, seed=settings.seed, first_step=first_step)
        write_round(folder, data)
        self.write_rows(folder, rows, index)
        line |= {"tokens": {k: n for k, n in data.tokens.items() if n}, "prior": asdict(data.memory.prior)}
        line["left_out"] = rows.counts
        made: Rows = [one.labelled for one in rows.unpaired]
        if settings.method != "kto":
            made = [one.preference for one in rows.pairs]
        if not made and index == 1:
            raise InputError(f"round 1: {nothing_left(rows.counts)}")
        return self.parts.fit(made, f"the rows of round {index}")

    def write_rows(self, folder: RunFolder, rows: pairs.Rows, index: int) -> None:
        path = folder.path / "pairs" / f"{index:04d}"
        path.mkdir(parents=True, exist_ok=True)
        made = Writer(self.policy.raw_tokenizer, self.parts.options).lines(rows)
        for name, lines in made.items():
            write_lines(path / FILES[name], lines)

    def evaluation(self) -> Json:
        """The held-out success rate, always on the same random streams; nothing where nothing is held out."""
        settings = self.settings
        if not self.held_out:
            return {}
        result = evaluate(
            self.policy,
            self.verifier,
            self.held_out,
            num=settings.eval_num,
            seed=settings.seed,
            success_at=settings.success_at,
        )
        return {
            "evaluation": {
                "accuracy": result.accuracy,
                "stderr": result.stderr,
                "truncated_frac": result.truncated_frac,
                "problems": len(result.groups),
            },
            "tokens": {"evaluation": result.tokens},
        }


def file_of(settings: PreferenceSettings, run: Path) -> Path:
    """The rows of a `gpo pairs` that the method trains."""
    return run / FILES["unpaired" if settings.method == "kto" else "pairs"]


def made_rows(settings: PreferenceSettings) -> Sequence[tuple[str, Preference | Labelled]]:
    """The rows of --pairs, each with its question; none where each round makes its own."""
    if settings.pairs is None:
        return []
    run = Path(settings.pairs)
    path, is_labelled = file_of(settings, run), settings.method == "kto"
    if is_labelled and stored_settings(run, "pairs")["weight"] != "none":
        raise InputError(f"--pairs {run}: has weights, which kto cannot honour; build it without --weight")
    return read_labelled(path) if is_labelled else read_preferences(path)


def recipe_of(settings: PreferenceSettings) -> Recipe:
    """How a round of the run's own samples and locates."""
    return settings.part(
        Recipe,
        rule=rule_for(settings),
        max_located=settings.problems_per_round,
        resets=False,
        archived=0,
        share="fixed",
    )


def held_out_problems(settings: PreferenceSettings, asking: Asking, verifier: Verifier) -> list[Problem]:
    """The problems of the evaluation where pairs are given; none where nothing names any."""
    task = settings.eval_task or (None if settings.eval_data else settings.task)
    if not settings.eval_problems or (task is None and settings.eval_data is None):
        return []
    source = {"task": task, "data": settings.eval_data, "limit": settings.eval_problems}
    return load_problems(settings.model_copy(update=source), asking, verifier, seed=settings.seed)


def summarise(lines: list[Json]) -> Json:
    """First and last evaluation, rows trained and left out, and the ledger of a run."""
    tokens: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for line in lines:
        tokens.update(line["tokens"])
        left_out.update({k: v for k, v in line.get("left_out", {}).items() if v and k not in OUTCOMES})
    evaluations = [line["evaluation"] for line in lines if "evaluation" in line]
    found: Json = {
        "rounds": lines[-1]["round"],
        "rows": [int(line["metrics"].get("train/rows", 0)) for line in lines[1:]],
        "left_out": dict(left_out),
        "tokens": dict(tokens),
        "unjudged": counted(lines),
    }
    for name, one in zip(("before", "after"), (evaluations[:1], evaluations[-1:]), strict=True):
        for key, field in (("accuracy", ""), ("stderr", "_stderr")):
            found[f"accuracy_{name}{field}"] = one[0][key] if one else None
    return found


def report(lines: list[Json], summary: Json) -> list[RenderableType]:
    """What a person reads at the end."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("round", "rows", "updates", "loss", "margin", "accuracy"):
        table.add_column(name, justify="right")
    for line in lines:
        metrics, evaluation = line["metrics"], line.get("evaluation")
        table.add_row(
            str(line["round"]),
            *(_number(metrics.get(f"train/{name}"), form) for name, form in SHOWN.items()),
            terminal.percent(evaluation["accuracy"], evaluation["stderr"]) if evaluation else "",
        )
    left = "; ".join(f"{num} {name}" for name, num in summary["left_out"].items())
    return [
        table,
        "",
        *([f"left out: {left}"] if left else []),
        *told(summary["unjudged"]),
        terminal.ledger(summary["tokens"]),
        f"written to {summary['run']}",
    ]


SHOWN = {"rows": "{:.0f}", "updates": "{:.0f}", "loss": "{:.3f}", "rewards/margins": "{:.3f}"}


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
