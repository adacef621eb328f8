# ruff: noqa: E501 - a case is a line
"""Rows of a test split reach no training unless the user says so, by whatever way they come."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import lookalikes
import pytest

from gpo.cli import main
from gpo.export.hub import card
from gpo.export.rows import Source
from gpo.record import read_json, write_json
from gpo.tasks.splits import held_out_rows, is_test

SMALL = [
    "--max-tokens",
    "8",
    "--min-step-tokens",
    "1",
    "--limit",
    "2",
    "--group-size",
    "2",
    "--explored",
    "all",
]
LOCATE = ["locate", *SMALL, "--search", "uniform", "--values", "2"]


def error_of(capsys, *args: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert (stopped.value.code, len(lines)) == (2, 1)
    return lines[0]


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ({"task": "gsm8k", "split": "train"}, None),
        ({"task": "gsm8k", "split": "test"}, "gsm8k's split 'test'"),
        ({"task": "math", "split": "test"}, "math's split 'test'"),
        ({"task": "mmlu", "split": "validation"}, "mmlu, which has no split to train on"),
        ({"task": "mmlu", "split": "dev"}, "mmlu, which has no split to train on"),
        ({"task": "math500", "split": "test"}, "math500, which has no split to train on"),
        ({"task": "aime2024", "split": "test"}, "aime2024, which has no split to train on"),
        ({"task": "aime2025"}, "aime2025, which has no split to train on"),
        ({"task": "bbh"}, "bbh, which has no split to train on"),
        ({"task": "mmlu_pro"}, "mmlu_pro, which has no split to train on"),
        ({"task": "chain_sum", "split": "train"}, None),
        ({"task": "chain_sum"}, None),
        ({"task": "chain_sum", "split": "test"}, "chain_sum's split 'test'"),
        ({"task": "gym/chain_sum", "split": "test"}, "gym/chain_sum's split 'test'"),
        ({"task": None, "data": "test.jsonl", "split": "test"}, None),
        ({"data": "ray:questions/"}, None),
        ({"data": "hub:a/b:main:train"}, None),
        ({"data": "hub:a/b::train[:100]"}, None),
        ({"data": "hub:a/b:algebra:latest_contest"}, None),
        ({"data": "hub:a/b"}, "hub:a/b, which reads the split 'test' as it names none"),
        ({"data": "hub:a/b:main"}, "hub:a/b:main, which reads the split 'test' as it names none"),
        ({"data": "hub:a/b:main:test"}, "hub:a/b:main:test"),
        ({"data": "hub:a/b:main:test[:50%]"}, "hub:a/b:main:test[:50%]"),
        ({"data": "hub:a/b:main:train+validation"}, "hub:a/b:main:train+validation"),
        ({"data": "hub:a/b:main:validation_matched"}, "hub:a/b:main:validation_matched"),
        (
            {"data": "hub:HuggingFaceH4/aime_2024:default:train"},
            "hub:HuggingFaceH4/aime_2024:default:train, the benchmark aime2024, which has no split to train on",
        ),
        ({"data": "hub:openai/gsm8k:main:train"}, None),
        ({"data": "hub:openai/gsm8k:main:test"}, "hub:openai/gsm8k:main:test"),
    ],
)
def test_what_is_for_testing(source, rows):
    assert held_out_rows(source) == rows


@pytest.mark.parametrize(
    ("split", "is_held_out"),
    [
        *(("Test", True), ("test_prefs", True), ("dev-clean", True), ("val", True), ("eval_2024", True)),
        *(("held_out", True), ("train[10%:]", False), ("attest", False), ("devices", False)),
        *(("train_sft", False), ("evaluate_me", False), ("value", False), ("train[test", False)),
    ],
)
def test_splits_are_read_by_their_words(split, is_held_out):
    assert is_test(split) is is_held_out


@pytest.fixture
def located(tmp_path, monkeypatch, capsys) -> Path:
    """A located run of a benchmark's test split, which is what `gpo locate` reads by default."""
    monkeypatch.chdir(tmp_path)
    lookalikes.write_all(tmp_path / "data")
    main([*LOCATE, "--task", "gsm8k", "--data-dir", "data", "--output", "located"])
    capsys.readouterr()
    return tmp_path / "located"


def test_pairs_of_a_located_test_split_are_refused_before_anything_is_written(located, capsys):
    message = error_of(capsys, "pairs", "--run", "located", "--output", "pairs")
    assert message == (
        "gpo: error: --run located: would train on gsm8k's split 'test', and no model trained on these rows "
        "can be tested on them; use rows of --split train, or give --allow-test"
    )
    assert not Path("pairs").exists()


@pytest.mark.parametrize(
    "args",
    [
        ("pairs", "--task", "gsm8k", "--split", "test"),
        ("pairs", "--task", "chain_sum", "--split", "test"),
        ("pairs", "--task", "math500"),
        ("pairs", "--data", "hub:a/b", "--verifier", "math"),
        ("train", "--data", "hub:a/b:main:validation", "--verifier", "math"),
        ("train", "--task", "aime2025"),
        ("train", "--method", "dpo", "--data", "hub:a/b", "--verifier", "math"),
        ("train", "--method", "kto", "--task", "bbh"),
    ],
)
def test_rows_for_testing_are_refused_before_a_model_is_loaded(args, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    message = error_of(capsys, *args, "--model", "no/such-model", "--output", "out")
    assert "would train on" in message
    assert message.endswith("or give --allow-test")
    assert not Path("out").exists()


@pytest.fixture
def of_tests(pairs_run, tmp_path, monkeypatch) -> Path:
    """Pairs as an earlier version made them of a test split: nothing was asked."""
    monkeypatch.chdir(tmp_path)
    path = Path(shutil.copytree(pairs_run, tmp_path / "of-tests"))
    run = read_json(path / "run.json")
    settings = {key: value for key, value in run["settings"].items() if key != "allow_test"}
    write_json(path / "run.json", run | {"settings": settings | {"split": "test"}})
    return path


@pytest.mark.parametrize(
    "args",
    [
        ("export", "{}", "--to", "trl", "--output", "out"),
        ("export", "{}", "--to", "hub", "--repo", "a/b", "--output", "out"),
        ("train", "--method", "dpo", "--pairs", "{}", "--output", "out"),
        ("train", "--method", "kto", "--pairs", "{}", "--output", "out"),
    ],
)
def test_pairs_of_a_test_split_go_no_further(args, of_tests, capsys):
    message = error_of(capsys, *(one.format(of_tests) for one in args))
    assert f"{of_tests}: would train on chain_sum's split 'test'" in message
    assert not Path("out").exists()


def test_with_allow_test_they_are_exported_with_a_warning_and_the_card_says_so(of_tests, capsys):
    main(
        ["export", str(of_tests), "--to", "hub", "--repo", "a/b", "--output", "out", "--allow-test", "--json"]
    )
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1])["files"][-1] == "README.md"
    assert "trains on chain_sum's split 'test'; do not test the model on them" in " ".join(
        captured.err.split()
    )
    text = Path("out/README.md").read_text()
    assert "**Test data: the questions are those of chain_sum's split 'test'." in text
    assert "| split | test |" in text


def test_a_card_of_rows_to_train_on_has_no_caution():
    summary = {"trajectories": 1, "left_out": {}, "tokens": {}}
    assert "Test data" not in card({"pairs": 1}, Source("m", {"split": "train"}, summary), "a/b", None)
