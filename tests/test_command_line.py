"""What a user meets before anything runs: help, completion, settings like another run's, a table of runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete
from reported import curve, write_run
from test_cli import error_of, gpo

from gpo.cli import cli, main
from gpo.setup.alike import CLASSES
from gpo.setup.resume import settings_of
from gpo.types import DataWarning, InputError

ENGINES = ("sample", "locate", "eval", "solve", "pairs", "train")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def flags_of(capsys, *args: str) -> list[str]:
    main([*args])
    lines = capsys.readouterr().out.splitlines()
    return [line.split()[0] for line in lines if line.startswith("  --")]


# Help


@pytest.mark.parametrize("command", ENGINES)
def test_help_begins_with_a_dozen_settings_and_help_all_has_every_one(capsys, command) -> None:
    few, all_of = flags_of(capsys, command, "--help"), flags_of(capsys, command, "--help-all")
    own = {"--json", "--config", "--like", "--resume", "--help-all"}
    assert 9 <= len(set(few) - own) <= 16
    assert {"--model", "--task", "--data", "--output"} | own <= set(few)
    named = {key for cls in CLASSES[command] for key in cls.model_fields}
    assert {flag.removeprefix("--").replace("-", "_") for flag in all_of} >= named
    main([command, "--help"])
    shown = capsys.readouterr().out
    assert f"{len(all_of) - len(few)} more settings: gpo {command} --help-all" in shown
    main([command, "--help-all"])
    assert "Common settings" not in (shown := capsys.readouterr().out)
    assert shown.index("Data and verifier:") < shown.index("Run:") < shown.index("Command line:")


def test_marks_of_settings_name_commands_that_there_are() -> None:
    marks = [
        mark
        for kinds in CLASSES.values()
        for cls in kinds
        for info in cls.model_fields.values()
        for mark in info.metadata
        if type(mark).__name__ == "FirstIn"
    ]
    assert len(marks) > 50
    assert {name for mark in marks for name in mark.commands} <= set(CLASSES)


@pytest.mark.parametrize("command", ["export", "demo"])
def test_a_command_with_few_settings_shows_all(capsys, command) -> None:
    assert flags_of(capsys, command, "--help") == flags_of(capsys, command, "--help-all")


@pytest.mark.parametrize("args", [(), ("data",)])
def test_both_commands_of_data_are_in_the_help(capsys, args) -> None:
    main([*args, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "data overlap FILE" in shown
    assert "data check TASK" in shown


# Completion


@pytest.mark.parametrize("shell", [BashComplete, ZshComplete, FishComplete])
@pytest.mark.parametrize(
    ("args", "begun", "expected"),
    [
        ([], "lo", ["locate"]),
        (["data"], "", ["check", "overlap"]),
        (["locate"], "--ru", ["--rule"]),
        (["locate"], "--help", ["--help-all", "--help"]),
        (["locate", "--rule"], "s", ["signed"]),
        (["train", "--method"], "s", ["simpo"]),
        (["pairs", "--splitter"], "f", ["fixed"]),
        (["runs"], "--j", ["--json"]),
    ],
)
def test_commands_flags_and_choices_are_completed(shell: type[ShellComplete], args, begun, expected) -> None:
    found = shell(cli, {}, "gpo", "_GPO_COMPLETE").get_completions(args, begun)
    assert [one.value for one in found] == expected


@pytest.mark.thorough
def test_bash_completes_with_the_line_of_the_docs() -> None:
    bash = shutil.which("bash")
    assert bash
    line = 'eval "$(_GPO_COMPLETE=bash_source gpo)"'
    assert line in (Path(__file__).parent.parent / "docs" / "install.md").read_text()
    script = (
        f'{line}; COMP_WORDS=(gpo locate --ru); COMP_CWORD=2; _gpo_completion gpo; echo "${{COMPREPLY[@]}}"'
    )
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        [bash, "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["--rule"]


# Settings like another run's, and files of other commands

SETTINGS = {
    "task": "chain_sum",
    "max_tokens": 64,
    "rule": "drop",
    "seed": 3,
    "output": "runs/old",
    "allow_test": True,
    "trust_remote_code": True,
    "recipe": "tree",
    "group_size": 4,
    "explored": "all",
    "beta": 0.2,
}
"""A run of gpo train with the recipe tree (whose group_size is 4), an own rule, and a setting of --method."""


def like(tmp_path: Path, command: str, stored: dict, **given) -> dict:
    run = tmp_path / "old"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"command": "train", "settings": stored}))
    cls = CLASSES[command][0]
    made = settings_of(command, cls, None, None, given, run)
    return {key: getattr(made, key, "none") for key in (*SETTINGS, "data", "limit", "method", "verifier")}


def test_the_settings_of_a_run_are_taken_over_but_where_it_wrote_and_what_it_was_allowed(tmp_path) -> None:
    found = like(tmp_path, "locate", SETTINGS, max_tokens=96)
    assert (found["task"], found["max_tokens"], found["rule"], found["seed"]) == ("chain_sum", 96, "drop", 3)
    assert (found["output"], found["trust_remote_code"]) == (None, False)
    assert (found["group_size"], found["explored"], found["recipe"]) == (4, "all", "none")


@pytest.mark.parametrize(
    ("command", "stored", "given", "expected"),
    [
        ("train", {}, {}, {"recipe": "tree", "rule": "drop", "group_size": 4, "allow_test": False}),
        ("train", {}, {"recipe": "search"}, {"recipe": "search", "rule": "drop", "explored": "succeeded"}),
        ("train", {"method": "dpo"}, {}, {"method": "dpo", "beta": 0.2, "recipe": "none"}),
        ("train", {}, {"method": "dpo"}, {"method": "dpo", "group_size": 4}),
        ("eval", {"limit": 5}, {}, {"task": "chain_sum", "limit": 5, "rule": "none"}),
        ("eval", {"limit": 5}, {"task": "modchain"}, {"task": "modchain", "limit": None}),
        ("eval", {}, {"data": "f.jsonl"}, {"task": None, "data": "f.jsonl", "max_tokens": 64}),
        ("eval", {"verifier": "number"}, {"data": "f.jsonl"}, {"data": "f.jsonl", "verifier": "number"}),
    ],
)
def test_what_is_given_wins_and_takes_what_goes_with_it(tmp_path, command, stored, given, expected) -> None:
    found = like(tmp_path, command, SETTINGS | stored, **given)
    assert {key: found[key] for key in expected} == expected


def test_like_needs_a_run_and_is_nothing_for_one_that_goes_on(capsys, tmp_path) -> None:
    assert "nothing: holds no run.json" in error_of(capsys, "eval", "--like", "nothing")
    message = "--like: a resumed run has its settings already; give flags to extend it"
    assert message in error_of(capsys, "eval", "--resume", "nothing", "--like", "nothing")
    (tmp_path / "run.json").write_text(
        '{"command": "train", "settings": {"task": "chain_sum", "max_tokens": 0}}'
    )
    assert "--like .: max_tokens: must be at least 1, got 0" in error_of(capsys, "eval", "--like", ".")


def test_keys_of_other_commands_are_ignored_with_a_note_and_others_refused(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("task: chain_sum\nmax_tokens: 64\nrounds: 5\nlearning_rate: 0.1\n")
    note = r"mine\.yaml: ignores what this command does not have: rounds \(of gpo train\), learning_rate"
    with pytest.warns(DataWarning, match=note):
        made = settings_of("eval", CLASSES["eval"][0], path, None, {})
    assert made.max_tokens == 64
    path.write_text("task: chain_sum\nrounds: 5\nlimt: 3\n")
    with (
        pytest.raises(InputError, match=r"limt: unknown setting; did you mean .limit.\?"),
        pytest.warns(DataWarning),
    ):
        settings_of("eval", CLASSES["eval"][0], path, None, {})


# A table of runs


def test_runs_are_listed_with_their_figures_and_state(capsys, tmp_path, pairs_run) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(pairs_run, runs / "b" / "pairs")
    write_run(runs / "cut", [curve(0, "q", "3", ["a", "b"])], [], model="some/model")
    (runs / "worn").mkdir()
    (runs / "worn/run.json").write_text("{}")
    found = {Path(one["run"]).name: one for one in gpo(capsys, "runs")["runs"]}
    assert list(found) == ["pairs", "cut", "worn"]  # what a run holds inside is part of it
    assert {name: one["state"] for name, one in found.items()} == {
        "pairs": "finished", "cut": "interrupted", "worn": "damaged"
    }  # fmt: skip
    assert found["pairs"]["rows"] == json.loads((pairs_run / "summary.json").read_text())["rows"]
    assert (found["cut"]["problems"], found["cut"]["rate"][0], found["cut"]["tokens"]) == (2, 0.25, 30)
    assert (found["cut"]["model"], found["cut"]["task"]) == ("some/model", "own")
    assert (found["cut"]["located"], found["cut"]["credible"]) == (1, 1)
    assert "command: field required" in found["worn"]["error"]
    main(["runs", "runs"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "b/pairs pairs demo chain_sum" in shown
    assert "2 problems" in shown
    assert gpo(capsys, "runs", "runs/cut")["runs"][0]["run"] == "runs/cut"


@pytest.mark.parametrize(
    ("folder", "message"),
    [("nowhere", "nowhere: is not a folder; name the one"), (".", ".: holds no run; name the folder")],
)
def test_a_folder_without_runs_is_said(capsys, folder, message) -> None:
    assert message in error_of(capsys, "runs", folder)
