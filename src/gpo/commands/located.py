"""A finished `gpo locate` as trajectories: its curves joined with their rollouts, exactly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from gpo.curve import Estimate
from gpo.gpo import Round
from gpo.pairs import Trajectory
from gpo.record import Json, read_lines, rollout_of, stored_run
from gpo.record.schema import LocatedLine, StoredRollout
from gpo.types import OFF_POLICY, CriticalStep, InputError, Problem, Rollout, State, ValueCurve

Key = tuple[int, str]
"""Round and problem: what was sampled together."""


def read_trajectories(run: Path, num_ids: int) -> list[Trajectory]:
    """The trajectories of a run, in its order; InputError for ids that are not of a model's `num_ids`."""
    curves = sorted(read_lines(run / "curves.jsonl", LocatedLine, num_ids), key=place)
    if not curves:
        raise InputError(
            f"{run}: holds no located trajectory, so there is nothing to pair; give locate more problems"
        )
    wanted = {_key(line) for line in curves}
    explored: dict[Key, list[Rollout]] = defaultdict(list)
    searched: dict[Key, list[Rollout]] = defaultdict(list)
    rollouts = read_lines(run / "rollouts.jsonl", StoredRollout, num_ids)
    for line in sorted((line for line in rollouts if _key(line) in wanted), key=_order):
        (explored if line["purpose"] == "explore" else searched)[_key(line)].append(rollout_of(line))
    return [_trajectory(line, explored[_key(line)], searched[_key(line)]) for line in curves]


def _key(line: Json) -> Key:
    return line["round"], line["problem"]


def place(line: Json) -> tuple[int, int, int]:
    """Where a curve belongs in the order of the data; lines are written as searches end."""
    return line["round"], line.get("place", 0), line.get("index", 0)


def _order(line: Json) -> tuple[list[int], int]:
    """Without rounds, rollouts were written as they came; what is built of them must not depend on that."""
    return (line["prefix_ids"], line["row"]) if "row" in line else ([], 0)


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


def fingerprint_of(run: Path) -> Json:
    """What the policy of a run was; InputError where the run does not say."""
    fingerprint = stored_run(run).get("fingerprint")
    if not isinstance(fingerprint, dict):
        raise InputError(
            f"{run}/run.json: has no fingerprint of its model; run `gpo locate` again with this version"
        )
    return fingerprint


def check_same_prompts(run: Path, theirs: Json, ours: Json, purpose: str) -> None:
    """InputError unless both fingerprints have one vocabulary and one template, so that ids mean the same."""
    for name in ("vocabulary", "template"):
        if theirs.get(name) != ours.get(name):
            raise InputError(
                f"{run}: was sampled with another {name} ({theirs.get(name)}) than the model {purpose} has "
                f"({ours.get(name)}); use the model and prompt settings it was made with, or locate again"
            )


def _trajectory(line: Json, explored: Iterable[Rollout], searched: Iterable[Rollout]) -> Trajectory:
    explored, searched = tuple(explored), tuple(searched)
    ids, start = tuple(line["completion_ids"]), line["bounds"][0]
    own = next((r for r in explored if r.completion_ids == ids and len(r.state.prefix_ids) == start), None)
    own = own or _given(line)
    curve = ValueCurve(tuple(line["bounds"]), tuple(line["successes"]), tuple(line["trials"]), own)
    estimate = Estimate(
        [_number(value) for value in line["values"]],
        [_number(value) for value in line["advantages"]],
        [(low, high) for low, high in line["intervals"]],
    )
    critical = line["critical"]
    return Trajectory(curve, _critical(critical) if critical else None, estimate, explored, searched)


def _given(line: Json) -> Rollout:
    """The trajectory of a line that no rollout of the run is: the user's own, sampled elsewhere."""
    ids, start = tuple(line["completion_ids"]), line["bounds"][0]
    problem = Problem(
        line["problem"], tuple(line["prompt_ids"]), line["answer"], "", line.get("question", "")
    )
    return Rollout(
        state=State(problem, ids[:start]),
        action_ids=ids[start:],
        logprobs=(),
        entropies=(),
        text="".join(line["steps"]),
        finished=line["finished"],
        reward=line["reward"],
        policy_version=OFF_POLICY,
    )


def _critical(record: Json) -> CriticalStep:
    low, high = record["interval"]
    return CriticalStep(
        record["index"],
        _number(record["advantage"]),
        (low, high),
        _number(record["probability"]),
        _number(record["credibility"]),
        record["rule"],
    )


def _number(value: float | None) -> float:
    """JSON knows no nan, so a run writes null for it."""
    return float("nan") if value is None else value
