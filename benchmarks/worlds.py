"""Trajectories whose values are known: drawn by formula, or measured on the tiny model with many rollouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

TRUTH = 256
"""Rollouts at every boundary that stand for the truth of a measured trajectory: a s.e. of at most .031."""


@dataclass(frozen=True)
class World:
    """A trajectory with known values V(s_0) .. V(s_{S-1})."""

    values: np.ndarray
    outcome: float
    lengths: np.ndarray
    proposal: np.ndarray | None = None

    @property
    def effects(self) -> np.ndarray:
        return np.diff(np.append(self.values, self.outcome))


def jumps_and_drift(num_steps: int, rng: np.random.Generator, sizes: list[float] | None = None, drift=0.035):
    """V(s_0) uniform in .2 to .8, one to three jumps of .2 to .6, drift .035 sqrt(30 / S) a step."""
    values = np.empty(num_steps)
    values[0] = rng.uniform(0.2, 0.8)
    if sizes is None:
        sizes = [rng.uniform(0.2, 0.6) * rng.choice([-1, 1]) for _ in range(rng.integers(1, 4))]
    at = rng.choice(np.arange(1, num_steps), size=min(len(sizes), num_steps - 1), replace=False)
    jumps = dict(zip(at.tolist(), sizes, strict=False))
    for i in range(1, num_steps):
        moved = values[i - 1] + rng.normal(0, drift * np.sqrt(30 / num_steps)) + jumps.get(i, 0.0)
        values[i] = np.clip(moved, 0, 1)
    return finish(values, rng)


def finish(values: np.ndarray, rng: np.random.Generator) -> World:
    lengths = np.maximum(1, np.round(30 * np.exp(rng.normal(0, 0.6, len(values))))).astype(int)
    return World(values, float(rng.random() < values[-1]), lengths)


def flat(rng: np.random.Generator) -> World:
    return finish(np.full(20, rng.uniform(0, 1)), rng)


def opposite(rng: np.random.Generator) -> World:
    return jumps_and_drift(20, rng, [0.4, -0.4])


def slow_drift(rng: np.random.Generator) -> World:
    return jumps_and_drift(20, rng, [], drift=0.1)


def early(rng: np.random.Generator) -> World:
    values = np.full(20, rng.uniform(0.3, 0.7))
    values[2:] += 0.3 * rng.choice([-1, 1])
    return finish(values.clip(0, 1), rng)


def planted(rng: np.random.Generator, hint: float = 1.0) -> World:
    """An execution task: every line is right with its own probability, and one wrong line loses the rest.

    The proposal knows which lines are weak; with `hint` -1 it points away from them.
    """
    right = np.where(rng.random(8) < 0.3, rng.uniform(0.4, 0.7, 8), 0.98)
    is_right = rng.random(8) < right
    alive = np.cumprod(np.append(True, is_right))[:8]
    values = alive * np.cumprod(right[::-1])[::-1]
    proposal = -hint * right + rng.normal(0, 0.05, 8)
    return World(values, float(is_right.all()), np.full(8, 6), proposal)


FAMILIES: dict[str, Callable[[np.random.Generator], World]] = {
    **{f"jumps, S = {s}": partial(jumps_and_drift, s) for s in (6, 20, 30, 150)},
    "planted, S = 8": planted,
    "misleading proposal": partial(planted, hint=-1.0),
    "opposite jumps": opposite,
    "slow drift": slow_drift,
    "one early jump": early,
    "flat": flat,
}


UNKIND = ("opposite jumps", "slow drift", "one early jump")


def measured(task: str, num: int, folder: Path) -> list[World]:
    """`num` worlds of the tiny model: one trajectory of each problem, V from 256 rollouts a boundary.

    The proposal is the steps' mean token entropy. Kept in `folder`, as measuring takes minutes.
    """
    path = folder / f"{task}-{num}.json"
    if not path.exists():
        path.write_text(json.dumps(measure(task, num)))
    return [
        World(
            np.array(one["successes"]) / np.array(one["trials"]),
            one["outcome"],
            np.diff(one["bounds"]),
            np.array(one["entropy"]),
        )
        for one in json.loads(path.read_text())
    ]


def real(proposal: str) -> list[World]:
    """The pretrained model's trajectories that `real_curves.py` recorded: V from 128 rollouts a boundary."""
    from real_curves import recorded

    return [
        World(
            np.array(line["successes"]) / np.array(line["trials"]),
            float(line["outcome"]),
            np.diff(line["bounds"]),
            np.array(line["scores"][proposal]),
        )
        for line in recorded()
    ]


def measure(task: str, num: int, split: str = "test", trials: int = TRUTH) -> list[dict[str, Any]]:
    """A trajectory of the tiny model for each of `num` problems of a split, and what was counted along it."""
    import torch

    import gpo
    from gpo.curve import mean_entropies
    from gpo.located import bounds_of, unsampled
    from gpo.pool import Pool
    from gpo.seeds import derive_seed
    from gpo.types import State

    torch.set_num_threads(1)
    policy = gpo.TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=96, batch_tokens=2**15)
    verifier = gpo.verifiers.load(gpo.tasks.verifier(task))
    problems = gpo.tasks.problems(gpo.tasks.load(task, split, size=num, seed=0), policy.prompt_ids)
    found = []
    for problem in problems:
        pool = Pool(policy, verifier, derive_seed(0, "truth"))
        pool.fill({State(problem): 1}, "explore")
        [trace] = pool.at(State(problem))
        bounds = bounds_of(trace, gpo.steps.newline(min_tokens=1), policy)
        # The first rollout at the prompt is the trajectory itself.
        pool.fill({trace.state_at(bound): trials + (bound == 0) for bound in bounds[:-1]}, "values")
        rollouts = [pool.at(trace.state_at(bound))[bound == 0 :] for bound in bounds[:-1]]
        found.append(
            {
                "question": problem.question,
                "prompt_ids": problem.prompt_ids,
                "ids": trace.completion_ids,
                "bounds": bounds,
                "successes": [sum(one.reward == 1 for one in some) for some in rollouts],
                "trials": [len(some) for some in rollouts],
                "outcome": trace.reward,
                "entropy": mean_entropies(unsampled(trace, bounds)),
            }
        )
        print(f"{task}: {len(found)} of {num} trajectories measured", end="\r", flush=True)
    return found
