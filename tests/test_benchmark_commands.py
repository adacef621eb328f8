"""The benchmarks as commands: what they refuse in one line, which lines they go on from, and how they end."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import command
import online

from gpo import DEMO_MODEL
from gpo.types import InputError

FOLDER = Path(command.__file__).parent
WHOLE = "must be a whole number of at least 1, got"
REFUSED = [
    ("online --workers 0", f"online.py: argument --workers: {WHOLE} '0'"),
    ("online --seeds -1", f"online.py: argument --seeds: {WHOLE} '-1'"),
    ("online --tasks nope", "online.py: argument --tasks: invalid choice: 'nope' (choose from 'chain_sum', "),
    ("online --learning-rates -1", "argument --learning-rates: must be a number above 0, got '-1'"),
    ("online --learning-rates nan", "argument --learning-rates: must be a number above 0, got 'nan'"),
    ("online --algorithm nope", "argument --algorithm: invalid choice: 'nope' (choose from 'ppo', 'grpo', "),
    ("online --try foo", "argument --try: 'foo' is not ARM=JSON: Expecting value"),
    ("online --try foo={bad", "argument --try: 'foo={bad' is not ARM=JSON: Expecting property name"),
    ("online --try foo=[]", "it must be an object with a recipe"),
    ('online --try base={"recipe":"pivot"}', "needs a name that no other arm has, as in ARM=JSON"),
    (
        'online --try x={"recipe":"nope"}',
        "is not ARM=JSON: recipe: 'nope' is unknown; one of base, random, paper, ",
    ),
    ('online --try x={"recipe":"base","nope":1}', "nope"),
    (
        'online --try x={"recipe":"base","told":"nope"}',
        "told: 'nope' is unknown; one of surprisal, decision, ",
    ),
    (
        'online --try x={"recipe":"base","rounds":{"pilots":4}}',
        "rounds: 'pilots' is not one of pilot, second, ",
    ),
    ('online --try x={"recipe":"base","step_reward":"nope"}', "step_reward: 'nope' is unknown; give repro"),
    ('online --try x={"recipe":"base","learner":{"nope":1}}', "nope"),
    ("online --arms", "--arms: names none; name some, or give --try"),
    ("online --output study.md/x", "argument --output: study.md/x is a file or lies in one; name a folder"),
    ("long_chain --output study.md", "argument --output: study.md is a file or lies in one; name a folder"),
    ("offline --output begun", "argument --output: begun is a folder; name a file"),
    ("offline --output study.md/x", "argument --output: study.md/x is a file or lies in one; name a folder"),
    ("study --workers 0", f"study.py: argument --workers: {WHOLE} '0'"),
    (
        "study --no-runs",
        "OUT/runs.jsonl: has no run of the study; name the folder that has them with --output",
    ),
    ("offline --methods nope", "argument --methods: invalid choice: 'nope' (choose from 'dpo', 'ipo', "),
    ("offline --tasks nope", "no task is called 'nope'"),
    ("offline --rates dpo=x", "argument --rates: must be a number above 0, got 'x'"),
    (
        "offline --rates nope=1",
        "argument --rates: must be METHOD=RATE, with one of dpo, ipo, kto, simpo, orpo",
    ),
    ("offline --methods dpo kto --rates dpo=1", "--rates: has none for kto; add it, or shorten --methods"),
    ("offline --budget 9 --output begun/lines.jsonl", "begun: was begun with budget 60000, now 9, "),
    (
        "offline --output torn/runs.jsonl",
        "torn/runs.jsonl:1: is not a record of this script (task, seed, at, ",
    ),
    ("real_training --tokens 9 --output begun", "begun: was begun with model None, now "),
    ("real_training --tokens 9 --output begun", "tokens 3000, now 9, "),
    ("online --output torn", "torn/runs.jsonl:1: is not a record of this script (task, arm, seed, lr, "),
    (
        "study --quick --output torn",
        "torn/runs.jsonl:1: is not a record of this script (task, arm, seed, lr, ",
    ),
    (
        "real_curves --model MODEL --data torn/cut.jsonl",
        "torn/cut.jsonl:2: is not a line of JSON (Expecting ",
    ),
    ("offline --budget 0", f"argument --budget: {WHOLE} '0'"),
    ("real_curves --part x", "argument --part: must be k/n with k from 0 to n - 1, got 'x'"),
    ("real_curves --part 0/0", "argument --part: must be k/n with k from 0 to n - 1, got '0/0'"),
    ("real_curves --part 3/2", "argument --part: must be k/n with k from 0 to n - 1, got '3/2'"),
    ("real_curves --threads 0", f"argument --threads: {WHOLE} '0'"),
    ("real_curves --model OUT", "argument --model: OUT is not the folder of a model: it has no config.json"),
    ("real_training --data study.md", "--data, --eval-data: belong together; give both, or none"),
    ("real_training --eval-data study.md", "--data, --eval-data: belong together; give both, or none"),
    ("real_training --data OUT/no", "argument --data: OUT/no is not there"),
    ("real_training --task t --data study.md", "--task: brings its own problems; leave --data and "),
    ("search --only zzzz", "--only: no family's name holds 'zzzz'; they are "),
    ("search --worlds 0", f"argument --worlds: {WHOLE} '0'"),
    ("search --trajectories 20", "--trajectories: the prior is fitted on 20, so give more than these, or 0"),
    (
        "warm_up --model OUT/no",
        "argument --model: OUT/no is not the folder of a model: it has no config.json",
    ),
    ("warm_up --model MODEL --skip 9", "argument --skip: invalid choice: 9 (choose from 0, 1)"),
    ("warm_up --model MODEL --skip -1", "argument --skip: invalid choice: -1 (choose from 0, 1)"),
    ("gpu --toy --model OUT/no", "model path 'OUT/no'"),
    ("gpu --turn-tokens 0", f"argument --turn-tokens: {WHOLE} '0'"),
    ("values --worlds 60", "give --task, or --curves and --model"),
    (
        "values --task chain_sum --worlds 20",
        "argument --worlds: must be above 20, on which the prior is fitted",
    ),
    ("solving --problems 0", f"argument --problems: {WHOLE} '0'"),
    ("scale --kill-s 0", "argument --kill-s: must be a number above 0, got '0'"),
    ("verifiers --data OUT/no", "argument --data: OUT/no is not there"),
    ("sampling --repeats 0", f"argument --repeats: {WHOLE} '0'"),
    ("learner --rounds 0", f"argument --rounds: {WHOLE} '0'"),
    ("trl_hook --seed -1", "argument --seed: must be a whole number of at least 0, got '-1'"),
    ("word_problems OUT/x --size 0", f"argument --size: {WHOLE} '0'"),
]
FILES = {
    "study.md": "",
    "begun/lines.jsonl": "",
    "begun/lines.jsonl.settings": '{"budget": 60000}',
    "begun/settings.json": '{"tokens": 3000}',
    "begun/base-0/run.json": "{}",
    "torn/runs.jsonl": "{}\n{",
    "torn/cut.jsonl": '{"problem": 1, "outcome": 0}\n\n',
}
CALL = """
import contextlib, importlib, io, json, sys
import command
for line in sys.argv[1:]:
    name, *words = line.split("|")
    sys.argv, told = [f"{name}.py", *words], io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
        try:
            command.script(importlib.import_module(name).main)
            code = 0
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, told.getvalue()]))
"""


@pytest.fixture(scope="module")
def endings(tmp_path_factory) -> dict[str, tuple[int, str]]:
    """Exit code and output of every row, all in one process: what they import takes seconds."""
    folder = tmp_path_factory.mktemp("out")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    out, paths = str(folder), {"PYTHONPATH": str(FOLDER)}
    lines = [
        "|".join([*row.replace("OUT", out).replace("MODEL", str(DEMO_MODEL)).split(), *output_of(row, out)])
        for row, _ in REFUSED
    ]
    result = subprocess.run(
        [sys.executable, "-c", CALL, *lines],
        cwd=out,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | paths,
    )
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return {
        row: (code, text.replace(out, "OUT")) for (row, _), (code, text) in zip(REFUSED, found, strict=True)
    }


def output_of(row: str, out: str) -> list[str]:
    """Where the script would write, were it not refused."""
    return ["--page", f"{out}/page.md", "--output", out] if row == "study --no-runs" else []


@pytest.mark.parametrize(("row", "line"), REFUSED)
def test_wrong_arguments_are_one_line(endings, row, line) -> None:
    code, text = endings[row]
    assert code == 2, text
    assert line in text
    assert text.count("\n") == 1


def test_a_torn_last_line_is_left_out_and_its_place_taken(tmp_path) -> None:
    path = tmp_path / "runs.jsonl"
    assert command.recorded(path) == []
    path.write_text('{"a": 1}\n{"a": 2')
    assert command.recorded(path) == [{"a": 1}]
    command.append(path, {"a": 3})
    assert path.read_text() == '{"a": 1}\n{"a": 3}\n'


@pytest.mark.parametrize("line", ['{"a": 2', "[2]", '{"b": 2}', "", "\x00"])
def test_a_damaged_line_is_named(tmp_path, line) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n{{"a": 3}}\n')
    with pytest.raises(InputError, match=r"runs\.jsonl:2: is not a "):
        command.recorded(path, ["a"])


def test_what_was_begun_goes_on_with_its_settings_only(tmp_path) -> None:
    path, given = tmp_path / "settings.json", {"tokens": 3000, "model": Path("m"), "more": ["--seed", "1"]}
    command.keep_to(path, given | {"tokens": 1}, is_begun=False)
    command.keep_to(path, given, is_begun=False)  # what was refused before it began binds nobody
    command.keep_to(path, given, is_begun=True)
    with pytest.raises(InputError, match="was begun with tokens 3000, now 9000; give the same, or another"):
        command.keep_to(path, given | {"tokens": 9000}, is_begun=True)
    assert json.loads(path.read_text()) == given | {"model": "m"}


JOB = online.Job("rare", "mine", 60, 1e-3, "tokens", 500, '{"recipe": "base"}', False)
STORED = {name: getattr(JOB, name) for name in online.RECORDED} | {"points": [{"accuracy": 0.5}]}


@pytest.mark.parametrize(
    ("changes", "is_made_again"),
    [
        ({}, False),
        ({"changes": {"recipe": "base"}}, False),
        ({"changes": {"recipe": "pivot"}}, True),
        ({"budget": 400}, True),
        ({"unit": "rounds"}, True),
        ({"seed": 61}, True),
    ],
)
def test_a_run_is_taken_from_the_file_if_it_is_the_one_asked_for(
    tmp_path, monkeypatch, changes, is_made_again
) -> None:
    @contextmanager
    def threads(num):
        with ThreadPoolExecutor(num) as pool:
            yield pool

    made = []
    monkeypatch.setattr(online, "processes", threads)
    monkeypatch.setattr(online, "one_run", lambda job: made.append(job) or STORED)
    path = tmp_path / "runs.jsonl"
    command.append(path, STORED | changes)
    assert len(list(online.done_or_run([JOB], path, 1))) == 1
    assert bool(made) == is_made_again
    assert len(command.recorded(path)) == 1 + is_made_again


INTERRUPTED = """
import time
import command
def main():
    with command.processes(1) as pool:
        pool.submit(int).result()
        work = pool.submit(time.sleep, 600)
        print("ready", flush=True)
        work.result()
command.script(main, goes_on=True)
"""


def test_an_interruption_is_one_line_and_ends_the_workers() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate()
    assert (process.returncode, told) == (130, "interrupted; the same command goes on where it was\n")
