"""`gpo train`: rounds of exploring, locating, resetting and learning, with evaluation and resume."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from gpo.commands import learning, trackers
from gpo.commands.clock import Clock
from gpo.commands.log import Log, accuracies, diverged, is_stale
from gpo.config import TrainSettings
from gpo.console import Ui
from gpo.curriculum import Memory
from gpo.evaluation import evaluate
from gpo.gpo import Round, problem_order, run_round
from gpo.learn.optimisation import Optimisation
from gpo.pool import PURPOSES, Watch
from gpo.protocols import Tally, Verifier
from gpo.ranks import Ranks, SharedPolicy, SharedVerifier
from gpo.recipe import Recipe
from gpo.record import Json, RunFolder, read_json, row_lines, write_json
from gpo.record.lines import RowLine
from gpo.record.runs import write_round
from gpo.report import terminal
from gpo.report.unjudged import counted, told
from gpo.setup.data import check_training, load_splits, load_verifier
from gpo.setup.engine import load_vllm, suited
from gpo.setup.start import begun, output_folder
from gpo.types import Group, InputError, Problem, State, spent_tokens

PROBES = 4
"""Prompts at which an engine is compared with the trainer."""


def run(settings: TrainSettings, ui: Ui, *, resume: Path | None = None) -> Json:
    """Trains until the rounds are done or the token budget is spent; returns the summary."""
    check_training(settings)
    ranks = learning.processes(settings)
    path = resume or output_folder(settings.output, "train", settings.seed)
    with begun(
        "train",
        path,
        settings.model_dump(),
        is_resumed=resume is not None,
        prepare=partial(prepared, settings, ranks),
        load=lambda parts: nullcontext(Training(settings, ranks, parts)),
        is_first=ranks.is_first,
    ) as (folder, _, training):
        return complete(folder, training, ui)


def complete(folder: RunFolder, training: Training, ui: Ui) -> Json:
    """Does what is left of the run, saves the model, prints and returns the summary."""
    # Its weights change with every round; what they are after each is in its checkpoint.
    fingerprint = {k: v for k, v in training.policy.fingerprint.items() if k != "weights"}
    discarded = folder.take_up(training.settings.model_dump(), fingerprint, training.parts.rows)
    if any(discarded.values()):
        ui.print(
            "discarded {rollouts} rollouts and {curves} curves from an incomplete round".format_map(discarded)
        )
    training.run(folder, ui)
    if training.ranks.is_first:
        folder.save("model", partial(learning.save_model, training.policy))
    training.ranks.close()
    lines = folder.rounds()
    summary = summarise(lines) | {"unspent": training.unspent(lines), "discarded": discarded}
    summary |= {"run": str(folder.path)}
    ui.print(*report(lines, summary))
    return summary


@dataclass(frozen=True)
class Parts:
    """What a training run is made of beside weights, and the checkpoint that it goes on from."""

    fingerprint: dict[str, Any]
    recipe: Recipe
    optimisation: Optimisation
    verifier: Verifier
    problems: Sequence[Problem]
    held_out: Sequence[Problem]
    checkpoint: Path | None
    memory: Memory

    @property
    def rows(self) -> list[RowLine]:
        return [*row_lines(self.problems), *row_lines(self.held_out, "held-out")]


def prepared(settings: TrainSettings, ranks: Ranks, folder: RunFolder | None) -> Parts:
    """Everything that the user gave, read and checked; `folder` is that of a run that goes on."""
    trackers.check(settings.track)
    recipe = settings.part(Recipe)
    optimisation = learning.optimisation(settings)
    verifier = load_verifier(settings)
    checkpoint = folder.last_checkpoint() if folder else None
    asking = learning.load_asking(settings, ranks, checkpoint)
    problems, held_out = load_splits(settings, asking, verifier)
    memory = read_memory(checkpoint / "memory.json") if checkpoint else Memory()
    return Parts(asking.fingerprint, recipe, optimisation, verifier, problems, held_out, checkpoint, memory)


class Training:
    """One training run: its parts, with the weights."""

    def __init__(self, settings: TrainSettings, ranks: Ranks, parts: Parts) -> None:
        self.settings, self.ranks, self.parts, self.memory = settings, ranks, parts, parts.memory
        self.problems, self.held_out = parts.problems, parts.held_out
        self.verifier = SharedVerifier(parts.verifier, ranks)
        checkpoint = parts.checkpoint
        self.policy = learning.load_policy(settings, ranks, checkpoint / "model" if checkpoint else None)
        self.engine = load_vllm(settings) if settings.engine == "vllm" else None
        self.sampler = SharedPolicy(self.engine or self.policy, ranks)
        self.recipe = suited(parts.recipe, self.engine or self.policy)
        self.known = {problem.id: problem for problem in self.problems}
        self.tally = Tally(self.verifier)
        self.sync()
        self.learner = learning.load_learner(settings, parts.optimisation, self.policy, ranks)
        if checkpoint:
            self.learner.load(checkpoint / "optimizer.safetensors")

    def run(self, folder: RunFolder, ui: Ui) -> None:
        """All rounds that are still to be done; line 0 is the evaluation before the first."""
        lines = folder.rounds()
        done = lines[-1]["round"] if lines else 0
        with ui.progress() as bar:
            task = bar.add_task("training", total=self.settings.rounds, completed=done, note="evaluating")

            def watch(purpose: str, _: int, num: int) -> None:
                bar.update(task, note=f"{purpose}: {num} rollouts")

            if not lines:
                first = self.evaluation()
                folder.commit_round({"round": 0, **first, "metrics": {}, "unjudged": self.tally.since()})
            log = Log(folder, self.settings, ui)
            for index in range(done + 1, self.settings.rounds + 1):
                if not self.has_room(folder.rounds()) or is_stale(folder.rounds(), self.settings.patience):
                    break
                try:
                    self.round(folder, index, watch)
                except FloatingPointError as error:
                    raise FloatingPointError(diverged(index, str(error), folder)) from None
                bar.update(task, completed=index, note=log.round(folder.rounds()))
            log.close()
            if "evaluation" not in (last := folder.rounds()[-1]):  # the run was cut short of its settings
                final = self.evaluation()
                line = {"round": last["round"], **final, "metrics": {}, "unjudged": self.tally.since()}
                folder.commit_round(line)

    def left(self, lines: list[Json]) -> tuple[float, float]:
        """Tokens and trained rollouts that are left of the budgets."""
        tokens = sum(spent_tokens(line["tokens"]) for line in lines)
        samples = sum(line.get("samples", 0) for line in lines)
        settings = self.settings
        return (settings.budget_tokens or math.inf) - tokens, (settings.budget_samples or math.inf) - samples

    def unspent(self, lines: list[Json]) -> Json:
        """What is left of each budget that was set."""
        left = zip(("tokens", "samples"), self.left(lines), strict=True)
        return {name: int(num) for name, num in left if math.isfinite(num)}

    def has_room(self, lines: list[Json]) -> bool:
        """Whether another group fits into the budgets, however long its completions."""
        tokens, samples = self.left(lines)
        return tokens >= self.recipe.group_size * self.policy.max_tokens and samples >= self.recipe.group_size

    def sample(self, folder: RunFolder, index: int, watch: Watch) -> Round:
        """Round `index` as far as the policy before it goes: sampled and written."""
        settings = self.settings
        self.policy.version = self.sampler.version = index - 1
        order = problem_order(len(self.problems), settings.problems_per_round, index - 1, settings.seed)
        data = run_round(
            self.sampler,
            self.verifier,
            [self.problems[i] for i in order],
            self.recipe,
            index=index,
            seed=settings.seed,
            memory=self.memory,
            known=self.known,
            budget_tokens=self.left(folder.rounds())[0],
            watch=watch,
        )
        self.memory = data.memory
        write_round(folder, data)
        return data

    def round(self, folder: RunFolder, index: int, watch: Watch) -> None:
        """Round `index`, from 1, sampled, learned, written."""
        settings = self.settings
        clock = Clock({"sample": self.sampler, "verify": self.verifier})
        data = self.sample(folder, index, watch)
        groups = within(data.groups, self.left(folder.rounds())[1])
        num_samples = sum(len(group.rollouts) for group in groups)
        watch("learning from", 0, num_samples)
        clock.lap("other")
        step_values = data.step_values if settings.step_credit else ()
        learned = self.learner.update(groups, step_values=step_values, round_index=index)
        clock.lap("train")
        metrics = sampling_metrics(data) | learned
        self.policy.version = index
        metrics |= self.sync()
        line: Json = {"round": index, "tokens": data.tokens, "samples": num_samples, "metrics": metrics}
        is_last = index == settings.rounds or not self.has_room([*folder.rounds(), line])
        if is_last or (settings.eval_every and index % settings.eval_every == 0):
            watch("evaluating", 0, len(self.held_out) * settings.eval_num)
            evaluation = self.evaluation()
            line |= evaluation | {"tokens": data.tokens | evaluation["tokens"]}
            self.keep_best(folder, evaluation)
        clock.lap("evaluation", is_whole=True)
        self.checkpoint(folder, index)
        clock.lap("other")
        line["unjudged"] = self.tally.since()
        metrics |= clock.metrics(sum(data.tokens.values()), learned["train/tokens"])
        folder.commit_round(line)
        folder.prune_checkpoints(settings.keep_checkpoints)

    def sync(self) -> dict[str, float]:
        """Hands the weights to an engine that has a copy of its own; returns how far it is then off."""
        if self.engine is None:
            return {}
        probes = [State(problem) for problem in self.problems[:PROBES]]
        return {"engine/logprob_gap": self.engine.update(self.policy, probes)}

    def keep_best(self, folder: RunFolder, evaluation: Json) -> None:
        """Saves the model beside the run if none was better, where the run may stop after its best."""
        best = max((accuracy for accuracy in accuracies(folder.rounds())), default=0.0)
        if self.settings.patience and self.ranks.is_first and evaluation["evaluation"]["accuracy"] >= best:
            folder.save("best", partial(learning.save_model, self.policy))

    def evaluation(self) -> Json:
        """The held-out success rate, always on the same random streams, with what it cost."""
        result = evaluate(
            self.sampler,
            self.verifier,
            self.held_out,
            num=self.settings.eval_num,
            seed=self.settings.seed,
            success_at=self.settings.success_at,
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

    def checkpoint(self, folder: RunFolder, index: int) -> None:
        """Writes model and optimizer to a folder that is moved into place when it is whole."""
        with folder.new_checkpoint(index) as part:
            self.learner.save(part / "optimizer.safetensors")
            if self.ranks.is_first:
                learning.save_model(self.policy, part / "model")
                write_json(part / "memory.json", asdict(self.memory))


def read_memory(path: Path) -> Memory:
    """What the rounds before remember; InputError names the file."""
    content = read_json(path)
    try:
        return Memory.from_json(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def within(groups: Sequence[Group], num: float) -> list[Group]:
    """The first of the groups that together have at most `num` rollouts."""
    sizes = accumulate(len(group.rollouts) for group in groups)
    return [group for group, size in zip(groups, sizes, strict=True) if size <= num]


def sampling_metrics(data: Round) -> dict[str, float]:
    """What a round sampled, as numbers; nan where there was nothing to average."""
    rollouts = [rollout for group in data.explored for rollout in group.rollouts]
    named = [one for one in data.located if one.critical]
    resets = [one.estimate.values[one.critical.index] for one in named if one.critical]
    share = data.memory.share
    return {
        "sample/reward": _mean([r.reward for r in rollouts]),
        "sample/truncated_frac": _mean([not r.finished for r in rollouts]),
        "sample/signal_groups_frac": _mean([g.has_signal for g in data.explored if len(g.rollouts) > 1]),
        "sample/denied_rollouts": float(data.pool.num_denied),
        "locate/trajectories": float(len(data.located)),
        "locate/critical": float(len(named)),
        "locate/one_step_frac": _mean([one.curve.num_steps == 1 for one in data.located]),
        "reset/value": _mean([value for value in resets if value is not None and math.isfinite(value)]),
        "archive/traces": float(len(data.memory.archive.traces)),
        "archive/groups": float(len(data.archived)),
        "archive/value": _mean([group.value for group in data.archived]),
        "archive/signal_groups_frac": _mean([g.has_signal for g in data.archived]),
        **{f"share/{arm}": level for arm, level in share.levels.items()},
        **{f"share/{arm}_signal": share.rate(arm) for arm in ("fresh", *share.levels)},
        **{f"verify/{kind}": float(num) for kind, num in data.unjudged.items()},
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def summarise(lines: list[Json]) -> Json:
    """The first and last evaluation and the ledger of a run, from its round lines."""
    evaluations = [line["evaluation"] for line in lines if "evaluation" in line]
    tokens: Counter[str] = Counter(dict.fromkeys((*PURPOSES, "evaluation"), 0))
    for line in lines:
        tokens.update(line["tokens"])
    first, last = evaluations[0], evaluations[-1]
    return {
        "accuracy_before": first["accuracy"],
        "accuracy_before_stderr": first["stderr"],
        "accuracy_after": last["accuracy"],
        "accuracy_after_stderr": last["stderr"],
        "rounds": lines[-1]["round"],
        "verifier_timeouts": int(sum(line["metrics"].get("verify/timeouts", 0) for line in lines)),
        "unjudged": counted(lines),
        "tokens": dict(tokens),
    }


def report(lines: list[Json], summary: Json) -> list[RenderableType]:
    """What a person reads at the end."""
    before = terminal.percent(summary["accuracy_before"], summary["accuracy_before_stderr"])
    after = terminal.percent(summary["accuracy_after"], summary["accuracy_after_stderr"])
    return [
        terminal.rounds(lines),
        "",
        *told(summary["unjudged"]),
        terminal.ledger(summary["tokens"]),
        *(f"left of the budget: {num:,} {name}" for name, num in summary["unspent"].items()),
        "",
        f"accuracy on held-out problems: {before} before, {after} after {summary['rounds']} rounds",
        f"written to {summary['run']}",
    ]
