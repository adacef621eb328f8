"""What a run of `gpo sample`, `gpo locate` or `gpo eval` has on disk, and how results are appended.

Every line stands for itself: a rollout is named by its problem, state, row, policy version and seed, and
a line of problems.jsonl says that a problem needs nothing more. What was in
flight when a run was killed is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gpo.evaluation import mean_and_stderr, outcomes, success_rate
from gpo.explore import Drawn, Event, Finished, Found, Lessons, Task
from gpo.explore.events import Row
from gpo.explore.lessons import LAST
from gpo.located import trusted_say
from gpo.paths import PathPosterior, PathPrior
from gpo.pool import PURPOSES
from gpo.proposals import Predicted
from gpo.protocols import Policy, Tally, Verifier
from gpo.record import Json, RunFolder, read_lines, read_records, stored_run
from gpo.record.base import number
from gpo.record.lines import DrawnLine, SearchedLine
from gpo.record.rounds import EvaluatedLine, ProblemLine
from gpo.record.runs import curve_line
from gpo.seeds import derive_seed, digest, json_digest
from gpo.types import Group, InputError, Rollout


@dataclass
class Totals:
    """What the lines of finished problems come to."""

    counts: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)
    """Answers without a verdict, by kind."""
    tokens: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(PURPOSES, 0)))
    rates: list[tuple[int, tuple[float, ...]]] = field(default_factory=list)
    """With the place of their problem."""

    def add(self, line: ProblemLine) -> None:
        self.tokens.update(line.tokens)
        self.rates.append((line.place, line.rates))
        self.unjudged.update(line.missed)
        for name in ("no_signal", "timeouts", "truncated", "rollouts"):
            self.counts[name] += getattr(line, name)

    def summary(self) -> Json:
        rates = [rate for _, some in sorted(self.rates) for rate in some]  # they finished in another order
        accuracy, stderr = mean_and_stderr(rates)
        return {
            "problems": len(rates),
            "accuracy": accuracy,
            "accuracy_stderr": stderr,
            "no_signal": self.counts["no_signal"],
            "verifier_timeouts": self.counts["timeouts"],
            "unjudged": {kind: num for kind, num in self.unjudged.items() if num},
            "truncated_frac": self.counts["truncated"] / max(1, self.counts["rollouts"]),
            "tokens": dict(self.tokens),
        }


@dataclass
class Recorded:
    """What is on disk: finished problems, rollouts of the others, the trajectories found, tokens in all."""

    totals: Totals = field(default_factory=Totals)
    done: set[str] = field(default_factory=set)
    """The finished problems."""
    teachers: dict[int, str] = field(default_factory=dict)
    """Those of them that later ones learn from, by their places."""
    rollouts: dict[str, list[DrawnLine]] = field(default_factory=dict)
    """By their problem, of unfinished ones alone."""
    curves: dict[int, list[SearchedLine]] = field(default_factory=dict)
    """By the place of their problem; of those whose places teach others, and of unfinished problems."""
    tokens: int = 0

    @property
    def unfinished(self) -> Iterator[DrawnLine]:
        """The rollouts of unfinished problems."""
        return (line for lines in self.rollouts.values() for line in lines)

    @classmethod
    def read(cls, path: Path, command: str, num_ids: int | None = None) -> Recorded:
        """InputError if an earlier version wrote other lines, and for ids not of a model's `num_ids`."""
        _check_version(path)
        found, kind = cls(), EvaluatedLine if command == "eval" else ProblemLine
        for line in read_lines(path / "problems.jsonl", kind):
            found.totals.add(line)
            found.done.add(line.problem)
            if line.place < LAST:
                found.teachers[line.place] = line.problem
        found.tokens = found.totals.tokens.total()
        for drawn in read_lines(path / "rollouts.jsonl", DrawnLine, num_ids):
            if drawn.problem not in found.done and drawn.policy_version == 0:
                found.rollouts.setdefault(drawn.problem, []).append(drawn)
                found.tokens += len(drawn.action_ids)
        for curve in read_lines(path / "curves.jsonl", SearchedLine, num_ids):
            if curve.place < LAST or curve.problem not in found.done:
                found.curves.setdefault(curve.place, []).append(curve)
        return found

    def of(self, task: Task, seed: int) -> dict[Row, Rollout]:
        """The rollouts of an unfinished problem, by what names them in the run of this seed."""
        found = {}
        for line in self.rollouts.get(task.problem.id, []):
            rollout = line.rollout(task.problem)
            if line.seed == derive_seed(seed, rollout.state.key, line.row):
                found[rollout.state, line.row] = rollout
        return found

    def lessons(self) -> Lessons:
        """What the finished problems taught: their posteriors are made again from their counts."""
        lessons = Lessons()
        for place in sorted(self.teachers):
            if (prior := lessons.prior(place)) is not None:
                curves = sorted(self.curves.get(place, []), key=lambda one: one.index)
                lessons.finish(place, [posterior(one, prior) for one in curves if one.proposal])
        return lessons


def _check_version(path: Path) -> None:
    """InputError for a run in rounds: no other seeds are those that its completions were sampled from."""
    is_noted = (path / "run.json").is_file() and stored_run(path).has_rounds is not None
    if is_noted or any(True for _ in read_records(path / "rounds.jsonl")):
        raise InputError(
            f"--resume {path}: was started by an earlier version, with other seeds; start a new run"
        )


def posterior(line: SearchedLine, prior: PathPrior) -> PathPosterior:
    """How the search of this curve ended."""
    outcome = line.successes[-1] if line.trials[-1] else None
    scores = None if line.proposal is None else [*map(number, line.proposal)]
    means = None if line.predicted is None else [*map(number, line.predicted)]
    path = PathPosterior(line.num_steps, outcome, prior, scores, means, trusted_say(line.trusted, prior))
    path.fit(line.successes[:-1], line.trials[:-1])
    return path


class Writer:
    """Appends what the scheduler yields; a curve that exists is not written again."""

    def __init__(
        self,
        folder: RunFolder,
        policy: Policy,
        verifier: Verifier,
        recorded: Recorded,
        success_at: float,
        *,
        is_evaluation: bool = False,
    ) -> None:
        self.folder, self.policy, self.verifier = folder, policy, verifier
        self.success_at, self.is_evaluation = success_at, is_evaluation
        self.totals = recorded.totals
        self._fingerprint = json_digest(policy.fingerprint)
        # What trajectories that were given came to was verified before, once for the whole run.
        self._tally = Tally(verifier, is_whole=not recorded.done)
        curves = (line for some in recorded.curves.values() for line in some)
        self._found = Counter((line.problem, digest(line.completion_ids)) for line in curves)

    def write(self, event: Event) -> None:
        if isinstance(event, Drawn):
            ask = event.ask
            purpose = "evaluation" if self.is_evaluation else ask.purpose
            labels = {"round": 0, "purpose": purpose, "baseline": ask.baseline}
            labels |= {"row": ask.row, "seed": event.seed}
            self.folder.write("rollouts", DrawnLine.of(event.rollout, **labels))
        elif isinstance(event, Found):
            self._write_curve(event)
        else:
            self.finish(self._line(event))

    def finish(self, line: ProblemLine) -> None:
        """A problem needs nothing more."""
        self.totals.add(line)
        self.folder.write("problems", line)

    def missed(self) -> Json:
        """What a finished problem notes of answers without a verdict since the one before."""
        missed = self._tally.since()
        return {"timeouts": missed.get("timeouts", 0), "unjudged": missed}

    def _write_curve(self, event: Found) -> None:
        rollout = event.located.curve.rollout
        assert rollout is not None  # noqa: S101 - for the type checker
        name = rollout.state.problem.id, digest(rollout.completion_ids)
        if self._found[name]:
            self._found[name] -= 1
            return
        labels: Json = {"round": 0, "place": event.task.place, "index": event.index}
        labels |= {"fingerprint": self._fingerprint}
        if isinstance(event.scores, Predicted):
            labels |= {"predicted": event.scores.means, "trusted": event.scores.say}
        line = curve_line(event.located, self.policy, **labels, proposal=event.scores)
        self.folder.write("curves", line)

    def _line(self, event: Finished) -> ProblemLine:
        rollouts = [rollout for group in event.groups for rollout in group.rollouts]
        outcome = self._outcome(event.groups) if self.is_evaluation else {}
        values = {
            "problem": event.task.problem.id,
            "place": event.task.place,
            "tokens": event.tokens,
            "rates": [success_rate(group, self.success_at) for group in event.groups],
            "no_signal": sum(not group.has_signal for group in event.groups),
            "rollouts": len(rollouts),
            "truncated": sum(not rollout.finished for rollout in rollouts),
            **self.missed(),
        }
        return (EvaluatedLine if self.is_evaluation else ProblemLine).made(values | outcome)

    def _outcome(self, groups: Sequence[Group]) -> Json:
        """What only an evaluation notes of a problem, so that it can be scored and compared."""
        [outcome] = outcomes(groups, self.success_at, getattr(self.verifier, "read", None))
        num = sum(len(rollout.action_ids) for group in groups for rollout in group.rollouts)
        return {"tokens": {"evaluation": num}, **asdict(outcome)}
