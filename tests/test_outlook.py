# ruff: noqa: E501 - a case is a line
"""What a run says after its first completions, once: that it will find nothing, and which flag changes that."""

import pytest
from toy import AllRight, TablePolicy, problems

from gpo import steps
from gpo.explore import Drawn, Explorer, Found, Task
from gpo.explore.engine import Waves
from gpo.outlook import Outlook, of_groups, of_steps
from gpo.recipe import Recipe
from gpo.types import OFF_POLICY, Group, Problem, Rollout, State

RECIPE = Recipe(group_size=4, explored="failed", splitter=steps.newline(min_tokens=1), rule="drop")


def group(rewards: str, num_cut: int = 0) -> Group:
    """A group of one rollout a character, 1 right and 0 wrong, the first `num_cut` of them cut."""
    state = State(Problem(rewards, (0,), "a"))
    rollouts = (
        Rollout(state, (1, 3), (), (), "r\n", i >= num_cut, float(one), 0) for i, one in enumerate(rewards)
    )
    return Group(state, tuple(rollouts))


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([group("0100"), group("0001")], ""),
        ([group("0000", 4), group("0010", 4)], "8 of the first 8 completions were cut by --max-tokens 96"),
        (
            [group("0000", 4), group("0000")],
            "4 of the first 8 completions were cut by --max-tokens 96, which counts as wrong, and none is right: raise",
        ),
        ([group("0100", 1), group("0001", 2)], ""),
        (
            [group("1001", 3), group("1111", 1)],
            "4 of the first 8 completions were cut by --max-tokens 96, which counts as wrong: raise",
        ),
        ([group("0000"), group("0000", 2)], "the first 8 completions are all wrong: "),
        ([group("1111"), group("1111")], "the first 8 completions are all right: take harder problems"),
        ([group("1111"), group("0000")], "each of the first 2 problems got 4 answers of one kind: raise"),
    ],
)
def test_what_is_hopeless_is_said_with_the_flag_that_changes_it(groups, said) -> None:
    notes = of_groups(groups, RECIPE, 96, is_measured=False)
    assert [note.startswith(said) for note in notes] == [True] * bool(said)
    assert all("--" in note for note in notes)


@pytest.mark.parametrize(
    ("groups", "num"), [([group("1111")], 0), ([group("0000"), group("1111")], 0), ([group("0000")], 1)]
)
def test_where_rates_are_measured_only_wrong_answers_are_worth_a_word(groups, num) -> None:
    notes = of_groups(groups, RECIPE, 96, is_measured=True)
    assert len(notes) == num
    assert "--explored" not in "".join(notes)


@pytest.mark.parametrize(
    ("nums", "splitter", "said"),
    [
        ([1, 1, 2, 3], "newline", []),
        ([1] * 9 + [2], "newline", ["9 of the first 10 completions are a single step: give a smaller "
                                    "--min-step-tokens, or --splitter sentence for text without line breaks"]),
        ([1, 1], "fixed", ["2 of the first 2 completions are a single step: give a smaller --fixed-step-tokens"]),
        ([1, 1], "sentence", ["2 of the first 2 completions are a single step: give a smaller --min-step-tokens"]),
        ([], "newline", []),
    ],
)  # fmt: skip
def test_single_steps_are_said_with_what_makes_more_of_them(nums, splitter, said) -> None:
    assert of_steps(nums, Recipe(splitter=splitter)) == said


def test_it_is_said_once_and_after_sixteen_completions() -> None:
    policy = TablePolicy([0.0, 0.5])  # always wrong
    outlook, said, drawn = Outlook(RECIPE, policy, is_measured=False), [], 0
    tasks = [Task(place, problem) for place, problem in enumerate(problems(12))]
    for event in Explorer(policy, AllRight(), RECIPE, seed=1).run(tasks):
        drawn += isinstance(event, Drawn)
        said += [(drawn, note) for note in outlook.after(event)]
    [(num, note)] = said
    assert num == 16
    assert note.startswith("the first 16 completions are all wrong")


def test_given_trajectories_of_one_step_are_named_too() -> None:
    policy, said = TablePolicy([0.5, 0.5]), []
    recipe = RECIPE.changed(splitter=lambda ids, _: [0, len(ids)])
    outlook = Outlook(recipe, policy, is_measured=False)
    one = Rollout(State(problems(1)[0]), (1, 3, 2, 3), (), (), "r\nw\n", True, 0.0, OFF_POLICY)
    tasks = [Task(place, problem, (one,)) for place, problem in enumerate(problems(20))]
    for event in Explorer(policy, AllRight(), recipe, seed=1).run(tasks):
        said += outlook.after(event)
    assert said == ["16 of the first 16 completions are a single step: give a splitter that cuts more often"]


def test_the_first_wave_is_small_and_the_next_ones_grow() -> None:
    sizes = []

    class Watched(TablePolicy):
        def sample(self, requests):
            sizes.append(sum(request.num for request in requests))
            return super().sample(requests)

    tasks = [Task(place, problem) for place, problem in enumerate(problems(60))]
    list(Explorer(Watched([0.5]), AllRight(), RECIPE.changed(rule="base"), seed=1, slots=100).run(tasks))
    assert sizes == [8, 32, 100, 100]
    assert sum(sizes) == 60 * 4


def test_groups_with_both_kinds_of_answers_are_searched_first() -> None:
    policy = TablePolicy([0.7, 0.7])
    tasks = [Task(place, problem) for place, problem in enumerate(problems(14))]
    events = list(Explorer(policy, AllRight(), RECIPE, seed=1, slots=500).run(tasks))
    groups: dict[int, set[float]] = {}
    for event in events:
        if isinstance(event, Drawn) and event.ask.purpose == "explore":
            groups.setdefault(event.task.place, set()).add(event.rollout.reward)
    order = [len(groups[event.task.place]) for event in events if isinstance(event, Found)]
    assert {1, 2} <= set(order)
    assert order == sorted(order, reverse=True)


def test_waves_take_no_more_rows_than_slots() -> None:
    waves = Waves(TablePolicy([0.5]), 4)
    assert waves._size == 4
    waves.close()
