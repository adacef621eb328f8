"""What a value model learns from: completions, with counts of successes at some of their states.

A boundary of a value curve has its own trials. A rollout is a trial of every state that it passes, since what
follows a state does not depend on how it was reached: its one outcome is spread over a few of them. A
searched trajectory was chosen by its outcome, which therefore says nothing of the states before its end; at
the end it is what the state is worth. Counts may depend on earlier counts: a likelihood does not mind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from gpo.pairs.rows import FILES, StepsLine
from gpo.record import read_lines, stored_run, stored_settings
from gpo.record.lines import CurveLine, RolloutLine
from gpo.seeds import derive_seed
from gpo.types import Ids, InputError, Problem, Rollout, State, ValueCurve

STATES = 8
"""States of a rollout that share its outcome."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A completion and what was counted after so many of its tokens: `wins` of `trials`, all [K]."""

    problem: Problem
    ids: Ids
    offsets: tuple[int, ...]
    wins: tuple[float, ...]
    trials: tuple[float, ...]
    is_curve: bool = False
    """Whether the states are the boundaries of a searched trajectory, and its end."""

    @property
    def start(self) -> State:
        """The state before the completion."""
        return State(self.problem)


def check_counts(runs: Iterable[Path]) -> None:
    """InputError for a run of another command, which counted no values of one model."""
    for run in runs:
        if (command := stored_run(run).command) not in ("locate", "pairs"):
            raise InputError(
                f"--run {run}: is a run of `gpo {command}`, whose counts are not of one model's values; give "
                "a finished gpo locate, or gpo pairs"
            )


def of_curve(curve: ValueCurve) -> Counted:
    """A curve's counts at its boundaries, and the outcome at its end; ValueError without a rollout."""
    if curve.rollout is None:
        raise ValueError("a curve is learned from with the rollout it belongs to")
    counted = [i for i, num in enumerate(curve.trials) if num]
    return Counted(
        curve.rollout.state.problem,
        curve.rollout.completion_ids,
        tuple(curve.bounds[i] for i in counted),
        tuple(float(curve.successes[i]) for i in counted),
        tuple(float(curve.trials[i]) for i in counted),
        is_curve=True,
    )


def of_rollout(rollout: Rollout, *, success_at: float = 1.0, states: int = STATES, seed: int = 0) -> Counted:
    """A rollout's outcome as one trial, spread over its end and states drawn from those that it passes."""
    first, last = len(rollout.state.prefix_ids), len(rollout.completion_ids)
    rng = np.random.default_rng(derive_seed(seed, "states", rollout.state.key, *rollout.action_ids))
    drawn = rng.choice(last - first, size=min(states - 1, last - first), replace=False) + first
    offsets = (*sorted(drawn.tolist()), last)
    share = 1 / len(offsets)
    won = share * (rollout.reward >= success_at)
    return Counted(
        rollout.state.problem,
        rollout.completion_ids,
        offsets,
        (won,) * len(offsets),
        (share,) * len(offsets),
    )


def read_counted(runs: Sequence[Path], num_ids: int, *, states: int = STATES, seed: int = 0) -> list[Counted]:
    """All that runs of `gpo locate` and rows of `gpo pairs` count; InputError where one counts nothing.

    `num_ids` is how many ids the model knows; `states` 0 leaves the rollouts out.
    """
    found = []
    for run in runs:
        is_pairs = stored_run(run).command == "pairs"
        some = [*_of_steps(run, num_ids)] if is_pairs else [*_of_located(run, num_ids, states, seed)]
        if not some:
            raise InputError(
                f"{run}: holds no {'row of steps' if is_pairs else 'located trajectory'}, so no value was "
                "counted in it; give a run with some"
            )
        found += some
    return found


def _of_located(run: Path, num_ids: int, states: int, seed: int) -> Iterable[Counted]:
    success_at = float(stored_settings(run, "locate")["success_at"])
    for line in read_lines(run / "curves.jsonl", CurveLine, num_ids):
        yield of_curve(curve_of(line))
    for one in read_lines(run / "rollouts.jsonl", RolloutLine, num_ids) if states else ():
        yield of_rollout(one.rollout(), success_at=success_at, states=states, seed=seed)


def curve_of(line: CurveLine) -> ValueCurve:
    """What was counted of a located trajectory."""
    return ValueCurve(line.bounds, line.successes, line.trials, line.rollout)


def _of_steps(run: Path, num_ids: int) -> Iterable[Counted]:
    path = run / FILES["steps"]
    for row, line in enumerate(read_lines(path, StepsLine, num_ids), start=1):
        if not any(line.trials):
            raise InputError(
                f"{path}: row {row}: trials: holds none, so its values have no weight; build the rows again "
                "with this version of gpo pairs, or give the located run"
            )
        problem = Problem(line.problem, line.prompt_ids, line.answer, "", line.question)
        ids = tuple(one for step in line.completions_ids for one in step)
        bounds = [*accumulate(map(len, line.completions_ids), initial=0)]
        yield of_curve(ValueCurve(tuple(bounds), line.successes, line.trials, _as_rollout(problem, ids)))


def _as_rollout(problem: Problem, ids: Ids) -> Rollout:
    return Rollout(State(problem), ids, (), (), "", True, 0.0, 0)
