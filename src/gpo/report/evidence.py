"""The right and wrong continuations that were sampled at a trajectory's boundaries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gpo.record.lines import CurveLine, RolloutLine
from gpo.seeds import digest

Json = dict[str, Any]

PER_SIDE = 3
"""Continuations of each outcome that are kept of a state."""

MAX_CHARACTERS = 6_000
"""Longest continuation; the rest is cut and the cut is shown."""

Place = tuple[int, str, str]
"""Round, problem, and the digest of the prefix: a state, under one policy."""


@dataclass
class Evidence:
    """Kept continuations of the wanted states, right and wrong, in order of sampling."""

    success_at: float
    kept: dict[Place, dict[str, list[RolloutLine]]] = field(default_factory=dict)

    @classmethod
    def wanted_by(cls, lines: Iterable[CurveLine], success_at: float) -> Evidence:
        """To be filled by `offer` for every boundary of these trajectories."""
        evidence = cls(success_at)
        for line in lines:
            for boundary in range(line.num_steps):
                evidence.kept.setdefault(place(line, boundary), {"right": [], "wrong": []})
        return evidence

    def offer(self, rollout: RolloutLine) -> None:
        """Keeps the rollout if it was sampled at a wanted state that has too few of its outcome."""
        found = self.kept.get((rollout.round, rollout.problem, digest(rollout.prefix_ids)))
        if found is None or rollout.purpose == "evaluation":
            return
        side = found["right" if rollout.reward >= self.success_at else "wrong"]
        # One more than is shown: the trajectory itself may be among them.
        if len(side) <= PER_SIDE:
            side.append(rollout)

    def at(self, line: CurveLine, boundary: int) -> dict[str, list[Json]]:
        """The continuations of the state before a step, as text: what follows the trajectory's prefix."""
        prefix = line.given + "".join(line.steps[:boundary])
        found = {}
        for side, rollouts in self.kept.get(place(line, boundary), {}).items():
            others = [r for r in rollouts if r.prefix_ids + r.action_ids != line.completion_ids]
            if others:
                found[side] = [_shown(rollout, prefix) for rollout in others[:PER_SIDE]]
        return found


def place(line: CurveLine, boundary: int) -> Place:
    return line.round, line.problem, digest(line.completion_ids[: line.bounds[boundary]])


def _shown(rollout: RolloutLine, prefix: str) -> Json:
    """The text after the prefix. Where special tokens make them differ, what follows their common part."""
    num = len(prefix)
    if not rollout.text.startswith(prefix):
        pairs = zip(rollout.text, prefix, strict=False)
        num = next((i for i, (a, b) in enumerate(pairs) if a != b), min(num, len(rollout.text)))
    text = rollout.text[num:]
    shown: Json = {"text": text[:MAX_CHARACTERS], "tokens": len(rollout.action_ids)}
    if len(text) > MAX_CHARACTERS:
        shown["left"] = len(text) - MAX_CHARACTERS
    if not rollout.finished:
        shown["cut"] = True
    return shown
