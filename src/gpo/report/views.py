"""Runs to what the page draws, as plain JSON, within a number of trajectories and of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gpo.record.lines import CurveLine, RolloutLine
from gpo.report.evidence import Evidence, Read, nearest
from gpo.report.figures import Run, intervals, key, mean_reset_value, positions, series, success_rate, updates
from gpo.report.rules import Picks, agreement, picks
from gpo.report.text import encoded
from gpo.report.unjudged import counted, told
from gpo.rules import VALUE_RULES
from gpo.seeds import json_digest

Json = dict[str, Any]

EVIDENCE_FRAC = 0.3
"""Share of the bytes for continuations when trajectories are too many or too long to show all."""

KEPT_FRAC = 4
"""Characters of continuations that are kept in memory, in multiples of the bytes."""

MOST_COMPARED = 300
"""Trajectories of a run on which the rules are compared: every rule draws from a posterior anew."""

MAX_STEP_CHARACTERS = 40_000
SHOWN_SETTINGS = ("model", "task", "data", "rule", "search", "splitter", "max_tokens", "seed")


@dataclass(frozen=True)
class Limits:
    """What a page may hold."""

    num_trajectories: int
    num_bytes: int
    credible_at: float
    """Credibility from which a step is worth believing."""


@dataclass(frozen=True)
class Sources:
    """What is asked of a run beside its curves."""

    rollouts: Callable[[Run], Iterable[RolloutLine]]
    reader: Callable[[Run], Read]
    """How the final answers of its completions are read."""


def page_data(runs: Sequence[Run], sources: Sources, limits: Limits) -> Json:
    """All that the page draws; `notes` say what was left out."""
    chosen = _chosen(runs, limits)
    data: Json = {"runs": [], "notes": [], "credible_at": limits.credible_at, "rules": list(VALUE_RULES)}
    for run, rows in zip(runs, chosen, strict=True):
        found = {row: picks(run.curves[row], run.search, run.num_values) for row in rows[:MOST_COMPARED]}
        shown = _run(run, sorted(rows), found, limits.credible_at)
        data["runs"].append(shown)
        missed = counted(line.model_dump() for line in run.rounds)
        data["notes"] += [f"{run.name}: {one}" for one in told(missed)]
        if len(rows) < len(run.curves):
            num_credible = sum(run.curves[row].is_credible(limits.credible_at) for row in rows)
            data["notes"].append(
                f"{run.name}: {len(rows):,} of {len(run.curves):,} located trajectories are listed: "
                f"{num_credible:,} of the {shown['credible']:,} with a credible step, and others drawn at "
                "random; the overview counts all of them, but the rules on {MOST_COMPARED} at most"
            )
    left = _add_evidence(data, runs, chosen, sources, limits)
    if left:
        data["notes"].append(f"continuations of {left:,} boundaries are left out to keep this file small")
    return data


def _chosen(runs: Sequence[Run], limits: Limits) -> list[list[int]]:
    """Rows of each run: those with a credible step, then others at random.

    The same trajectories of all runs as far as they share them.
    """
    most = max(1, limits.num_trajectories // max(1, len(runs)))
    room = (1 - EVIDENCE_FRAC) * limits.num_bytes / max(1, len(runs))
    credible = {key(line) for run in runs for line in run.curves if line.is_credible(limits.credible_at)}
    chosen = []
    for run in runs:
        names = [key(line) for line in run.curves]
        ranks = [(name not in credible, json_digest(("report", name))) for name in names]
        rows: list[int] = []
        size = 0
        for row in sorted(range(len(names)), key=ranks.__getitem__)[:most]:
            size += len(encoded(_trajectory(run, row, {})))
            if size > room and rows:
                break
            rows.append(row)
        chosen.append(rows)
    return chosen


def _run(run: Run, rows: Sequence[int], found: dict[int, Picks], credible_at: float) -> Json:
    return {
        "name": run.name,
        "command": run.command,
        "settings": {k: str(run.settings[k]) for k in SHOWN_SETTINGS if run.settings.get(k) is not None},
        "series": series(run),
        "updates": updates(run),
        "ledger": run.ledger,
        "rate": success_rate(run),
        "reset": mean_reset_value(run.curves),
        "positions": positions(run.curves, credible_at),
        "agreement": agreement(list(found.values())),
        "num": len(run.curves),
        "named": sum(line.named is not None for line in run.curves),
        "credible": sum(line.is_credible(credible_at) for line in run.curves),
        "failed": sum(line.reward < run.success_at for line in run.curves),
        "trajectories": [_trajectory(run, row, found.get(row, {})) for row in rows],
    }


def _trajectory(run: Run, row: int, found: Picks) -> Json:
    line = run.curves[row]
    return {
        "row": row,
        "key": key(line),
        "round": line.round,
        "problem": line.problem,
        "question": line.question[:MAX_STEP_CHARACTERS],
        "answer": line.answer[:MAX_STEP_CHARACTERS],
        "given": line.given[:MAX_STEP_CHARACTERS],
        "reward": line.reward,
        "right": line.reward >= run.success_at,
        "finished": line.finished,
        "steps": [_cut(step) for step in line.steps],
        "num_tokens": [b - a for a, b in zip(line.bounds, line.bounds[1:], strict=False)],
        "successes": line.successes,
        "trials": line.trials,
        "values": line.values,
        "bands": intervals(line),
        "advantages": line.advantages,
        "intervals": line.intervals,
        "probabilities": line.probabilities,
        "tokens": line.tokens,
        "critical": line.named.record() if line.named else None,
        "rules": found,
        "at": {},
    }


def _cut(text: str) -> str:
    left = len(text) - MAX_STEP_CHARACTERS
    return text if left <= 0 else f"{text[:MAX_STEP_CHARACTERS]} … ({left:,} more characters)"


def _add_evidence(
    data: Json, runs: Sequence[Run], chosen: Sequence[Sequence[int]], sources: Sources, limits: Limits
) -> int:
    """Adds to the trajectories what was sampled at their boundaries; returns how many lack their texts.

    Those with a credible step come first: they share all the room, and the others what is left of it.
    """
    waiting = []
    for run, rows, shown in zip(runs, chosen, data["runs"], strict=True):
        if not rows:
            continue
        lines = [run.curves[row] for row in rows]
        evidence = Evidence.wanted_by(
            lines, run.success_at, sources.reader(run), KEPT_FRAC * limits.num_bytes
        )
        for rollout in sources.rollouts(run):
            evidence.offer(rollout)
        for row, trajectory in zip(sorted(rows), shown["trajectories"], strict=True):
            trajectory["said"] = evidence.said_by(run.curves[row])
            trajectory["pivots"] = evidence.pivots_of(run.curves[row], is_right=trajectory["right"])
            waiting.append((trajectory, run.curves[row], evidence))
    room = limits.num_bytes - len(encoded(data))
    left = 0
    for is_wanted in (True, False):
        some = [one for one in waiting if one[1].is_credible(limits.credible_at) == is_wanted]
        for number, one in enumerate(some):
            added, missing = _add_to(*one, room // (len(some) - number))
            room, left = room - added, left + missing
    return left


def _add_to(trajectory: Json, line: CurveLine, evidence: Evidence, share: int) -> tuple[int, int]:
    """The bytes added, and the boundaries without all; those near the critical step come first."""
    added, left = 0, 0
    for boundary in nearest(line):
        found = evidence.at(line, boundary)
        if not found:
            continue
        some = found | {"texts": []}
        sizes = [len(encoded(one)) + 8 for one in (found, some)]  # with its key
        if added + sizes[0] > share:
            left += 1
            if added + sizes[1] > share:
                continue
            found, sizes = some, sizes[1:]
        trajectory["at"][boundary] = found
        added += sizes[0]
    return added, left
