"""Does training on critical steps beat the base algorithm, and at what budget?

    python benchmarks/online.py [--budget tokens|rounds] [--tasks ...] [--arms ...] [--seeds N] [--output DIR]

Every arm starts from the tiny model and trains on the same problems with the same learner; all that differs
is the recipe, and the learning rate. Every run ends at the same number of generated tokens, or of rounds,
which is the paper's protocol and lets an arm sample as much in a round as its recipe says. Accuracy is
measured on held-out problems as tokens, rounds and trained rollouts add up; evaluation is not counted and
has its own streams. Writes grid.jsonl and runs.jsonl as it goes (an interrupted benchmark goes on where it
was), then tables.md and curves.png.

The protocol, written before the seeds that are reported were run:

- Tasks: chain_sum, pivotlate, the fixed set of 32 problems, rare. Arms: base and pivot.
- Rates: one grid for both arms, a factor of 2 apart; of each task and arm the rate with the highest mean of
  the learning curve over three seeds, on validation problems. Nothing else is reported of those seeds.
- Seeds: 60 to 67, on which nothing was chosen; equal generated tokens.
- Primary measure: the mean of the learning curve over the budget, pivot minus base by seed, with Student's t
  intervals that hold for the first three tasks together (98.3 % each). On rare it is the tokens to 10 %.
- Also reported: accuracy at equal tokens, trained rollouts and rounds, with intervals of 95 %.
- pivot becomes the default if no primary interval lies below 0, each lower bound is above -.03, at least one
  interval lies above 0, and the accuracy at the end is not clearly below base's on any task.
- Variants (`VARIANTS`) run on the first seeds, at the rate of the arm that they vary; they explain and decide
  nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from online_tables import height, picture, tables

EVAL_PROBLEMS = 200
CHECKPOINTS = 6
"""Evaluations of a run, evenly spread over its budget."""
TASKS: dict[str, dict[str, int]] = {
    "chain_sum": {"tokens": 60_000, "rounds": 12},
    "rare": {"tokens": 50_000, "rounds": 9},
    "pivotlate": {"tokens": 60_000, "rounds": 12},
    "fixed set": {"tokens": 60_000, "rounds": 12},
}
"""The demo's task; one solved less than 2 % of the time; a late decision; 32 problems over and over. The
base algorithm spends about the tokens in the rounds."""
ARMS: dict[str, dict[str, Any]] = {
    **{
        name: {"recipe": name}
        for name in ("base", "random", "paper", "as-released", "tree", "search", "pivot")
    },
    "pivot 2 + 6": {"recipe": "pivot", "group_size": 2, "reset_size": 6},
    "pivot, suffixes only": {"recipe": "pivot", "credit": "group"},
    "pivot, random step": {"recipe": "pivot", "rule": "random"},
    "pivot, oracle": {"recipe": "pivot", "is_oracle": True},
    "base, 8 prompts a round": {"recipe": "base", "problems_per_round": 8},
}
"""A recipe and changes to it. The oracle names the planted decision of tasks that have one."""
VARIANTS = {
    **{name: "pivot" for name in ARMS if name.startswith("pivot, ")},
    "pivot 2 + 6": "pivot",
    "tree": "pivot",
    "base, 8 prompts a round": "base",
}
"""Arms that take another arm's learning rate. With 8 prompts a round base updates about as often as pivot."""
PROBLEMS_PER_ROUND = 16
MAX_TOKENS = 96
LEARNING_RATES = defaultdict(lambda: (1.5e-4, 3e-4, 6e-4), rare=(3e-4, 6e-4, 1.2e-3))
"""The grid of every arm, by task."""
GRID_SEEDS = 3
"""Validation seeds of every rate."""
FIRST_SEED = 60
"""Of the runs that are reported. The recipes were made while looking at seeds 0 to 59."""


class EveryLine:
    """Right if every line is: on a rarely solved task an answer alone would be right by luck too often."""

    num_timeouts = 0

    def score(self, problems, texts):
        return [float(text.strip() == p.answer) for p, text in zip(problems, texts, strict=True)]

    def check(self, problem) -> None:
        del problem


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

    @property
    def key(self) -> tuple:
        return self.task, self.arm, self.seed, self.lr


def problems_of(job: Job, policy):
    """Training and evaluation problems and the verifier of a task; training ones differ by seed.

    Validation problems are drawn from the training split, with a seed of their own; questions that are
    evaluated are never trained, but for the fixed set, which is both, as in the paper.
    """
    import gpo

    if job.task == "rare":
        taken: set[str] = set()
        test, validation = (rare_rows(EVAL_PROBLEMS, seed, taken) for seed in (0, 999))
        train, verifier = rare_rows(256, 1 + job.seed, taken), EveryLine()
    elif job.task == "fixed set":
        train = test = validation = gpo.tasks.load("chain_sum", "train", size=32, seed=job.seed)
        verifier = gpo.verifiers.load(gpo.tasks.verifier("chain_sum"))
    else:
        train = gpo.tasks.load(job.task, "train", size=2048, seed=job.seed)
        test = gpo.tasks.load(job.task, "test", size=EVAL_PROBLEMS, seed=0)
        validation = gpo.tasks.load(job.task, "train", size=EVAL_PROBLEMS, seed=999)
        held_out = {row.question for row in (*test, *validation)}
        train = [row for row in train if row.question not in held_out]
        verifier = gpo.verifiers.load(gpo.tasks.verifier(job.task))
    evaluated = validation if job.is_grid else test
    return *(gpo.tasks.problems(rows, policy.prompt_ids) for rows in (train, evaluated)), verifier


def rare_rows(num: int, seed: int, taken: set[str]) -> list:
    """Chains whose six facts are all hard, none of them `taken`; the answer is every line."""
    from gpo.tasks.planted import HARD_FACTS, Chain, demonstration, result
    from gpo.tasks.row import Row

    rng, rows = np.random.default_rng(seed), []
    while len(rows) < num:
        start = value = int(rng.integers(10))
        operations = []
        while len(operations) < 6:
            facts = sorted(fact for fact in HARD_FACTS if fact[0] == value)
            fact = facts[rng.integers(len(facts))]
            operations.append(fact[1:])
            value = result(fact)
        question = Chain(start, tuple(operations)).question
        if question not in taken:
            taken.add(question)
            rows.append(Row(f"rare-{seed}-{len(rows)}", question, "\n".join(demonstration(question))))
    return rows


def recipe_of(job: Job):
    """The arm's recipe; a step is a line, which the authors' code finds in its own way."""
    import gpo

    changes = json.loads(job.changes)
    name, _ = changes.pop("recipe"), changes.pop("is_oracle", None)
    splitter = gpo.steps.as_released if name == "as-released" else gpo.steps.newline
    settings = {"splitter": splitter(min_tokens=1), "problems_per_round": PROBLEMS_PER_ROUND, **changes}
    return gpo.Recipe.named(name, **settings)


def told_the_decision(policy):
    """The policy's `sample`, with entropies of 1 on the line of the planted decision and 0 elsewhere."""
    from gpo.tasks.planted import Chain

    sample, newline = policy.sample, policy.tokenizer.encode("\n")[-1]

    def entropies(state, action_ids) -> tuple[float, ...]:
        before = np.cumsum([token == newline for token in (*state.prefix_ids, *action_ids)])
        lines = np.concatenate([[0], before[:-1]])[len(state.prefix_ids) :]
        return tuple(float(line == Chain.parse(state.problem.question).pivot) for line in lines)

    def told(requests):
        return [
            [replace(one, entropies=entropies(request.state, one.action_ids)) for one in some]
            for request, some in zip(requests, sample(requests), strict=True)
        ]

    return told


def one_run(job: Job) -> dict:
    """One training run: what was spent and how accurate the policy was, evaluation by evaluation."""
    import torch

    import gpo

    torch.set_num_threads(1)
    policy = gpo.TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=MAX_TOKENS)
    train, evaluated, verifier = problems_of(job, policy)
    recipe = recipe_of(job)
    if json.loads(job.changes).get("is_oracle"):
        policy.sample = told_the_decision(policy)
    settings = gpo.Optimisation(learning_rate=job.lr, algorithm=job.algorithm)
    learner = gpo.PolicyGradient(policy.model, settings, temperature=1.0, seed=job.seed)

    def accuracy() -> float:
        num = max(1, EVAL_PROBLEMS // len(evaluated))
        return gpo.evaluate(policy, verifier, evaluated, num=num, seed=10_000).accuracy

    spent = {"tokens": 0, "rounds": 0, "samples": 0}
    points = [{**spent, "accuracy": accuracy()}]
    ledger, signals = defaultdict(int), []
    budget_tokens = job.budget if job.unit == "tokens" else math.inf
    for data in gpo.rounds(policy, verifier, train, recipe, seed=job.seed, budget_tokens=budget_tokens):
        update = learner.update(data.groups, round_index=data.index)
        policy.version += 1
        for purpose, num in data.tokens.items():
            ledger[purpose] += num
        spent["tokens"] += sum(data.tokens.values())
        spent["rounds"] += 1
        spent["samples"] += int(update["train/rollouts"])
        signals.append(signal(data))
        least = recipe.group_size * MAX_TOKENS if job.unit == "tokens" else 1
        is_last = spent[job.unit] + least > job.budget
        if is_last or spent[job.unit] >= len(points) * job.budget / CHECKPOINTS:
            points.append({**spent, "accuracy": accuracy()})
        if is_last:
            break
    named = {key: getattr(job, key) for key in ("task", "arm", "seed", "lr", "unit", "budget", "is_grid")}
    return {**named, "points": points, "ledger": ledger, "signals": signals}


def signal(data) -> dict[str, Any]:
    """Which states of a round got the rollouts, and what they carried."""
    return {
        "fresh": float(np.mean([g.has_signal for g in data.explored])),
        "all": float(np.mean([g.has_signal for g in data.groups])),
        "reset_value": float(np.mean(values)) if (values := reset_values(data)) else None,
        "share": dict(data.memory.share.levels),
        "archive": len(data.memory.archive.traces),
        "archive_value": float(np.mean([g.value for g in data.archived])) if data.archived else None,
    }


def reset_values(data) -> list[float]:
    named = [one for one in data.located if one.critical]
    return [v for one in named if np.isfinite(v := one.estimate.values[one.critical.index])]


def done_or_run(jobs: Sequence[Job], path: Path, workers: int) -> Iterator[dict]:
    """The runs of the jobs: those in the file, then the others, as they end."""
    wanted = {job.key: job for job in jobs}
    for line in path.read_text().splitlines() if path.exists() else []:
        run = json.loads(line)
        if wanted.pop((run["task"], run["arm"], run["seed"], run["lr"]), None):
            yield run
    with ProcessPoolExecutor(workers) as pool, path.open("a") as file:
        for future in as_completed([pool.submit(one_run, job) for job in wanted.values()]):
            run = future.result()
            file.write(json.dumps(run) + "\n")
            file.flush()
            row = " ".join(f"{p['accuracy']:.3f}" for p in run["points"])
            print(f"{run['task']:10} {run['arm']:12} {run['lr']:g} {run['seed']:2} {row}", flush=True)
            yield run


def best_rates(runs: Sequence[dict]) -> dict[tuple[str, str], float]:
    """Of each task and arm, the learning rate whose curves are highest on average over the budget."""
    heights: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        heights[run["task"], run["arm"]][run["lr"]].append(height(run))
    return {pair: max(found, key=lambda lr: float(np.mean(found[lr]))) for pair, found in heights.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=["base", "pivot"])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--budget", choices=("tokens", "rounds"), default="tokens", help="what is equal")
    parser.add_argument("--learning-rates", nargs="+", type=float, help="another grid")
    parser.add_argument("--algorithm", default="rloo", help="of all arms; give each an --output of its own")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--try", dest="tried", nargs="*", default=[], help="ARM=JSON: further arms to try")
    parser.add_argument("--output", type=Path, default=Path("runs/online-benchmark"))
    return parser.parse_args()


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    args = arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    changes = {name: json.dumps(settings) for name, settings in ARMS.items()}
    changes |= (tried := {name: text for name, _, text in (item.partition("=") for item in args.tried)})
    arms = [*args.arms, *tried]
    pairs = list(itertools.product(args.tasks, arms))

    def job(task: str, arm: str, seed: int, lr: float, *, is_grid: bool = False) -> Job:
        return Job(
            task, arm, seed, lr, args.budget, TASKS[task][args.budget], changes[arm], is_grid, args.algorithm
        )

    rated = {pair: (pair[0], VARIANTS.get(pair[1], pair[1])) for pair in pairs}
    grid = {pair: args.learning_rates or LEARNING_RATES[pair[0]] for pair in dict.fromkeys(rated.values())}
    candidates = [
        job(*pair, seed, lr, is_grid=True)
        for seed in range(GRID_SEEDS)
        for pair, rates in grid.items()
        for lr in rates
        if len(rates) > 1
    ]
    best = {pair: rates[0] for pair, rates in grid.items()}
    best |= best_rates(list(done_or_run(candidates, args.output / "grid.jsonl", args.workers)))
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    jobs = [job(*pair, seed, best[rated[pair]]) for seed, pair in itertools.product(seeds, pairs)]
    done = list(done_or_run(jobs, args.output / "runs.jsonl", args.workers))
    done.sort(key=lambda run: (args.tasks.index(run["task"]), arms.index(run["arm"]), run["seed"]))
    text = tables(done)
    (args.output / "tables.md").write_text(text + "\n")
    picture(done, args.output / "curves.png")
    print(text)


if __name__ == "__main__":
    main()
