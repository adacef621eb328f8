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

EVAL_PROBLEMS = 200
CHECKPOINTS = 6
"""Evaluations of a run, evenly spread over its tokens."""
TASKS: dict[str, dict[str, Any]] = {
    "chain_sum": {"tokens": 60_000},
    "rare": {"tokens": 50_000},
    "pivotlate": {"tokens": 60_000},
    "fixed set": {"tokens": 60_000},
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


def at(run: dict, axis: str, place: float) -> float:
    """Accuracy where the run had spent `place` tokens, rounds or samples, between its evaluations."""
    points = run["points"]
    return float(np.interp(place, [p[axis] for p in points], [p["accuracy"] for p in points]))


def tokens_to(run: dict, accuracy: float) -> float:
    """Tokens until the run first reached that accuracy; its whole budget if it never did."""
    for before, after in itertools.pairwise(run["points"]):
        if after["accuracy"] >= accuracy:
            gained = (accuracy - before["accuracy"]) / max(1e-9, after["accuracy"] - before["accuracy"])
            return before["tokens"] + max(0.0, gained) * (after["tokens"] - before["tokens"])
    return float(run["tokens"])


T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t with 1, 2, ... degrees of freedom."""


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval by Student's t."""
    mean, num = float(np.mean(values)), len(values)
    if num < 2:
        return mean, float("nan"), float("nan")
    half = T95[min(num - 1, len(T95)) - 1] * float(np.std(values, ddof=1)) / np.sqrt(num)
    return mean, mean - half, mean + half


def shown(values: list[float], sign: str = "") -> str:
    mean, low, high = interval(values)
    return f"{mean:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def tables(runs: list[dict]) -> str:
    """Each arm's accuracy at equal tokens, samples and rounds, and its difference from base by seed."""
    lines = []
    for task in dict.fromkeys(run["task"] for run in runs):
        arms: dict[str, dict[int, dict]] = {}
        for run in runs:
            if run["task"] == task:
                arms.setdefault(run["arm"], {})[run["seed"]] = run
        seeds = sorted(set.intersection(*(set(found) for found in arms.values())))
        base = arms.get("base", next(iter(arms.values())))
        lines += [f"## {task} ({len(seeds)} seeds)", ""]
        axes = ("tokens", "samples", "rounds")
        lines.append(
            "| arm | "
            + " | ".join(f"at equal {a} | minus base" for a in axes)
            + " | tokens to 10 %: base / arm |"
        )
        lines.append("|---" * 8 + "|")
        ends = {
            axis: min(found[s]["points"][-1][axis] for found in arms.values() for s in seeds) for axis in axes
        }
        for arm, found in arms.items():
            cells = []
            for axis in axes:
                values = [at(found[s], axis, ends[axis]) for s in seeds]
                gaps = [v - at(base[s], axis, ends[axis]) for v, s in zip(values, seeds, strict=True)]
                cells += [f"{np.mean(values):.3f}", shown(gaps, "+")]
            ratios = [np.log(tokens_to(base[s], 0.1) / max(1.0, tokens_to(found[s], 0.1))) for s in seeds]
            mean, low, high = (float(np.exp(x)) for x in interval(ratios))
            cells.append(f"{mean:.2f} ({low:.2f} to {high:.2f})" if task == "rare" else "")
            lines.append(f"| {arm} | " + " | ".join(cells) + " |")
        where = ", ".join(f"{ends[axis]:,} {axis}" for axis in axes)
        lines += ["", f"Compared at {where}.", ""]
    return "\n".join([*lines, *spent(runs)])


def spent(runs: list[dict]) -> list[str]:
    """What the tokens bought: shares by purpose, groups with signal, values of reset and archived states."""
    lines = ["## What the tokens bought", ""]
    head = [
        "task",
        "arm",
        "explore",
        "values",
        "resets",
        "archive",
        "fresh groups with signal",
        "V at resets",
        "V at archived",
    ]
    lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for task, arm in dict.fromkeys((run["task"], run["arm"]) for run in runs):
        some = [run for run in runs if (run["task"], run["arm"]) == (task, arm)]
        total = sum(sum(run["ledger"].values()) for run in some)
        cells = [
            f"{sum(run['ledger'].get(p, 0) for run in some) / total:.2f}"
            for p in ("explore", "values", "resets", "archive")
        ]
        for key in ("fresh", "reset_value", "archive_value"):
            values = [s[key] for run in some for s in run["signals"] if s[key] is not None]
            cells.append(f"{np.mean(values):.2f}" if values else "")
        lines.append(f"| {task} | {arm} | " + " | ".join(cells) + " |")
    return lines


def picture(runs: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tasks = list(dict.fromkeys(run["task"] for run in runs))
    figure, axes = plt.subplots(1, len(tasks), figsize=(5 * len(tasks), 4), squeeze=False)
    for axis, task in zip(axes[0], tasks, strict=True):
        for arm in dict.fromkeys(run["arm"] for run in runs if run["task"] == task):
            some = [run for run in runs if (run["task"], run["arm"]) == (task, arm)]
            grid = np.linspace(0, min(run["points"][-1]["tokens"] for run in some), 40)
            curves = np.array([[at(run, "tokens", x) for x in grid] for run in some])
            mean, error = curves.mean(0), curves.std(0) / np.sqrt(len(some))
            (line,) = axis.plot(grid, mean, label=arm)
            axis.fill_between(grid, mean - error, mean + error, alpha=0.2, color=line.get_color())
        axis.set(title=task, xlabel="generated tokens", ylabel="held-out accuracy")
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)


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
            done.append(run)
    text = tables(done)
    (args.output / "tables.md").write_text(text + "\n")
    picture(done, args.output / "curves.png")
    print(text)


if __name__ == "__main__":
    main()
