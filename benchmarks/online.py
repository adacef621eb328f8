"""Does training on critical steps beat the base algorithm, and at what budget?

    python benchmarks/online.py [--tasks ...] [--arms ...] [--seeds N] [--tokens N] [--output DIR]

Every arm starts from the tiny model and trains on the same problems with the same learner; all that differs
is the recipe, and the learning rate: each arm has the best of one grid, by its learning curve on validation
problems and seeds that nothing is reported on (`--learning-rate` gives all of them one). Accuracy is measured
on held-out problems as generated tokens, rounds and trained rollouts add up, so one run gives the comparison
at equal tokens, at equal rounds and at equal samples. Evaluation is not counted and has its own streams.
Writes grid.jsonl and runs.jsonl as it goes (an interrupted benchmark goes on where it was), then tables.md
and curves.png.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
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
LEARNING_RATES = (3e-5, 1e-4, 3e-4, 1e-3)
"""The grid of every arm."""
GRID_SEEDS = (0,)
FIRST_SEED = 30
"""Of the runs that are reported. The recipes were made while looking at seeds 0 to 18."""


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
    tokens: int
    lr: float
    changes: str
    """The recipe's name and settings, as JSON."""
    is_grid: bool = False

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
    name = changes.pop("recipe")
    splitter = gpo.steps.as_released if name == "as-released" else gpo.steps.newline
    settings = {"splitter": splitter(min_tokens=1), "problems_per_round": PROBLEMS_PER_ROUND, **changes}
    return gpo.Recipe.named(name, **settings)


def one_run(job: Job) -> dict:
    """One training run: what was spent and how accurate the policy was, evaluation by evaluation."""
    import torch

    import gpo

    torch.set_num_threads(1)
    policy = gpo.TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=MAX_TOKENS)
    train, evaluated, verifier = problems_of(job, policy)
    recipe = recipe_of(job)
    settings = gpo.Optimisation(learning_rate=job.lr)
    learner = gpo.PolicyGradient(policy.model, settings, temperature=1.0, seed=job.seed)

    def accuracy() -> float:
        num = max(1, EVAL_PROBLEMS // len(evaluated))
        return gpo.evaluate(policy, verifier, evaluated, num=num, seed=10_000).accuracy

    points = [{"tokens": 0, "rounds": 0, "samples": 0, "accuracy": accuracy()}]
    samples, ledger, signals = 0, defaultdict(int), []
    for data in gpo.rounds(policy, verifier, train, recipe, seed=job.seed, budget_tokens=job.tokens):
        samples += int(learner.update(data.groups, round_index=data.index)["train/rollouts"])
        policy.version += 1
        for purpose, num in data.tokens.items():
            ledger[purpose] += num
        spent = sum(ledger.values())
        signals.append(signal(data))
        is_last = spent + recipe.group_size * MAX_TOKENS > job.tokens
        if is_last or spent >= len(points) * job.tokens / CHECKPOINTS:
            point = {"tokens": spent, "rounds": data.index + 1, "samples": samples}
            points.append({**point, "accuracy": accuracy()})
    named = {key: getattr(job, key) for key in ("task", "arm", "seed", "tokens", "lr", "is_grid")}
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
            "| arm | learning rate | "
            + " | ".join(f"at equal {a} | minus base" for a in axes)
            + " | tokens to 10 %: base / arm |"
        )
        lines.append("|---" * 9 + "|")
        ends = {
            axis: min(found[s]["points"][-1][axis] for found in arms.values() for s in seeds) for axis in axes
        }
        for arm, found in arms.items():
            cells = [f"{found[seeds[0]]['lr']:.0e}"]
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
            print(f"{run['task']:10} {run['arm']:12} {run['lr']:.0e} {run['seed']:2} {row}", flush=True)
            yield run


def chosen_rates(runs: Sequence[dict]) -> dict[tuple[str, str], float]:
    """Of each task and arm, the learning rate whose curves are highest on average over the tokens."""
    heights = defaultdict(list)
    for run in runs:
        grid = np.linspace(0, run["tokens"], 50)
        heights[run["task"], run["arm"], run["lr"]].append(np.mean([at(run, "tokens", x) for x in grid]))
    best: dict[tuple[str, str], float] = {}
    for task, arm, lr in heights:
        if np.mean(heights[task, arm, lr]) > np.mean(heights.get((task, arm, best.get((task, arm))), -1)):
            best[task, arm] = lr
    return best


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--tokens", type=int, default=None, help="of each run; by default the task's")
    parser.add_argument("--learning-rate", type=float, default=None, help="of every arm, without the grid")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--try", dest="tried", nargs="*", default=[], help="ARM=JSON: further arms to try")
    parser.add_argument("--output", type=Path, default=Path("runs/online-benchmark"))
    return parser.parse_args()


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    args = arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    arms = {name: json.dumps(ARMS[name]) for name in args.arms if name in ARMS}
    arms |= {name: text for name, _, text in (item.partition("=") for item in args.tried)}
    pairs = list(itertools.product(args.tasks, arms))
    tokens = {task: args.tokens or TASKS[task]["tokens"] for task in args.tasks}
    rates = dict.fromkeys(pairs, args.learning_rate)
    if args.learning_rate is None:
        grid = [
            Job(task, arm, seed, tokens[task], lr, arms[arm], is_grid=True)
            for seed, lr, (task, arm) in itertools.product(GRID_SEEDS, LEARNING_RATES, pairs)
        ]
        rates = chosen_rates(list(done_or_run(grid, args.output / "grid.jsonl", args.workers)))
    jobs = [
        Job(task, arm, seed, tokens[task], rates[task, arm], arms[arm])
        for seed, (task, arm) in itertools.product(
            range(args.first_seed, args.first_seed + args.seeds), pairs
        )
    ]
    done = list(done_or_run(jobs, args.output / "runs.jsonl", args.workers))
    done.sort(key=lambda run: (args.tasks.index(run["task"]), list(arms).index(run["arm"]), run["seed"]))
    text = tables(done)
    (args.output / "tables.md").write_text(text + "\n")
    picture(done, args.output / "curves.png")
    print(text)


if __name__ == "__main__":
    main()
