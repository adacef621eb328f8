"""Rates and what they are worth: every number here is worked out by hand or by counting all cases."""

import math
import random
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpo.rates import majority_at, mean_and_stderr, paired, pass_at, rate, sign_flip_p_value, wilson


def test_the_error_is_over_problems_not_samples() -> None:
    assert mean_and_stderr([1.0, 0.0, 0.5, 0.5]) == (0.5, pytest.approx(math.sqrt(0.5 / 3 / 4)))
    assert math.isnan(mean_and_stderr([0.3])[1])
    assert all(map(math.isnan, mean_and_stderr([])))


def test_pass_at_k_is_the_chance_that_a_random_subset_holds_a_right_sample() -> None:
    for num in range(1, 7):
        for right in range(num + 1):
            samples = [1] * right + [0] * (num - right)
            for k in range(1, num + 1):
                subsets = list(combinations(samples, k))
                share = sum(map(any, subsets)) / len(subsets)
                assert pass_at(num, right, k) == pytest.approx(share)


def test_pass_at_k_is_unbiased_where_the_plug_in_is_not() -> None:
    p, num, k = 0.3, 4, 2
    chances = [math.comb(num, c) * p**c * (1 - p) ** (num - c) for c in range(num + 1)]
    truth = 1 - (1 - p) ** k
    assert sum(chance * pass_at(num, c, k) for c, chance in enumerate(chances)) == pytest.approx(truth)
    plug_in = sum(chance * (1 - (1 - c / num) ** k) for c, chance in enumerate(chances))
    assert truth - plug_in == pytest.approx(0.0525)


@pytest.mark.parametrize("k", [0, 5])
def test_more_than_the_samples_at_hand_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k is {k} and there are 4 samples"):
        pass_at(4, 1, k)
    with pytest.raises(ValueError, match=f"k is {k} and there are 4 samples"):
        majority_at(["a"] * 4, [1] * 4, k)


def test_the_commonest_answer_counts() -> None:
    assert majority_at(["3", "4", "3"], [1, 0, 1], 3) == 1.0
    assert majority_at(["4", "3", "4"], [0, 1, 0], 3) == 0.0


def test_ties_share_and_samples_without_an_answer_have_no_vote() -> None:
    assert majority_at(["3", "4"], [1, 0], 2) == 0.5
    assert majority_at(["3", "4", "5"], [1, 0, 0], 3) == pytest.approx(1 / 3)
    assert majority_at([None, None, "3"], [0, 0, 1], 3) == 1.0
    assert majority_at([None, None], [0, 0], 2) == 0.0


def test_a_smaller_majority_is_the_mean_over_blocks() -> None:
    # 3,3 is right; 4,4 is wrong; the fifth sample is in no whole block.
    assert majority_at(["3", "3", "4", "4", "3"], [1, 1, 0, 0, 1], 2) == 0.5
    assert majority_at(["3", "4", "3"], [1, 0, 1], 1) == pytest.approx(2 / 3)


def test_wilsons_interval_by_hand() -> None:
    # n = 10, x = 8: centre (0.8 + z2/20) / (1 + z2/10), z2 = 3.8415 -> .490 .. .943
    assert wilson(0.8, 10) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(0.0, 10) == (pytest.approx(0), pytest.approx(3.8415 / 13.8415, abs=1e-4))
    assert all(map(math.isnan, wilson(0.5, 0)))


def test_one_sample_each_makes_a_plain_binomial_interval() -> None:
    # The clustered error divides by P - 1, so it is worth one problem less than there are.
    assert rate([1.0] * 8 + [0.0] * 2).interval == pytest.approx(wilson(0.8, 9))


def test_an_interval_has_a_width_where_all_problems_agree() -> None:
    assert rate([1.0] * 30, 8).interval == pytest.approx(wilson(1.0, 30))
    assert rate([0.5] * 30, 8).interval == pytest.approx(wilson(0.5, 240))  # no more flips than samples
    assert rate([0.25], 4).interval == pytest.approx(wilson(0.25, 1))


def test_samples_of_one_problem_narrow_the_interval_less_than_other_problems() -> None:
    alike = [1.0] * 10 + [0.0] * 10
    assert rate(alike, 100).interval == rate(alike, 1).interval


def test_the_interval_covers_the_truth_of_a_clustered_world() -> None:
    # 40 problems of rate Beta(.5, .5), 4 samples: 400 worlds. At a coverage of .95 fewer than 360 hits
    # have a chance of 2e-5.
    rng = random.Random(0)  # noqa: S311
    hits = 0
    for _ in range(400):
        rates = [rng.betavariate(0.5, 0.5) for _ in range(40)]
        values = [sum(rng.random() < p for _ in range(4)) / 4 for p in rates]
        low, high = rate(values, 4).interval
        hits += low <= 0.5 <= high
    assert hits >= 360


def brute_force(differences: list[float]) -> float:
    seen = abs(sum(differences))
    flips = list(product((1, -1), repeat=len(differences)))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in flips]
    return sum(total >= seen - 1e-9 for total in sums) / len(flips)


@settings(max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9), st.sampled_from([1, 2, 3, 4, 7]))
def test_the_p_value_is_the_count_over_all_sign_flips(units: list[int], num: int) -> None:
    differences = [unit / num for unit in units]
    assert sign_flip_p_value(differences) == pytest.approx(brute_force(differences), abs=1e-9)


def test_with_one_sample_each_it_is_mcnemars_exact_test() -> None:
    differences = [1.0] * 8 + [-1.0] * 2 + [0.0] * 90
    tail = sum(math.comb(10, i) for i in range(3)) / 2**10
    assert sign_flip_p_value(differences) == pytest.approx(2 * tail)
    assert sign_flip_p_value([0.0] * 5) == sign_flip_p_value([]) == 1.0


def test_a_large_evaluation_has_an_exact_p_value_too() -> None:
    rng = random.Random(0)  # noqa: S311
    differences = [rng.randint(-8, 8) / 8 for _ in range(10_000)]
    spread = math.sqrt(sum(d * d for d in differences))
    normal = math.erfc(abs(sum(differences)) / spread / math.sqrt(2))
    assert sign_flip_p_value(differences) == pytest.approx(normal, abs=0.002)


def test_a_paired_difference_by_hand() -> None:
    result = paired([1, 1, 1, 0, 0.5], [0, 1, 0, 0, 0.25])
    assert result.mean == pytest.approx(0.45)
    assert result.stderr == pytest.approx(math.sqrt((2 * 0.55**2 + 2 * 0.45**2 + 0.2**2) / 4 / 5))
    assert (result.num_problems, result.num_better, result.num_worse) == (5, 3, 0)
    assert result.p_value == pytest.approx(2 / 8)
    # With a win and a loss added: mean 2.25/7, mean square (1+1+.0625+1+1)/7.
    middle = 2.25 / 7
    half = 1.959964 * math.sqrt((4.0625 / 7 - middle**2) / 7)
    assert result.interval == (pytest.approx(middle - half, abs=1e-5), pytest.approx(middle + half, abs=1e-5))


def test_two_equal_evaluations_differ_by_nothing_with_a_width() -> None:
    result = paired([1, 0, 1], [1, 0, 1])
    assert (result.mean, result.p_value) == (0.0, 1.0)
    assert result.interval[1] == -result.interval[0] > 0.3


def test_pairing_is_sharper_than_two_intervals() -> None:
    first = [0.0, 1.0] * 50
    second = [max(0.0, value - 0.1) for value in first]
    assert paired(first, second).p_value < 1e-9
    assert rate(first).interval[0] < rate(second).interval[1]
