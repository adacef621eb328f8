"""`gpo train`: rounds of exploring, locating, resetting and learning, with evaluation and resume."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.console import RenderableType

from gpo.commands import setup
from gpo.commands.records import write_round
from gpo.commands.ui import Ui
from gpo.config import TrainSettings
from gpo.evaluation import evaluate
from gpo.gpo import Round, problem_order, run_round
from gpo.learn.policy_gradient import Optimisation, PolicyGradient
from gpo.paths import PathPrior
from gpo.pool import PURPOSES, Watch
from gpo.record import Json, RunFolder
from gpo.report import terminal


def run(settings: TrainSettings, ui: Ui, *, resume: Path | None = None) -> Json:
    """Trains until the rounds are done or the token budget is spent; returns the summary."""
    stored = settings.model_dump()
    if resume:
        with RunFolder.resume(resume) as folder:
            training = Training(settings, folder.last_checkpoint())
            folder.extend(stored)
            return complete(folder, training, ui)
    path = setup.output_folder(settings.output, "train", settings.seed)
    RunFolder.check_new(path, stored)
    # Everything that the user gave is loaded and checked before anything is written.
    training = Training(settings)
    with RunFolder.create(path, "train", stored) as folder:
        return complete(folder, training, ui)


def complete(folder: RunFolder, training: Training, ui: Ui) -> Json:
    """Does what is left of the run, saves the model, prints and returns the summary."""
    # Its weights change with every round; what they are after each is in its checkpoint.
    folder.belongs_to({k: v for k, v in training.policy.fingerprint.items() if k != "weights"})
    discarded = folder.discard_torn()
    if any(discarded.values()):
        ui.print("discarded of a torn round: {rollouts} rollouts, {curves} curves".format_map(discarded))
    training.run(folder, ui)
    training.policy.save(folder.path / "model")
    lines = folder.rounds()
    summary = summarise(lines) | {"discarded": discarded, "run": str(folder.path)}
    ui.print(*report(lines, summary))
    return summary


class Training:
    """The parts of one training run, from its settings and, when resumed, its last checkpoint."""

    def __init__(self, settings: TrainSettings, checkpoint: Path | None = None) -> None:
        self.settings = settings
        self.recipe = setup.load_recipe(
            settings,
            problems_per_round=settings.problems_per_round,
            max_located=settings.max_located,
            train_values=settings.train_values,
        )
        self.policy = setup.load_policy(settings, checkpoint / "model" if checkpoint else None)
        self.verifier = setup.load_verifier(settings)
        self.problems, self.held_out = setup.load_splits(settings, self.policy, self.verifier)
        self.learner = PolicyGradient(
            self.policy.model,
            Optimisation(**{key: getattr(settings, key) for key in Optimisation.__dataclass_fields__}),
            temperature=settings.temperature,
            seed=settings.seed,
        )
        self.prior = PathPrior()
        if checkpoint:
            self.learner.load(checkpoint / "optimizer.safetensors")

    def run(self, folder: RunFolder, ui: Ui) -> None:
        """All rounds that are still to be done; line 0 is the evaluation before the first."""
        lines = folder.rounds()
        done = lines[-1]["round"] if lines else 0
        if done:
            self.prior = PathPrior.from_json(
                next(line["prior"] for line in reversed(lines) if "prior" in line)
            )
        spent = sum(line["tokens"].get(purpose, 0) for line in lines for purpose in PURPOSES)
        with ui.progress() as bar:
            task = bar.add_task("training", total=self.settings.rounds, completed=done, note="evaluating")

            def watch(purpose: str, _: int, num: int) -> None:
                bar.update(task, note=f"{purpose}: {num} rollouts")

            if not lines:
                folder.commit_round({"round": 0, **self.evaluation(), "metrics": {}})
            for index in range(done + 1, self.settings.rounds + 1):
                if spent >= (self.settings.budget_tokens or float("inf")):
                    break
                spent = self.round(folder, index, spent, watch)
                bar.update(task, completed=index)
            if "evaluation" not in (last := folder.rounds()[-1]):  # the run was cut short of its settings
                folder.commit_round({"round": last["round"], **self.evaluation(), "metrics": {}})

    def round(self, folder: RunFolder, index: int, spent: int, watch: Watch) -> int:
        """Round `index`, from 1, sampled, learned, written; returns the tokens spent up to its end."""
        settings = self.settings
        self.policy.version = index - 1
        order = problem_order(len(self.problems), settings.problems_per_round, index - 1, settings.seed)
        batch = [self.problems[i] for i in order]
        data = run_round(
            self.policy,
            self.verifier,
            batch,
            self.recipe,
            index=index,
            seed=settings.seed,
            prior=self.prior,
            watch=watch,
        )
        self.prior = data.prior
        write_round(folder, data)
        watch("learning from", 0, sum(len(group.rollouts) for group in data.groups))
        metrics = sampling_metrics(data) | self.learner.update(data.groups, round_index=index)
        self.policy.version = index
        spent += sum(data.tokens.values())
        is_last = index == settings.rounds or spent >= (settings.budget_tokens or float("inf"))
        line: Json = {"round": index, "tokens": data.tokens, "metrics": metrics, "prior": asdict(data.prior)}
        if is_last or (settings.eval_every and index % settings.eval_every == 0):
            watch("evaluating", 0, len(self.held_out) * settings.eval_num)
            evaluation = self.evaluation()
            line |= evaluation | {"tokens": data.tokens | evaluation["tokens"]}
        self.checkpoint(folder, index)
        folder.commit_round(line)
        folder.prune_checkpoints(settings.keep_checkpoints)
        return spent

    def evaluation(self) -> Json:
        """The held-out success rate, always on the same random streams, with what it cost."""
        result = evaluate(
            self.policy,
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
        part = folder.new_checkpoint()
        self.policy.save(part / "model")
        self.learner.save(part / "optimizer.safetensors")
        folder.finish_checkpoint(part, index)


def sampling_metrics(data: Round) -> dict[str, float]:
    """What a round sampled, as numbers; nan where there was nothing to average."""
    rollouts = [rollout for group in data.explored for rollout in group.rollouts]
    named = [one for one in data.located if one.critical]
    resets = [one.curve.values[one.critical.index] for one in named if one.critical]
    return {
        "sample/reward": sum(r.reward for r in rollouts) / len(rollouts),
        "sample/truncated_frac": sum(not r.finished for r in rollouts) / len(rollouts),
        "sample/signal_groups_frac": sum(g.has_signal for g in data.explored) / len(data.explored),
        "locate/trajectories": float(len(data.located)),
        "locate/critical": float(len(named)),
        "reset/value": sum(resets) / len(resets) if resets else float("nan"),
        "verify/timeouts": float(data.num_timeouts),
    }


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
        "tokens": dict(tokens),
    }


def report(lines: list[Json], summary: Json) -> list[RenderableType]:
    """What a person reads at the end."""
    before = terminal.percent(summary["accuracy_before"], summary["accuracy_before_stderr"])
    after = terminal.percent(summary["accuracy_after"], summary["accuracy_after_stderr"])
    return [
        terminal.rounds(lines),
        "",
        terminal.ledger(summary["tokens"]),
        "",
        f"accuracy on held-out problems: {before} before, {after} after {summary['rounds']} rounds",
        f"written to {summary['run']}",
    ]
