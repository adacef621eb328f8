"""The loop of `gpo train`: in each round a learner learns; then it is evaluated, kept, committed and told.

What a learner does with a round is its own; all else of a run is here, once. A line of rounds.jsonl commits
its round: a run that was killed goes on after the last of them, from the checkpoint that stands with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from gpo.console import Ui
from gpo.cost import of_round
from gpo.evaluation import evaluate
from gpo.gpo import Memory, Round, problem_order, run_round
from gpo.outlook import ENOUGH, of_groups
from gpo.protocols import Critic, Tally, Verifier
from gpo.ranks import Ranks, SharedVerifier
from gpo.recipe import Recipe
from gpo.record import Json, RunFolder, read_json, row_lines, trained_lines, write_json
from gpo.setup.data import load_splits, load_verifier
from gpo.setup.engine import suited
from gpo.training.costs import costs, told
from gpo.training.log import Log, check_trackers
from gpo.training.metrics import Clock
from gpo.training.summary import BEST, accuracies, best_of, report, summarise
from gpo.training.weights import AnySettings, Weights, load_asking, save_model
from gpo.types import InputError, Problem, TrainedRows, spent_tokens

if TYPE_CHECKING:
    from gpo.policies.described import DescribedPolicy
    from gpo.policies.transformers import TransformersPolicy


class Learner:
    """What online and offline learning do differently; made for one run of its settings, which it checks."""

    settings: AnySettings
    ranks: Ranks
    recipe: Recipe
    """How a round samples."""
    critic: Critic | None = None
    """Kept across rounds, where the recipe's rule reads one."""
    given: TrainedRows = ()
    """Rows that were made before the run; none where each round makes its own."""
    num_updates: int | None = None
    """So far, where a tracker gets each of them; None where it gets rounds."""

    def read(self, asking: DescribedPolicy, held_out: Sequence[Problem]) -> None:
        """Reads the rows that are given; InputError for what this model cannot be trained on."""

    def load(self, policy: TransformersPolicy, checkpoint: Path | None) -> None:
        """Takes the policy to update, and its own state from the checkpoint that the run goes on from."""
        raise NotImplementedError

    def learn(self, run: Training, index: int, clock: Clock) -> Json:
        """Updates the weights in round `index`, from 1; returns its tokens, metrics and other fields."""
        raise NotImplementedError

    def save(self, checkpoint: Path) -> None:
        """Writes the state that outlives a round; every process calls it, and the first one writes."""

    def finish(self, folder: RunFolder, lines: Sequence[Json]) -> Json:  # noqa: ARG002
        """Removes what only a resume needs; returns what the summary says of this learner alone."""
        return {}


class Parts:
    """What a run is made of beside weights, read and checked, and the checkpoint that it goes on from."""

    def __init__(self, learner: Learner, folder: RunFolder | None) -> None:
        """`folder` is that of a run that goes on."""
        settings = learner.settings
        check_trackers(settings.track)
        sources = (settings.task, settings.data, settings.eval_task, settings.eval_data)
        verifier = load_verifier(settings) if any(sources) else None
        self.checkpoint = folder.last_checkpoint() if folder else None
        asking = load_asking(settings, learner.ranks, self.checkpoint)
        self.asking, self.verifier, self.fingerprint = asking, verifier, asking.fingerprint
        self.problems, self.held_out = load_splits(settings, asking, verifier) if verifier else ([], [])
        learner.read(asking, self.held_out)
        self.memory = read_memory(self.checkpoint / "memory.json") if self.checkpoint else Memory()
        trained = trained_lines(learner.given)
        self.rows = [*row_lines(self.problems), *trained, *row_lines(self.held_out, "held-out")]

    @property
    def sizes(self) -> tuple[int, int]:
        """Problems to train on and to evaluate on."""
        return len(self.problems), len(self.held_out)


def loaded(learner: Learner, parts: Parts) -> Weights:
    """The weights and what samples with them; the learner has taken them up."""
    weights = Weights(learner.settings, learner.ranks, parts.checkpoint)
    weights.sync(parts.problems)
    learner.load(weights.policy, parts.checkpoint)
    return weights


class Training:
    """One run, with its weights and its folder."""

    def __init__(self, learner: Learner, parts: Parts, weights: Weights, folder: RunFolder, ui: Ui) -> None:
        self.learner, self.settings, self.ranks = learner, learner.settings, learner.ranks
        self.parts, self.weights, self.folder, self.ui = parts, weights, folder, ui
        # Where nothing is verified nobody asks it.
        self.verifier = SharedVerifier(cast(Verifier, parts.verifier), self.ranks)
        self.recipe = suited(learner.recipe, weights.engine or weights.policy)
        self.memory, self.tally = parts.memory, Tally(self.verifier)

    def complete(self) -> Json:
        """Does what is left of the run, saves the model, prints and returns the summary."""
        folder, policy = self.folder, self.weights.policy
        # Its weights change with every round; what they are after each is in its checkpoint.
        fingerprint = {k: v for k, v in policy.fingerprint.items() if k != "weights"}
        discarded = folder.take_up(self.settings.model_dump(), fingerprint, self.parts.rows)
        if any(discarded.values()):
            line = "discarded {rollouts} rollouts and {curves} curves from an incomplete round"
            self.ui.print(line.format_map(discarded))
        self.run()
        if self.ranks.is_first:
            folder.save("model", partial(save_model, policy))
        self.ranks.close()
        lines = folder.rounds()
        summary = summarise(lines) | self.learner.finish(folder, lines)
        summary |= {"ended_by": self.ended_by(lines), "best": best_of(lines, folder.path / BEST)}
        summary |= {"unspent": self.unspent(), "discarded": discarded, "run": str(folder.path)}
        if self.ranks.is_first:
            write_json(folder.path / "summary.json", summary)
        self.ui.print(*report(lines, summary))
        return summary

    def run(self) -> None:
        """All rounds that are still to be done; line 0 is the evaluation before the first."""
        lines = self.folder.rounds()
        done = lines[-1]["round"] if lines else 0
        self.log = Log(self.folder, self.settings, self.ui, done, lambda: self.weights.sampler.num_drawn)
        for line in told(*costs(self.settings, self.recipe, *self.parts.sizes)):
            self.ui.log(line)
        with self.log.bar:
            if not lines:
                first = self.evaluation()
                self.keep_best(first)
                self.commit(0, first)
            for index in range(done + 1, self.settings.rounds + 1):
                if self.spent() or is_stale(self.folder.rounds(), self.settings.patience):
                    break
                try:
                    self.round(index)
                except FloatingPointError as error:
                    raise FloatingPointError(diverged(index, str(error), self.folder)) from None
                self.log.round(self.folder.rounds(), self.learner.num_updates)
            self.log.close()
            last = self.folder.rounds()[-1]
            if self.parts.held_out and "evaluation" not in last:  # the run was cut short of its settings
                self.commit(last["round"], self.evaluation())

    def round(self, index: int) -> None:
        """Round `index`, from 1: learned, evaluated where that is due, written."""
        clock = Clock({"sample": self.weights.sampler, "verify": self.verifier})
        self.weights.policy.version = self.weights.sampler.version = index - 1
        line = self.learner.learn(self, index, clock)
        metrics, num_sampled = line["metrics"], sum(line["tokens"].values())
        self.weights.policy.version = index
        metrics |= self.weights.sync(self.parts.problems)
        if self.is_due(index, line):
            evaluation = self.evaluation()
            line |= evaluation | {"tokens": line["tokens"] | evaluation.get("tokens", {})}
            self.keep_best(line)
        clock.lap("evaluation", is_whole=True)
        self.checkpoint(index)
        clock.lap("other")
        metrics |= clock.metrics(num_sampled, metrics.get("train/tokens", 0.0))
        self.commit(index, line)
        self.folder.prune_checkpoints(self.settings.keep_checkpoints)

    def sample(self, index: int) -> Round:
        """Round `index` as the policy before it samples it, within what is left of the budget."""
        settings, problems = self.settings, self.parts.problems
        order = problem_order(len(problems), settings.problems_per_round, index - 1, settings.seed)
        self.log.bar.begin("sampling", of_round(self.recipe, len(problems), settings.max_tokens).total)
        data = run_round(
            self.weights.sampler,
            self.verifier,
            [problems[i] for i in order],
            self.recipe,
            index=index,
            seed=settings.seed,
            memory=self.memory,
            critic=self.learner.critic,
            known={problem.id: problem for problem in problems},
            budget_tokens=self.left()["tokens"],
            watch=self.log.watch,
        )
        self.memory = data.memory
        if index == 1 and sum(len(group.rollouts) for group in data.explored) >= ENOUGH:
            for note in of_groups(data.explored, self.recipe, settings.max_tokens, is_measured=False):
                self.ui.log(f"note: {note}")
        return data

    def left(self, *more: Json) -> dict[str, float]:
        """Tokens and trained rollouts that are left of the budgets after the committed rounds and `more`."""
        lines = [*self.folder.rounds(), *more]
        spent = {
            "tokens": sum(spent_tokens(line["tokens"]) for line in lines),
            "samples": sum(line.get("samples", 0) for line in lines),
        }
        return {
            name: (getattr(self.settings, f"budget_{name}", None) or math.inf) - num
            for name, num in spent.items()
        }

    def unspent(self) -> Json:
        """What is left of each budget that was set."""
        return {name: int(num) for name, num in self.left().items() if math.isfinite(num)}

    def spent(self, *more: Json) -> str | None:
        """The budget that is too small for another prompt's group, should its completions be long."""
        left, least = self.left(*more), self.recipe.least_budgets(self.settings.max_tokens)
        return next((name for name, num in least.items() if left[name.removeprefix("budget_")] < num), None)

    def ended_by(self, lines: Sequence[Json]) -> str:
        """The setting that ended the run."""
        if lines[-1]["round"] >= self.settings.rounds:
            return "rounds"
        return self.spent() or "patience"

    def is_due(self, index: int, line: Json) -> bool:
        """Whether the round, whose line this is so far, ends with an evaluation."""
        every = self.settings.eval_every
        is_last = index == self.settings.rounds or self.spent(line) is not None
        return is_last or (every > 0 and index % every == 0)

    def evaluation(self) -> Json:
        """The held-out success rate, always on the same random streams, with what it cost; {} without any."""
        settings, held_out = self.settings, self.parts.held_out
        if not held_out:
            return {}
        self.log.bar.begin("evaluating", len(held_out) * settings.eval_num * settings.max_tokens)
        result = evaluate(
            self.weights.sampler,
            self.verifier,
            held_out,
            num=settings.eval_num,
            seed=settings.seed,
            success_at=settings.success_at,
        )
        rate = {"accuracy": result.accuracy, "stderr": result.stderr}
        rate |= {"truncated_frac": result.truncated_frac, "problems": len(result.groups)}
        return {"evaluation": rate, "tokens": {"evaluation": result.tokens}}

    def keep_best(self, line: Json) -> None:
        """Saves the model beside the run if it is a new best, where the run may stop after its best."""
        best = max(accuracies(self.folder.rounds()), default=-1.0)
        if self.settings.patience and self.ranks.is_first and accuracies([line]) > [best]:
            self.folder.save(BEST, partial(save_model, self.weights.policy))

    def checkpoint(self, index: int) -> None:
        """Writes all that a resume needs to a folder that is moved into place when it is whole."""
        with self.folder.new_checkpoint(index) as part:
            self.learner.save(part)
            if self.ranks.is_first:
                save_model(self.weights.policy, part / "model")
                write_json(part / "memory.json", asdict(self.memory))

    def commit(self, index: int, line: Json) -> None:
        """Writes the line that makes what was done so far part of the run."""
        begun = {"round": index, "tokens": {}, "metrics": {}}
        self.folder.commit_round(begun | line | {"unjudged": self.tally.since()})


def read_memory(path: Path) -> Memory:
    """What the rounds before remember; InputError names the file."""
    if not path.exists():
        raise InputError(f"{path}: is not there; if an earlier version wrote the run, start a new one")
    content = read_json(path)
    try:
        return Memory.from_json(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def is_stale(lines: Sequence[Json], patience: int | None) -> bool:
    """Whether the last `patience` evaluations were all no better than the best before them."""
    found = accuracies(lines)
    return patience is not None and len(found) > patience and max(found[-patience:]) <= max(found[:-patience])


def diverged(index: int, reason: str, folder: RunFolder) -> str:
    """What to tell about a round whose numbers were not finite; the round before is on disk."""
    good = folder.last_checkpoint()
    kept = f"the last good checkpoint is {good}" if good else "there is no checkpoint before it"
    return (
        f"training diverged in round {index}: {reason}; {kept}; start again from its model with a lower "
        "learning_rate, more warmup_updates or, online, a smaller clip"
    )
