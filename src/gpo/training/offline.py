"""Offline learning: pairs and labelled rows to weights, by TRL; given ones, or those of each round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import datasets

from gpo import pairs
from gpo.command_settings import PairsSettings, PreferenceSettings
from gpo.ending import FinalError
from gpo.learn import trainer_checkpoints
from gpo.learn.optimisation import PreferenceOptimisation
from gpo.learn.preference import check_one_side, check_rows, check_trl, train
from gpo.learn.rows import check_vocabulary, fitting
from gpo.pairs import Options
from gpo.pairs.filling import filled
from gpo.pairs.parts import USED, first_step_by, rule_for
from gpo.pairs.rows import FILES, Writer, read_trained
from gpo.pairs.trajectories import check_same_prompts, of_round
from gpo.ranks import Ranks
from gpo.recipe import Recipe
from gpo.record import Json, RunFolder, stored_settings, write_lines
from gpo.record.run_json import fingerprint_of
from gpo.record.runs import write_round
from gpo.seeds import derive_seed
from gpo.settings import check_stored
from gpo.setup.data import check_training, contaminated
from gpo.tasks.splits import check_training_rows
from gpo.training.loop import Learner, Training
from gpo.training.metrics import Clock, sampling_metrics
from gpo.types import InputError, Problem, TrainedRows

if TYPE_CHECKING:
    from gpo.policies.described import DescribedPolicy
    from gpo.policies.transformers import TransformersPolicy


class Offline(Learner):
    """Trains a preference loss on the rows of a `gpo pairs`, or on those that each round makes."""

    settings: PreferenceSettings

    def __init__(self, settings: PreferenceSettings) -> None:
        check_trl()
        datasets.disable_progress_bars()
        self.settings, self.ranks = settings, Ranks()
        self.optimisation, self.options = settings.part(PreferenceOptimisation), settings.part(Options)
        self.recipe = recipe_of(settings)
        self.pairs = Path(settings.pairs) if settings.pairs is not None else None
        self.num_left_out = {"too long": 0, "held out": 0}
        self.num_updates = 0
        if self.pairs is None:
            check_training(settings)
        else:
            stored = stored_settings(self.pairs, "pairs")
            check_stored(PairsSettings, self.pairs, stored)
            check_training_rows(f"--pairs {self.pairs}", stored, is_allowed=settings.allow_test)

    def read(self, asking: DescribedPolicy, held_out: Sequence[Problem]) -> None:
        self.asking = asking
        if self.pairs is not None:
            self.given = self.rows_of(self.pairs, held_out)

    def rows_of(self, run: Path, held_out: Sequence[Problem]) -> TrainedRows:
        """The rows of a finished `gpo pairs` that fit this model, but for those of held-out questions."""
        kind = "unpaired" if self.settings.method == "kto" else "pairs"
        made, stored = read_trained(run, kind), stored_settings(run, "pairs")
        if kind == "unpaired" and stored["weight"] != "none":
            raise InputError(f"--pairs {run}: has weights, which kto cannot use; build it without --weight")
        check_same_prompts(run, fingerprint_of(run), self.asking.fingerprint, "to be trained")
        held = {problem.question for problem in held_out}
        asked = {question: question for question, _ in made if question not in held}
        held |= contaminated(asked, held_out, self.settings, stored["task"])
        kept = [row for question, row in made if question not in held]
        self.num_left_out["held out"] = len(made) - len(kept)
        if not kept:
            raise InputError(
                f"--pairs {run}: all {len(made)} rows are of questions in the evaluation data; give "
                "other --eval-data or --no-decontaminate"
            )
        fitted = self.fit(kept, run / FILES[kind])
        check_rows(fitted, self.optimisation)
        return fitted

    def fit(self, rows: TrainedRows, source: Path | str) -> TrainedRows:
        """The rows that are short enough, the others counted; InputError for ids that the model lacks."""
        asking, longest = self.asking, self.settings.max_length
        check_vocabulary(rows, asking.num_rows or asking.num_ids, asking.end_ids, source)
        kept = fitting(rows, asking.context, longest, source)
        self.num_left_out["too long"] = len(rows) - len(kept)
        check_one_side(asking.config, kept)
        if rows and not kept:
            raise InputError(f"{source}: all {len(rows)} rows exceed --max-length {longest}; raise it")
        return kept

    def load(self, policy: TransformersPolicy, checkpoint: Path | None) -> None:  # noqa: ARG002
        """The reference is the policy at the start of each round, and the optimizer is new in each."""
        self.policy = policy

    def learn(self, run: Training, index: int, clock: Clock) -> Json:
        """A round that was torn goes on from TRL's last checkpoint of it."""
        before = sum(int(line["metrics"].get("train/updates", 0)) for line in run.folder.rounds())
        line: Json = {"tokens": {}, "metrics": {}, "left_out": self.num_left_out}
        rows = self.given if self.pairs else self.sampled(run, index, line)
        clock.lap("other")
        learned, line["updates"] = {"train/rows": 0.0}, []
        if rows:
            learned, line["updates"] = train(
                self.policy.model,
                self.policy.raw_tokenizer,
                rows,
                self.optimisation,
                folder=run.folder.path / "trainer" / f"{index:04d}",
                seed=derive_seed(self.settings.seed, "preference", index),
                watch=partial(run.log.watch, "updates"),
                note=lambda update, found: run.log.trackers.numbers(found, before + update),
            )
        clock.lap("train")
        self.num_updates = before + int(learned.get("train/updates", 0))
        return line | {"metrics": line["metrics"] | learned}

    def sampled(self, run: Training, index: int, line: Json) -> TrainedRows:
        """Samples, locates and pairs; what that came to goes to the files of the run and to `line`."""
        settings, options = self.settings, self.options
        data = run.sample(index)
        first_step = first_step_by(settings.step_splitter(), self.policy.tokenizer)
        found = of_round(data)
        if settings.fill:
            found = filled(
                data.pool, found, options, settings.fill,
                seed=settings.seed, first_step=first_step, whole=lambda state: state,
            )  # fmt: skip
        rows = pairs.build(found, options, seed=settings.seed, first_step=first_step)
        write_round(run.folder, data)
        self.write(run.folder.path / "pairs" / f"{index:04d}", rows)
        line |= {"tokens": data.tokens, "metrics": sampling_metrics(data)}
        made: TrainedRows = [one.labelled for one in rows.unpaired]
        if settings.method != "kto":
            made = [one.preference for one in rows.pairs]
        if not made and index == 1:
            why = f"round 1: {rows.why_none()}; start a new run with other settings"
            raise FinalError(f"{why} (what was sampled stays in {run.folder.path})")
        kept = self.fit(made, f"the rows of round {index}")
        line["left_out"] = {**rows.counts, **self.num_left_out}
        return kept

    def write(self, path: Path, rows: pairs.Rows) -> None:
        path.mkdir(parents=True, exist_ok=True)
        for name, lines in Writer(self.policy.raw_tokenizer, self.options).lines(rows).items():
            write_lines(path / FILES[name], lines)

    def finish(self, folder: RunFolder, lines: Sequence[Json]) -> Json:
        """Drops what TRL wrote in between, which no committed round needs; rows trained and left out."""
        left_out: Counter[str] = Counter()
        for line in lines:
            folder.warn_of(trainer_checkpoints.drop(folder.path / "trainer" / f"{line['round']:04d}"))
            counts = line.get("left_out", {})
            left_out.update({name: num for name, num in counts.items() if num and name not in USED})
        trained = [int(line["metrics"].get("train/rows", 0)) for line in lines if line["round"]]
        return {"method": self.settings.method, "rows": trained, "left_out": dict(left_out)}


def recipe_of(settings: PreferenceSettings) -> Recipe:
    """How a round of the run's own samples and locates."""
    return settings.part(
        Recipe,
        rule=rule_for(settings.at, settings.rule),
        max_located=settings.problems_per_round,
        resets=False,
    )
