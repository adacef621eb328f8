"""`gpo pairs`: rows for offline training from located trajectories; what a side lacks is sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

from gpo import pairs
from gpo.command_settings import LocateSettings, PairsSettings
from gpo.commands import locate
from gpo.console import Ui
from gpo.cost import Cost, of_rollouts
from gpo.ending import FinalError
from gpo.pairs import SEARCHED, Options, Rows, Trajectory
from gpo.pairs.filling import filled, matched
from gpo.pairs.parts import first_step_by, rule_for
from gpo.pairs.rows import FILES, HeldOutLine, PairLine, PairsSummary, Writer, begin_text
from gpo.pairs.trajectories import check_same_prompts, read_trajectories, split
from gpo.pool import Pool, Watch
from gpo.progress import Progress
from gpo.protocols import unjudged
from gpo.recipe import Recipe
from gpo.record import (
    Json,
    RunFolder,
    check_rows,
    read_as,
    row_lines,
    stored_run,
    stored_settings,
    write_as,
    write_lines,
)
from gpo.record.lines import LocatedSummary
from gpo.record.new import check_new
from gpo.record.remembered import Remembered, read_samples
from gpo.record.rows import RowLine
from gpo.record.run_json import fingerprint_of
from gpo.report.built import built
from gpo.seeds import derive_seed
from gpo.setup.data import excluded_questions, load_problems, load_verifier
from gpo.setup.dry_run import example, shown
from gpo.setup.engine import load_asking, load_engine
from gpo.setup.located_run import with_settings_of
from gpo.setup.start import begun, output_folder
from gpo.setup.ways_on import ways_on
from gpo.tasks.splits import check_training_rows
from gpo.types import InputError, Problem, State


def run(settings: PairsSettings, ui: Ui, *, resume: Path | None = None, is_dry: bool = False) -> Json:
    """Builds all rows and writes them; returns the counts, with what was left out and why."""
    path = resume or output_folder(settings.output, "pairs", settings.seed)
    if settings.run:
        settings = with_settings_of(Path(settings.run), settings)
    check_training_rows(
        f"--run {settings.run}" if settings.run else "--task" if settings.task else "--data",
        settings.model_dump(),
        is_allowed=settings.allow_test,
    )
    stored = settings.model_dump()
    source = Path(settings.run) if settings.run else path / "located"
    if is_dry:
        return rehearse(settings, source, path, ui)
    with begun(
        "pairs",
        path,
        stored,
        is_resumed=resume is not None,
        prepare=lambda _: Wanted(settings, source, path),
        load=lambda wanted: nullcontext(wanted.maker),
    ) as (folder, wanted, made):
        maker = made
        if maker is None or not settings.run:
            locate_first(settings, source, ui)
            maker = Maker(settings, source, wanted)
        folder.take_up(stored, maker.fingerprint)
        for name, size in folder.repair().items():
            ui.log(f"{path / name}: removed an incomplete last line ({size} bytes)")
        maker.folder = folder
        rows = maker.build(ui)
        if not rows.pairs and not rows.unpaired:
            why = f"{source}: {rows.why_none()}"
            if settings.run:
                raise InputError(why)
            raise FinalError(f"{why}; build from it with others: gpo pairs --run {source}")
        summary = write(folder.path, rows, maker)
    ui.print(*built(summary))
    ui.commands(ways_on("pairs", path, settings, summary))
    return summary


def rehearse(settings: PairsSettings, source: Path, path: Path, ui: Ui) -> Json:
    """All that is done before weights load; prints and returns the costs and one example."""
    check_new(path, settings.model_dump())
    wanted = Wanted(settings, source, path)
    if wanted.maker is None:
        found = locate.run(locating(settings, source), ui, is_dry=True)
    else:
        kept, recipe = wanted.maker.kept, settings.part(Recipe, resets=False)
        first = [one.rollout for one in kept[:1]]
        found = example(wanted.asking, None, first[0].state.problem, first, recipe)
        ui.print(*shown(found, settings.success_at))
        found |= {"dry_run": True, "problems": len(kept)}
    filled = of_rollouts(found["problems"], "state", settings.fill, settings.max_tokens)
    ui.log(f"filling missing sides costs at most {Cost({'states': filled})}")
    return found | {"cost_of_filling": filled[0]}


def locating(settings: PairsSettings, path: Path) -> LocateSettings:
    """The locate that the pairs are built from."""
    values = {key: getattr(settings, key) for key in LocateSettings.model_fields}
    return LocateSettings(**{**values, "rule": rule_for(settings.at, settings.rule), "output": str(path)})


def locate_first(settings: PairsSettings, path: Path, ui: Ui) -> None:
    """Runs the locate that the pairs are built from, or what is left of it."""
    located = locating(settings, path)
    found = locate.run(located, ui, resume=path if (path / "run.json").is_file() else None, is_part=True)
    if not found["trajectories"]:
        raise FinalError(
            f"{path}: no trajectory of {found['problems']} problems was explored, so there is nothing to "
            "pair; start a new run with more problems or another --explored"
        )


class Wanted:
    """What rows are to be made of, read and checked: the trajectories too where a located run is named."""

    fingerprint: Mapping[str, Any] = {}
    rows: Sequence[RowLine] | None = None
    maker: Maker | None = None

    def __init__(self, settings: PairsSettings, source: Path, path: Path) -> None:
        self.excluded = excluded_questions(settings)
        self.asking = load_asking(settings)
        self.known = read_samples(path, self.asking.num_known)
        """What was sampled for the rows before the run was killed, so that it is not sampled twice."""
        if settings.run or (source / "summary.json").is_file():
            self.maker = Maker(settings, source, self)
            self.fingerprint = self.maker.fingerprint


class Maker:
    """Rows from a located run; the model is loaded only if something has to be sampled."""

    def __init__(self, settings: PairsSettings, source: Path, wanted: Wanted) -> None:
        self.settings, self.source, self.options = settings, source, settings.part(Options)
        self.known = wanted.known
        self.asking = wanted.asking
        self.tokenizer = self.asking.raw_tokenizer
        self.fingerprint = fingerprint_of(source)
        check_same_prompts(source, self.fingerprint, self.asking.fingerprint, "named here")
        self.first_step = first_step_by(settings.step_splitter(), self.asking.tokenizer)
        self.searched_tokens: dict[str, int] = read_as(source / "summary.json", LocatedSummary).tokens
        found = read_trajectories(source, self.asking.num_known)
        self.kept, self.held_out = split(found, wanted.excluded, settings.hold_out, settings.seed)
        self.folder: RunFolder | None = None
        """Where what is sampled for the rows is written down."""
        self.problems: dict[str, Problem] = {}
        if self.has_to_match(self.kept) or self.has_to_fill(self.kept):
            self.check_source()

    def check_source(self) -> None:
        """Reads the problems again that are to be sampled from; InputError if they are not the run's."""
        self.check_fingerprint(self.asking.fingerprint)
        self.verifier = load_verifier(self.settings)
        seed = stored_settings(self.source, "locate")["seed"]
        problems = load_problems(
            self.settings, self.asking, self.verifier, split=self.settings.split, seed=seed
        )
        check_rows(self.source, stored_run(self.source), row_lines(problems))
        self.problems = {problem.id: problem for problem in problems}
        for one in self.kept:
            self.whole(one.rollout.state)

    def check_fingerprint(self, ours: Mapping[str, Any]) -> None:
        for key, value in ours.items():
            if self.fingerprint.get(key) != value:
                raise InputError(
                    f"{self.source}: was sampled by another model or with other settings ({key} differs), so "
                    "no more can be sampled; name that model, or give --fill 0 and --no-match-budget"
                )

    @cached_property
    def pool(self) -> Pool:
        """Where more is sampled, by the model that was located and no other."""
        policy = load_engine(self.settings)
        self.check_fingerprint(policy.fingerprint)
        sampler = Remembered(policy, self.folder, self.known) if self.folder else policy
        return Pool(sampler, self.verifier, derive_seed(self.settings.seed, "pairs"))

    def build(self, ui: Ui) -> Rows:
        """The rows of all trajectories that are not held out."""
        with Progress(ui, "pairs", "trajectories", len(self.kept), drawn=self.num_drawn) as bar:

            def watch(purpose: str, _: int, num: int) -> None:
                bar.begin(f"{purpose}: {num} rollouts", num * self.settings.max_tokens)

            kept = self.sampled(self.kept, watch)
            rows = pairs.build(kept, self.options, seed=self.settings.seed, first_step=self.first_step)
            bar.at(len(kept))
        rows.counts["trajectories held out"] = len(self.held_out)
        return rows

    def sampled(self, kept: list[Trajectory], watch: Watch) -> list[Trajectory]:
        """The trajectories with what has to be sampled for them; the model is loaded only for that."""
        options, seed, first_step = self.options, self.settings.seed, self.first_step
        if self.has_to_match(kept):
            self.pool.watch = watch
            kept = matched(self.pool, kept, options.at, seed=seed, whole=self.whole)
        if self.has_to_fill(kept):
            self.pool.watch, num = watch, self.settings.fill
            kept = filled(self.pool, kept, options, num, seed=seed, first_step=first_step, whole=self.whole)
        return kept

    def has_to_match(self, kept: Sequence[Trajectory]) -> bool:
        """Whether a baseline has to sample for what the search spent."""
        is_baseline = self.settings.match_budget and self.options.at not in SEARCHED
        return is_baseline and any(one.search_tokens for one in kept)

    def has_to_fill(self, kept: Sequence[Trajectory]) -> bool:
        """Whether some trajectories have only right or only wrong answers, and more are to be sampled."""
        options, seed = self.options, self.settings.seed
        return self.settings.fill > 0 and any(
            pairs.missing_side(one, options, seed=seed, first_step=self.first_step) for one in kept
        )

    def whole(self, state: State) -> State:
        """The state with its problem as the verifier knows it."""
        if state.problem.id not in self.problems:
            raise InputError(
                f"{self.source}: problem {state.problem.id} is no longer in the data; give the data "
                "that the run was made from"
            )
        found = self.problems[state.problem.id]
        if (found.prompt_ids, found.answer) != (state.problem.prompt_ids, state.problem.answer):
            raise InputError(
                f"{self.source}: problem {found.id} has another prompt or answer now than when it was "
                "located; give the data that the run was made from"
            )
        return State(found, state.prefix_ids)

    def num_drawn(self) -> int:
        return self.pool.policy.num_drawn if self.has_sampled else 0

    @property
    def has_sampled(self) -> bool:
        """Whether anything had to be sampled for the rows."""
        return "pool" in self.__dict__

    def spent(self) -> dict[str, int]:
        """Tokens that these rows cost, by purpose: a baseline does not pay for the search."""
        found = self.searched_tokens
        if self.options.at not in SEARCHED:
            found = {"explore": found.get("explore", 0)}
        sampled = self.pool.tokens() if self.has_sampled else {}
        return found | {purpose: num for purpose, num in sampled.items() if num}


def write(folder: Path, rows: Rows, maker: Maker) -> Json:
    """Writes every file of rows and the summary, which it returns."""
    made = Writer(maker.tokenizer, maker.options).lines(rows)
    for name, lines in made.items():
        write_lines(folder / FILES[name], lines)
    held = {one.rollout.state.problem.id: one.rollout.state.problem for one in maker.held_out}
    questions = [HeldOutLine(prompt=one.question, answer=one.answer, id=one.id) for one in held.values()]
    write_lines(folder / "held_out.jsonl", questions)
    inexact = sum(isinstance(line, PairLine) and not line.is_exact_text for line in made["pairs"])
    summary = {
        "run": str(folder),
        "source": str(maker.source),
        "at": maker.options.at,
        "rows": {name: len(lines) for name, lines in made.items()},
        "left_out": rows.left_out,
        "trajectories": rows.counts["trajectories"],
        "inexact_text": inexact,
        "tokens": maker.spent(),
        "unjudged": {k: n for k, n in unjudged(maker.pool.verifier).items() if n}
        if maker.has_sampled
        else {},
        "begin_text": begin_text(maker.tokenizer),
        "end_text": maker.tokenizer.eos_token or "",
    }
    write_as(folder / "summary.json", PairsSummary.made(summary))
    return summary
