"""A run's folder as objects: `gpo.read_run(path)`, for runs that have finished and for those that work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gpo.evaluation import Evaluation, Outcome, mean_and_stderr
from gpo.files import check_path
from gpo.objects.frames import Cells, Table
from gpo.objects.trajectory import Trajectory, cells
from gpo.pairs.rows import FILES, KIND_OF, MadeLine
from gpo.record import is_running, read_json, read_lines, stored_run, stored_settings
from gpo.record.base import Json
from gpo.record.lines import CurveLine, RolloutLine
from gpo.record.rounds import EvaluatedLine, EvaluatedRound, ProblemLine, RoundLine, TrainedLine
from gpo.record.run_json import RunFile
from gpo.types import InputError

State = Literal["running", "finished", "interrupted"]


def read_run(path: str | Path) -> Run:
    """The run in a folder, of any command that writes one; InputError if there is none.

        run = gpo.read_run("runs/located")
        for one in run.trajectories: print(one)
        run.rollouts.to_frame().groupby("purpose")["reward"].mean()

    Only run.json is read now; all else is when it is asked for, and then as it stands.
    """
    check_path(path, "path")
    return Run(Path(path), stored_run(Path(path)))


@dataclass(frozen=True, eq=False)
class Run:
    """A run of `gpo sample`, `locate`, `eval`, `solve`, `train` or `pairs`; what it has not is empty."""

    path: Path
    file: RunFile
    """run.json."""

    @property
    def command(self) -> str:
        return self.file.command

    @property
    def settings(self) -> Json:
        """As the run was started, defaults included."""
        return self.file.settings

    @property
    def versions(self) -> dict[str, str]:
        """Of gpo, torch and what else the results may depend on."""
        return self.file.versions

    @property
    def summary(self) -> Json | None:
        """What the command returned; None until it has finished, and for trained runs of older versions."""
        file = self.path / "summary.json"
        return read_json(file) if file.is_file() else None

    @property
    def state(self) -> State:
        """Whether a process writes it, it has come to its end, or `--resume` continues it."""
        if is_running(self.path):
            return "running"
        return "finished" if self._is_whole() else "interrupted"

    def _is_whole(self) -> bool:
        """Whether what is there is all that the summary speaks of: a resumed run may have gone on since."""
        summary = self.summary
        if self.command == "train":
            if summary is None:
                return (self.path / "model").is_dir()
            if summary.get("method") == "value":
                return True
            return bool([line.round for line in self.rounds][-1:] == [summary.get("rounds")])
        if summary is None or self.command == "pairs":
            return summary is not None
        if self.command == "solve":  # where no answer is known there are no rates
            return sum(1 for _ in self.problems) == summary.get("problems")
        return sum(len(line.rates) for line in self.problems) in (0, summary.get("problems"))

    @property
    def trajectories(self) -> Table[Trajectory]:
        """The located ones; of `gpo pairs`, those of the located run that its rows were built from."""
        return Table("trajectories", lambda: map(Trajectory, self._located("curves", CurveLine)), cells)

    @property
    def rollouts(self) -> Table[RolloutLine]:
        """Every completion, with its text, reward and why it was sampled; its `rollout()` has the ids."""
        return Table("rollouts", lambda: self._located("rollouts", RolloutLine), _rollout_cells)

    @property
    def problems(self) -> Table[ProblemLine]:
        """Finished problems with their success rates and tokens; of `gpo train` none."""
        kind = EvaluatedLine if self.command == "eval" else ProblemLine
        return Table("problems", lambda: self._located("problems", kind), _problem_cells)

    @property
    def rounds(self) -> Table[RoundLine]:
        """The complete rounds of `gpo train`, with their metrics; of other commands none."""
        kind = TrainedLine if self.command == "train" else RoundLine
        return Table("rounds", lambda: read_lines(self.path / "rounds.jsonl", kind), _round_cells)

    def rows(self, kind: Literal["pairs", "unpaired", "steps", "sft"] = "pairs") -> Table[MadeLine]:
        """The rows of a kind that `gpo pairs` has built; InputError for another kind or command."""
        if self.command != "pairs" or kind not in KIND_OF:
            kinds = f"a run of `gpo pairs` has {', '.join(KIND_OF)}"
            raise InputError(f"{self.path}: is a run of `gpo {self.command}` without rows {kind!r}; {kinds}")
        read = lambda: read_lines(self.path / FILES[kind], KIND_OF[kind])  # noqa: E731 - named below
        return Table(f"rows {kind}", read, lambda line: line.record())

    @property
    def evaluation(self) -> Evaluation:
        """What `gpo eval` measured; InputError for another command. Its groups are empty: see `rollouts`.

        `run.evaluation - other.evaluation` is the paired difference.
        """
        found = read_outcomes(self.path)
        if not found:
            raise InputError(f"{self.path}: no problem is finished yet; wait, or continue with --resume")
        accuracy, stderr = mean_and_stderr([one.rate for one in found])
        finished = [is_finished for one in found for is_finished in one.finished]
        tokens = sum(line.tokens.get("evaluation", 0) for line in (*self.problems, *self.rounds))
        return Evaluation(accuracy, stderr, 1 - sum(finished) / len(finished), tokens, [], found)

    def _located(self, name: str, kind: type[Any]) -> Iterator[Any]:
        return read_lines(self._source() / f"{name}.jsonl", kind)

    def _source(self) -> Path:
        """Where the trajectories are: of `gpo pairs`, in the run that they were located in."""
        if self.command != "pairs":
            return self.path
        named = self.settings.get("run")
        place = Path(named) if named else self.path / "located"
        if named and not (place / "run.json").is_file():
            raise InputError(
                f"{self.path}: was built from {place}, which is not there; start in the folder "
                "in which `gpo pairs` was started, or read the located run itself"
            )
        return place

    def __repr__(self) -> str:
        return f"<Run {str(self.path)!r}: gpo {self.command}, {self.state}>"


def read_outcomes(path: Path) -> list[Outcome]:
    """The outcomes that the evaluation at `path` has written, in the order of the data."""
    stored_settings(path, "eval")  # says so if it is no such run
    problems = sorted(read_lines(path / "problems.jsonl", EvaluatedLine), key=lambda line: line.place)
    earlier = [one for line in read_lines(path / "rounds.jsonl", EvaluatedRound) for one in line.outcomes]
    return [
        Outcome(one.problem, one.subject, tuple(map(int, one.successes)), one.finished, one.answers)
        for one in (*problems, *earlier)
    ]


def _rollout_cells(line: RolloutLine) -> Cells:
    names = ("problem", "round", "purpose", "question", "answer", "text", "reward", "policy_version")
    found = {name: getattr(line, name) for name in names}
    sizes = {"prefix_tokens": len(line.prefix_ids), "sampled_tokens": len(line.action_ids)}
    return found | {"is_finished": line.finished} | sizes


def _problem_cells(line: ProblemLine) -> Cells:
    rates = [*line.rates]
    found = {"problem": line.problem, "place": line.place, "rate": sum(rates) / len(rates) if rates else None}
    counts = {name: getattr(line, name) for name in ("rollouts", "truncated", "no_signal")}
    return found | counts | _tokens(line.tokens) | {f"unjudged/{kind}": n for kind, n in line.missed.items()}


def _round_cells(line: RoundLine) -> Cells:
    found: Json = {"round": line.round, **line.metrics, **_tokens(line.tokens)}
    if line.evaluation is not None:
        found |= {"accuracy": line.evaluation.accuracy, "accuracy_stderr": line.evaluation.stderr}
    return found


def _tokens(tokens: Mapping[str, int]) -> Json:
    return {f"tokens/{purpose}": num for purpose, num in tokens.items()}
