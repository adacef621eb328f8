"""The front door: every command as a user types it; every wrong input with its one line and exit code 2."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import reported
from safetensors.torch import load_file, save_file

from gpo import DEMO_MODEL
from gpo.cli import COMMANDS, main
from gpo.commands import locate
from gpo.record import read_lines
from gpo.record.lines import CurveLine

DATA = Path(os.environ.get("GPO_DATA", Path(__file__).parents[2] / "shared" / "data"))

SMALL = ["--task", "chain_sum", "--max-tokens", "96"]
STEPS = [*SMALL, "--min-step-tokens", "1"]
TRAIN = [*STEPS, "--size", "64", "--problems-per-round", "4", "--group-size", "4", "--values", "2"]
TRAIN += [
    "--recipe",
    "search",
    "--max-located",
    "2",
    "--eval-problems",
    "8",
    "--eval-every",
    "0",
    "--learning-rate",
    "1e-4",
]


def gpo(capsys, *args: str) -> dict:
    """The command's JSON object, which must be the last line of standard output."""
    main([*args, "--json"])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def error_of(capsys, *args: str) -> str:
    """The one line of a refusal."""
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("gpo: error: ")
    return lines[0].removeprefix("gpo: error: ")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_help_names_every_command(capsys) -> None:
    main(["--help"])
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize(
    "command", [*(name for name in COMMANDS if name != "data"), "data check", "data overlap"]
)
def test_every_command_explains_its_settings(capsys, command) -> None:
    main([*command.split(), "--help"])
    assert "--json" in capsys.readouterr().out


def test_sample_writes_every_rollout_and_a_summary(capsys) -> None:
    summary = gpo(capsys, "sample", *SMALL, "--limit", "5", "--num", "3", "--output", "out")
    rows = [json.loads(line) for line in Path("out/rollouts.jsonl").read_text().splitlines()]
    assert len(rows) == 15
    assert summary["tokens"]["explore"] == sum(len(row["action_ids"]) for row in rows)
    assert summary["accuracy"] == pytest.approx(sum(row["reward"] for row in rows) / 15)
    assert all(len(row["logprobs"]) == len(row["action_ids"]) == len(row["entropies"]) for row in rows)
    assert json.loads(Path("out/summary.json").read_text()) == summary


def test_show_prints_an_answer_of_each_kind_of_a_run_that_located_nothing(capsys) -> None:
    gpo(capsys, "sample", *SMALL, "--limit", "4", "--num", "4", "--max-tokens", "24", "--output", "out")
    rows = [json.loads(line) for line in Path("out/rollouts.jsonl").read_text().splitlines()]
    main(["show", "out"])
    shown = capsys.readouterr().out
    kinds = {
        "right": lambda row: row["reward"] == 1,
        "cut by the token limit": lambda row: not row["finished"],
    }
    for kind, fits in kinds.items():
        first = next((row for row in rows if fits(row)), None)
        assert (f"{kind}: " in shown) == (first is not None)
        assert first is None or first["text"].strip("\n") in shown
    assert "cut by the token limit: " in shown


def test_locate_says_how_many_rollouts_of_its_searches_were_cut(capsys) -> None:
    summary = gpo(capsys, "locate", *SMALL, "--limit", "3", "--max-tokens", "24", "--output", "out")
    values = [json.loads(line) for line in Path("out/rollouts.jsonl").read_text().splitlines()]
    values = [row for row in values if row["purpose"] == "values"]
    num_cut = sum(not row["finished"] for row in values)
    assert (summary["value_rollouts"], summary["value_rollouts_cut"]) == (len(values), num_cut)
    assert num_cut > 0.1 * len(values)


@pytest.mark.parametrize(("cut", "is_late"), [((False, False, True), False), ((False, True, True), True)])
def test_a_step_after_which_most_rollouts_are_cut_is_not_to_be_believed(
    cut, is_late, capsys, tmp_path
) -> None:
    file = tmp_path / "curves.jsonl"
    file.write_text(json.dumps(reported.curve(7, "which?", "5", ["first", "second", "third"])) + "\n")
    [line] = read_lines(file, CurveLine)
    after = line.completion_ids[: line.bounds[line.critical.index + 1]]
    states = {(line.problem, after): (len(cut), sum(cut)), ("another", after): (3, 3)}
    assert locate.runs_out(line, states) == is_late
    assert locate.cut(states, [line])["credible_cut"] == is_late


def test_eval_gives_a_rate_with_its_standard_error_and_the_same_seed_the_same_rate(capsys) -> None:
    first = gpo(capsys, "eval", *SMALL, "--limit", "12", "--num", "2", "--output", "a")
    again = gpo(capsys, "eval", *SMALL, "--limit", "12", "--num", "2", "--output", "b")
    other = gpo(capsys, "eval", *SMALL, "--limit", "12", "--num", "2", "--output", "c", "--seed", "1")
    assert 0 < first["accuracy"] < 1
    assert 0 < first["accuracy_stderr"] < 0.2
    assert first | {"run": "", "fill": {}} == again | {"run": "", "fill": {}}
    assert first["tokens"] != other["tokens"]


def test_locate_names_critical_steps_and_show_prints_one(capsys) -> None:
    searched = (*STEPS, "--limit", "8", "--rule", "drop", "--search-traces", "30")
    summary = gpo(capsys, "locate", *searched, "--output", "out")
    curves = [json.loads(line) for line in Path("out/curves.jsonl").read_text().splitlines()]
    assert summary["trajectories"] == len(curves) > 0
    assert summary["tokens"]["values"] > 0
    assert summary["tokens"]["resets"] == 0
    for curve in curves:
        assert len(curve["steps"]) == len(curve["bounds"]) - 1 == len(curve["trials"]) - 1
        assert len(curve["values"]) == len(curve["advantages"]) + 1 == len(curve["intervals"]) + 1
        assert curve["reward"] == 0.0
        assert sum(curve["probabilities"]) == pytest.approx(1)
        assert len(curve["completion_ids"]) == curve["bounds"][-1]
    credible = [curve for curve in curves if curve["critical"]["credibility"] >= 0.9]
    assert sum(summary["credible_starts_by_fifth"]) == summary["credible"] == len(credible) > 0
    assert summary["value_tokens_per_credible"] == summary["tokens"]["values"] / len(credible)
    main(["show", "out"])
    shown = capsys.readouterr().out
    assert "▶" in shown
    assert "by the rule drop" in shown
    assert gpo(capsys, "show", "out", "--trajectory", "0")["trajectory"] == min(
        curves, key=lambda curve: curve["place"]
    )
    assert "has" in error_of(capsys, "show", "out", "--trajectory", "99")


def test_a_curve_is_resumed_only_by_the_model_and_the_sampling_that_it_is_of(capsys, tmp_path) -> None:
    shutil.copytree(DEMO_MODEL, tmp_path / "model")
    small = ("--model", str(tmp_path / "model"), *STEPS, "--limit", "40", "--rule", "drop")
    gpo(capsys, "locate", *small, "--budget-tokens", "10", "--output", "out")
    fingerprints = {
        json.loads(line)["fingerprint"] for line in Path("out/curves.jsonl").read_text().splitlines()
    }
    assert len(fingerprints) == 1
    assert json.loads(Path("out/run.json").read_text())["fingerprint"]["temperature"] == 1.0
    weights = load_file(tmp_path / "model" / "model.safetensors")
    save_file(
        {k: v + 0.01 for k, v in weights.items()}, tmp_path / "model" / "model.safetensors", {"format": "pt"}
    )
    message = error_of(capsys, "locate", "--resume", "out", "--budget-tokens", "100000")
    assert "--resume out: was sampled by a model with other weights" in message


@pytest.mark.thorough
def test_every_proposal_serves_a_search_and_a_wrong_one_is_refused_at_once(capsys) -> None:
    Path("judge.py").write_text(
        "def by_length(question, answer, steps):\n    return [len(step) for step in steps]\n"
    )
    for name in ("surprisal", "forced-answer", "none", "judge:by_length"):
        run = gpo(capsys, "locate", *STEPS, "--limit", "4", "--proposal", name, "--output", f"out-{name[:5]}")
        assert run["trajectories"] > 0
    assert "'luck' is unknown; one of" in error_of(capsys, "locate", *STEPS, "--proposal", "luck")


def test_a_token_budget_ends_a_sweep_and_what_is_left_is_said(capsys) -> None:
    summary = gpo(capsys, "sample", *SMALL, "--limit", "40", "--budget-tokens", "2000", "--output", "out")
    assert summary["given"] == 40
    assert 0 < summary["problems"] < 40
    assert summary["tokens"]["explore"] <= 2000 + 4 * 96
    rest = gpo(capsys, "sample", "--resume", "out", "--budget-tokens", "100000")
    whole = gpo(capsys, "sample", *SMALL, "--limit", "40", "--output", "whole")
    assert rest["problems"] == 40
    assert (rest["accuracy"], rest["tokens"]) == (whole["accuracy"], whole["tokens"])


def test_train_learns_records_and_is_reproducible(capsys) -> None:
    first = gpo(capsys, "train", *TRAIN, "--rounds", "2", "--output", "a")
    again = gpo(capsys, "train", *TRAIN, "--rounds", "2", "--output", "b")
    assert first["rounds"] == 2
    assert set(first["tokens"]) == {"explore", "values", "resets", "evaluation"}
    assert all(first["tokens"][purpose] > 0 for purpose in ("explore", "values", "evaluation"))
    assert first | {"run": ""} == again | {"run": ""}
    before, after = load_file(DEMO_MODEL / "model.safetensors"), load_file("a/model/model.safetensors")
    assert any((before[name] != after[name]).any() for name in before)
    purposes = {json.loads(line)["purpose"] for line in Path("a/rollouts.jsonl").read_text().splitlines()}
    assert {"explore", "values"} <= purposes <= {"explore", "values", "resets"}
    rate = gpo(capsys, "eval", *SMALL, "--model", "a/model", "--limit", "4", "--output", "c")["accuracy"]
    assert 0 <= rate <= 1


@pytest.mark.thorough
def test_a_run_that_was_killed_ends_with_the_same_weights(capsys) -> None:
    gpo(capsys, "train", *TRAIN, "--rounds", "5", "--output", "straight")
    command = [sys.executable, "-m", "gpo", "train", *TRAIN, "--rounds", "5", "--output", "killed"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    lines = Path("killed/rounds.jsonl")
    deadline = time.monotonic() + 120
    while not (lines.exists() and lines.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    summary = gpo(capsys, "train", "--resume", "killed")
    assert summary["rounds"] == 5
    assert (
        Path("killed/model/model.safetensors").read_bytes()
        == Path("straight/model/model.safetensors").read_bytes()
    )
    assert Path("killed/rollouts.jsonl").read_bytes() == Path("straight/rollouts.jsonl").read_bytes()


@pytest.mark.thorough
def test_rollouts_of_a_torn_round_are_counted_and_discarded(capsys) -> None:
    gpo(capsys, "train", *TRAIN, "--rounds", "1", "--output", "run")
    with Path("run/rollouts.jsonl").open("a") as file:
        file.write('{"round": 2}\n{"round": 2, "prob')
    summary = gpo(capsys, "train", "--resume", "run", "--rounds", "2")
    assert summary["discarded"] == {"rollouts": 2, "curves": 0}
    assert summary["rounds"] == 2
    assert "seed: 0 there, 3 here" in error_of(capsys, "train", "--resume", "run", "--seed", "3")


@pytest.mark.thorough
def test_a_run_cut_short_still_ends_with_an_evaluation(capsys) -> None:
    gpo(capsys, "train", *TRAIN, "--rounds", "1", "--output", "run")
    lines = Path("run/rounds.jsonl").read_text().splitlines(keepends=True)
    last = json.loads(lines[1])
    del last["evaluation"], last["tokens"]["evaluation"]
    Path("run/rounds.jsonl").write_text(lines[0] + json.dumps(last) + "\n")
    summary = gpo(capsys, "train", "--resume", "run")
    assert summary["rounds"] == 1
    lines = Path("run/rounds.jsonl").read_text().splitlines()
    assert ["evaluation" in json.loads(line) for line in lines] == [True, False, True]
    assert gpo(capsys, "train", "--resume", "run", "--rounds", "2")["rounds"] == 2
    assert json.loads(Path("run/run.json").read_text())["settings"]["rounds"] == 2


def test_settings_come_from_a_file_and_flags_win(capsys) -> None:
    Path("settings.yaml").write_text("task: chain_sum\nmax_tokens: 96\nlimit: 3\nnum: 2\nstop: ['Answer']\n")
    summary = gpo(capsys, "sample", "--config", "settings.yaml", "--num", "1", "--output", "out")
    rows = [json.loads(line) for line in Path("out/rollouts.jsonl").read_text().splitlines()]
    assert len(rows) == summary["problems"] == 3
    assert all(row["text"].endswith("Answer") for row in rows)


def test_your_own_rows_and_your_own_verifier(capsys, monkeypatch) -> None:
    monkeypatch.syspath_prepend(os.getcwd())
    Path("own_reward.py").write_text(
        "def reward(prompts, completions, answer, **columns):\n"
        "    return [float(a in c) for c, a in zip(completions, answer, strict=True)]\n"
    )
    rows = [
        {"q": f"State the final answer to the following arithmetic problem: {i} + 4 =", "a": i + 4}
        for i in range(3)
    ]
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = gpo(
        capsys, "sample", "--data", "own.jsonl", "--prompt-column", "q", "--answer-column", "a",
        "--verifier", "own_reward:reward", "--max-tokens", "40", "--output", "out",
    )  # fmt: skip
    assert summary["problems"] == 3


def given(rows: list[dict]) -> list[str]:
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["locate", "--data", "own.jsonl", "--verifier", "number", "--completion-column", "completion"]


def test_your_own_trajectories_are_searched_and_never_trained(capsys) -> None:
    prompt = "State the final answer to the following arithmetic problem: 4 + 3 + 5 - 2 - 1 + 2 ="
    wrong = "4 + 3 = 7\n7 + 5 = 19\n19 - 2 = 17\n17 - 1 = 16\n16 + 2 = 18\nAnswer: 18"
    ids = [int(i) for i in range(20, 30)]
    rows = [
        {"prompt": prompt, "answer": "11", "completion": wrong},
        {"prompt": prompt, "answer": "11", "completion": ids, "reward": 0},
    ]
    args = [*given(rows), "--min-step-tokens", "1", "--max-tokens", "96", "--rule", "drop", "--output", "out"]
    summary = gpo(capsys, *args, "--search-traces", "30")
    assert summary["trajectories"] == 2
    assert summary["tokens"]["explore"] == 0
    assert summary["tokens"]["values"] > 0
    curves = [json.loads(line) for line in Path("out/curves.jsonl").read_text().splitlines()]
    curves.sort(key=lambda curve: curve["place"])
    assert "".join(curves[0]["steps"]) == wrong
    assert curves[0]["reward"] == 0.0
    assert curves[0]["critical"]["index"] == 1
    assert curves[0]["critical"]["credibility"] > 0.9
    sampled = [json.loads(line) for line in Path("out/rollouts.jsonl").read_text().splitlines()]
    assert all(rollout["policy_version"] == 0 and rollout["purpose"] == "values" for rollout in sampled)


@pytest.mark.parametrize(
    ("row", "args", "message"),
    [
        ({}, [], "has no column 'completion'"),
        ({"completion": ""}, [], "column 'completion' is ''"),
        ({"completion": "a " * 90}, ["--max-tokens", "50"], "max_tokens is 50; raise that"),
        (
            {"completion": "a", "r": 7},
            ["--reward-column", "r"],
            "column 'r' is 7: give a number",
        ),
    ],
)
def test_trajectories_that_cannot_be_used_are_named(capsys, row, args, message) -> None:
    line = error_of(capsys, *given([{"prompt": "1+1", "answer": "2", **row}]), *args, "--output", "out")
    assert message in line
    assert not Path("out").exists()


def test_the_whole_pipeline_runs_on_real_questions(capsys) -> None:
    file = DATA / "gsm8k" / "test.jsonl"
    if not file.exists():
        pytest.skip(f"no benchmark data at {DATA}; set GPO_DATA")
    summary = gpo(
        capsys, "locate", "--data", str(file), "--prompt-column", "question", "--verifier", "number",
        "--max-tokens", "48", "--limit", "6", "--group-size", "2", "--values", "2", "--output", "out",
    )  # fmt: skip
    assert summary["problems"] == 6
    assert summary["no_signal"] >= 4


def test_the_demo_prints_before_after_and_a_trajectory(capsys) -> None:
    main(["demo", "--rounds", "1", "--output", "demo"])
    out = capsys.readouterr().out
    assert "accuracy on held-out problems" in out
    assert "value estimates" in out
    assert "A failed trajectory" in out
    assert "▶" in out
    assert "gpo show demo" in out
    main(["show", "demo"])
    assert "gpo train, 1 complete round, " in capsys.readouterr().out


def ask(*changes: str) -> list[str]:
    return ["sample", "--data", "own.jsonl", "--verifier", "number", "--output", "out", *changes]


@pytest.mark.parametrize(
    ("content", "args", "message"),
    [
        ('{"question": "1+1", "answer": "2"}\n', ask(), r"own.jsonl.*no column 'prompt'"),
        ("", ask(), "own.jsonl: has no rows"),
        ('{"prompt": "1+1", "answer": "2"}\n{"prompt": "1', ask(), "own.jsonl line 2"),
        ('{"prompt": "1+1", "answer": "two"}\n', ask(), "own.jsonl line 1.*two"),
        (None, ask(), "own.jsonl.*(not exist|no such)"),
        ('{"prompt": "a b ", "answer": "1"}\n'.replace("a b ", "a b " * 9000), ask(), "longer|context"),
    ],
)
def test_bad_rows_are_named(capsys, content, args, message) -> None:
    if content is not None:
        Path("own.jsonl").write_text(content)
    line = error_of(capsys, *args)
    assert __import__("re").search(message, line), line
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["sample", *SMALL, "--model", "./nowhere"], "'./nowhere' does not exist"),
        (
            ["sample", *SMALL, "--temperature", "-1"],
            "--temperature: must be at least 0, got '-1'",
        ),
        (["train", *SMALL, "--rule", "largest"], "--rule: must be 'signed', 'absolute'"),
        (
            ["train", *SMALL, "--lerning-rate", "1"],
            "No such option .--lerning-rate.*--learning-rate",
        ),
        (
            ["train", "--config", "bad.yaml"],
            "bad.yaml: lerning_rate: unknown setting; did you mean 'learning_rate'?",
        ),
        (["train", "--config", "none.yaml"], "--config none.yaml: no such file"),
        (["train", "--config", "list.yaml"], "must hold `key: value` lines, found list"),
        (["train", "--config", "torn.yaml"], "cannot be read as YAML"),
        (["sample"], "--task or --data: give one of them, such as --task chain_sum or --data FILE.jsonl"),
        (["sample", "--task", "chain_sun"], "chain_sun.*chain_sum"),
        (["sample", "--data", "own.jsonl"], "--verifier: needed with --data"),
        (["sample", *SMALL, "--verifier", "matth"], "matth.*math"),
        (["sample", *SMALL, "--output", "taken"], "taken: exists and is not a gpo run"),
        (["train", "--resume", "nowhere"], "nowhere: holds no run.json"),
        (["sample", *SMALL, "--template-args", "x"], "--template-args: must be KEY=VALUE, got 'x'"),
        (["show", "nowhere"], "nowhere: holds no run.json"),
        (["trian"], "No such command 'trian'"),
        (["sample", *SMALL, "--output", "own.jsonl/x"], "own.jsonl/x: cannot be made"),
        (["sample", *SMALL, "--template-args", "a=["], "--template-args: the value of 'a=.' is not YAML"),
        (
            ["sample", *SMALL, "--template-args", "messages=3"],
            "--template-args: messages is set by gpo itself",
        ),
        (["sample", *SMALL, "--device", "bogus"], "device 'bogus' cannot be used"),
        (["sample", *SMALL, "--size", "99999999999"], "--size: must be at most 10,000,000"),
    ],
)
def test_bad_settings_are_named(capsys, args, message) -> None:
    Path("bad.yaml").write_text("lerning_rate: 1\n")
    Path("list.yaml").write_text("- 1\n")
    Path("torn.yaml").write_text("a: [1\n")
    Path("own.jsonl").write_text('{"prompt": "1", "answer": "1"}\n')
    Path("taken").mkdir()
    Path("taken/file").write_text("x")
    line = error_of(capsys, *args)
    assert __import__("re").search(message.replace("?", "[?]"), line), line
    assert not Path("runs").exists()


def test_without_an_output_each_run_gets_a_folder_of_its_own(capsys) -> None:
    runs = [gpo(capsys, "sample", *SMALL, "--limit", "1", "--num", "1")["run"] for _ in range(2)]
    assert runs == ["runs/sample-0", "runs/sample-0-2"]


def test_a_run_folder_of_other_settings_is_refused(capsys) -> None:
    gpo(capsys, "sample", *SMALL, "--limit", "2", "--output", "run")
    before = Path("run/rollouts.jsonl").read_bytes()
    assert "num: 4 there, 7 here" in error_of(
        capsys, "sample", *SMALL, "--limit", "2", "--num", "7", "--output", "run"
    )
    assert "continue it with --resume" in error_of(
        capsys, "sample", *SMALL, "--limit", "2", "--output", "run"
    )
    assert "is a run of `gpo sample`, not of `gpo train`" in error_of(capsys, "train", "--resume", "run")
    assert Path("run/rollouts.jsonl").read_bytes() == before


def test_a_model_without_an_end_token_is_refused(capsys) -> None:
    shutil.copytree(DEMO_MODEL, "model")
    Path("model/generation_config.json").unlink()
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads(Path("model", name).read_text())
        content.pop("eos_token", None)
        content.pop("eos_token_id", None)
        Path("model", name).write_text(json.dumps(content))
    assert "end token" in error_of(capsys, "sample", *SMALL, "--model", "model", "--output", "out")
    assert not Path("out").exists()


def test_an_assistant_turn_is_a_trajectory_and_one_of_a_single_step_is_counted(capsys) -> None:
    question = "State the final answer to the following arithmetic problem: 4 + 5 - 3 + 2 ="
    text = "4 + 5 = 9\n9 - 3 = 7\n7 + 2 = 9\nAnswer: 9"
    turns = [{"role": "assistant", "content": text}]
    rows = [{"prompt": question, "answer": 8, "completion": done} for done in (text, turns, "Answer: 9")]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = ["--data", "rows.jsonl", "--completion-column", "completion", "--verifier", "number"]
    found = gpo(capsys, "locate", *given, "--max-tokens", "96", "--min-step-tokens", "1", "--output", "out")
    assert (found["trajectories"], found["one_step"]) == (3, 1)
    assert found["critical"] == 2  # a step without a rival is not named
    # Lines are written as searches end; the numbers of `show` are those of the data.
    shown = [gpo(capsys, "show", "out", "--trajectory", str(i))["trajectory"] for i in range(3)]
    assert [len(trace["steps"]) for trace in shown] == [4, 4, 1]
    assert shown[0]["completion_ids"] == shown[1]["completion_ids"]
