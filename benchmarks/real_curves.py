"""Record value curves of a pretrained model's answers to word problems: 128 rollouts at every boundary.

    python benchmarks/real_curves.py [--model build/models/smollm2-problems] [--wanted 40] [--part 0/1]

Problems of the test split are taken in order. Where 8 rollouts of one are neither all right nor all wrong,
the first right or the first wrong one is measured, whichever there are fewer of. Each trajectory is a line
of `benchmarks/data/real_curves.jsonl`, written as soon as it is measured; what is there is not measured
again. Problems 1 to 4 were taken before there was this rule, by their first rollouts: their values are near
0 throughout. A trajectory takes about 30,000 tokens. Several processes can share the work (`--part`).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from command import Parser, append, model, out_file, script, whole
from command import recorded as read
from word_problems import word_problems

DATA = Path(__file__).parent / "data" / "real_curves.jsonl"
TRIALS = 128
"""Rollouts at every boundary: a standard error of at most .044."""
GROUP = 8
MAX_TOKENS = 160
TEMPERATURE = 0.7
PROPOSALS = ("entropy", "surprisal", "forced-answer")


def recorded(path: Path = DATA) -> list[dict[str, Any]]:
    """The trajectories measured so far, by problem; none if there is no file."""
    return sorted(read(path, ("problem", "outcome")), key=lambda line: line["problem"])


def measure(policy: Any, verifier: Any, problem: Any, outcome: bool) -> dict[str, Any] | None:
    """The problem's first trajectory of this outcome, and its values; None unless its group has both."""
    import gpo
    from gpo.located import bounds_of
    from gpo.pool import Pool
    from gpo.proposals import by_name
    from gpo.seeds import derive_seed
    from gpo.types import State

    pool = Pool(policy, verifier, derive_seed(0, "real curves"))
    pool.fill({State(problem): GROUP}, "explore")
    group = pool.at(State(problem))
    first = {one.reward == 1: one for one in reversed(group)}
    if len(first) < 2:
        return None
    trace = first[outcome]
    bounds = bounds_of(trace, gpo.steps.newline(min_tokens=1), policy)
    # The trajectory was chosen from the group, whose rollouts therefore do not count.
    pool.fill({trace.state_at(bound): TRIALS + GROUP * (bound == 0) for bound in bounds[:-1]}, "values")
    rollouts = [pool.at(trace.state_at(bound))[GROUP * (bound == 0) :] for bound in bounds[:-1]]
    empty = gpo.ValueCurve(tuple(bounds), (0,) * len(bounds), (0,) * len(bounds), trace)
    scores = {name: by_name(name)(policy, [empty])[0] for name in PROPOSALS}
    return {
        "problem": int(problem.id.rpartition("/")[2]),
        "question": problem.question,
        "answer": problem.answer,
        "completion": policy.text(trace.action_ids),
        "group": [sum(one.reward == 1 for one in group), GROUP],
        "outcome": int(outcome),
        "finished": trace.finished,
        "bounds": bounds,
        "successes": [sum(one.reward == 1 for one in some) for some in rollouts],
        "trials": [len(some) for some in rollouts],
        "tokens": [sum(len(one.action_ids) for one in some) for some in rollouts],
        "entropies": np.round(trace.entropies, 4).tolist(),
        "logprobs": np.round(trace.logprobs, 4).tolist(),
        "scores": {name: np.round(some, 5).tolist() for name, some in scores.items()},
    }


def record(policy: Any, verifier: Any, index: int, outcome: bool, path: Path) -> None:
    """Measures a trajectory of this outcome of a problem, where it has one, and appends it to the file."""
    import gpo

    one = word_problems("test", index + 1, seed=0)[index]
    prompt_ids = policy.prompt_ids(one.question)
    problem = gpo.Problem(f"word_problems/{index}", prompt_ids, one.answer, "word_problems", one.question)
    started = time.perf_counter()
    found = measure(policy, verifier, problem, outcome)
    if found is None:
        return
    append(path, found)
    values = [round(s / t, 2) for s, t in zip(found["successes"], found["trials"], strict=True)]
    seconds = time.perf_counter() - started
    print(index, int(outcome), values, f"{sum(found['tokens']):,} tokens, {seconds:.0f} s", flush=True)


def part_of(text: str) -> tuple[int, int]:
    """k and n of k/n."""
    part, _, parts = text.partition("/")
    if part.isdecimal() and parts.isdecimal() and int(part) < int(parts):
        return int(part), int(parts)
    raise argparse.ArgumentTypeError(f"must be k/n with k from 0 to n - 1, got {text!r}")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=model, default="build/models/smollm2-problems")
    parser.add_argument("--wanted", type=whole, default=40, help="trajectories, half of them right")
    parser.add_argument("--part", type=part_of, default="0/1", help="k/n: each n-th problem from the k-th on")
    parser.add_argument("--threads", type=whole, default=1)
    parser.add_argument("--data", type=out_file, default=DATA)
    args = parser.parse_args()
    import torch

    import gpo

    if len(recorded(args.data)) >= args.wanted:
        return
    torch.set_num_threads(args.threads)
    policy = gpo.TransformersPolicy.load(
        args.model, max_tokens=MAX_TOKENS, temperature=TEMPERATURE, batch_tokens=2**15
    )
    args.data.parent.mkdir(exist_ok=True)
    with gpo.verifiers.load("number") as verifier:
        for index in count(*args.part):
            done = recorded(args.data)
            if len(done) >= args.wanted:
                return
            outcomes = Counter(line["outcome"] == 1 for line in done)
            if all(line["problem"] != index for line in done):
                record(policy, verifier, index, outcomes[True] <= outcomes[False], args.data)


if __name__ == "__main__":
    script(main, goes_on=True)
