"""What a command says can be done next: real commands with real paths, which this program accepts."""

import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from gpo.cli import cli
from gpo.command_settings import (
    EvalSettings,
    LocateSettings,
    PairsSettings,
    PreferenceSettings,
    SampleSettings,
    TrainSettings,
)
from gpo.setup.ways_on import flags, ways_on

OWN: dict[str, Any] = {"model": "a model", "data": "my rows.jsonl", "verifier": "number", "max_tokens": 96}
SUM: dict[str, Any] = {"task": "chain_sum", "max_tokens": 64}
CASES = [
    ("sample", SampleSettings(**OWN, num=2), {}, ["gpo locate --like 'runs/a b'", "gpo show 'runs/a b'"]),
    (
        "locate",
        LocateSettings(**OWN),
        {"trajectories": 3},
        ["gpo show 'runs/a b' --trajectory 0", "gpo report 'runs/a b'", "gpo pairs --run 'runs/a b'"],
    ),
    ("locate", LocateSettings(**OWN), {"trajectories": 0}, ["gpo show 'runs/a b'"]),
    (
        "locate",
        LocateSettings(**SUM, split="test"),  # which is not trained on
        {"trajectories": 3},
        ["gpo show 'runs/a b' --trajectory 0", "gpo report 'runs/a b'"],
    ),
    (
        "eval",
        EvalSettings(**SUM, num=2, seed=5),
        {},
        ["gpo eval --like 'runs/a b' --model ANOTHER --against 'runs/a b'"],
    ),
    ("eval", EvalSettings(**SUM, against="demo"), {}, ["gpo show 'runs/a b'"]),
    (
        "pairs",
        PairsSettings(**OWN, chat=False, thinking_marks=[("<a>", "</a>")]),
        {"rows": {"pairs": 2, "unpaired": 9}},
        [
            "gpo train --method dpo --pairs 'runs/a b' --model 'a model' "
            "--thinking-marks '<a>' '</a>' --no-chat",
            "gpo export 'runs/a b' --to trl --rows pairs",
        ],
    ),
    (
        "pairs",
        PairsSettings(**SUM),
        {"rows": {"pairs": 0, "unpaired": 9}},
        ["gpo train --method kto --pairs 'runs/a b'", "gpo export 'runs/a b' --to trl --rows unpaired"],
    ),
    (
        "train",
        TrainSettings(**SUM, rounds=20),
        {"rounds": 20, "ended_by": "rounds", "best": None},
        [
            "gpo show 'runs/a b'",
            "gpo eval --model 'runs/a b'/model --task chain_sum --max-tokens 64",
            "gpo train --resume 'runs/a b' --rounds 40",
        ],
    ),
    (
        "train",
        TrainSettings(**SUM, rounds=20, budget_tokens=5000, patience=2),
        {"rounds": 7, "ended_by": "budget_tokens", "best": {"round": 3}},
        [
            "gpo show 'runs/a b'",
            "gpo eval --model 'runs/a b'/best --task chain_sum --max-tokens 64",
            "gpo train --resume 'runs/a b' --budget-tokens 10000",
        ],
    ),
    (
        "train",
        PreferenceSettings(method="dpo", pairs="runs/p", model="a model", lora_rank=4, eval_data="e.jsonl",
                           verifier="number", eval_problems=5),
        {"rounds": 1, "ended_by": "rounds", "best": None},
        [
            "gpo show 'runs/a b'",
            "gpo eval --model 'a model' --adapter 'runs/a b'/model --data e.jsonl --verifier number",
        ],
    ),
    (
        "train",
        TrainSettings(**OWN),
        {"rounds": 0, "ended_by": "rounds", "best": None},
        ["gpo show 'runs/a b'"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("command", "settings", "summary", "ways"), CASES)
def test_each_command_names_what_can_follow_it(command, settings, summary, ways) -> None:
    lines = ways_on(command, Path("runs/a b"), settings, summary)
    assert [line[6:].partition("  # ")[0].rstrip() for line in lines] == ways
    assert [line[:6] for line in lines] == ["next: ", *["      "] * (len(ways) - 1)]
    assert all(line.partition("  # ")[2] for line in lines)
    for way in ways:
        name, *arguments = shlex.split(way)[1:]
        found = cli.get_command(click.Context(cli), name)
        assert found is not None
        found.make_context(name, arguments)  # click refuses a flag that is not there


def test_what_a_run_was_given_comes_back_as_flags() -> None:
    settings = SampleSettings(
        task="gym/chain_sum", task_options={"max_terms": 4}, stop=["a b", "c"], chat=False
    )
    given = flags(SampleSettings, settings.model_dump())
    assert given == "--task gym/chain_sum --task-options max_terms=4 --stop 'a b' --stop c --no-chat"
