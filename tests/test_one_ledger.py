"""One sum of tokens, and one estimator for a run, wherever it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from reported import curve
from rich.console import Console

from gpo.record.lines import CurveLine
from gpo.record.rounds import RoundLine
from gpo.report import terminal
from gpo.report.figures import Run, series
from gpo.report.rules import picks
from gpo.rules import critical_step
from gpo.search import bisect
from gpo.types import ValueCurve, spent_tokens

LEDGERS = [
    ({}, 0),
    ({"evaluation": 1000}, 0),
    ({"explore": 10, "values": 5, "resets": 5}, 20),
    ({"explore": 10, "values": 5, "resets": 5, "archive": 100, "evaluation": 1000}, 120),
    ({"explore": 10, "fill": 7}, 17),
    ({"matching the search": 40, "evaluation": 3}, 40),
    ({"a purpose of a later version": 30}, 30),
]


def shown(thing) -> str:
    console = Console(width=100)
    with console.capture() as text:
        console.print(thing)
    return text.get()


@pytest.mark.parametrize(("tokens", "spent"), LEDGERS)
def test_terminal_and_page_count_the_same_tokens(tokens, spent):
    assert spent_tokens(tokens) == spent
    line = RoundLine(round=1, tokens=tokens, metrics={})
    assert series(Run("r", Path("r"), "train", {}, (line,), ()))[0]["tokens"] == spent
    table = shown(terminal.rounds([{"round": 1, "tokens": tokens, "metrics": {}}]))
    assert table.splitlines()[-1].split()[-1] == f"{spent}"


@pytest.mark.parametrize(("tokens", "spent"), LEDGERS)
def test_every_purpose_has_a_line_in_the_ledger_and_is_in_its_total(tokens, spent):
    lines = shown(terminal.ledger(tokens)).splitlines()
    assert len(lines) == 2 + len(tokens)
    assert lines[-1].split() == ["total", f"{spent + tokens.get('evaluation', 0):,}"]


def test_a_purpose_from_a_file_is_no_markup_and_moves_no_cursor():
    table = shown(terminal.ledger({"[bold]\x1b[2J": 3}))
    assert "[bold]" in table
    assert "\x1b[2J" not in table


HALVED = {"successes": [9, 0, 8, 0, 1, 0, 0, 0, 0], "trials": [10, 0, 10, 0, 10, 0, 0, 10, 1]}
"""What a bisection from both ends left: boundaries 0, 2, 4 and 7 sampled, the largest fall from 2 to 4."""


def test_the_other_rules_of_a_bisection_are_those_that_the_bisection_would_have_named():
    steps = [f"{i}\n" for i in range(8)]
    line = CurveLine.model_validate(curve(1, "", "", steps, **HALVED) | {"critical": None})
    found = picks(line, "bisect", 10)
    assert {rule: index for rule, (index, _) in found.items()} == {
        "absolute": 2,
        "drop": 2,
        "as-released": 0,
    }
    search = bisect(10, num_steps=8, outcome=0.0, rule="drop")
    for boundary, (wins, trials) in enumerate(zip(line.successes[:-1], line.trials[:-1], strict=True)):
        search.tell(boundary, wins, trials)
    best = search.best()
    assert best is not None
    assert found["drop"] == (best.index, best.probability)


@pytest.mark.parametrize("name", ["uniform", "bisect"])
def test_a_run_of_means_is_not_read_by_the_pooled_estimator(name):
    """Two boundaries of one rollout each: by the means it is a coin's toss, to the path it is the outcome."""
    counts = {"successes": [20, 1, 0, 0, 0], "trials": [40, 1, 1, 40, 1]}
    line = CurveLine.model_validate(curve(1, "", "", ["a", "b", "c", "d"], **counts) | {"critical": None})
    means = critical_step(ValueCurve(line.bounds, line.successes, line.trials), "drop")
    assert means is not None
    assert picks(line, name, 1)["drop"] == (1, means.probability)
    assert picks(line, "adaptive", 1)["drop"][1] != means.probability


@pytest.mark.parametrize(
    ("settings", "search", "num"),
    [
        ({}, "adaptive", 1),
        ({"search": None, "values": None}, "adaptive", 1),
        ({"search": "bisect", "values": 6}, "bisect", 6),
        ({"search": "uniform", "values": 4}, "uniform", 4),
    ],
)
def test_a_run_says_which_search_it_used(settings, search, num):
    run = Run("r", Path("r"), "locate", settings, (), ())
    assert (run.search, run.num_values) == (search, num)
