"""Train a pretrained model with LoRA by several recipes at equal generated tokens, a slice of time a call.

    python benchmarks/real_training.py [--model M] [--task gsm8k | --data FILE --eval-data FILE] [--minutes M]

Without a task the problems are those of word_problems.py. Every arm and seed is one run of `gpo train` in
OUTPUT/ARM-SEED. The command works on them in turn, seed by seed, so that the arms of a seed can be compared
soon. After --minutes it interrupts the run, and the next call resumes it at its last complete round; only
--arms, --seeds and --minutes may differ then. It prints the table of what is there at the end of each call.
Accuracy is that of held-out problems, sampled with their own random streams and not counted as tokens.

Protocol of the runs on CPUs that docs/your-model.md reports, written before they were made:
    --arms base pivot --seeds 3 --tokens 20000 --learning-rate 6e-4 --eval-every 0 --eval-problems 200 \
        -- --minibatch 16 --warmup-updates 2
Seeds 0 to 2 in turn, both arms of a seed before the next; pivot at half of base's rate, as in the study.
What was seen before: with minibatches of 32 and a warm-up of 10 updates, one run of each arm at 6e-4 made 7
and 13 updates, moved the policy by .0002 nats a token in one, and changed nothing (.28, then .30 and .28).
With the flags above but at 2e-3, base moved by .02 to .04 nats a token in a round and fell from .285 to .075
in 10 updates. The measure is accuracy on 200 held-out problems before and after, pivot minus base at the end,
paired by seed. With so few updates only a difference of a tenth or more can show.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
from command import GOES_ON, Parser, existing, keep_to, natural, out_folder, positive, script, whole
from paired import Difference
from word_problems import word_problems, write

import gpo
from gpo.ending import GRACE_S
from gpo.types import InputError

ARMS = {
    "base": ("--recipe", "base"),
    "pivot": ("--recipe", "pivot"),
    "tree": ("--recipe", "tree"),
    "search": ("--recipe", "search"),
}
RATES = {"pivot": 0.5}
"""Learning rates as multiples of --learning-rate; 1 for the others."""
FREE = ("arms", "seeds", "minutes", "output")
"""Settings that may differ from call to call; the others are those that OUTPUT was begun with."""

Points = list[tuple[int, float]]
"""Tokens spent and held-out accuracy, evaluation by evaluation."""


def problems(args: argparse.Namespace) -> list[str]:
    """The flags that name what is trained and evaluated."""
    if args.task:
        return ["--task", args.task]
    files = args.data, args.eval_data
    if not args.data:
        sizes = {"train": 4096, "test": args.eval_problems}
        files = tuple(args.output / f"{split}-{size}.jsonl" for split, size in sizes.items())
        for path, (split, size) in zip(files, sizes.items(), strict=True):
            if not path.exists():
                # Seed 1: the warm-up saw the training problems of seed 0, the recorded curves the test ones.
                write(path, word_problems(split, size, seed=1))
    columns = ["--prompt-column", "question", "--answer-column", "answer", "--verifier", "number"]
    return ["--data", str(files[0]), "--eval-data", str(files[1]), *columns]


def flags(args: argparse.Namespace, arm: str, seed: int) -> list[str]:
    """Everything that a run is started with; what follows -- on the command line comes last and wins."""
    settings = {
        "model": args.model,
        "max-tokens": args.max_tokens,
        "lora-rank": 16,
        "learning-rate": args.learning_rate * RATES.get(arm, 1.0),
        "problems-per-round": args.problems_per_round,
        "min-step-tokens": args.min_step_tokens,
        "budget-tokens": args.tokens,
        "rounds": 100_000,
        "eval-every": args.eval_every,
        "eval-problems": args.eval_problems,
        "seed": seed,
        "output": args.output / f"{arm}-{seed}",
    }
    pairs = itertools.chain.from_iterable((f"--{name}", str(value)) for name, value in settings.items())
    return [*problems(args), *ARMS[arm], *pairs, *args.more]


def work(args: argparse.Namespace, arm: str, seed: int, deadline: float) -> None:
    """Starts the run or goes on with it; interrupts it at the deadline."""
    folder = args.output / f"{arm}-{seed}"
    begun = ["--resume", str(folder)] if (folder / "run.json").exists() else flags(args, arm, seed)
    process = subprocess.Popen([sys.executable, "-m", "gpo", "train", *begun])  # noqa: S603
    try:
        code = process.wait(max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()
        print(f"--minutes are over; {GOES_ON}", file=sys.stderr)
        return
    except KeyboardInterrupt:
        end(process)
        raise
    if code:
        sys.exit(code)


def end(process: subprocess.Popen) -> None:
    """Waits for a run that a terminal interrupts too; one that was not told by then is told now."""
    try:
        process.wait(GRACE_S + 5)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()


def check(args: argparse.Namespace) -> None:
    """InputError for sources of problems that exclude each other, or other settings than OUTPUT was begun
    with."""
    if args.task and (args.data or args.eval_data):
        raise InputError("--task: brings its own problems; leave --data and --eval-data out")
    if bool(args.data) != bool(args.eval_data):
        raise InputError("--data, --eval-data: belong together; give both, or none")
    given = {name: value for name, value in vars(args).items() if name not in FREE}
    keep_to(args.output / "settings.json", given, is_begun=any(args.output.glob("*/run.json")))


def curve(folder: Path) -> Points:
    """Tokens spent and held-out accuracy, evaluation by evaluation."""
    spent, points = 0, []
    for line in gpo.read_run(folder).rounds:
        spent += sum(num for purpose, num in line.tokens.items() if purpose != "evaluation")
        if line.evaluation is not None:
            points.append((spent, line.evaluation.accuracy))
    return points


def last(points: Points, tokens: int) -> float:
    """Accuracy at so many tokens, between the evaluations around them."""
    return float(np.interp(tokens, *zip(*points, strict=True)))


def height(points: Points, tokens: int) -> float:
    """The mean of the learning curve over so many tokens."""
    return float(np.mean(np.interp(np.linspace(0, tokens, 50), *zip(*points, strict=True))))


def table(output: Path, arms: list[str], seeds: int, tokens: int) -> str:
    """Every arm beside the first, at the tokens that both runs of a seed have reached."""
    rows = [
        f"| arm | seeds | tokens | accuracy at the end | minus {arms[0]} (95 %) "
        f"| mean of the curve | minus {arms[0]} (95 %) |",
        "|---|---|---|---|---|---|---|",
    ]
    found = {
        (arm, seed): points
        for arm, seed in itertools.product(arms, range(seeds))
        if (output / f"{arm}-{seed}" / "run.json").exists()
        if len(points := curve(output / f"{arm}-{seed}")) > 1
    }
    for arm in arms:
        pairs = [
            (found[arm, s], found[arms[0], s]) for s in range(seeds) if {(arm, s), (arms[0], s)} <= {*found}
        ]
        if pairs:
            ends = [min(tokens, own[-1][0], other[-1][0]) for own, other in pairs]
            cells = [beside(pairs, ends, measure) for measure in (last, height)]
            rows.append(f"| {arm} | {len(pairs)} | {fmean(ends):,.0f} | {' | '.join(cells)} |")
    return "\n".join(rows)


def beside(
    pairs: list[tuple[Points, Points]], ends: list[int], measure: Callable[[Points, int], float]
) -> str:
    """Two cells: the mean of a measure over the runs, and how far it is above the other arm's, by seed."""
    own, other = (
        [measure(points, end) for points, end in zip(side, ends, strict=True)]
        for side in zip(*pairs, strict=True)
    )
    gaps = [a - b for a, b in zip(own, other, strict=True)]
    return f"{fmean(own):.3f} | {Difference.of(gaps)}"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default="build/models/smollm2-problems")
    parser.add_argument("--task", help="a benchmark that `gpo train` knows")
    parser.add_argument("--data", type=existing)
    parser.add_argument("--eval-data", type=existing)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["base", "pivot", "tree"])
    parser.add_argument("--seeds", type=whole, default=3)
    parser.add_argument("--tokens", type=whole, default=100_000, help="generated in a run")
    parser.add_argument("--minutes", type=positive, default=8.0, help="of this call")
    parser.add_argument("--max-tokens", type=whole, default=160)
    parser.add_argument("--learning-rate", type=positive, default=1e-4)
    parser.add_argument("--problems-per-round", type=whole, default=8)
    parser.add_argument("--min-step-tokens", type=whole, default=1)
    parser.add_argument("--eval-every", type=natural, default=4)
    parser.add_argument("--eval-problems", type=whole, default=100)
    parser.add_argument("--output", type=out_folder, default=Path("runs/real-training"))
    parser.add_argument("more", nargs="*", help="further flags of `gpo train`, after --")
    args = parser.parse_args()
    check(args)
    deadline = time.monotonic() + 60 * args.minutes
    for seed, arm in itertools.product(range(args.seeds), args.arms):
        if not (args.output / f"{arm}-{seed}" / "summary.json").exists() and time.monotonic() < deadline:
            work(args, arm, seed, deadline)
    text = table(args.output, args.arms, args.seeds, args.tokens)
    (args.output / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    script(main, goes_on=True)
