"""Does training on critical steps beat the base algorithm, and at what budget?

    python benchmarks/online.py [--tasks ...] [--arms ...] [--seeds N] [--tokens N] [--output DIR]

Every arm starts from the tiny model and trains on the same problems with the same learner; all that differs
is the recipe. Accuracy is measured on held-out problems as generated tokens, rounds and trained rollouts
add up, so one run gives the comparison at equal tokens, at equal rounds and at equal samples. Evaluation is
not counted and has its own random streams. Writes runs.jsonl as it goes (an interrupted benchmark goes on
where it was), then tables.md and curves.png.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

EVAL_PROBLEMS = 300
CHECKPOINTS = 6
"""Evaluations of a run, evenly spread over its tokens."""
TASKS: dict[str, dict[str, Any]] = {
    "chain_sum": {"tokens": 200_000},
    "rare": {"tokens": 300_000},
    "pivotlate": {"tokens": 200_000},
    "fixed set": {"tokens": 200_000},
}
"""The demo's task; one solved less than 2 % of the time; a late decision; 32 problems over and over."""
ARMS: dict[str, dict[str, Any]] = {
    "base": {"recipe": "base"},
    "random": {"recipe": "random"},
    "paper": {"recipe": "paper"},
    "as-released": {"recipe": "as-released"},
    "tree": {"recipe": "tree"},
    "default": {"recipe": "default"},
}
PROBLEMS_PER_ROUND = 16
MAX_TOKENS = 96
LEARNING_RATE = 1e-4


class EveryLine:
    """Right if every line is: on a rarely solved task an answer alone would be right by luck too often."""

    num_timeouts = 0

    def score(self, problems, texts):
        return [float(text.strip() == p.answer) for p, text in zip(problems, texts, strict=True)]

    def check(self, problem) -> None:
        del problem


def problems_of(task: str, policy, seed: int):
    """Training and held-out problems and the verifier of a task; training ones differ by seed."""
    import gpo

    if task == "rare":
        test = rare_rows(EVAL_PROBLEMS, 0, set())
        rows = {"test": test, "train": rare_rows(256, 1 + seed, {row.question for row in test})}
        verifier: Any = EveryLine()
    else:
        name = "chain_sum" if task == "fixed set" else task
        size = 32 if task == "fixed set" else 2048
        rows = {
            "train": gpo.tasks.load(name, "train", size=size, seed=seed),
            "test": gpo.tasks.load(name, "test", size=EVAL_PROBLEMS, seed=0),
        }
        verifier = gpo.verifiers.load(gpo.tasks.verifier(name))
        if task == "fixed set":
            rows["test"] = rows["train"]
    train, test = (gpo.tasks.problems(rows[split], policy.prompt_ids) for split in ("train", "test"))
    return train, test, verifier


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


def one_run(task: str, arm: str, seed: int, num_tokens: int, changes: dict[str, Any], lr: float) -> dict:
    """One training run: what was spent and how accurate the policy was, evaluation by evaluation."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    import gpo
    from gpo.gpo import rounds

    torch.set_num_threads(1)
    policy = gpo.TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=MAX_TOKENS)
    train, test, verifier = problems_of(task, policy, seed)
    changes = dict(changes)
    name = changes.pop("recipe")
    if name != "as-released":
        changes["splitter"] = gpo.steps.newline(min_tokens=1)
    else:
        changes["splitter"] = gpo.steps.as_released(min_tokens=1)
    recipe = gpo.Recipe.named(name, problems_per_round=PROBLEMS_PER_ROUND, **changes)
    learner = gpo.PolicyGradient(policy.model, gpo.Optimisation(learning_rate=lr), temperature=1.0, seed=seed)

    def accuracy() -> float:
        num = max(1, EVAL_PROBLEMS // len(test))
        return gpo.evaluate(policy, verifier, test, num=num, seed=10_000).accuracy

    points = [{"tokens": 0, "rounds": 0, "samples": 0, "accuracy": accuracy()}]
    spent = samples = 0
    ledger: dict[str, int] = {}
    signals = []
    for data in rounds(policy, verifier, train, recipe, seed=seed, budget_tokens=num_tokens):
        metrics = learner.update(data.groups, round_index=data.index)
        policy.version += 1
        spent += sum(data.tokens.values())
        samples += int(metrics["train/rollouts"])
        ledger = {k: ledger.get(k, 0) + v for k, v in data.tokens.items()}
        signals.append(
            {
                "fresh": float(np.mean([g.has_signal for g in data.explored])),
                "all": float(np.mean([g.has_signal for g in data.groups])),
                "reset_value": float(np.mean(values)) if (values := reset_values(data)) else None,
                "share": dict(data.memory.share.levels),
                "archive": len(data.memory.archive.traces),
                "archive_value": float(np.mean([g.value for g in data.archived])) if data.archived else None,
            }
        )
        if (
            spent >= len(points) * num_tokens / CHECKPOINTS
            or spent + recipe.group_size * MAX_TOKENS > num_tokens
        ):
            point = {"tokens": spent, "rounds": data.index + 1, "samples": samples}
            points.append({**point, "accuracy": accuracy()})
    return {
        "task": task, "arm": arm, "seed": seed, "tokens": num_tokens, "lr": lr,
        "points": points, "ledger": ledger, "signals": signals,
    }  # fmt: skip


def reset_values(data) -> list[float]:
    named = [one for one in data.located if one.critical]
    return [v for one in named if np.isfinite(v := one.estimate.values[one.critical.index])]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=None, help="of each run; by default the task's")
    parser.add_argument("--lr", type=float, default=LEARNING_RATE)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--try", dest="tried", nargs="*", default=[], help="ARM=JSON: further arms to try")
    parser.add_argument("--output", type=Path, default=Path("runs/online-benchmark"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    arms = {name: ARMS[name] for name in args.arms if name in ARMS}
    for item in args.tried:
        name, _, text = item.partition("=")
        arms[name] = json.loads(text)
    path = args.output / "runs.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    keys = {(r["task"], r["arm"], r["seed"]) for r in done}
    jobs = [
        (task, arm, seed, args.tokens or TASKS[task]["tokens"], arms[arm], args.lr)
        for seed, task, arm in itertools.product(range(args.seeds), args.tasks, arms)
        if (task, arm, seed) not in keys
    ]
    with ProcessPoolExecutor(args.workers) as pool, path.open("a") as file:
        for future in as_completed([pool.submit(one_run, *job) for job in jobs]):
            run = future.result()
            file.write(json.dumps(run) + "\n")
            file.flush()
            row = " ".join(f"{p['accuracy']:.3f}" for p in run["points"])
            print(f"{run['task']:12} {run['arm']:14} {run['seed']} {row} {run['ledger']}", flush=True)


if __name__ == "__main__":
    main()
