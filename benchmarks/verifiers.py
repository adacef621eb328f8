"""How many answers a second the verifiers check on one core, in the worker and through its process.

    python benchmarks/verifiers.py [--data FILE.jsonl] [--rows 2000] [--json]

Without a file the answers are made up: numbers, fractions, powers, points, words, each once as it stands
and once wrong, as a model writes them. `--data` takes MATH's own rows: {solution}.
"""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from command import Parser, existing, natural, recorded, script, whole

from gpo import verifiers
from gpo.types import Problem
from gpo.verifiers import answers, bbh, exact, latex, math, number, option

FORMS = ("So we are done: $\\boxed{%s}$.", "The answer is $%s$.", "Working it out, we get $\\boxed{%s}$")
WORK = "We add the first term to the second and divide by what is left, which gives another line. "
Pairs = list[tuple[str, str]]


def made_up(num: int, rng: random.Random) -> list[str]:
    kinds: list[Callable[[], str]] = [
        lambda: str(rng.randint(-999, 9999)),
        lambda: f"\\frac{{{rng.randint(1, 99)}}}{{{rng.randint(2, 99)}}}",
        lambda: f"{rng.randint(1, 99)}.{rng.randint(0, 99):02d}",
        lambda: f"{rng.randint(2, 9)}\\sqrt{{{rng.randint(2, 99)}}}",
        lambda: f"\\left({rng.randint(-9, 9)},{rng.randint(-9, 9)}\\right)",
        lambda: f"\\text{{{rng.choice(['Monday', 'Sunday', 'even', 'neither'])}}}",
    ]
    return [rng.choice(kinds)() for _ in range(num)]


def golds(path: Path | None, num: int, rng: random.Random) -> list[str]:
    if path is None:
        return made_up(num, rng)
    found = [answers.gold(row["solution"]) for row in recorded(path, ("solution",))]
    return [gold for gold in rng.sample(found, min(num, len(found))) if gold]


def is_easy(answer: str) -> bool:
    """Whether it is decided at a glance, right or wrong."""
    return latex.plain_number(answer) is not None or latex.is_words(answer)


def write(answer: str, rng: random.Random) -> str:
    return WORK * rng.randint(1, 12) + "\n" + rng.choice(FORMS) % answer


def speed(score: Callable[[str, str, dict[str, Any]], float], pairs: Pairs, columns: dict[str, Any]) -> float:
    start = time.process_time()
    for text, gold in pairs:
        score(text, gold, columns)
    return len(pairs) / (time.process_time() - start)


def process_speed(name: str, pairs: Pairs) -> float:
    problems = [Problem(str(i), (0,), gold) for i, (_, gold) in enumerate(pairs)]
    with verifiers.load(name, num_workers=1) as verifier:
        verifier.score(problems[:1], [pairs[0][0]])
        start = time.perf_counter()
        verifier.score(problems, [text for text, _ in pairs])
        return len(pairs) / (time.perf_counter() - start)


def measured(path: Path | None, num: int, rng: random.Random) -> dict[str, float]:
    everything = golds(path, num, rng)
    wrong = rng.sample(everything, len(everything))
    right = [(write(gold, rng), gold) for gold in everything]
    pairs = list(zip(wrong, everything, strict=True))
    easy_wrong = [(write(other, rng), gold) for other, gold in pairs if is_easy(other) and is_easy(gold)]
    hard = [(write(other, rng), gold) for other, gold in pairs if not is_easy(other) or not is_easy(gold)]
    letters = [(write(rng.choice("ABCD"), rng), rng.choice("ABCD")) for _ in everything]
    words = [(write(rng.choice(["Yes", "No"]), rng), "Yes") for _ in everything]
    numbers = [(write(str(rng.randint(0, 99)), rng), str(rng.randint(0, 99))) for _ in everything]
    return {
        "math, right": speed(math.score, right, {}),
        "math, wrong, plain numbers and words": speed(math.score, easy_wrong, {}),
        "math, wrong, part by part": speed(math.score, hard[:1000], {}),
        "math, right, through its process": process_speed("math", right),
        "number": speed(number.score, numbers, {}),
        "option": speed(option.score, letters, {"options": ["tea", "milk", "juice", "water"]}),
        "exact": speed(exact.score, words, {}),
        "bbh": speed(bbh.score, words, {"subject": "navigate"}),
    }


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=existing)
    parser.add_argument("--rows", type=whole, default=2000)
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = measured(args.data, args.rows, random.Random(args.seed))  # noqa: S311
    for name, rate in result.items():
        print(f"{name:40} {rate:10,.0f} answers a second")
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    script(main)
