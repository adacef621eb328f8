"""Rewards of steps against numbers by hand: what they are, and which tokens they reach."""

import math
from dataclasses import replace

import numpy as np
import pytest
from toy import END, NEWLINE, RIGHT, WRONG, Characters, TablePolicy, problems

from gpo import proposals, step_rewards, steps
from gpo.learn.process import StepRewards, process_advantages
from gpo.types import Group, InputError, Rollout, Sample, State

PROBLEM = problems(1)[0]
SPLIT = steps.newline(min_tokens=1)


def rollout(action, prefix=(), problem=PROBLEM) -> Rollout:
    return Rollout(State(problem, prefix), action, (), (), "", True, 0.0, 0)


def group(*rollouts: Rollout) -> Group:
    return Group(rollouts[0].state, rollouts)


FIRST = rollout((RIGHT, NEWLINE, WRONG, NEWLINE, RIGHT, END))
SECOND = rollout((WRONG, NEWLINE, RIGHT, END))


def test_a_token_is_credited_with_the_normalised_rewards_from_its_step_on() -> None:
    rewarded = [StepRewards(FIRST, (0, 2, 4, 6), (1.0, 0.0, 2.0)), StepRewards(SECOND, (0, 2, 4), (0.0, 2.0))]
    found = list(process_advantages([group(FIRST, SECOND)], rewarded).values())
    # 1, 0, 2, 0, 2 have the mean 1 and the standard deviation 1: normalised 0, -1, 1 and -1, 1.
    assert found[0].tolist() == pytest.approx([0, 0, 0, 0, 1, 1], abs=1e-3)
    assert found[1].tolist() == pytest.approx([0, 0, 1, 1], abs=1e-3)


def test_steps_of_a_reset_group_are_compared_with_each_other_and_a_lone_rollout_with_its_problems() -> None:
    resets = [rollout((one, END), (RIGHT, NEWLINE)) for one in (RIGHT, WRONG)]
    alone = rollout((RIGHT, NEWLINE, RIGHT, END))
    rewarded = [
        *(StepRewards(one, (2, 4), (reward,)) for one, reward in zip(resets, (3.0, 1.0), strict=True)),
        StepRewards(alone, (0, 2, 4), (5.0, 3.0)),
    ]
    found = process_advantages([group(*resets), group(alone)], rewarded)
    high, low, lone = found.values()
    assert high.tolist() == pytest.approx([math.sqrt(0.5)] * 2, rel=1e-3)  # mean 2, deviation sqrt 2
    assert low.tolist() == pytest.approx([-math.sqrt(0.5)] * 2, rel=1e-3)
    # 3, 1, 5, 3: mean 3, deviation sqrt(8 / 3).
    assert lone.tolist() == pytest.approx([math.sqrt(1.5)] * 2 + [0.0] * 2, rel=1e-3)


@pytest.mark.parametrize(
    "groups",
    [[group(FIRST)], [group(FIRST), group(rollout((RIGHT, END), problem=replace(PROBLEM, id="other")))]],
)
def test_what_has_nothing_to_be_compared_with_gets_nothing(groups) -> None:
    rewarded = [StepRewards(FIRST, (0, 2, 4, 6), (1.0, 0.0, 2.0))]
    assert not process_advantages(groups, rewarded)[next(iter(process_advantages(groups, rewarded)))].any()
    equal = [
        StepRewards(one, (0, 2, 4), (0.1, 0.1)) for one in (SECOND, rollout((RIGHT, NEWLINE, RIGHT, END)))
    ]
    found = process_advantages([group(*(one.rollout for one in equal))], equal)
    assert not np.concatenate(list(found.values())).any()


def test_a_head_is_credited_with_the_steps_that_followed_it_and_counts_its_own_alone() -> None:
    whole = rollout((RIGHT, NEWLINE, WRONG, NEWLINE, RIGHT, END))
    head, tail = rollout(whole.action_ids[:2]), rollout(whole.action_ids[2:], whole.action_ids[:2])
    seen = []

    def reward(policy, traces):
        seen.extend(trace.rollout.completion_ids for trace in traces)
        return [[float(step) for step in range(trace.num_steps)] for trace in traces]

    found = step_rewards.rewarded(
        reward, TablePolicy([0.5] * 3), SPLIT, [group(head), group(tail)], [group(whole)]
    )
    assert seen == [whole.action_ids]
    assert [(one.bounds, one.rewards) for one in found] == [
        ((0, 2, 4, 6), (0.0, 1.0, 2.0)),
        ((2, 4, 6), (1.0, 2.0)),
    ]
    assert [one.own for one in found] == [(0.0,), (1.0, 2.0)]
    credit = process_advantages([group(head), group(tail)], found)
    # 0, 1, 2: mean 1, deviation 1. The head gets -1 + 0 + 1, the tail 0 + 1 and then 1.
    assert [a.tolist() for a in credit.values()] == [
        pytest.approx([0.0, 0.0], abs=1e-3),
        pytest.approx([1.0] * 4, rel=1e-3),
    ]


def count_r(question: str, steps: list[str]) -> list[float]:
    return [step.count("r") for step in steps]


def of_columns(columns, steps, worth="worth"):
    return [columns[worth]] * len(steps)


def by_place(one, two, three):
    assert (one, two) == ("question 0", "r")
    return np.ones(len(three))


@pytest.mark.parametrize(
    ("name", "rewards"), [("count_r", (0.0, 1.0)), ("of_columns", (7.0, 7.0)), ("by_place", (1.0, 1.0))]
)
def test_a_function_is_given_what_it_names_and_its_rewards_reach_sampled_steps_only(name, rewards) -> None:
    problem = replace(PROBLEM, columns={"worth": 7})
    one = rollout((WRONG, NEWLINE, RIGHT, END), (RIGHT, NEWLINE), problem)
    reward = step_rewards.by_name(f"test_step_rewards:{name}")
    found = step_rewards.rewarded(reward, TablePolicy([0.5] * 3), SPLIT, [group(one)])
    assert (found[0].bounds, found[0].rewards) == ((2, 4, 6), rewards)


def short(question, answer, steps):
    return [0.0] * (len(steps) - 1)


def not_a_number(question, answer, steps):
    return [math.nan] * len(steps)


def text(question, answer, steps):
    return "1" * len(steps)


def nothing(question, answer, steps):
    return None


def raises(question, answer, steps):
    return [1 / 0 for _ in steps]


def other(question, answer, steps, key):
    return [0.0 for _ in steps]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("guess", r"^step_reward: 'guess' is unknown; give repro, or module:function"),
        ("no_such_module:f", r"^step_reward: 'no_such_module:f' cannot be imported"),
        ("math:pi", r"^step_reward: 'pi' is a float, not a function; name a function"),
        (
            "test_step_rewards:short",
            r"^step_reward: the function gave '\[\]' for the 1 steps of problem p0; give a",
        ),
        ("test_step_rewards:not_a_number", r"^step_reward: the function gave '\[nan\]' for the 1 steps of"),
        ("test_step_rewards:text", r"^step_reward: the function gave '1' for the 1 steps of problem p0"),
        (
            "test_step_rewards:nothing",
            r"^step_reward: the function gave 'None' for the 1 steps of problem p0",
        ),
        (
            "test_step_rewards:raises",
            r"^step_reward: the function raised ZeroDivisionError: division by zero \(.*, line .*\) for",
        ),
        ("test_step_rewards:other", r"^step_reward: the function raised TypeError: .*'key'"),
    ],
)
def test_a_step_reward_that_is_none_is_one_line_before_anything_is_sampled(spec, message) -> None:
    def made() -> None:
        step_rewards.by_name(spec)
        proposals.try_out(spec, PROBLEM, "step_reward")

    with pytest.raises(InputError, match=message) as error:
        made()
    assert "\n" not in str(error.value)


def test_repro_rewards_a_step_by_how_much_it_raises_magnitude_and_stability() -> None:
    # J is -2 at first, then -1, -3 and -1 again: magnitudes 1 - tanh(1/2), 1 - tanh(3/2), 1 - tanh(1/2).
    # Of J_1 alone there is no pair; -1, -3 fall; of -1, -3, -1 one pair falls, one rises, one is level.
    likely, unlikely = 1 - math.tanh(0.5), 1 - math.tanh(1.5)
    scores = [0.8 * likely + 0.2 * 0.5, 0.8 * unlikely + 0.2 * 0.0, 0.8 * likely + 0.2 * 0.5]
    found = step_rewards.repro_rewards([-2.0, -1.0, -3.0, -1.0], 0.2)
    expected = [scores[0], scores[1] - scores[0], scores[2] - scores[1], 0.0]
    assert found == pytest.approx(expected)
    assert found == pytest.approx([0.530306, -0.454425, 0.454425, 0.0], abs=1e-6)
    assert step_rewards.repro_rewards([-2.0], 0.2) == [0.0]
    assert step_rewards.repro_rewards([-2.0, -1e-12], 0.0)[0] == pytest.approx(1.0)
    assert step_rewards.repro_rewards([0.0, -1.0], 0.0)[0] == pytest.approx(0.0)


def test_repro_reads_the_known_answer_after_each_step_of_the_whole_completion() -> None:
    likelihoods = {0: -2.0, 2: -1.0, 4: -3.0}

    class Answers(TablePolicy):
        def read(self, given):
            assert [self.text(ids) for _, ids in given] == ["r"] * 3
            assert [self.text(state.prefix_ids)[-2:] for state, _ in given] == ["\nw"] * 3  # is not rewarded
            return [
                Sample(ids, (likelihoods[len(s.prefix_ids) - 2],) * len(ids), (), True) for s, ids in given
            ]

    one = rollout((WRONG, NEWLINE, RIGHT, END), (RIGHT, NEWLINE))
    found = step_rewards.rewarded(
        step_rewards.by_name("repro", template="\nw{answer}"), Answers([0.5]), SPLIT, [group(one)]
    )
    assert found[0].bounds == (2, 4, 6)
    assert found[0].rewards == pytest.approx(step_rewards.repro_rewards([-2.0, -1.0, -3.0])[1:])
    assert Characters().decode(one.completion_ids) == "r\nw\nr"
