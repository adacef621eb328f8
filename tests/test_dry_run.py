"""`--dry-run` shows the cost, a prompt, a split and a verdict, loads no weights and writes nothing."""

import json
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from gpo.cli import main

TASK = ("--task", "chain_sum", "--max-tokens", "64", "--min-step-tokens", "1")
ROWS = [
    {"story": "1 + 1 =", "result": "1 + 1 = 2\n#### 2", "mine": "1 + 1 = 3\n3"},
    {"story": "1 + 2 =", "result": 3, "mine": "1 + 2 = 3\n3"},
]
DATA = (
    "--data",
    "rows.jsonl",
    "--prompt-column",
    "story",
    "--answer-column",
    "result",
    "--verifier",
    "number",
)
CASES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "sample": (
        ("sample", *DATA, "--num", "2", "--max-tokens", "10"),
        {"cost": {"prompts": 40, "total": 40}, "reward": 1.0, "steps": None, "is_given": False},
    ),
    "solve": (
        ("solve", *DATA, "--max-tokens", "10", "--problem-tokens", "30", "--min-step-tokens", "1"),
        {"cost": {"problems": 60, "total": 60}, "steps": ["1 + 1 = 2\n", "#### 2"]},
    ),
    "eval": (("eval", *TASK[:4], "--limit", "3"), {"cost": {"prompts": 192, "total": 192}, "reward": 1.0}),
    "locate": (
        ("locate", *DATA, "--max-tokens", "10", "--min-step-tokens", "1"),
        {"cost": {"prompts": 160, "searches": 160, "total": 320}, "steps": ["1 + 1 = 2\n", "#### 2"]},
    ),
    "given": (
        ("locate", *DATA, "--max-tokens", "40", "--min-step-tokens", "1", "--completion-column", "mine"),
        {"cost": {"searches": 640, "total": 640}, "is_given": True, "reward": 0.0},
    ),
    "pairs": (("pairs", *TASK, "--limit", "2"), {"problems": 2, "cost_of_filling": 1024, "reward": 1.0}),
    "train": (
        ("train", *TASK, "--rounds", "3", "--recipe", "base", "--eval-problems", "5", "--eval-every", "2",
         "--problems-per-round", "4", "--group-size", "2"),
        {"cost_of_a_round": {"prompts": 512, "total": 512},
         "cost": {"rounds": 1536, "evaluations": 960, "total": 2496}, "reward": 1.0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_dry_run_says_what_the_run_would_do_and_leaves_nothing(case, tmp_path, monkeypatch, capsys) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("the weights were loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", load)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    args, expected = CASES[case]
    main([*args, "--dry-run", "--json"])
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["dry_run"] is True
    assert {key: found[key] for key in expected} == expected
    assert found["prompt"].startswith("<|im_start|>user\n")
    assert "costs at most" in captured.err
    assert "nothing was sampled or written" in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--resume", "runs/x"), "runs/x"),
        (("--data", "none.jsonl"), "none.jsonl: no such file"),
        (("--output", "rows.jsonl"), "--output rows.jsonl: cannot be made"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would_refuse(flags, said, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[1]) + "\n")
    with pytest.raises(SystemExit) as stopped:
        main(["sample", *DATA, *flags, "--dry-run"])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
