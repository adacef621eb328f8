"""Answers without a verdict are counted by kind and shown wherever a run's figures are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpo.cli import main
from gpo.ranks import Ranks, SharedVerifier
from gpo.report.unjudged import counted, told
from gpo.types import Problem

SOURCE = """
import os
def reward(completions, answer, **columns):
    if completions != answer and {kind!r} == "crashes":
        os._exit(1)
    if completions != answer and {kind!r} == "memory":
        bytearray(2**40)
    return [1.0 if one == gold else None for one, gold in zip(completions, answer)]
"""
WORDS = {
    "crashes": "ended their verifier's process twice",
    "memory": "reached the memory limit",
    "unscored": "got no opinion (None) from the verifier",
}
COMMON = ("--task", "chain_sum", "--max-tokens", "8", "--verifier", "odd:reward", "--output", "run", "--json")
SIZES: dict[str, tuple[str, ...]] = {
    "sample": ("--limit", "2", "--num", "1"),
    "eval": ("--limit", "2"),
    "locate": ("--limit", "1", "--group-size", "2"),
    "train": (
        "--rounds",
        "1",
        "--size",
        "64",
        "--eval-problems",
        "2",
        "--problems-per-round",
        "1",
        "--group-size",
        "2",
        "--recipe",
        "base",
    ),
}


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs a command whose verifier has no verdict on any answer of the model, for one kind of reason."""
    monkeypatch.chdir(tmp_path)

    def ran(command: str, kind: str) -> tuple[dict[str, Any], str]:
        (tmp_path / "odd.py").write_text(SOURCE.format(kind=kind))
        main([command, *COMMON, *SIZES[command]])
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), err

    return ran


@pytest.mark.filterwarnings("ignore::gpo.types.DataWarning")
@pytest.mark.parametrize(
    ("command", "kind", "num"),
    [
        ("sample", "crashes", 2),
        ("sample", "memory", 2),
        ("eval", "unscored", 2),
        ("locate", "crashes", None),
        ("train", "unscored", 6),
    ],
)
def test_a_command_shows_them_and_so_does_gpo_show(
    run: Callable[..., Any], capsys: pytest.CaptureFixture[str], command: str, kind: str, num: int | None
) -> None:
    summary, err = run(command, kind)
    if num is None:  # as many as a search takes
        num = len(Path("run/rollouts.jsonl").read_text().splitlines())
    assert summary["unjudged"] == {kind: num}
    line = f"reward 0 without a verdict: {num} {WORDS[kind]}"
    assert line in " ".join(err.split())
    main(["show", "run", "--json"])
    out, err = capsys.readouterr()
    assert json.loads(out)["unjudged"] == {kind: num}
    assert line in " ".join(err.split())
    if command == "locate":
        main(["report", "run", "-o", "page.html"])
        assert line in Path("page.html").read_text().replace("\\u0027", "'")


def test_kinds_come_in_one_order_and_lines_of_earlier_versions_count() -> None:
    lines = [{"unjudged": {"memory": 1, "crashes": 2}}, {"timeouts": 3}, {"unjudged": {}, "timeouts": 0}, {}]
    assert list(counted(lines).items()) == [("timeouts", 3), ("crashes", 2), ("memory", 1)]
    assert told(counted(lines)) == [
        "reward 0 without a verdict: 3 reached the time limit; 2 ended their verifier's process twice; "
        "1 reached the memory limit"
    ]
    assert told({}) == []


def test_shared_verifiers_count_every_kind() -> None:
    class Own:
        num_timeouts = 0

        def __init__(self) -> None:
            self.unjudged = {"timeouts": 0, "crashes": 0, "memory": 0, "unscored": 0}

        def score(self, problems: list[Problem], texts: list[str]) -> list[float]:
            self.unjudged = {kind: num + len(kind) for kind, num in self.unjudged.items()}
            return [0.5] * len(texts)

    shared = SharedVerifier(Own(), Ranks())  # type: ignore[arg-type]
    assert shared.score([Problem("q", (1,), "x")] * 2, ["", ""]) == [0.5, 0.5]
    assert shared.unjudged == {"timeouts": 8, "crashes": 7, "memory": 6, "unscored": 8}
    assert shared.num_timeouts == 8
