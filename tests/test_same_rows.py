"""A resumed run has the rows that it began with; another row is named, and nothing is changed."""

import json
from pathlib import Path

import pytest
from test_lost_rounds import contents, refused

from gpo.cli import main

ROWS = [
    {"prompt": f"{a}+{b}+1=?\n", "answer": str(a + b + 1), "level": a} for a in range(2, 6) for b in (3, 4)
]
ROWS *= 2
COMMANDS = {
    "sample": ["sample", "--num", "2"],
    "locate": ["locate", "--group-size", "2", "--values", "2"],
    "eval": ["eval"],
    "train": [
        *["train", "--rounds", "1", "--problems-per-round", "2", "--group-size", "2", "--values", "2"],
        *["--eval-problems", "2", "--eval-every", "0", "--max-located", "1"],
    ],
}


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A run of each command on the same rows; `sample` was cut short by its budget."""
    folder = tmp_path_factory.mktemp("begun")
    write_rows(folder / "rows.jsonl", ROWS)
    write_rows(folder / "eval.jsonl", ROWS[:3])
    for name, command in COMMANDS.items():
        more = ["--min-step-tokens", "1"] if name in ("locate", "train") else []
        more += ["--eval-data", str(folder / "eval.jsonl")] if name == "train" else ["--budget-tokens", "100"]
        data = ["--data", str(folder / "rows.jsonl"), "--verifier", "number", "--max-tokens", "48"]
        main([*command, *more, *data, "--output", str(folder / name)])
    return folder


def changed(number: int, **values) -> list[dict]:
    return [row | values if place == number else row for place, row in enumerate(ROWS)]


NEW = {"prompt": "new?\n", "answer": "7", "level": 1}
CHANGES = {
    "a row in front": ([NEW, *ROWS], "row 1 of the sampled rows"),
    "a row in the middle": ([*ROWS[:3], NEW, *ROWS[3:]], "row 4 of the sampled rows"),
    "a row at the end": ([*ROWS, NEW], "has 17 rows now, and had 16"),
    "no row at the end": (ROWS[:-1], "has 15 rows now, and had 16"),
    "no row in front": (ROWS[1:], "row 1 of the sampled rows"),
    "two rows swapped": ([ROWS[1], ROWS[0], *ROWS[2:]], "row 1 of the sampled rows"),
    "another gold": (changed(4, answer="99"), "has another answer"),
    "another gold at the end": (changed(15, answer="99"), "row 16 of the sampled rows"),
    "another question": (changed(4, prompt="8+1=?\n"), "has another prompt"),
    "another column": (changed(4, level=17), "has another other columns"),
    "a column more": (changed(4, note="x"), "has another other columns"),
    "a row twice": ([*ROWS[:5], ROWS[4], *ROWS[5:]], "row 6 of the sampled rows"),
    "new ids": ([row | {"id": f"r{i}"} for i, row in enumerate(ROWS)], "row 1 of the sampled rows"),
}


@pytest.mark.parametrize("command", ["sample", "locate", "eval"])
def test_a_resume_with_other_rows_is_refused_by_row_and_changes_nothing(begun, capsys, command) -> None:
    before = contents(begun / command)
    try:
        for name, (rows, told) in CHANGES.items():
            write_rows(begun / "rows.jsonl", rows)
            error = refused(capsys, command, "--resume", str(begun / command))
            assert "--resume" in error, name
            assert told in error, name
            assert contents(begun / command) == before, name
    finally:
        write_rows(begun / "rows.jsonl", ROWS)


@pytest.mark.parametrize(("name", "at"), [("rows.jsonl", 15), ("eval.jsonl", 0)])
def test_training_is_not_resumed_on_other_rows(begun, capsys, name, at) -> None:
    before = contents(begun / "train")
    rows = [json.loads(line) for line in (begun / name).read_text().splitlines()]
    try:
        write_rows(begun / name, [row | {"answer": "99"} if i == at else row for i, row in enumerate(rows)])
        error = refused(capsys, "train", "--resume", str(begun / "train"), "--rounds", "2")
        assert "the data has changed" in error
        assert ("held-out rows" in error) == (name == "eval.jsonl")
        assert contents(begun / "train") == before
    finally:
        write_rows(begun / name, rows)


def test_the_same_rows_in_another_format_go_on(begun, capsys) -> None:
    run = begun / "sample"
    write_rows(begun / "rows.jsonl", [dict(reversed(row.items())) for row in ROWS])
    main(["sample", "--resume", str(run), "--budget-tokens", "100000", "--json"])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["problems"] == 16
    write_rows(begun / "rows.jsonl", ROWS)
