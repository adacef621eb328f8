"""Where should the two answers of a pair part? Whole trajectories against prefixes, and the critical step.

For each task, seed and place the demo model samples problems of the training split until a budget of
generated tokens is spent, first rollouts, search and filling included; the pairs are then trained on in two
ways: the first PAIRS of them, one of a problem (equal pairs), and all of them, up to PER_PROBLEM of a problem
(equal tokens). Accuracy is on held-out problems at temperature 1. Places that cost more make fewer pairs, so
fewer updates, and want another learning rate: each place, comparison and method has the best of one grid, on
validation problems and a seed that nothing is reported on.

    python benchmarks/offline.py                      # all: 2 tasks, 5 methods, 5 places, 3 seeds: hours
    python benchmarks/offline.py --methods dpo        # one method

Each trained model is a line of --output; a run that is started again does what is missing.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import torch
from command import Parser, append, at_least_0, keep_to, natural, out_file, positive, recorded, script, whole
from offline_rows import KNOWN, PLACES, RIGHT_LINES, Remembering, collect, rows_of
from offline_tables import GRID_SEED, Rates, chosen, report

import gpo
from gpo.evaluation import evaluate
from gpo.learn.optimisation import METHODS, NLL_METHODS, PreferenceOptimisation
from gpo.learn.preference import train
from gpo.seeds import derive_seed

KEY = ("task", "seed", "at", "comparison", "method", "lr")
"""What tells lines apart."""
FREE = (
    "tasks",
    "methods",
    "places",
    "comparisons",
    "seeds",
    "grid_seeds",
    "learning_rates",
    "rates",
    "output",
)
"""Settings that may differ from call to call; the others are those that --output was begun with."""


def measured(
    policy: Any,
    verifier: Any,
    held_out: list[Any],
    rows: list[Any],
    method: str,
    lr: float,
    seed: int,
    args: Any,
) -> float:
    """Accuracy on held-out problems after training a copy of the policy's model on the rows."""
    model = copy.deepcopy(policy.model)
    optimisation = PreferenceOptimisation(
        method=method,
        learning_rate=lr,
        epochs=args.epochs,
        minibatch=args.batch,
        microbatch=args.batch,
        warmup_updates=4,
        nll_weight=args.nll_weight if method in NLL_METHODS else 0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        train(model, policy.raw_tokenizer, rows, optimisation, folder=Path(folder), seed=seed)
    trained = gpo.TransformersPolicy(model, policy.raw_tokenizer, max_tokens=policy.max_tokens)
    return evaluate(trained, verifier, held_out, num=args.eval_num, seed=seed).accuracy


def problems_of(task: str, seed: int, policy: Any, args: Any) -> tuple[list[Any], list[Any]]:
    """Training and held-out problems; those that choose a learning rate are of the training split."""

    def rows(split: str, size: int) -> list[Any]:
        return gpo.tasks.load(task, split, size=size, seed=derive_seed("offline benchmark", seed) % 2**31)

    if seed >= GRID_SEED:
        drawn = rows("train", args.problems + args.eval_problems)
        held_out, training = drawn[: args.eval_problems], drawn[args.eval_problems :]
    else:
        held_out, training = rows("test", args.eval_problems), rows("train", args.problems)
    questions = {row.question for row in held_out}
    training = [row for row in training if row.question not in questions]
    training, held_out = (gpo.tasks.problems(some, policy.prompt_ids) for some in (training, held_out))
    return training, held_out


def one_seed(
    task: str, seed: int, rates: Rates, args: Any, done: set[tuple[Any, ...]]
) -> Iterator[dict[str, Any]]:
    """A line for each place, comparison, method and learning rate."""
    policy = gpo.TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=128)
    verifier = gpo.verifiers.load(gpo.tasks.verifier(task))
    training, held_out = problems_of(task, seed, policy, args)
    remembering, collected = Remembering(policy), {}  # type: ignore[var-annotated]
    if (task, seed, "none", "none", "none", 0.0) not in done:
        accuracy = evaluate(policy, verifier, held_out, num=args.eval_num, seed=seed).accuracy
        yield line(task, seed, "none", "none", "none", 0.0, accuracy, 0, 0)
    for at in args.places:
        keys = [
            (task, seed, at, comparison, method, lr)
            for comparison, method in itertools.product(args.comparisons, args.methods)
            if (at, comparison) != ("both", "pairs")  # a problem's first pair is the critical step's
            for lr in rates[task, at.removesuffix(RIGHT_LINES), comparison, method]
            if seed < GRID_SEED or not at.endswith(RIGHT_LINES)  # it takes its place's rate
        ]
        if all(key in done for key in keys):
            continue
        place = at.removesuffix(RIGHT_LINES)
        if place not in collected:
            collected[place] = collect(remembering, verifier, training, place, seed, args)
        found = collected[place] if at == place else collected[place].right_lines(policy)
        if not found.pairs:
            raise gpo.InputError(f"--budget: {args.budget} tokens made no pair at {at}; give more")
        for key in keys:
            if key not in done:
                *_, comparison, method, lr = key
                rows, tokens = rows_of(found, method, comparison, args.pairs)
                accuracy = measured(policy, verifier, held_out, rows, method, lr, seed, args)
                yield line(*key, accuracy, len(rows), tokens)


def line(
    task: str, seed: int, at: str, comparison: str, method: str, lr: float, accuracy: float, rows: int,
    tokens: int,
) -> dict[str, Any]:  # fmt: skip
    return {
        "task": task, "seed": seed, "at": at, "comparison": comparison, "method": method, "lr": lr,
        "accuracy": accuracy, "rows": rows, "tokens": tokens,
    }  # fmt: skip


def key_of(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in KEY)


def rate_of(text: str) -> tuple[str, float]:
    """The method and the rate of METHOD=RATE."""
    method, _, rate = text.partition("=")
    if method in METHODS:
        return method, positive(rate)
    raise argparse.ArgumentTypeError(f"must be METHOD=RATE, with one of {', '.join(METHODS)}, got {text!r}")


def check(args: Any) -> None:
    """InputError for a task that cannot be drawn, a method without a rate, or lines of other settings."""
    for task in args.tasks:
        gpo.tasks.load(task, "train", size=1, seed=0)
    if args.rates and (missing := [one for one in args.methods if one not in dict(args.rates)]):
        raise gpo.InputError(f"--rates: has none for {', '.join(missing)}; add it, or shorten --methods")

    settings = {name: value for name, value in vars(args).items() if name not in FREE}
    path = args.output.with_name(f"{args.output.name}.settings")
    keep_to(path, settings, is_begun=args.output.exists())


def given(args: Any) -> Rates:
    """The rates of `--rates`, for all that is compared."""
    rates = {method: [rate] for method, rate in args.rates}
    compared = itertools.product(args.tasks, KNOWN, args.comparisons, rates)
    return {(task, at, comparison, method): rates[method] for task, at, comparison, method in compared}


def arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--tasks", nargs="+", default=["chain_sum", "pivotlate"])
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=["dpo", "kto", "simpo", "orpo", "ipo"]
    )
    parser.add_argument("--places", nargs="+", default=list(PLACES), choices=KNOWN)
    parser.add_argument("--comparisons", nargs="+", default=["pairs", "tokens"], choices=["pairs", "tokens"])
    parser.add_argument("--seeds", type=natural, nargs="+", default=[0, 1, 2])
    parser.add_argument("--grid-seeds", type=whole, default=1, help="validation seeds")
    parser.add_argument("--budget", type=whole, default=60_000, help="generated tokens of a place")
    parser.add_argument("--pairs", type=whole, default=60, help="pairs of the comparison at equal pairs")
    parser.add_argument(
        "--per-problem", type=whole, default=8, help="pairs of a problem at equal tokens, at most"
    )
    parser.add_argument("--problems", type=whole, default=2048)
    parser.add_argument("--search-traces", type=positive, default=8.0)
    parser.add_argument("--fill", type=natural, default=8)
    parser.add_argument(
        "--learning-rates", type=positive, nargs="+", default=[3e-5, 1e-4, 3e-4], help="the grid"
    )
    parser.add_argument("--rates", nargs="+", type=rate_of, default=[], help="METHOD=RATE instead of a grid")
    parser.add_argument("--batch", type=whole, default=16)
    parser.add_argument("--epochs", type=whole, default=2)
    parser.add_argument("--nll-weight", type=at_least_0, default=1.0)
    parser.add_argument("--eval-problems", type=whole, default=300)
    parser.add_argument("--eval-num", type=whole, default=2)
    parser.add_argument("--output", type=out_file, default=Path("runs/offline-benchmark.jsonl"))
    return parser.parse_args()


def main() -> None:
    args = arguments()
    check(args)
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    records = recorded(args.output, (*KEY, "accuracy", "rows", "tokens"))

    def run(task: str, seed: int, rates: Rates) -> None:
        for record in one_seed(task, seed, rates, args, {key_of(one) for one in records}):
            records.append(record)
            append(args.output, record)
            print(json.dumps(record), flush=True)

    for task in args.tasks:
        if not args.rates:
            for seed in range(GRID_SEED, GRID_SEED + args.grid_seeds):
                run(task, seed, defaultdict(lambda: args.learning_rates))
        for seed in args.seeds:
            run(task, seed, given(args) if args.rates else chosen(records))
    report(records)


if __name__ == "__main__":
    script(main, goes_on=True)
