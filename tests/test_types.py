import math

import pytest

from gpo.seeds import derive_seed
from gpo.types import CriticalStep, Group, Problem, Rollout, State, ValueCurve

PROBLEM = Problem("p", (7, 8), "42")


def rollout(reward: float, prefix: tuple[int, ...] = (), action: tuple[int, ...] = (1, 2, 3, 4)) -> Rollout:
    return Rollout(State(PROBLEM, prefix), action, (0.0,) * len(action), (), "", True, reward, 0)


def test_a_state_is_the_prompt_and_the_given_tokens() -> None:
    assert State(PROBLEM, (1, 2)).ids == (7, 8, 1, 2)
    assert State(PROBLEM, (1, 2)).key != State(PROBLEM, (12,)).key


def test_a_rollout_from_a_reset_state_holds_prefix_and_sampled_tokens_apart() -> None:
    one = rollout(1.0, prefix=(5, 6))
    assert one.completion_ids == (5, 6, 1, 2, 3, 4)
    assert one.state_at(3).prefix_ids == (5, 6, 1)
    with pytest.raises(ValueError, match="offset 7 is outside"):
        one.state_at(7)


def test_a_group_has_the_mean_reward_and_its_standard_error() -> None:
    group = Group(State(PROBLEM), tuple(rollout(r) for r in (1.0, 0.0, 0.0, 1.0)))
    assert group.value == 0.5
    assert group.stderr == pytest.approx(math.sqrt((4 * 0.25 / 3) / 4))
    assert group.has_signal
    assert math.isnan(Group(State(PROBLEM), (rollout(1.0),)).stderr)


def test_advantages_sum_to_the_outcome_minus_the_first_value() -> None:
    curve = ValueCurve((0, 1, 3, 4), (2, 3, 1, 0), (4, 4, 4, 1), rollout(0.0))
    assert curve.advantages == [0.25, -0.5, -0.25]
    assert sum(curve.advantages) == 0.0 - curve.values[0]


def test_the_reset_state_is_the_prefix_before_the_critical_step() -> None:
    curve = ValueCurve((0, 1, 3, 4), (2, 3, 1, 0), (4, 4, 4, 1), rollout(0.0))
    critical = CriticalStep(1, -0.5, (-0.8, 0.1), 0.7, 0.9, "drop")
    assert critical.reset_state(curve) == State(PROBLEM, (1,))


@pytest.mark.parametrize(
    ("bounds", "successes", "trials"),
    [((0, 0, 4), (1, 1, 1), (1, 1, 1)), ((0, 4), (2, 0), (1, 1)), ((0,), (0,), (1,)), ((0, 4), (0,), (1, 1))],
)
def test_an_impossible_curve_is_refused(bounds, successes, trials) -> None:
    with pytest.raises(ValueError):
        ValueCurve(bounds, successes, trials)


def test_seeds_depend_on_every_part_and_on_nothing_else() -> None:
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert (
        len({derive_seed(0, "a", 1), derive_seed(0, "a1"), derive_seed(1, "a", 1), derive_seed(0, "a", 2)})
        == 4
    )
    assert 0 <= derive_seed("x") < 2**63
