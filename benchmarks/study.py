"""The study of docs/study.md, from nothing: `make study`, hours; it goes on where it was interrupted.

    python benchmarks/study.py [--quick] [--workers N] [--output DIR] [--page FILE]

study.md is its protocol. Every run is a line of OUTPUT/runs.jsonl when it ends. The page is written from the
runs that are there, also when some are missing; --quick makes a small one of the same kind in minutes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import theory_pairs
import theory_resets
from command import Parser, out_file, out_folder, recorded, script, whole
from hard_tasks import HARD
from online import CHECKPOINTS, KEY, Job, done_or_run, key_of
from online_arms import ARMS, EVAL_PROBLEMS, SEARCHES, TASKS, VARIANTS
from online_tables import TOKENS, matrix, picture, spent, tables

from gpo.types import InputError

RATES: dict[str, dict[str, float]] = {
    "base": {"chain_sum": 6e-4, "pivotlate": 3e-4, "fixed set": 6e-4, **dict.fromkeys(HARD, 1.2e-3)},
    **dict.fromkeys(("base, 2 prompts a round", "base, half the rate"), dict.fromkeys(HARD, 6e-4)),
    "ladder": {"rare": 6e-4, "hard sums": 6e-4, "long chain": 3e-4},
    "pivot": {"chain_sum": 3e-4, "pivotlate": 1.5e-4, "fixed set": 3e-4, "rare": 6e-4},
    "paper": {"chain_sum": 3e-4, "pivotlate": 1.5e-4},
    "pivot, half the rate": {"rare": 3e-4},
    "pivot, suffixes only": {"chain_sum": 3e-4, "pivotlate": 3e-4, "rare": 6e-4},
    "pivot, oracle": {"pivotlate": 1.5e-4},
    "pivot, a quarter of the rate": {"hard sums": 3e-4, "long chain": 3e-4},
    "ladder, half the rate": {"hard sums": 3e-4},
    "search": {"rare": 3e-4, "pivotlate": 3e-4},
}
"""Learning rates that validation seeds chose; the other arms take that of the arm that they vary."""


@dataclass(frozen=True)
class Section:
    """Runs that are compared with each other."""

    title: str
    reference: str
    arms: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: Sequence[int]
    algorithm: str = "rloo"
    evaluated: int = EVAL_PROBLEMS
    checkpoints: int = CHECKPOINTS
    measures: tuple[str, ...] = ("mean of the curve", "at the end")
    unit: str = "tokens"
    """Of the budget, tokens or rounds."""

    def jobs(self) -> Iterator[Job]:
        for seed in self.seeds:
            for task in self.tasks:
                for arm in (self.reference, *self.arms):
                    if rate := RATES[arm if arm in RATES else VARIANTS.get(arm, arm)].get(task):
                        budget, changes = TASKS[task][self.unit], json.dumps(ARMS[arm])
                        watched = {"evaluated": self.evaluated, "checkpoints": self.checkpoints}
                        how = (budget, changes, False, self.algorithm)
                        yield Job(task, arm, seed, rate, self.unit, *how, **watched)


ABLATIONS = ("pivot, suffixes only", "pivot, random step", "pivot 2 + 6", "pivot, oracle")
BOTH = ("chain_sum", "pivotlate")
MAIN = (*BOTH, "fixed set", "rare")
RIVALS = ("pivot", "rrpo", "srpo, oracle")
SMALL = ("pivot, 4 prompts a round", "base", "pivot")
WAYS = ("pivot, suffixes only", "search")
MORE = ("pivot, surprisal", "pivot 1 + 4 + 3", "pivot, then base")
SPLIT = ("pivot, steps of 8 tokens", "pivot, steps by auto")
PILOTED = ("chain_sum", "pivotlate", "fixed set")
FRESH = range(80, 85)
ROUNDS = range(90, 93)
OTHERS = ("ladder, without ladders", "base, 2 prompts a round", "base, half the rate")
QUARTER = ("pivot, a quarter of the rate",)
HALVED = ("ladder", "ladder, half the rate", "base, half the rate")
ENDS = ("rare", "long chain")
OFTEN: dict[str, Any] = {
    "evaluated": 100,
    "checkpoints": 10,
    "measures": (TOKENS, "at the end", "mean of the curve"),
}
SECTIONS = (
    Section("Pivot against base", "base", ("pivot",), MAIN, range(60, 68)),
    Section("Ablations", "pivot", ABLATIONS, BOTH, (*range(62, 67), *range(70, 73))),
    Section("Rivals", "base", RIVALS, BOTH, range(62, 67)),
    Section("Hard problems", "base", ("pivot", "pivot, half the rate"), ("rare",), range(60, 68)),
    Section("Hard problems: other ways", "pivot, half the rate", WAYS, ("rare",), range(62, 67)),
    Section("A pilot first: base", "base", ("base, pilot of 4",), PILOTED, FRESH),
    Section("A pilot first: pivot", "pivot", ("pivot, pilot of 3",), PILOTED, FRESH),
    Section("More ablations", "pivot", MORE, BOTH, FRESH),
    Section("Other steps", "pivot", SPLIT, BOTH, range(80, 83)),
    Section("What a search adds", "search", (*SEARCHES, "base", "pivot"), ("pivotlate",), range(80, 83)),
    Section("Ladders", "base", ("ladder",), tuple(HARD), range(80, 90), **OFTEN),
    Section("Ladders: other ways", "ladder", OTHERS, tuple(HARD), range(80, 85), **OFTEN),
    Section("Pivot on hard problems", "base", QUARTER, tuple(HARD)[1:], range(80, 85), **OFTEN),
    Section("Ladders at half the rate", "base", HALVED, ("hard sums",), range(80, 90), **OFTEN),
    Section(
        "Ladders against base at half its rate", HALVED[2], HALVED[:2], tuple(HARD), range(80, 90), **OFTEN
    ),
    Section("Smaller rounds", "base, 4 prompts a round", SMALL, BOTH, FRESH),
    Section("GRPO", "base", ("pivot",), BOTH, range(70, 73), "grpo"),
    Section("PPO", "base", ("pivot",), BOTH, range(70, 73), "ppo"),
    *(
        Section(
            f"Equal rounds: {name.upper()}", "base", ("paper", "pivot"), BOTH, ROUNDS, name, unit="rounds"
        )
        for name in ("rloo", "grpo", "ppo")
    ),
    Section("Ladders with GRPO", "base", ("ladder",), ENDS, range(80, 83), "grpo", **OFTEN),
    Section("Ladders with PPO", "base", ("ladder",), ENDS, range(80, 83), "ppo", **OFTEN),
)
QUICK = Section("Pivot against base", "base", ("pivot", "rrpo"), ("pivotlate",), range(2))


def quick(jobs: Sequence[Job]) -> list[Job]:
    """The same with few tokens, and few problems to evaluate."""
    return [Job(**{**vars(job), "budget": 6_000, "evaluated": 40}) for job in jobs]


def of_section(section: Section, jobs: Sequence[Job], runs: Sequence[dict]) -> list[dict]:
    """Its runs, in the order of its arms."""
    by_key = {key_of(run): run for run in runs}
    arms = (section.reference, *section.arms)
    some = [by_key[job.key] for job in jobs if job.key in by_key]
    return sorted(some, key=lambda run: (section.tasks.index(run["task"]), arms.index(run["arm"])))


def page(sections: dict[Section, list[Job]], runs: Sequence[dict], image: Path, theory: list[str]) -> str:
    """The page, as Markdown."""
    lines = [
        "# The study",
        "",
        "`make study` makes this page; its protocol, `benchmarks/study.md`, was written before its runs.",
        "Differences are paired by seed, with intervals of 95 %; p-values are Holm's, over all comparisons",
        "of a table. What follows from it stands in [Train online](training.md#measured).",
        "",
    ]
    detail = []
    for section, jobs in sections.items():
        some = of_section(section, jobs, runs)
        if not any(run["arm"] == section.reference for run in some):
            continue
        lines += [f"## {section.title}", ""]
        if len(some) < len(jobs):
            lines += [f"{len(some)} of {len(jobs)} runs were made.", ""]
        for measure in section.measures:
            lines += matrix(some, section.reference, measure)
        detail.append((section, some))
    main = detail[0][1] if detail else []
    if main:
        picture(main, image)
        lines += [f"![Learning curves of {SECTIONS[0].title.lower()}](img/{image.name})", ""]
    lines += theory
    lines += ["## In detail", ""]
    for section, some in detail:
        lines += [f"### {section.title}", "", *tables(some, section.reference), *spent(some), ""]
    return "\n".join(lines)


def theory_page(*, is_quick: bool) -> list[str]:
    return [
        "## What pairs at the critical step converge to",
        "",
        *(theory_pairs.__doc__ or "").split("\n\n", 1)[1].strip().split("\n"),
        "",
        *theory_pairs.page(1 if is_quick else 20),
        "## What resets save",
        "",
        *(theory_resets.__doc__ or "").split("\n\n", 1)[1].strip().split("\n"),
        "",
        *theory_resets.page(*((2, 4_000) if is_quick else (8, 10_000))),
    ]


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    parser = Parser(__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=whole, default=os.cpu_count())
    parser.add_argument("--output", type=out_folder, help="runs/study, or runs/study-quick")
    parser.add_argument(
        "--page", type=out_file, help="where the page goes: docs/study.md, or into the output"
    )
    parser.add_argument("--no-runs", action="store_true", help="write the page from the runs that are there")
    args = parser.parse_args()
    output = args.output or Path("runs/study-quick" if args.quick else "runs/study")
    target = args.page or (output / "study.md" if args.quick else Path("docs/study.md"))
    sections = {QUICK: quick(list(QUICK.jobs()))} if args.quick else {s: list(s.jobs()) for s in SECTIONS}
    jobs = {job.key: job for some in sections.values() for job in some}
    ordered = sorted(jobs.values(), key=lambda job: job.seed)
    path = output / "runs.jsonl"
    if not args.no_runs:
        output.mkdir(parents=True, exist_ok=True)
        list(done_or_run(ordered, path, args.workers))
    runs = recorded(path, KEY)
    if not any(key_of(run) in jobs for run in runs):
        raise InputError(f"{path}: has no run of the study; name the folder that has them with --output")
    image = target.parent / "img" / "study.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    theory = output / "theory.md"
    if not theory.exists():
        theory.write_text("\n".join(theory_page(is_quick=args.quick)))
    target.write_text(page(sections, runs, image, theory.read_text().split("\n")) + "\n")
    print(target)


if __name__ == "__main__":
    script(main, goes_on=True)
