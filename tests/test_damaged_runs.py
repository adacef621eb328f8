"""Run folders edited by hand: every command ends with 0 or 2, and changes nothing when it refuses.

Each field of each file of a small run of every command may be removed, nulled, retyped or put out of range.
By default one edit of each file is tried, by one command that reads it; GPO_EDITS=N tries N by all commands.
With GPO_EDITS_SEED=0 they differ each time.
"""

import copy
import json
import os
import random
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_lost_rounds import contents

from gpo.cli import main
from gpo.record import read_lines
from gpo.record.rounds import ProblemLine
from gpo.types import InputError

SMALL = ["--task", "chain_sum", "--max-tokens", "64", "--min-step-tokens", "1"]
LOCATE = [*SMALL, "--group-size", "4", "--values", "2"]
TRAIN = [
    *LOCATE,
    "--recipe",
    "search",
    "--size",
    "64",
    "--problems-per-round",
    "4",
    "--max-located",
    "2",
    "--eval-problems",
    "4",
]
RUNS = {
    "sample": ["sample", "--task", "chain_sum", "--max-tokens", "64", "--num", "2", "--budget-tokens", "200"],
    "locate": [
        "locate",
        *LOCATE,
        "--split",
        "train",
        "--limit",
        "8",
        "--explored",
        "failed",
        "--budget-tokens",
        "6000",
    ],
    "train": ["train", *TRAIN, "--eval-every", "0", "--rounds", "1"],
    "eval": ["eval", "--task", "chain_sum", "--max-tokens", "64", "--limit", "3"],
}
READERS = {
    "sample": [["watch", "--once"], ["show"], ["sample", "--resume"]],
    "locate": [["show"], ["watch", "--once"], ["report"], ["pairs"], ["locate", "--resume"]],
    "train": [["show"], ["watch", "--once"], ["report"], ["train", "--resume"]],
    "eval": [["show"], ["watch", "--once"], ["eval", "--resume"]],
    "pairs": [["export"], ["train", "--pairs"], ["pairs", "--resume"]],
}
IS_LONG = "GPO_EDITS" in os.environ
NUM = int(os.environ.get("GPO_EDITS", "1"))
FREE = os.environ.get("GPO_EDITS_SEED") == "0"
WRONG: list[Any] = [None, "x", 7, -1, 1.5, True, [], {}, [None], {"a": []}, 10**400, float("nan"), "\ud800"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, args in RUNS.items():
        main([*args, "--output", str(folder / name)])
    main(["pairs", "--run", str(folder / "locate"), "--fill", "4", "--output", str(folder / "pairs")])
    return folder


def edits(content: Any) -> Iterator[tuple[str, Any]]:
    """Every place in an object, one level into what it holds, with something wrong there."""
    places: list[tuple[Any, ...]] = [(key,) for key in content]
    for key, value in content.items():
        inner = (
            value if isinstance(value, dict) else range(min(2, len(value))) if isinstance(value, list) else ()
        )
        places += [(key, one) for one in inner]
    for place in places:
        for wrong in ["removed", *WRONG]:
            made = copy.deepcopy(content)
            holder = made
            for key in place[:-1]:
                holder = holder[key]
            if wrong == "removed":
                del holder[place[-1]]
            else:
                holder[place[-1]] = wrong
            yield f"{'.'.join(map(str, place))} {str(wrong)[:20]}", made


def faults(run: Path, num: int, rng: random.Random) -> Iterator[tuple[str, Path, bytes]]:
    """Of each file of the run `num` faults: its name, what is wrong, and its content."""
    for file in sorted([*run.glob("*.json*"), *run.glob("checkpoints/*/memory.json")]):
        text = file.read_text()
        lines = text.splitlines() if file.suffix == ".jsonl" else [text]
        found = []
        for row in sorted({0, len(lines) - 1}) if lines else ():
            for name, made in edits(json.loads(lines[row])):
                new = json.dumps(made)
                found.append(
                    (f"row {row + 1} {name}", "\n".join([*lines[:row], new, *lines[row + 1 :]]) + "\n")
                )
        for name, content in rng.sample(found, min(num, len(found))):
            yield f"{file.name}: {name}", file, content.encode()


CONTENTS = {
    "empty": b"",
    "a list": b"[]\n",
    "a number": b"7\n",
    "no JSON": b"{]\n",
    "blank lines": b"\n\n\n",
    "a NUL": b"\0\n",
    "not UTF-8": b'{"a": "\xff"}\n',
    "nested deep": b"[" * 200_000 + b"\n",
    "a key twice": b'{"round": 1, "round": 2}\n',
    "digits": b'{"round": ' + b"9" * 5000 + b"}\n",
}


def outcome(args: list[str], run: Path, tmp_path: Path, capsys) -> tuple[int, str]:
    """Exit code and last line of standard error; anything else that is raised fails the test."""
    words = [*args, str(run)]
    if args == ["pairs"]:
        words = ["pairs", "--run", str(run), "--fill", "0", "--output", str(tmp_path / "made")]
    elif args == ["export"]:
        words = ["export", str(run), "--output", str(tmp_path / "made")]
    elif args == ["train", "--pairs"]:
        words = ["train", "--method", "dpo", "--pairs", str(run), "--output", str(tmp_path / "made")]
    elif args == ["report"]:
        words += ["-o", str(tmp_path / "report.html")]
    try:
        main(words)
    except SystemExit as stopped:
        return int(stopped.code or 0), capsys.readouterr().err.strip().splitlines()[-1]
    capsys.readouterr()
    return 0, ""


def check(
    runs: Path, name: str, file: Path, content: bytes | None, told: str, tmp_path: Path, capsys
) -> None:
    all_readers = READERS[name]
    one = all_readers[zlib.crc32(told.encode(errors="backslashreplace")) % len(all_readers)]
    for args in all_readers if IS_LONG else [one]:
        for old in ("run", "made", "report.html"):
            if (tmp_path / old).is_dir():
                shutil.rmtree(tmp_path / old)
            (tmp_path / old).unlink(missing_ok=True)
        run = Path(shutil.copytree(runs / name, tmp_path / "run"))
        place = run / file.relative_to(runs / name)
        place.unlink()
        if content is None:
            place.mkdir()
        else:
            place.write_bytes(content)
        before = contents(run)
        code, line = outcome(args, run, tmp_path, capsys)
        assert code in (0, 2), (told, args, line)
        if code == 2:
            assert line.startswith("gpo: error: "), (told, args, line)
            assert contents(run) == before, (told, args, line)
            assert not (tmp_path / "made").exists(), (told, args, line)
            assert not (tmp_path / "report.html").exists(), (told, args, line)
        elif "--resume" not in args:
            assert contents(run) == before, (told, args)


@pytest.mark.parametrize("name", ["sample", "locate", "train", "eval", "pairs"])
def test_a_field_that_was_edited_is_read_or_refused(runs, tmp_path, capsys, name) -> None:
    seed = random.SystemRandom().randrange(10**6) if FREE else 7
    print(f"seed {seed}")
    for told, file, content in faults(runs / name, NUM, random.Random(seed)):  # noqa: S311
        check(runs, name, file, content, f"{told} (seed {seed})", tmp_path, capsys)


@pytest.mark.parametrize("name", ["sample", "locate", "train", "eval", "pairs"])
def test_a_file_that_is_no_longer_one_is_read_or_refused(runs, tmp_path, capsys, name) -> None:
    files = sorted([*(runs / name).glob("*.json*"), *(runs / name).glob("checkpoints/*/memory.json")])
    for number, file in enumerate(files):
        kinds = list(CONTENTS.items())
        for told, content in [
            kinds[number % len(kinds)],
            kinds[(3 * number + 1) % len(kinds)],
            ("folder", None),
        ]:
            check(runs, name, file, content, f"{file.name}: {told}", tmp_path, capsys)


def test_a_line_that_stands_twice_is_refused_and_not_counted_twice(tmp_path) -> None:
    line = {
        "problem": "a",
        "place": 0,
        "tokens": {},
        "rates": [1.0],
        "no_signal": 0,
        "rollouts": 1,
        "truncated": 0,
        "timeouts": 0,
        "unjudged": {},
    }
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(line | {"problem": name}) + "\n" for name in "aba"))
    with pytest.raises(InputError, match=r"row 3: repeats row 1 \(problem 'a'\); remove one"):
        list(read_lines(path, ProblemLine))
