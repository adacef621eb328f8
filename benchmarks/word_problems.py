"""Word problems in everyday English, solved in one sentence a step, for measurements on a pretrained model.

    python benchmarks/word_problems.py FILE.jsonl [--split train|test] [--numbers small|large] [--size N]

A count goes through five or six events; most problems also tell something that does not matter. The
solution takes one event a line and ends in "The answer is N.". `warm_up.py` teaches a model this form.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from command import Parser, natural, out_file, script, whole

from gpo.seeds import derive_seed

NAMES = ("Anna", "Nora", "Lucy", "Maria", "Priya", "Sofia", "Aisha", "Emma")
FRIENDS = ("Ben", "Omar", "Jack", "Leo", "Tom", "Ravi", "Sam", "Paul")
ITEMS = ("marbles", "stickers", "pencils", "shells", "coins", "beads", "cards", "buttons")
BOXES = ("bags", "boxes", "packs", "jars")


@dataclass(frozen=True)
class Numbers:
    """How large the numbers of a problem are: ranges, ends included."""

    start: tuple[int, int]
    found: tuple[int, int]
    boxes: tuple[int, int]
    in_box: tuple[int, int]
    cousins: tuple[int, int]
    to_each: tuple[int, int]
    most: int
    """No count is larger."""


NUMBERS = {
    "large": Numbers((5, 60), (3, 40), (2, 6), (3, 9), (2, 5), (2, 6), 99),
    "small": Numbers((5, 20), (2, 9), (2, 3), (2, 5), (2, 3), (2, 5), 30),
}


@dataclass(frozen=True)
class WordProblem:
    """A question, its number, and the lines of one right solution."""

    question: str
    answer: str
    solution: str


@dataclass(frozen=True)
class Scene:
    """Who has what, and how many of them now."""

    rng: random.Random
    numbers: Numbers
    friend: str
    item: str
    count: int


Event = tuple[str, str, int]
"""What the question says, what the solution says, and the count afterwards."""


def finds(scene: Scene) -> Event:
    n = scene.rng.randint(*scene.numbers.found)
    told = scene.rng.choice((f"She finds {n} more.", f"{scene.friend} gives her {n} {scene.item}."))
    return told, f"She gets {n}: {scene.count}+{n}={scene.count + n}.", scene.count + n


def gives(scene: Scene) -> Event:
    n = scene.rng.randint(2, max(2, scene.count // 2))
    told = scene.rng.choice((f"She gives {n} of them to {scene.friend}.", f"She loses {n} {scene.item}."))
    return told, f"She loses {n}: {scene.count}-{n}={scene.count - n}.", scene.count - n


def buys(scene: Scene) -> Event:
    box, k, m = (
        scene.rng.choice(BOXES),
        scene.rng.randint(*scene.numbers.boxes),
        scene.rng.randint(*scene.numbers.in_box),
    )
    told = f"She buys {k} {box} with {m} {scene.item} each."
    said = f"{k} {box} hold {k * m}: {scene.count}+{k * m}={scene.count + k * m}."
    return told, said, scene.count + k * m


def shares(scene: Scene) -> Event:
    k, m = scene.rng.randint(*scene.numbers.cousins), scene.rng.randint(*scene.numbers.to_each)
    told = f"She gives {m} to each of her {k} cousins."
    said = f"{k} cousins get {k * m}: {scene.count}-{k * m}={scene.count - k * m}."
    return told, said, scene.count - k * m


def halves(scene: Scene) -> Event:
    half = scene.count // 2
    told = scene.rng.choice(
        ("She sells half of what she has.", f"Half of her {scene.item} fall into a river.")
    )
    return told, f"Half of {scene.count} is {half}.", half if scene.count % 2 == 0 else -1


def doubles(scene: Scene) -> Event:
    told = "Her aunt then doubles what she has."
    return told, f"Twice {scene.count} is {2 * scene.count}.", 2 * scene.count


EVENTS: tuple[Callable[[Scene], Event], ...] = (finds, gives, buys, shares, halves, doubles)


def asides(scene: Scene) -> tuple[str, ...]:
    """What a question may tell that does not matter."""
    n = scene.rng.randint(2, scene.numbers.start[1])
    return (
        f"{scene.friend} has {n} {scene.item} of his own.",
        f"Her brother is {n} years old.",
        f"She spends {n} minutes on counting them.",
    )


def word_problem(rng: random.Random, numbers: Numbers) -> WordProblem:
    """One problem of five or six events."""
    name, friend, item = (rng.choice(words) for words in (NAMES, FRIENDS, ITEMS))
    count = rng.randint(*numbers.start)
    told, said = [f"{name} has {count} {item}."], []
    num_events = rng.randint(5, 6)
    while len(said) < num_events:
        more, line, after = rng.choice(EVENTS)(Scene(rng, numbers, friend, item, count))
        if 1 <= after <= numbers.most and line not in said:
            told.append(more)
            said.append(line)
            count = after
    if rng.random() < 0.7:
        told.insert(
            rng.randint(1, len(told) - 1), rng.choice(asides(Scene(rng, numbers, friend, item, count)))
        )
    question = " ".join([*told, f"How many {item} does {name} have now?"])
    return WordProblem(question, str(count), "\n".join([*said, f"The answer is {count}."]))


def word_problems(split: str, size: int, seed: int, numbers: str = "small") -> list[WordProblem]:
    """`size` problems; no question of `test` is among the first 20,000 of `train`."""
    taken = (
        {one.question for one in islice(_drawn("train", seed, numbers), 20_000)} if split == "test" else set()
    )
    found: dict[str, WordProblem] = {}
    for one in _drawn(split, seed, numbers):
        if one.question not in taken:
            found.setdefault(one.question, one)
        if len(found) == size:
            return list(found.values())
    raise AssertionError  # the stream does not end


def _drawn(split: str, seed: int, numbers: str) -> Iterator[WordProblem]:
    rng = random.Random(derive_seed("word problems", split, seed))  # noqa: S311
    while True:
        yield word_problem(rng, NUMBERS[numbers])


def write(path: Path, problems: list[WordProblem]) -> None:
    """A JSONL file with the columns question, answer and solution."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(vars(one)) + "\n" for one in problems))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("file", type=out_file)
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--size", type=whole, default=200)
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--numbers", choices=tuple(NUMBERS), default="small")
    args = parser.parse_args()
    write(args.file, word_problems(args.split, args.size, args.seed, args.numbers))


if __name__ == "__main__":
    script(main)
