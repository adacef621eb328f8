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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import torch
from offline_tables import GRID_SEED, Rates, chosen, report

import gpo
from gpo import pairs, steps
from gpo.evaluation import evaluate
from gpo.gpo import Memory, Round, run_round
from gpo.learn.optimisation import NLL_METHODS, PreferenceOptimisation
from gpo.learn.preference import train
from gpo.pairs.filling import filled
from gpo.pairs.trajectories import of_round
from gpo.recipe import Recipe
from gpo.seeds import derive_seed
from gpo.types import Labelled, Request, Sample, State

PLACES = ("prompt", "random", "entropy", "critical", "both", "unsolved")
"""The places of `gpo pairs --at`; `unsolved` is the prompt where its group is mixed, and the critical step of
a search where all failed."""
RIGHT_LINES = ", right lines"
"""After a place: right answers with a wrong line are left out, which takes the task's own lines to know."""
KNOWN = (*PLACES, "prompt" + RIGHT_LINES, "unsolved" + RIGHT_LINES)
RULES = {"critical": "drop", "both": "drop", "entropy": "entropy"}
CHUNK = 4
"""Problems that are sampled and searched at once; a budget is overspent by a part of what they cost."""


class Remembering:
    """A policy that samples what it was asked before only once: the places share their first rollouts.

    Every place still pays for them in its ledger.
    """

    def __init__(self, policy: gpo.TransformersPolicy) -> None:
        self.policy, self.known = policy, {}  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)

    def sample(self, requests: list[Request]) -> list[list[Sample]]:
        new = [request for request in requests if request not in self.known]
        self.known.update(zip(new, self.policy.sample(new), strict=True))
        return [self.known[request] for request in requests]


@dataclass
class Collected:
    """Rows by trajectory, and the tokens that were spent when each was there."""

    pairs: list[list[pairs.Pair]] = field(default_factory=list)
    unpaired: list[pairs.Unpaired] = field(default_factory=list)
    tokens_at: list[int] = field(default_factory=list)
    tokens: int = 0

    def add(self, data: Round, options: pairs.Options, seed: int, fill: int) -> None:
        """The rows of a round, and what they cost."""
        located = filled(
            data.pool, of_round(data), options, fill, seed=seed, first_step=None, whole=lambda state: state
        )
        self.tokens += sum(data.tokens.values())
        rows = pairs.build(located, options, seed=seed)
        by_problem: dict[str, list[pairs.Pair]] = {}
        for pair in rows.pairs:
            by_problem.setdefault(pair.state.problem.id, []).append(pair)
        self.pairs += by_problem.values()
        self.tokens_at += [self.tokens] * len(by_problem)
        self.unpaired += rows.unpaired

    def right_lines(self, policy: Any) -> Collected:
        """Without the rows whose right answer, prefix included, has a wrong line."""
        some = [[one for one in pairs if all_right(policy, one.state, one.chosen)] for pairs in self.pairs]
        kept = [i for i, pairs in enumerate(some) if pairs]
        labelled = [
            one
            for one in self.unpaired
            if not one.answer.is_right or all_right(policy, one.trajectory.state_before(one.step), one.answer)
        ]
        return Collected([some[i] for i in kept], labelled, [self.tokens_at[i] for i in kept], self.tokens)


def all_right(policy: Any, state: State, answer: pairs.Answer) -> bool:
    """Whether the lines of an answer are the task's own."""
    gold = state.problem.columns["steps"]
    return policy.completion_text(state, answer.ids).strip().split("\n")[: len(gold)] == list(gold)


def recipe_of(place: str, explored: str, args: Any) -> Recipe:
    return Recipe(
        rule=RULES.get(place, "random"),
        problems_per_round=CHUNK,
        max_located=CHUNK,
        explored=explored,
        resets=False,
        search_traces=args.search_traces,
        splitter=steps.newline(min_tokens=1),
    )


def collect(policy: Any, verifier: Any, problems: list[Any], at: str, seed: int, args: Any) -> Collected:
    """Rows for `args.budget` generated tokens, from as many problems as that pays for."""
    found, memory = Collected(), Memory()
    passes = [("prompt", "mixed"), ("critical", "unsolved")] if at == "unsolved" else [(at, "failed")]
    for index in range(len(problems) // CHUNK):
        if found.tokens >= args.budget:
            return found
        batch = problems[index * CHUNK : (index + 1) * CHUNK]
        for place, explored in passes:
            data = run_round(
                policy,
                verifier,
                batch,
                recipe_of(place, explored, args),
                index=index,
                seed=seed,
                memory=memory,
            )
            memory = data.memory
            if place != passes[0][0]:  # the first rollouts are those of the first pass
                found.tokens -= data.tokens["explore"]
            found.add(data, pairs.Options(at=place, pairs_per_problem=args.per_problem), seed, args.fill)
    raise SystemExit(f"{len(problems)} problems are too few for {args.budget} tokens; give more --problems")


def rows_of(found: Collected, method: str, comparison: str, num: int) -> tuple[list[Any], int]:
    """The rows of a comparison and the tokens they cost."""
    if comparison == "pairs":
        chosen = [one[0] for one in found.pairs[:num]]
        tokens = found.tokens_at[len(chosen) - 1]
    else:
        chosen, tokens = [pair for one in found.pairs for pair in one], found.tokens
        if method == "kto":
            return [one.labelled for one in found.unpaired], tokens
    made = [pair.preference for pair in chosen]
    if method != "kto":
        return made, tokens
    right = [Labelled(row.prompt_ids, row.chosen_ids, True) for row in made]
    return right + [Labelled(row.prompt_ids, row.rejected_ids, False) for row in made], tokens


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
    return tuple(record[name] for name in ("task", "seed", "at", "comparison", "method", "lr"))


def given(args: Any) -> Rates:
    """The rates of `--rates`, for all that is compared."""
    rates = {method: [float(rate)] for method, _, rate in (one.partition("=") for one in args.rates)}
    compared = itertools.product(args.tasks, KNOWN, args.comparisons, rates)
    return {(task, at, comparison, method): rates[method] for task, at, comparison, method in compared}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", default=["chain_sum", "pivotlate"])
    parser.add_argument("--methods", nargs="+", default=["dpo", "kto", "simpo", "orpo", "ipo"])
    parser.add_argument("--places", nargs="+", default=list(PLACES), choices=KNOWN)
    parser.add_argument("--comparisons", nargs="+", default=["pairs", "tokens"], choices=["pairs", "tokens"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--grid-seeds", type=int, default=1, help="validation seeds")
    parser.add_argument("--budget", type=int, default=60_000, help="generated tokens of a place")
    parser.add_argument("--pairs", type=int, default=60, help="pairs of the comparison at equal pairs")
    parser.add_argument(
        "--per-problem", type=int, default=8, help="pairs of a problem at equal tokens, at most"
    )
    parser.add_argument("--problems", type=int, default=2048)
    parser.add_argument("--search-traces", type=float, default=8.0)
    parser.add_argument("--fill", type=int, default=8)
    parser.add_argument(
        "--learning-rates", type=float, nargs="+", default=[3e-5, 1e-4, 3e-4], help="the grid"
    )
    parser.add_argument("--rates", nargs="+", default=[], help="METHOD=RATE instead of a grid")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--nll-weight", type=float, default=1.0)
    parser.add_argument("--eval-problems", type=int, default=300)
    parser.add_argument("--eval-num", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("runs/offline-benchmark.jsonl"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    text = args.output.read_text() if args.output.exists() else ""
    records = [json.loads(one) for one in text.splitlines()]

    def run(task: str, seed: int, rates: Rates) -> None:
        for record in one_seed(task, seed, rates, args, {key_of(one) for one in records}):
            records.append(record)
            with args.output.open("a") as file:
                file.write(json.dumps(record) + "\n")
            print(json.dumps(record), flush=True)

    for task in args.tasks:
        if not args.rates:
            for seed in range(GRID_SEED, GRID_SEED + args.grid_seeds):
                run(task, seed, defaultdict(lambda: args.learning_rates))
        for seed in args.seeds:
            run(task, seed, given(args) if args.rates else chosen(records))
    report(records)


if __name__ == "__main__":
    main()
