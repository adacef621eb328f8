"""What a command shows while it works, and what it says that it will cost at most."""

import io
import math
import sys
import time

import pytest
from toy import AllRight, TablePolicy, problems

from gpo import DEMO_MODEL, cost, progress, steps
from gpo.console import Ui
from gpo.explore import Explorer, Task
from gpo.policies.transformers import TransformersPolicy
from gpo.progress import Progress, clock, duration
from gpo.recipe import Recipe
from gpo.types import OFF_POLICY, Problem, Request, Rollout, State


@pytest.mark.parametrize(
    ("seconds", "passed", "to_come"),
    [
        (0, "0:00", "0 s"),
        (59.9, "0:59", "60 s"),
        (80, "1:20", "80 s"),
        (91, "1:31", "2 min"),
        (3600, "1:00:00", "60 min"),
        (3723, "1:02:03", "63 min"),
        (11_520, "3:12:00", "3.2 h"),
    ],
)
def test_a_time_that_passed_looks_different_from_one_to_come(seconds, passed, to_come) -> None:
    assert (clock(seconds), duration(seconds)) == (passed, to_come)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def shown(now: Clock, **values) -> Progress:
    return Progress(Ui(as_json=True), "locate", "problems", 10, now_s=now, **values)


@pytest.mark.parametrize(
    ("passed", "tokens", "most", "done", "line"),
    [
        (0, 0, math.inf, 0, "locate: 0 of 10 problems · elapsed 0:00"),
        (0, 0, 40_960, 0, "locate: 0 of 10 problems · elapsed 0:00 · 0 of at most 40,960 tokens"),
        (
            50,
            4_850,
            40_960,
            2,
            "locate: 2 of 10 problems · elapsed 0:50 · 4,850 of at most 40,960 tokens · 97 tokens/s · "
            "at most 7 min left",
        ),
        (9, 900, 900, 9, "locate: 9 of 10 problems · elapsed 0:09 · 900 of at most 900 tokens · 100 tokens/s "
         "· at most 0 s left"),
        (60, 1_200, 1_200, 10, "locate: 10 of 10 problems · elapsed 1:00 · 1,200 tokens · 20 tokens/s"),
    ],
)  # fmt: skip
def test_a_line_says_how_far_how_much_how_fast_and_how_long_at_most(passed, tokens, most, done, line) -> None:
    now = Clock()
    one = shown(now, drawn=lambda: tokens, most=most)
    now.now = passed
    one.at(done)
    assert one.line() == line


def test_the_speed_is_that_of_the_last_minute() -> None:
    now, speed = Clock(), None
    speed = progress.Speed(now)
    found = []
    for passed, tokens in ((30, 3_000), (60, 6_000), (90, 6_300), (120, 6_600), (150, 6_900)):
        now.now = passed
        found.append(round(speed.of(tokens)))
    assert found == [100, 100, 55, 10, 10]


def test_a_part_counts_its_own_tokens_and_promises_no_time() -> None:
    now, drawn = Clock(), [100]
    one = shown(now, drawn=lambda: drawn[0])
    one.begin("sampling", 4_000)
    now.now, drawn[0] = 10, 600
    one.stage = "explore 16"
    assert one.line().endswith("elapsed 0:10 · explore 16 · 500 of at most 4,000 tokens · 60 tokens/s")


def test_without_a_terminal_there_is_a_line_every_half_minute_and_one_at_the_end(monkeypatch) -> None:
    assert progress.EVERY_S == 30
    monkeypatch.setattr(progress, "EVERY_S", 0.01)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Progress(Ui(as_json=True), "sample", "problems", 3) as one:
        while sys.stderr.getvalue().count("\n") < 2:
            time.sleep(0.01)
        one.at(3)
    first, *_, last = sys.stderr.getvalue().splitlines()
    assert first == "sample: 0 of 3 problems · elapsed 0:00"
    assert last == "sample: 3 of 3 problems · elapsed 0:00"


def test_tokens_are_counted_while_a_wave_is_drawn() -> None:
    policy = TransformersPolicy.load(DEMO_MODEL, device="cpu", max_tokens=32)
    state = State(Problem("p", policy.prompt_ids("1 + 2 + 3 ="), "6"))
    seen: list[int] = []
    handle = policy.model.register_forward_hook(lambda *_: seen.append(policy.num_drawn))
    [samples] = policy.sample([Request(state, 4, 0)])
    handle.remove()
    assert policy.num_drawn == sum(len(one.action_ids) for one in samples)
    assert 0 < seen[-1] < policy.num_drawn
    assert seen == sorted(seen)


RECIPE = {"group_size": 8, "min_step_tokens": 10, "max_steps": 4, "explored": "failed"}


@pytest.mark.parametrize(
    ("changes", "tokens"),
    [
        ({}, {"prompts": 4 * 8 * 96, "searches": 4 * 8 * 96}),
        ({"search_traces": 2.5}, {"prompts": 3072, "searches": 4 * 240}),
        ({"search": "bisect"}, {"prompts": 3072, "searches": 3072}),
        ({"search": "uniform", "values": 3}, {"prompts": 3072, "searches": 4 * 3 * (96 + 96 + 86 + 76 + 66)}),
        ({"rule": "entropy"}, {"prompts": 3072}),
        ({"rule": "base"}, {"prompts": 3072}),
    ],
)
def test_a_sweep_costs_at_most_its_rollouts_and_its_searches(changes, tokens) -> None:
    found = cost.of_sweep(Recipe(**(RECIPE | changes)), 4, 96)
    assert {name: num for name, (num, _) in found.parts.items()} == tokens
    assert found.total == sum(tokens.values())


def test_a_cost_says_how_it_was_reckoned() -> None:
    found = cost.of_sweep(Recipe(**RECIPE), 4, 96)
    assert str(found) == "6,144 tokens: prompts 3,072 (4 problems x 8 x 96), searches 3,072 (4 x 8 x 96)"


@pytest.mark.parametrize(
    ("changes", "num", "tokens"),
    [
        ({}, 100, {"prompts": 16 * 8 * 96, "searches": 8 * 8 * 96, "resets": 8 * 8 * 96}),
        ({}, 4, {"prompts": 4 * 8 * 96, "searches": 4 * 8 * 96, "resets": 4 * 8 * 96}),
        ({"rule": "base"}, 100, {"prompts": 12288}),
        ({"rule": "entropy"}, 100, {"prompts": 12288, "resets": 6144}),
        ({"resets": False}, 100, {"prompts": 12288, "searches": 6144}),
    ],
)
def test_a_round_costs_at_most_its_prompts_searches_and_states(changes, num, tokens) -> None:
    found = cost.of_round(Recipe(**changes), num, 96)
    assert {name: part for name, (part, _) in found.parts.items()} == tokens


@pytest.mark.parametrize(
    ("rounds", "every", "num"), [(20, 0, 2), (20, 10, 3), (25, 10, 4), (1, 1, 2), (3, 10, 2)]
)
def test_evaluations_are_counted_before_between_and_after(rounds, every, num) -> None:
    assert cost.num_evaluations(rounds, every) == num


def test_evaluations_between_are_told_apart_where_a_budget_decides_how_many_rounds_there_are() -> None:
    a_round, evaluation = cost.Cost({"prompts": (100, "")}), (50, "50")
    assert cost.of_training(a_round, 10, None, evaluation, 2).total == 1000 + 6 * 50
    found = cost.of_training(a_round, 1000, 700, evaluation, 2)
    assert str(found).startswith("800 tokens, and 50 for every evaluation but the first and the last: rounds")
    assert cost.of_training(a_round, 1000, 700, evaluation, 0).more == ""


@pytest.mark.parametrize("search", ["adaptive", "uniform", "bisect"])
@pytest.mark.parametrize("is_given", [False, True])
def test_no_sweep_takes_more_than_its_bound_which_falls_to_what_it_took(search, is_given) -> None:
    policy = TablePolicy([0.9, 0.5, 0.9, 0.9])
    recipe = Recipe(
        group_size=6, explored="failed", splitter=steps.newline(min_tokens=1), min_step_tokens=1,
        rule="drop", search=search, search_traces=3.0,
    )  # fmt: skip
    tasks = [Task(place, problem) for place, problem in enumerate(problems(20))]
    if is_given:
        ids = (1, 3, 2, 3, 1, 3)
        one = Rollout(State(tasks[0].problem), ids, (), (), "r\nw\nr\n", True, 0.0, OFF_POLICY)
        tasks = [Task(task.place, task.problem, (one,)) for task in tasks[:1]]
    whole = cost.Cost(cost.of_searches(recipe, 1, 9)) if is_given else cost.of_sweep(recipe, 20, 9)
    bound, bounds = cost.Bound(recipe, policy.max_tokens, whole), []
    explorer = Explorer(policy, AllRight(), recipe, seed=1)
    for event in explorer.run(tasks):
        bounds.append(bound.after(event))
        assert (
            explorer.tokens <= bounds[-1] or is_given
        )  # a trajectory that is shorter than what it is continued by
    assert bounds == sorted(bounds, reverse=True) or is_given
    assert bounds[-1] == explorer.tokens
