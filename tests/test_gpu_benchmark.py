"""The benchmark for a GPU, at toy size on whatever there is."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import gpu
import torch


def lines_of(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_every_cell_is_measured_once_and_one_that_was_cut_off_again(tmp_path) -> None:
    whole = ["--toy", "--output", str(tmp_path)]
    gpu.main([*whole, "--minutes", "0"])
    assert not (tmp_path / "results.jsonl").exists()
    gpu.main(whole)
    lines = lines_of(tmp_path)
    assert len(lines) == 1 + 2 * (2 * 3 + 3)
    assert len({line["cell"] for line in lines}) == len(lines)
    assert {line["transformers"] for line in lines} == {gpu.transformers.__version__}
    sampled = [line for line in lines if "new_tokens" in line]
    assert {line["new_tokens"] > 0 and line["roofline_frac"] > 0 for line in sampled} == {True}

    path = tmp_path / "results.jsonl"
    path.write_text(path.read_text()[:-20])
    gpu.main(whole)
    again = path.read_text().splitlines()
    assert [json.loads(line)["cell"] for line in again] == [line["cell"] for line in lines]


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), {"out_of_memory": True}),
        (RuntimeError("continuous batching: CUDA out of memory"), {"out_of_memory": True}),
        (MemoryError(), {"out_of_memory": True}),
        (ValueError("other"), {"error": "ValueError: other"}),
    ],
)
def test_what_a_cell_raises_is_recorded(error, found) -> None:
    def work():
        raise error

    assert gpu.tried(work) == found


def test_a_cell_that_raised_an_error_is_repeated_and_one_without_memory_is_not(tmp_path) -> None:
    ledger = gpu.Ledger(tmp_path / "results.jsonl", is_toy=True)
    assert not gpu.measure(iter([("a", lambda: 1 / 0), ("b", lambda: {"x": 1.0})]), 1, ledger)

    def full():
        raise MemoryError

    assert gpu.measure(iter([("a", full), ("b", lambda: 1 / 0)]), 1, ledger)
    assert {name: "out_of_memory" in line for name, line in ledger.cells().items()} == {"a": True, "b": False}


@pytest.mark.slow
def test_a_pair_is_trained_on_equal_tokens_and_continues(tmp_path, capfd) -> None:
    command = ["--pair", "base", "pivot", "--output", str(tmp_path), "--turn-tokens", "1500"]
    command += ["--task", "chain_sum", "--max-tokens", "48", "--eval-problems", "4", "--group-size", "4"]
    command += ["--problems-per-round", "4", "--eval-every", "0", "--threads", "1", "--min-step-tokens", "1"]
    for _ in range(2):
        gpu.main([*command, "--minutes", "0.001"])
    spent = [gpu.progress(tmp_path / "pair" / arm)["tokens"] for arm in ("base", "pivot")]
    assert all(3000 - 4 * 48 < tokens <= 3000 for tokens in spent)
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith('{"arm"')]
    assert [line["arm"] for line in told] == ["base", "pivot"] * 2
    assert [line["tokens"] for line in told[2:]] == spent
