"""Runs in the terminal: several beside each other, and one followed while it goes on."""

import json
import re
import threading
import time

import pytest
from reported import curve, write_run

from gpo.cli import main
from gpo.record import RunFolder, is_running
from gpo.report import terminal

STEPS = ["a\n", "b\n", "c"]


def round_line(index: int, **more) -> dict:
    seconds = {f"time/{name}_s": 1.0 for name in ("sample", "verify", "train", "evaluation", "other")}
    metrics = {**seconds, "time/round_s": 5.0, "time/tokens_per_s": 20.0, "sample/reward": 0.5}
    return {"round": index, "tokens": {"explore": 100, "values": 20}, "metrics": metrics, **more}


def begin(path, rounds: int = 3) -> RunFolder:
    return RunFolder.create(path, "train", {"task": "own", "rounds": rounds})


def test_a_run_is_running_while_a_process_holds_it(tmp_path) -> None:
    with begin(tmp_path / "run"):
        assert is_running(tmp_path / "run")
    assert not is_running(tmp_path / "run")
    assert not is_running(tmp_path)


def test_watch_prints_every_round_as_it_comes_and_ends_with_the_run(tmp_path, capsys) -> None:
    path, is_begun = tmp_path / "run", threading.Event()

    def write() -> None:
        with begin(path) as folder:
            folder.commit_round({"round": 0, "tokens": {"evaluation": 7}, "metrics": {}})
            is_begun.set()
            for index in (1, 2, 3):
                time.sleep(0.15)
                folder.commit_round(round_line(index))

    writer = threading.Thread(target=write)
    writer.start()
    assert is_begun.wait(10)
    main(["watch", str(path), "--every", "0.05", "--json"])
    writer.join()
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    assert summary == {
        "run": str(path),
        "command": "train",
        "rounds": 3,
        "running": False,
        "tokens": {"evaluation": 7, "explore": 300, "values": 60},
    }
    told = [line for line in captured.err.splitlines() if line.startswith("round ")]
    assert [line.split(",")[0] for line in told] == ["round 0/3", "round 1/3", "round 2/3", "round 3/3"]
    assert told[1].endswith("10 s left")
    assert "ended; 3 of 3 rounds complete" in " ".join(captured.err.split())


@pytest.mark.parametrize(
    ("budget", "left"),
    # Two rounds took 10 s and 240 tokens; two more are to come.
    [(None, "10 s left"), (600, "10 s left"), (360, "5 s left"), (200, "0 s left")],
)
def test_the_time_left_is_that_of_the_budget_where_it_ends_first(budget, left) -> None:
    lines = [round_line(1), round_line(2)]
    assert terminal.progress(lines, 4, budget).endswith(f", {left}")


def test_watch_once_says_how_a_run_stands_and_does_not_wait(tmp_path, capsys) -> None:
    with begin(tmp_path / "run") as folder:
        folder.commit_round(round_line(1))
        main(["watch", str(tmp_path / "run"), "--once"])
    out = capsys.readouterr().out
    assert "10 s left" in out
    assert "running; 1 of 3 rounds complete" in " ".join(out.split())
    assert "\x1b" not in out
    assert re.search(r"total +120", out)


def test_watch_follows_a_locate_by_its_problems(tmp_path, capsys) -> None:
    run = write_run(tmp_path / "run", [curve(0, "", "", STEPS)], [], limit=8)
    main(["watch", str(run)])
    out = " ".join(capsys.readouterr().out.split())
    assert "2/8 problems, success rate 25.0 %, 30 tokens" in out
    assert "ended; 2 problems finished" in out


def test_watch_counts_the_rollouts_of_problems_that_are_not_finished(tmp_path, capsys) -> None:
    run = write_run(tmp_path / "run", [curve(0, "", "", STEPS)], [], limit=8)
    line = {
        "round": 0,
        "purpose": "explore",
        "answer": "2",
        "prompt_ids": [1],
        "prefix_ids": [],
        "logprobs": [],
    }
    line |= {"entropies": [], "text": "x", "finished": True, "reward": 0.0, "policy_version": 0}
    finished = json.loads((run / "problems.jsonl").read_text().splitlines()[0])["problem"]
    rows = [{**line, "problem": name, "action_ids": [5] * 20} for name in ("new", "new", "other", finished)]
    (run / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"torn')
    main(["watch", str(run), "--json"])
    captured = capsys.readouterr()
    out = " ".join(captured.err.split())
    assert "2/8 problems, success rate 25.0 %, 30 tokens; begun: 2 more, 3 rollouts, 60 tokens" in out
    assert "unfinished problems 60 total 90" in out
    assert "ended; 2 problems finished, 2 begun" in out
    assert json.loads(captured.out)["unfinished"] == {"problems": 2, "rollouts": 3, "tokens": 60}


@pytest.mark.parametrize("command", ["watch", "show"])
def test_a_folder_that_is_no_run_and_an_edited_round_are_refused(tmp_path, capsys, command) -> None:
    run = write_run(tmp_path / "run", [], [])
    (run / "run.json").write_text('{"command": "train", "settings": {"rounds": 3}}')
    (run / "rounds.jsonl").write_text('{"round": "first", "tokens": {}, "metrics": {}, "sizes": {}}\n')
    for path, told in ((tmp_path, "holds no run.json"), (run, "rounds.jsonl: row 1: round: input should be")):
        with pytest.raises(SystemExit) as stopped:
            main([command, str(path)])
        assert stopped.value.code == 2
        [line] = capsys.readouterr().err.strip().splitlines()
        assert told in line


def test_show_sets_runs_beside_each_other_and_counts_the_steps_they_agree_on(tmp_path, capsys) -> None:
    lines = [curve(i, f"q{i}", "", STEPS) for i in range(3)] + [curve(3, "q3", "", ["a single step"])]
    moved = curve(2, "q2", "", STEPS)
    moved["critical"]["index"] = 0
    first = write_run(tmp_path / "first", lines, [])
    second = write_run(tmp_path / "second", [lines[0], moved, curve(9, "q9", "", STEPS), lines[3]], [])
    main(["show", str(first), str(second), "--json"])
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["agreement"] == [{"first": "first", "other": "second", "same": 1, "shared": 2}]
    assert [(row["run"], row["located"], row["credible"]) for row in summary["runs"]] == [
        ("first", 4, 3),
        ("second", 4, 3),
    ]
    assert summary["runs"][0]["before"] == [0.25, 0.25]
    main(["show", str(first), str(second)])
    out = capsys.readouterr().out
    assert "first and second: the same critical step in 1 of 2 shared trajectories" in out
    assert "\x1b" not in out
    with pytest.raises(SystemExit):
        main(["show", str(first), str(second), "--trajectory", "0"])
    assert "--trajectory 0: needs a single run, but 2 are named" in capsys.readouterr().err


def test_a_bar_is_as_long_as_its_share() -> None:
    assert terminal.bar(0) == "·" * 20
    assert terminal.bar(0.5) == "█" * 10 + "·" * 10
    assert terminal.bar(1.0) == "█" * 20
    assert terminal.bar(0.51875) == "█" * 10 + "▍" + "·" * 9
    assert all(len(terminal.bar(i / 97)) == 20 for i in range(98))
