# ruff: noqa: E501 - a command is a line
"""Every command on word problems of our own, with their own columns and a pretrained model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gpo.cli import main

HERE = Path(__file__).parent
ROWS = ["--data", str(HERE / "problems.jsonl"), "--prompt-column", "story", "--answer-column", "result",
        "--verifier", "number", "--max-tokens", "96", "--temperature", "0.5"]  # fmt: skip
STEPS = ["--rule", "drop", "--explored", "mixed"]
SMALL = ["--rounds", "1", "--problems-per-round", "2", "--group-size", "4", "--reset-size", "4",
         "--max-located", "1", "--eval-problems", "2", "--search-traces", "4", "--eval-data", str(HERE / "problems.jsonl")]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_locate_names_a_step_and_its_folder_is_read_by_show_and_report(smollm2, place, capsys):
    run = place / "located"
    main(["locate", "--model", smollm2, *ROWS, *STEPS, "--limit", "8", "--group-size", "4", "--search-traces", "6",
          "--output", str(run), "--json"])  # fmt: skip
    assert sum(told(capsys)["tokens"].values()) > 1000
    main(["show", str(run)])
    assert "critical step" in capsys.readouterr().out
    main(["report", str(run), "--output", str(place / "report.html")])
    assert "<html" in (place / "report.html").read_text(encoding="utf-8")[:200]


def test_pairs_go_into_dpo_and_into_an_export(smollm2, place, capsys):
    pairs, model = place / "pairs", place / "dpo"
    main(["pairs", "--model", smollm2, *ROWS, *STEPS, "--limit", "12", "--group-size", "4", "--search-traces", "6",
          "--output", str(pairs), "--json"])  # fmt: skip
    assert told(capsys)["rows"]["pairs"] >= 1
    main(["export", str(pairs), "--to", "trl", "--output", str(place / "trl")])
    main(["train", "--method", "dpo", "--pairs", str(pairs), "--model", smollm2, *ROWS[2:], "--lora-rank", "4",
          "--learning-rate", "1e-5", "--minibatch", "8", "--eval-problems", "2", "--eval-data", ROWS[1], "--output", str(model), "--json"])  # fmt: skip
    assert (model / "model" / "adapter_model.safetensors").is_file()


def test_full_training_writes_an_ordinary_folder_that_eval_reads(smollm2, place, capsys):
    run = place / "full"
    main(["train", "--model", smollm2, *ROWS, *SMALL, "--learning-rate", "1e-6", "--output", str(run), "--json"])  # fmt: skip
    told(capsys)
    assert (run / "model" / "model.safetensors").is_file()
    main(["eval", "--model", str(run / "model"), *ROWS, "--limit", "2", "--output", str(place / "rate"), "--json"])  # fmt: skip
    assert sum(told(capsys)["tokens"].values()) > 0


def test_a_killed_lora_run_resumes_to_the_weights_of_a_whole_one(smollm2, place, capsys):
    whole, killed = place / "whole", place / "killed"
    command = ["train", "--model", smollm2, *ROWS, *SMALL, "--rounds", "2", "--lora-rank", "4", "--threads", "1"]  # fmt: skip
    main([*command, "--output", str(whole), "--json"])
    with subprocess.Popen([sys.executable, "-m", "gpo", *command, "--output", str(killed)]) as process:  # noqa: S603
        while process.poll() is None and not list((killed / "checkpoints").glob("*1*")):
            time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
    main(["train", "--resume", str(killed), "--json"])
    files = [run / "model" / "adapter_model.safetensors" for run in (whole, killed)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_csv_is_refused_with_a_command_that_converts_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE.csv").write_bytes((HERE / "problems.csv").read_bytes())
    columns = ["--prompt-column", "story", "--answer-column", "result", "--verifier", "number"]
    with pytest.raises(SystemExit):
        main(["sample", "--data", "FILE.csv", *columns, "--output", "run"])
    advice = capsys.readouterr().err
    assert "pandas.read_csv" in advice
    import pandas

    pandas.read_csv("FILE.csv").to_json("FILE.jsonl", orient="records", lines=True)
    expected = [json.loads(line) for line in (HERE / "problems.jsonl").read_text().splitlines()]
    assert [json.loads(line) for line in Path("FILE.jsonl").read_text().splitlines()] == expected
