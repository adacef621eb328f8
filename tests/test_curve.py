"""Exact numbers, known intervals, and the false-alarm probabilities that the statistics promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpo.curve import advantage_intervals, value_intervals, wilson
from gpo.rules import CRITIC_RULES, RULES, critical_step, probabilities
from gpo.types import InputError, Problem, Rollout, State, ValueCurve


def curve(successes, trials, entropies=(), outcome=0.0) -> ValueCurve:
    num = len(successes)
    rollout = Rollout(
        State(Problem("p", (1,), "")),
        tuple(range(num)),
        (-0.5,) * num,
        tuple(entropies),
        "",
        True,
        outcome,
        0,
    )
    return ValueCurve(tuple(range(num + 1)), (*successes, int(outcome)), (*trials, 1), rollout)


def test_wilson_agrees_with_published_numbers() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_the_difference_interval_agrees_with_published_numbers() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 873, table II, method 10: 56/70 - 48/80 and 10/10 - 0/10.
    low, high = advantage_intervals(curve([48, 56], [80, 70]))[0]
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    low, high = advantage_intervals(curve([0, 10], [10, 10]))[0]
    assert (low, high) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_intervals_have_width_at_none_and_all_and_the_outcome_has_none() -> None:
    intervals = value_intervals(curve([0, 4, 0], [4, 4, 0], outcome=1.0))
    assert intervals[0][0] == 0.0
    assert intervals[0][1] > 0.4
    assert intervals[1][1] == 1.0
    assert intervals[1][0] < 0.6
    assert intervals[2] == (0.0, 1.0)
    assert intervals[3] == (1.0, 1.0)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=8), st.booleans())
def test_every_interval_holds_its_estimate(counts, outcome) -> None:
    trials = [max(pair) for pair in counts]
    successes = [min(pair) for pair in counts]
    one = curve(successes, trials, outcome=float(outcome))
    for advantage, (low, high) in zip(one.advantages, advantage_intervals(one), strict=True):
        assert -1 <= low <= high <= 1
        assert math.isnan(advantage) or low - 1e-12 <= advantage <= high + 1e-12


def test_the_difference_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # 4,000 worlds: the coverage of a 95 % interval has s.e. 0.35 points; below 93 % has probability < 1e-6.
    rng = np.random.default_rng(0)
    v0, v1, n = rng.uniform(0.05, 0.95, 4000), rng.uniform(0.05, 0.95, 4000), 12
    hits = 0
    for a, b in zip(v0, v1, strict=True):
        low, high = advantage_intervals(curve([rng.binomial(n, a), rng.binomial(n, b)], [n, n]))[0]
        hits += low <= b - a <= high
    assert hits / 4000 > 0.93


@pytest.mark.parametrize(
    ("rule", "index"),
    # values 0.5 0.25 0.75 1.0 0.5 | 0: advantages -0.25 +0.5 +0.25 -0.5 -0.5
    [("signed", 1), ("absolute", 1), ("drop", 3), ("as-released", 3)],
)
def test_each_rule_takes_its_own_step_and_the_first_of_equals(rule, index) -> None:
    step = critical_step(curve([2, 1, 3, 4, 2], [4] * 5), rule)
    assert step is not None
    assert (step.index, step.rule) == (index, rule)
    low, high = step.interval
    assert low <= step.advantage <= high


def test_the_entropy_rule_takes_the_step_with_the_highest_mean() -> None:
    step = critical_step(curve([0, 0, 0], [0, 0, 0], entropies=(0.1, 0.9, 0.2)), "entropy")
    assert step is not None
    assert step.index == 1
    assert step.probability == 1.0
    assert math.isnan(step.advantage)


def test_entropies_of_a_reset_rollout_belong_to_its_sampled_tokens() -> None:
    rollout = Rollout(State(Problem("p", (1,), ""), (8, 9)), (1, 2), (-0.1, -0.9), (), "", True, 0.0, 0)
    one = ValueCurve((2, 3, 4), (0, 0, 0), (0, 0, 1), rollout)
    step = critical_step(one, "entropy")
    assert step is not None
    assert step.index == 1


@pytest.mark.slow
def test_the_random_rule_is_uniform_and_follows_its_seed() -> None:
    one = curve([0] * 4, [0] * 4)
    picks = [critical_step(one, "random", seed=seed).index for seed in range(800)]
    assert picks[5] == critical_step(one, "random", seed=5).index
    # chi-square with 3 degrees of freedom: above 22.5 with probability 5e-5
    assert sum((picks.count(i) - 200) ** 2 / 200 for i in range(4)) < 22.5


def test_base_names_no_step_and_an_unknown_rule_is_refused() -> None:
    assert critical_step(curve([1], [4]), "base") is None
    with pytest.raises(InputError, match="'largest' is unknown; one of signed"):
        critical_step(curve([1], [4]), "largest")
    assert len(RULES) == 9


def test_a_rule_on_advantages_names_nothing_where_nothing_changed() -> None:
    assert critical_step(curve([0, 0], [4, 4]), "absolute") is None
    assert critical_step(curve([0, 2], [4, 4], outcome=1.0), "drop") is None
    assert critical_step(curve([0, 0], [4, 4]), "as-released") is not None


def test_steps_with_an_unsampled_end_are_passed_over() -> None:
    step = critical_step(curve([4, 0, 1], [4, 0, 4]), "absolute")
    assert step is not None
    assert step.index == 2
    assert critical_step(ValueCurve((0, 1, 2), (0, 0, 0), (0, 0, 1)), "absolute") is None


def test_probability_and_credibility_rise_with_the_evidence() -> None:
    few, many = (critical_step(curve([n, 0], [n, n]), "drop") for n in (2, 40))
    assert few is not None
    assert many is not None
    assert few.probability < many.probability
    assert many.probability > 0.99
    assert many.credibility > 0.99
    flat = critical_step(curve([20, 20], [40, 40], outcome=1.0), "absolute")
    assert flat is not None
    assert flat.index == 1  # the outcome is the only jump


@pytest.mark.parametrize("rule", RULES)
def test_the_probabilities_of_a_rule_sum_to_one_and_hold_the_named_steps(rule) -> None:
    one = curve([3, 4, 1, 0], [4, 4, 4, 2], entropies=(0.1, 0.9, 0.2, 0.3))
    chances = probabilities(one, rule)
    # No critic has read this trajectory, so its rules name nothing.
    assert sum(chances) == pytest.approx(0 if rule in ("base", *CRITIC_RULES) else 1)
    if step := critical_step(one, rule):
        assert step.probability == chances[step.index]
        assert step.within_one == pytest.approx(sum(chances[max(0, step.index - 1) : step.index + 2]))
