"""What a budget of tokens finds of the answers to new problems, by strategy and judge.

    python benchmarks/solving.py [--output build/solving] [--seed 1] [--problems 100] [--tasks TASK...]
    python benchmarks/solving.py --tasks word_problems --model MODEL --problems 24 --located 40 --samples 8 \
      --completions 4 [--judges verifier]

Protocol, fixed before the reported seed was run. The tiny model, tasks chain_sum and pivotlate, temperature
1; steps are lines. The value model of a task learns from `gpo locate` on 200 problems of the training split
(`gpo train --method value`); its tokens are printed and belong to no budget. The measured problems are the
first 100 of the test split drawn with `--seed`: seed 0 was used while the strategies were written, and seed
1 is reported. Each arm is a run of `gpo solve`; what is there is not sampled again. A budget is in mean
completions: the tokens of `gpo sample` over the same problems, with other random numbers, whose 16
completions also say how hard a problem is. An arm may take 8 mean completions a problem, and what it would
have answered with fewer is read from its attempts, since no strategy looks at what is left before it is
nearly gone. So all arms are compared at 1, 2, 4 and 8 mean completions; one that stopped early keeps its
answer. A beam has nothing to say before it has ended once.

Rates have 95 % intervals over problems. Differences are paired by problem, with the exact sign-flip test,
from majority and from best of n with the same judge. What counts is the bandit with values, the default, at
4 completions; the rest is shown beside it. Without a verifier no arm sees a gold answer; with one, all arms
of that table stop at the first answer it accepts, and the rate is how often a right one was found.

Of a pretrained model, warmed up as `warm_up.py` says, the problems are those of `word_problems.py` with seed
1, at temperature 0.7 and at most 160 tokens. It has fewer of everything: 24 problems, a value model of 40
located ones, 8 completions for the difficulty, and at most 4 to spend. There are two comparisons at 4: with
the verifier (the exact number, as tests would be) the bandit on entropy against best of n, for which resets
were made; and without one the bandit against majority. Nothing was tried on these problems before.

After the first 24 had found 62 % by best of n and 79 % by both ways back, the verifier's table was asked for
again, of 40 new problems (`--seed 2 --problems 40 --judges verifier`), on which the same comparison decides.
The arms with values were not run on it, for hours.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from command import Parser, keep_to, natural, out_folder, script, whole
from word_problems import word_problems, write

from gpo.cli import main as gpo
from gpo.rates import paired, rate
from gpo.record import read_lines
from gpo.record.rounds import ProblemLine, SolvedLine

WORD_PROBLEMS = "word_problems"
TINY = ("--model", "demo", "--max-tokens", "96")
COLUMNS = ("--prompt-column", "question", "--answer-column", "answer", "--verifier", "number")
SAMPLED = ("--max-tokens", "160", "--temperature", "0.7")
STEPS = ("--splitter", "newline", "--min-step-tokens", "1")
BUDGETS = (1, 2, 4, 8)
SHOWN = 4
"""Mean completions at which difficulties are told apart."""
ARMS: dict[str, dict[str, tuple[str, ...]]] = {
    "verifier": {
        "best of n": ("--strategy", "best-of-n", "--judge", "verifier"),
        "restart, entropy": ("--strategy", "restart", "--judge", "verifier"),
        "bandit, entropy": ("--strategy", "bandit", "--judge", "verifier"),
        "restart, value": ("--strategy", "restart", "--judge", "verifier", "--value", "VALUE"),
        "bandit, value": ("--strategy", "bandit", "--judge", "verifier", "--value", "VALUE"),
    },
    "no verifier": {
        "majority": ("--strategy", "majority"),
        "restart, entropy": ("--strategy", "restart"),
        "bandit, entropy": ("--strategy", "bandit"),
        "best of n, value": ("--strategy", "best-of-n", "--value", "VALUE"),
        "restart, value": ("--strategy", "restart", "--value", "VALUE"),
        "bandit, value": ("--strategy", "bandit", "--value", "VALUE"),
        "beam, value": (
            *("--strategy", "beam", "--value", "VALUE"),
            *("--beam", "1", "--branches", "3", "--beam-step-tokens", "16"),
        ),
    },
}
"""The first of a table is what the others are compared with; without a verifier, best of n too."""
LEFT_OUT = {("verifier", "restart, value"), ("verifier", "bandit, value"), ("no verifier", "restart, value")}
"""Of a pretrained model."""
HARD, EASY = 0.25, 0.75
"""A problem is hard, or easy, if so many of its completions are right at most, or at least."""


def run(folder: Path, *args: str) -> dict[str, Any]:
    """The summary of a run; made, or continued, unless it is there."""
    if not (folder / "summary.json").is_file():
        is_begun = (folder / "run.json").is_file()
        gpo([args[0], "--resume", str(folder)] if is_begun else [*args, "--output", str(folder)])
    return json.loads((folder / "summary.json").read_text())


def asked(task: str, args: argparse.Namespace, split: str, num: int) -> tuple[str, ...]:
    """The flags that name so many problems of a split, and the model that is asked."""
    if task != WORD_PROBLEMS:
        return ("--task", task, *TINY, "--split", split, "--limit", str(num))
    seed = args.seed if split == "test" else 1
    path = args.output / f"{split}-{num}-{seed}.jsonl"
    if not path.exists():
        write(path, word_problems(split, num, seed=seed))
    return ("--data", str(path), *COLUMNS, "--model", args.model, *SAMPLED)


def value_model(task: str, args: argparse.Namespace) -> tuple[Path, int]:
    """A value model of the task, and the tokens that were sampled for it."""
    located, made = args.output / f"{task}-located", args.output / f"{task}-value"
    tokens = run(located, "locate", *asked(task, args, "train", args.located), *STEPS)["tokens"]
    if not (made / "value" / "value.json").is_file():
        flags = ("--model", args.model, "--run", str(located), "--output", str(made))
        gpo(["train", "--method", "value", *flags])
    return made, sum(tokens.values())


def answered(line: SolvedLine, budget: float, *, is_judged: bool) -> float:
    """Whether the answer that the problem's attempts come to within so many tokens is right."""
    attempts = [one for one in line.attempts if one.tokens <= budget]
    if is_judged:
        return max((one.reward or 0.0 for one in attempts), default=0.0)
    sums: dict[str, float] = defaultdict(float)
    rewards: dict[str, float] = {}
    for one in attempts:
        if one.answer is not None:
            sums[one.answer] += one.score
            rewards[one.answer] = one.reward or 0.0
    return rewards[max(sums, key=lambda answer: sums[answer])] if sums else 0.0


def measured(task: str, args: argparse.Namespace) -> dict[str, Any]:
    """[P] rewards of every arm at every budget, and how hard each problem is."""
    place = args.output / f"{task}-{args.seed}"
    given = {name: getattr(args, name) for name in ("model", "problems", "located", "samples", "completions")}
    keep_to(place / "settings.json", given, is_begun=(place / "sample").exists())
    problems = asked(task, args, "test", args.problems)
    run(place / "sample", "sample", *problems, "--num", str(args.samples), "--seed", str(args.seed))
    sampled = list(read_lines(place / "sample" / "problems.jsonl", ProblemLine))
    rates = {line.problem: line.rates[0] for line in sampled}
    mean = sum(sum(line.tokens.values()) for line in sampled) / sum(line.rollouts for line in sampled)
    budgets = [one for one in BUDGETS if one <= args.completions]
    found: dict[str, Any] = {"mean": mean, "rates": list(rates.values()), "budgets": budgets, "arms": {}}
    for judge in args.judges:
        for name, flags in ARMS[judge].items():
            if task == WORD_PROBLEMS and (judge, name) in LEFT_OUT:
                continue
            if "VALUE" in flags:
                value, found["tokens"] = value_model(task, args)
            folder = place / f"{judge}-{name}".replace(" ", "-").replace(",", "")
            most = ("--problem-tokens", str(round(budgets[-1] * mean)), "--seed", str(args.seed))
            chosen = [str(value) if flag == "VALUE" else flag for flag in flags]
            run(folder, "solve", *problems, *STEPS, *most, *chosen)
            lines = {one.problem: one for one in read_lines(folder / "problems.jsonl", SolvedLine)}
            found["arms"][judge, name] = {
                budget: [answered(lines[one], budget * mean, is_judged=judge == "verifier") for one in rates]
                for budget in budgets
            }
            found.setdefault("spent", {})[judge, name] = sum(
                sum(line.tokens.values()) for line in lines.values()
            ) / len(lines)
    return found


def table(found: dict[str, Any], judge: str) -> list[str]:
    """Rates at every budget, and by difficulty at half of the largest."""
    sizes = {name: sum(kind(one) == name for one in found["rates"]) for name in ("hard", "middle", "easy")}
    head = [f"{budget} completions" for budget in found["budgets"]]
    head += [f"{name} ({num}), at {SHOWN}" for name, num in sizes.items()]
    lines = [f"| {judge} | " + " | ".join([*head, "tokens"]) + " |", "|---" * (len(head) + 2) + "|"]
    for (of, name), rewards in found["arms"].items():
        if of == judge:
            cells = [shown(rewards[budget]) for budget in found["budgets"]]
            for difficulty in sizes:
                some = zip(rewards[SHOWN], found["rates"], strict=True)
                cells.append(shown([reward for reward, each in some if kind(each) == difficulty]))
            lines.append(f"| {name} | " + " | ".join(cells) + f" | {found['spent'][of, name]:.0f} |")
    return lines


def differences(found: dict[str, Any], judge: str) -> list[str]:
    """How much better each arm is than those it is compared with, on the same problems."""
    baselines = ("majority", "best of n, value") if judge == "no verifier" else ("best of n",)
    lines = []
    for (of, name), rewards in found["arms"].items():
        for baseline in baselines:
            if of == judge and name != baseline:
                for budget in found["budgets"][1:]:
                    difference = paired(rewards[budget], found["arms"][of, baseline][budget])
                    lines.append(f"{name} - {baseline}, {budget} completions: {difference}")
    return lines


def kind(success_rate: float) -> str:
    return "hard" if success_rate <= HARD else "easy" if success_rate >= EASY else "middle"


def shown(rewards: list[float]) -> str:
    if not rewards:
        return ""
    one = rate(rewards)
    low, high = one.interval
    return f"{100 * one.mean:.0f} ({100 * low:.0f}..{100 * high:.0f})"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--output", type=out_folder, default=Path("build/solving"))
    parser.add_argument("--seed", type=natural, default=1)
    parser.add_argument("--problems", type=whole, default=100)
    parser.add_argument("--tasks", nargs="+", default=["chain_sum", "pivotlate"])
    parser.add_argument("--judges", nargs="+", choices=ARMS, default=list(ARMS), help="tables to make")
    parser.add_argument("--model", default="demo", help="of the task word_problems, a folder")
    parser.add_argument("--located", type=whole, default=200, help="problems that a value model learns from")
    parser.add_argument(
        "--samples", type=whole, default=16, help="completions that say how hard a problem is"
    )
    parser.add_argument("--completions", type=whole, default=8, help="that an arm may spend on a problem")
    args = parser.parse_args()
    text = []
    for task in args.tasks:
        found = measured(task, args)
        text.append(
            f"{task}: {args.problems} problems, seed {args.seed}, a mean completion of {found['mean']:.1f} "
            f"tokens; the value model took {found['tokens']:,} tokens"
        )
        for judge in args.judges:
            text += ["", *table(found, judge), "", *differences(found, judge)]
        text.append("")
    print("\n".join(text))
    (args.output / f"tables-{args.seed}.txt").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    script(main, goes_on=True)
