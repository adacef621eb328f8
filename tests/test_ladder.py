"""Ladders: a success is practised from its end towards the prompt."""

import json
import math
from dataclasses import asdict
from itertools import pairwise

import pytest
from toy import AllRight, TablePolicy, problems

from gpo import steps
from gpo.gpo import Memory, rounds, run_round
from gpo.ladder import Ladder
from gpo.recipe import Recipe
from gpo.training.metrics import sampling_metrics
from gpo.types import InputError, Rollout, State

HALVES = [0.5, 0.99, 0.5, 0.99, 0.5]
"""Chances of the toy's lines: three decisions, and lines between them that are nearly always right."""
LINES = steps.newline(min_tokens=1)


def recipe(**changes) -> Recipe:
    return Recipe.named("ladder", **{"splitter": LINES, "problems_per_round": 4, "ladders": 2, **changes})


def ladder(rung: int) -> Ladder:
    surprisals = [-math.log(chance) for chance in HALVES]
    return Ladder((1, 3) * 5, (0, 2, 4, 6, 8, 10), tuple(surprisals), rung)


@pytest.mark.parametrize(
    ("rung", "value", "after"),
    [
        (5, 0.75, 4),  # a new one begins before the last decision
        (4, 0.75, 2),  # the line between two decisions is no rung
        (4, 0.74, 4),
        (2, 1.0, 0),
        (0, 0.74, 0),
        (0, 0.75, None),  # the prompt is mastered
        (2, 0.0, 3),  # half of it is behind the reset now
        (4, 0.0, 4),  # a last step is always left
    ],
)
def test_a_ladder_goes_by_halves_of_its_probability(rung, value, after) -> None:
    found = ladder(rung).after(value, 7)
    assert (found and (found.rung, found.seen)) == (after if after is None else (after, 7))


def test_without_log_probabilities_every_step_is_a_rung() -> None:
    rollout = Rollout(State(problems(1)[0]), (1, 3) * 3, (math.nan,) * 6, (), "", True, 1.0, 0)
    one = Ladder.of(rollout, (0, 2, 4, 6), 1)
    assert (one.rung, one.moved(-1).rung) == (2, 1)
    assert Ladder.from_json(json.loads(json.dumps(asdict(one)))) == one


def take(num: int, memory: Memory | None = None, start: int = 1, **changes):
    source = rounds(
        TablePolicy(HALVES), AllRight(), problems(12), recipe(**changes), seed=4, start=start, memory=memory
    )
    return [next(source) for _ in range(num)]


def practised(data) -> list:
    """The groups on ladders; what else trains is a single rollout with its baseline."""
    return [group for group in data.groups if group.baselines is None]


def is_solved(data) -> bool:
    return any(group.value > 0 for group in data.explored)


def test_ladders_are_climbed_where_no_prompt_is_solved_the_least_recently_practised_first() -> None:
    # A prompt is solved .12 of the time, the last decision alone .5.
    data = take(24)
    assert {is_solved(one) for one in data} == {True, False}
    for before, after in pairwise(data):
        ladders = before.memory.ladders
        order = sorted(ladders, key=lambda problem: (ladders[problem].seen, problem))[:2]
        groups = practised(after)
        assert [group.state.problem.id for group in groups] == ([] if is_solved(after) else order)
        for group in groups:
            one = ladders[group.state.problem.id]
            assert group.state.prefix_ids == one.ids[: one.bounds[one.rung]]
            assert len(group.rollouts) == 8
            assert after.memory.ladders.get(group.state.problem.id) == one.after(group.value, after.index)
    rungs = {len(group.state.prefix_ids) // 2 for one in data for group in practised(one)}
    assert rungs >= {4, 2}


def test_a_run_that_goes_on_from_its_memory_samples_what_it_would_have() -> None:
    whole = take(8)
    memory = Memory.from_json(json.loads(json.dumps(asdict(whole[3].memory))))
    assert memory == whole[3].memory
    assert memory.ladders
    assert [one.groups for one in take(4, memory, start=5)] == [one.groups for one in whole[4:]]


def test_ladders_keep_to_the_budget_and_are_no_part_of_other_recipes() -> None:
    memory = take(4)[3].memory
    known = {problem.id: problem for problem in problems(12)}
    data = run_round(
        *(TablePolicy([0.0, *HALVES[1:]]), AllRight(), problems(4), recipe()),
        index=5,
        seed=4,
        memory=memory,
        known=known,
        budget_tokens=4 * 11 + 10,
    )
    assert sum(data.tokens.values()) <= 4 * 11 + 10
    assert not practised(data)
    assert not take(4, ladders=0)[3].memory.ladders


def test_a_round_says_how_many_ladders_there_are_and_how_much_of_them_is_given() -> None:
    assert ladder(3).given_frac == 0.6
    data = take(4)[3]
    ladders = data.memory.ladders.values()
    metrics = sampling_metrics(data)
    assert metrics["ladder/kept"] == len(ladders) >= 1
    assert metrics["ladder/given_frac"] == sum(one.given_frac for one in ladders) / len(ladders)
    data = next(one for one in take(8) if practised(one))
    rewards = [group.value for group in practised(data)]
    metrics = sampling_metrics(data)
    assert (metrics["ladder/practised"], metrics["ladder/reward"]) == (
        len(rewards),
        sum(rewards) / len(rewards),
    )
    assert "ladder/kept" not in sampling_metrics(take(4, ladders=0)[3])


def test_only_problems_that_mostly_fail_get_a_ladder() -> None:
    data = take(6, group_size=4)
    for before, after in pairwise(data):
        new = after.memory.ladders.keys() - before.memory.ladders.keys()
        values = {group.state.problem.id: group.value for group in after.explored}
        assert all(values[problem] == 0.25 for problem in new)


@pytest.mark.parametrize(
    "change",
    [
        {"rung": 5},
        {"rung": -1},
        {"bounds": [0, 2]},
        {"ids": None},
        {"seen": "x"},
        {"bounds": [0, 2, 4, 4, 8, 10]},
        {"bounds": [1, 2, 4, 6, 8, 10]},
        {"bounds": [0, 2, 4, 6, 8, 9]},
        {"ids": []},
        {"surprisals": [0.1, 0.2, None, 0.1, 0.1]},
        {"surprisals": [0.1, float("nan"), 0.1, 0.1, 0.1]},
    ],
)
def test_a_ladder_that_no_run_wrote_is_refused(change) -> None:
    content = json.loads(json.dumps(asdict(Memory(ladders={"p0": ladder(2)}))))
    content["ladders"]["p0"] |= change
    with pytest.raises(InputError, match="memory: is not what a run writes"):
        Memory.from_json(content)
