"""Does training on critical steps beat the base algorithm, and at what budget?

    python benchmarks/online.py [--budget tokens|rounds] [--tasks ...] [--arms ...] [--seeds N] [--output DIR]

Every arm starts from the tiny model and trains on the same problems with the same learner; all that differs
is the recipe, and the learning rate. Every run ends at the same number of generated tokens, or of rounds,
which is the paper's protocol and lets an arm sample as much in a round as its recipe says. Accuracy is
measured on held-out problems as tokens, rounds and trained rollouts add up; evaluation is not counted and
has its own streams. Writes grid.jsonl and runs.jsonl as it goes (an interrupted benchmark goes on where it
was), then tables.md and curves.png.

The protocol is in study.md, written before the seeds that are reported were run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import long_chain
import numpy as np
from command import Parser, append, natural, out_folder, positive, processes, recorded, script, whole
from hard_tasks import MODELS
from online_arms import (
    ARMS,
    EVAL_PROBLEMS,
    LEARNING_RATES,
    TASKS,
    VARIANTS,
    problems_of,
    recipe_of,
    step_reward,
    told,
    tried_arm,
)
from online_rounds import rounds
from online_tables import MEASURES, height, matrix, picture, spent, tables

from gpo.learn.optimisation import AlgorithmName
from gpo.types import InputError

CHECKPOINTS = 6
"""Evaluations of a run, evenly spread over its budget, unless its job says how many."""
MAX_TOKENS = defaultdict(lambda: 96, {"long chain": long_chain.MAX_TOKENS})
LEARNED = ("updates", "entropy", "update_kl", "grad_norm")
"""What is kept of the learner's metrics, round by round."""
KEY = ("task", "arm", "seed", "lr", "algorithm", "unit", "budget")
"""What tells runs of a file apart."""
RECORDED = (*KEY, "is_grid")
GRID_SEEDS = 3
"""Validation seeds of every rate, by default."""
FIRST_SEED = 60
"""Of the runs that are reported. The recipes were made while looking at seeds 0 to 59."""


@dataclass(frozen=True)
class Job:
    """One training run, as a line of grid.jsonl or runs.jsonl names it."""

    task: str
    arm: str
    seed: int
    lr: float
    unit: str
    """Of the budget, tokens or rounds."""
    budget: int
    changes: str
    """The recipe's name and settings, as JSON."""
    is_grid: bool
    algorithm: str = "rloo"
    evaluated: int = EVAL_PROBLEMS
    checkpoints: int = CHECKPOINTS

    @property
    def arm_changes(self) -> dict[str, Any]:
        return json.loads(self.changes)

    @property
    def key(self) -> tuple:
        return tuple(getattr(self, name) for name in KEY)


def policy_of(job: Job):
    """The task's model; what the arm is told, if anything, is in its samples in place of the entropies."""
    import gpo

    model = MODELS[job.task]() if job.task in MODELS else gpo.DEMO_MODEL
    policy = gpo.TransformersPolicy.load(model, max_tokens=MAX_TOKENS[job.task])
    if "told" in job.arm_changes:
        policy.sample = told(policy, job.arm_changes["told"])
    return policy


def rewards_of(data, reward, policy, recipe) -> Sequence[Any]:
    """The rewards of a round's steps, if the arm rewards them."""
    import gpo

    if reward is None:
        return ()
    return gpo.step_rewards.rewarded(reward, policy, recipe.step_splitter(), data.groups, data.explored)


def one_run(job: Job) -> dict:
    """One training run: what was spent and how accurate the policy was, evaluation by evaluation."""
    import torch

    import gpo

    torch.set_num_threads(1)
    policy, recipe, changes = policy_of(job), recipe_of(job.arm_changes), job.arm_changes
    train, evaluated, verifier = problems_of(job.task, job.seed, policy, is_grid=job.is_grid)
    evaluated = evaluated[: job.evaluated]
    reward = step_reward(changes["step_reward"]) if "step_reward" in changes else None
    learner = learner_of(job, policy)

    def accuracy() -> float:
        num = max(1, job.evaluated // len(evaluated))
        return gpo.evaluate(policy, verifier, evaluated, num=num, seed=10_000).accuracy

    spent = {"tokens": 0, "rounds": 0, "samples": 0}
    points = [{**spent, "accuracy": accuracy()}]
    ledger, signals = defaultdict(int), []
    critic, foretold = critic_of(policy, recipe, job.seed)
    for data in rounds_of(job, critic)(policy, verifier, train, recipe):
        rewarded = rewards_of(data, reward, policy, recipe)
        update = learner.update(data.groups, step_rewards=rewarded, round_index=data.index)
        policy.version += 1
        for purpose, num in data.tokens.items():
            ledger[purpose] += num
        spent["tokens"] += sum(data.tokens.values())
        spent["rounds"] += 1
        spent["samples"] += int(update["train/rollouts"])
        signals.append(signal(data) | {name: update.get(f"train/{name}") for name in LEARNED})
        least = recipe.group_size * policy.max_tokens if job.unit == "tokens" else 1
        is_last = spent[job.unit] + least > job.budget
        if is_last or spent[job.unit] >= len(points) * job.budget / job.checkpoints:
            points.append({**spent, "accuracy": accuracy()})
        if is_last:
            break
    return {
        **{name: getattr(job, name) for name in RECORDED},
        "points": points,
        "ledger": ledger,
        "signals": signals,
        "critic": foretold,
        "changes": changes,
    }


def learner_of(job: Job, policy):
    import gpo

    changes = job.arm_changes.get("learner", {})
    settings = gpo.Optimisation(learning_rate=job.lr, algorithm=job.algorithm, **changes)
    return gpo.PolicyGradient(policy.model, settings, temperature=1.0, seed=job.seed)


def rounds_of(job: Job, critic) -> partial:
    """What samples the rounds: the library's, or the arm's own way of `online_rounds.py`."""
    import gpo

    budget_tokens = job.budget if job.unit == "tokens" else math.inf
    way = job.arm_changes.get("rounds")
    sampled = partial(gpo.rounds, critic=critic) if way is None else partial(rounds, way=way)
    return partial(sampled, seed=job.seed, budget_tokens=budget_tokens)


def critic_of(policy, recipe, seed: int):
    """The critic that the rule reads, if it reads one, and where its metrics of each round will be."""
    import gpo

    if recipe.rule not in gpo.rules.CRITIC_RULES:
        return None, []
    critic, found = gpo.values.critic(policy, seed=seed), []
    learn = critic.learn
    critic.learn = lambda rollouts: found.append(learn(rollouts))
    return critic, found


def signal(data) -> dict[str, Any]:
    """Which states of a round got the rollouts, and what they carried."""
    resets = [g for g in data.groups if g.state.prefix_ids and len(g.rollouts) > 1]
    return {
        "fresh": float(np.mean([g.has_signal for g in data.explored])),
        "all": float(np.mean([g.has_signal for g in data.groups])) if data.groups else 0.0,
        "resets": float(np.mean([g.has_signal for g in resets])) if resets else None,
        "reset_value": float(np.mean(values)) if (values := reset_values(data, resets)) else None,
        "ladders": len(data.memory.ladders),
    }


def reset_values(data, resets) -> list[float]:
    """V of the reset states as the search believed, or else as the groups there measured."""
    named = [one for one in data.located if one.critical]
    believed = [v for one in named if np.isfinite(v := one.estimate.values[one.critical.index])]
    return believed or [g.value for g in resets]


def done_or_run(jobs: Sequence[Job], path: Path, workers: int) -> Iterator[dict]:
    """The runs of the jobs: those in the file, then the others, as they end."""
    wanted = {job.key: job for job in jobs}
    for run in recorded(path, KEY):
        job = wanted.get(key_of(run))
        if job and run.get("changes", job.arm_changes) == job.arm_changes:
            del wanted[job.key]
            yield run
    with processes(max(1, min(workers, len(wanted)))) as pool:
        for future in as_completed([pool.submit(one_run, job) for job in wanted.values()]):
            run = future.result()
            append(path, run)
            row = " ".join(f"{p['accuracy']:.3f}" for p in run["points"])
            print(f"{run['task']:10} {run['arm']:20} {run['lr']:g} {run['seed']:2} {row}", flush=True)
            yield run


def key_of(run: dict) -> tuple:
    return tuple(run[name] for name in KEY)


def best_rates(runs: Sequence[dict]) -> dict[tuple[str, str], float]:
    """Of each task and arm, the learning rate whose curves are highest on average over the budget."""
    heights: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        heights[run["task"], run["arm"]][run["lr"]].append(height(run))
    return {pair: max(found, key=lambda lr: float(np.mean(found[lr]))) for pair, found in heights.items()}


def arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=["base", "pivot"])
    parser.add_argument("--seeds", type=whole, default=8)
    parser.add_argument("--first-seed", type=natural, default=FIRST_SEED)
    parser.add_argument("--grid-seeds", type=natural, default=GRID_SEEDS)
    parser.add_argument("--budget", choices=("tokens", "rounds"), default="tokens", help="what is equal")
    parser.add_argument("--learning-rates", nargs="+", type=positive, help="another grid")
    parser.add_argument("--algorithm", choices=get_args(AlgorithmName), default="rloo", help="of all arms")
    parser.add_argument("--workers", type=whole, default=os.cpu_count())
    parser.add_argument(
        "--try", dest="tried", nargs="*", type=tried_arm, default=[], help="ARM=JSON: further arms to try"
    )
    parser.add_argument("--output", type=out_folder, default=Path("runs/online-benchmark"))
    return parser.parse_args()


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    args = arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    changes = {name: json.dumps(settings) for name, settings in (*ARMS.items(), *args.tried)}
    arms = [*args.arms, *dict(args.tried)]
    if not arms:
        raise InputError("--arms: names none; name some, or give --try")
    pairs = list(itertools.product(args.tasks, arms))

    def job(task: str, arm: str, seed: int, lr: float, *, is_grid: bool = False) -> Job:
        return Job(
            task, arm, seed, lr, args.budget, TASKS[task][args.budget], changes[arm], is_grid, args.algorithm
        )

    rated = {pair: (pair[0], VARIANTS.get(pair[1], pair[1])) for pair in pairs}
    grid = {pair: args.learning_rates or LEARNING_RATES[pair[0]] for pair in dict.fromkeys(rated.values())}
    candidates = [
        job(*pair, seed, lr, is_grid=True)
        for seed in range(args.grid_seeds)
        for pair, rates in grid.items()
        for lr in rates
        if len(rates) > 1
    ]
    recorded(args.output / "runs.jsonl", KEY)  # a damaged line is not told after the grid alone
    best = {pair: rates[0] for pair, rates in grid.items()}
    best |= best_rates(list(done_or_run(candidates, args.output / "grid.jsonl", args.workers)))
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    jobs = [job(*pair, seed, best[rated[pair]]) for seed, pair in itertools.product(seeds, pairs)]
    done = list(done_or_run(jobs, args.output / "runs.jsonl", args.workers))
    if not done:
        return
    done.sort(key=lambda run: (args.tasks.index(run["task"]), arms.index(run["arm"]), run["seed"]))
    reference = "base" if "base" in arms else arms[0]
    above = [line for measure in MEASURES for line in matrix(done, reference, measure)]
    text = "\n".join([*above, *tables(done, reference), *spent(done)])
    (args.output / "tables.md").write_text(text + "\n")
    picture(done, args.output / "curves.png")
    print(text)


if __name__ == "__main__":
    script(main, goes_on=True)
