"""Trajectories with their rollouts: those of a round in memory, and of a finished run, joined exactly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np

from gpo.gpo import Round
from gpo.pairs.parts import Trajectory
from gpo.record import read_lines
from gpo.record.base import Json
from gpo.record.lines import CurveLine, RolloutLine
from gpo.seeds import derive_seed
from gpo.types import InputError, Rollout, ValueCurve

Key = tuple[int, str]
"""Round and problem: what was sampled together."""


def read_trajectories(run: Path, num_ids: int) -> list[Trajectory]:
    """The trajectories of a run, in its order; InputError for ids that are not of a model's `num_ids`."""
    curves = sorted(read_lines(run / "curves.jsonl", CurveLine, num_ids), key=lambda line: line.order)
    if not curves:
        raise InputError(
            f"{run}: holds no located trajectory, so there is nothing to pair; give locate more problems"
        )
    wanted = {_key(line) for line in curves}
    explored: dict[Key, list[Rollout]] = defaultdict(list)
    searched: dict[Key, list[Rollout]] = defaultdict(list)
    rollouts = read_lines(run / "rollouts.jsonl", RolloutLine, num_ids)
    for line in sorted((line for line in rollouts if _key(line) in wanted), key=_order):
        (explored if line.purpose == "explore" else searched)[_key(line)].append(line.rollout())
    return [_trajectory(line, explored[_key(line)], searched[_key(line)]) for line in curves]


def split(
    found: Sequence[Trajectory], excluded: Set[str], hold_out: float, seed: int
) -> tuple[list[Trajectory], list[Trajectory]]:
    """Trajectories to use, and those kept out: of excluded questions, and of a share of the problems."""
    problems = sorted({one.rollout.state.problem.id for one in found})
    order = np.random.default_rng(derive_seed(seed, "hold out")).permutation(len(problems))
    out = {problems[i] for i in order[: round(hold_out * len(problems))]}
    kept: list[Trajectory] = []
    held: list[Trajectory] = []
    for one in found:
        problem = one.rollout.state.problem
        (held if problem.id in out or problem.question in excluded else kept).append(one)
    return kept, held


def _key(line: CurveLine | RolloutLine) -> Key:
    return line.round, line.problem


def _order(line: RolloutLine) -> tuple[tuple[int, ...], int]:
    """Without rounds, rollouts were written as they came; what is built of them must not depend on that."""
    return ((), 0) if line.row is None else (line.prefix_ids, line.row)


def _trajectory(line: CurveLine, explored: list[Rollout], searched: list[Rollout]) -> Trajectory:
    ids, start = line.completion_ids, line.bounds[0]
    own = next((r for r in explored if r.completion_ids == ids and len(r.state.prefix_ids) == start), None)
    curve = ValueCurve(line.bounds, line.successes, line.trials, own or line.rollout)
    critical = line.critical.step if line.critical else None
    return Trajectory(curve, critical, line.estimate, tuple(explored), tuple(searched))


def of_round(data: Round) -> list[Trajectory]:
    """The located trajectories of a round in memory."""
    explored: dict[str, list[Rollout]] = defaultdict(list)
    searched: dict[str, list[Rollout]] = defaultdict(list)
    for state, rollouts in data.pool.rollouts.items():
        for kept in rollouts:
            (explored if kept.purpose == "explore" else searched)[state.problem.id].append(kept.rollout)
    found = []
    for one in data.located:
        if one.curve.rollout is None:
            raise ValueError("a located trajectory has its rollout")
        name = one.curve.rollout.state.problem.id
        found.append(
            Trajectory(one.curve, one.critical, one.estimate, tuple(explored[name]), tuple(searched[name]))
        )
    return found


def check_same_prompts(run: Path, theirs: Json, ours: Json, purpose: str) -> None:
    """InputError unless both fingerprints have one vocabulary and one template, so that ids mean the same."""
    for name in ("vocabulary", "template"):
        if theirs.get(name) != ours.get(name):
            raise InputError(
                f"{run}: was sampled with another {name} ({theirs.get(name)}) than the model {purpose} has "
                f"({ours.get(name)}); use the model and prompt settings it was made with, or locate again"
            )
