"""A data folder in the schemas of the benchmarks, with rows of our own that have upstream's oddities."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gpo.tasks.benchmarks import BBH_TASKS

Rows = list[dict[str, Any]]

GSM8K = [
    {
        "question": f"A cart holds {boxes} crates of {each} melons each. How many melons are on the cart?",
        "answer": f"Each crate holds {each} melons.\n"
        f"So {boxes} * {each} = <<{boxes}*{each}={total}>>{total}.\n#### {total:,}",
    }
    for boxes, each, total in [(3, 4, 12), (25, 60, 1500), (7, 0, 0), (11, 13, 143), (2, 45, 90), (9, 9, 81)]
]
MATH = [
    ("Algebra", "Level 1", "What is half of one?", "Half of one is $\\boxed{\\frac{1}{2}}$."),
    ("Algebra", "Level 2", "Solve $2t = 6$.", "First $\\boxed{6}$, then $t = \\boxed{3}$."),
    ("Geometry", "Level ?", "Where is the corner?", "At $\\boxed{\\left(3,\\tfrac{\\pi}{2}\\right)}$."),
    ("Geometry", "Level 3", "How many sides has a heptagon?", "It has \\boxed 7."),
    ("Number Theory", "Level 5", "How many primes are even and odd?", "None: $\\boxed{}$."),
    ("Number Theory", "Level 4", "What day is it?", "It is $\\boxed{\\text{Friday}}$."),
    ("Number Theory", "Level 4", "Write five in base two.", "That is $\\boxed{101_2}$."),
]
CHOICES = [
    ("botany", "Which of these is a tree?", ["moss", "an oak", "a fern", "an alga"], 1),
    ("botany", "Which colour has grass?", ["red", "blue", "green", "black"], 2),
    ("optics", "Which letter comes first?", ["A", "E", "I", "O"], 1),
    ("optics", "Which of these bends light?", ["a prism", "a drum", "a prism", "a nail"], 0),
]
TARGETS = {"word_sorting": "ant bee cow", "dyck_languages": "] }", "multistep_arithmetic_two": "-17"}


def math_rows(split: str) -> Rows:
    return [
        {
            "problem": f"{problem} ({split})",
            "level": level,
            "type": subject,
            "solution": solution,
            "unique_id": f"{split}/{subject.lower()}/{number}.json",
        }
        for number, (subject, level, problem, solution) in enumerate(MATH, start=1)
    ]


def mmlu_rows(num: int) -> Rows:
    return [
        {"question": f"{question} ({i})", "subject": subject, "choices": choices, "answer": answer}
        for i in range(num)
        for subject, question, choices, answer in CHOICES
    ]


def mmlu_pro_rows(num: int) -> Rows:
    return [
        {
            "question_id": 10 * i + place,
            "question": question,
            "options": choices[: 3 + place % 2],
            "answer": "ABCD"[answer],
            "answer_index": answer,
            "cot_content": f"A: Let's think step by step. It is so. The answer is ({'ABCD'[answer]}).",
            "category": subject,
            "src": "own",
        }
        for i in range(num)
        for place, (subject, question, choices, answer) in enumerate(CHOICES)
    ]


def bbh_rows(task: str) -> Rows:
    if task in TARGETS:
        return [{"input": f"Do {task} {i}.", "target": TARGETS[task]} for i in range(2)]
    options = "\nOptions:\n(A) left\n(B) right\n(C) up"
    return [{"input": f"Which way, {task} {i}?{options}", "target": f"({'AB'[i]})"} for i in range(2)]


def write_jsonl(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_all(folder: Path) -> Path:
    """The folder with every benchmark in it."""
    write_jsonl(folder / "gsm8k/train.jsonl", GSM8K * 2)
    write_jsonl(folder / "gsm8k/test.jsonl", GSM8K)
    write_jsonl(folder / "math/train.jsonl", math_rows("train"))
    write_jsonl(folder / "math/test.jsonl", math_rows("test"))
    write_jsonl(
        folder / "math/math500_test.jsonl",
        [
            {"problem": "Half of one?", "solution": "$\\boxed{\\frac12}$", "answer": "\\frac12"}
            | {"subject": "Algebra", "level": 2, "unique_id": "test/algebra/1.json"}
        ],
    )
    for task in BBH_TASKS:
        path = folder / "bbh/bbh" / f"{task}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"canary": "none", "examples": bbh_rows(task)}))
        prompts = folder / "bbh/cot-prompts"
        prompts.mkdir(exist_ok=True)
        (prompts / f"{task}.txt").write_text(
            f"canary\n-----\nDo {task}.\n\nQ: Which?\nA: So the answer is it.\n"
        )
    for split, num in (("test", 2), ("validation", 1), ("dev", 3)):
        write_parquet(folder / f"mmlu/{split}-00000-of-00001.parquet", mmlu_rows(num))
    for split, num in (("test", 2), ("validation", 3)):
        write_parquet(folder / f"mmlu_pro/{split}-00000-of-00001.parquet", mmlu_pro_rows(num))
    aime = {"problem": "What is five squared?", "answer": "025", "solution": "...", "url": "u", "id": 60}
    write_jsonl(folder / "aime2024/test.jsonl", [aime, {**aime, "id": 61, "answer": "336"}])
    write_jsonl(folder / "aime2025/test.jsonl", [{"problem": "Five squared?", "answer": 25, "id": "0"}])
    return folder
