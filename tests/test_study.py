"""The statistics of the study, and its theory on one table each."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import paired
import theory_pairs
import theory_resets


@pytest.mark.parametrize(
    ("freedom", "t"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (7, 2.365), (9, 2.262), (30, 2.042)]
)
def test_quantiles_are_those_of_students_table(freedom, t) -> None:
    assert paired.quantile(freedom) == pytest.approx(t, abs=5e-4)
    assert paired.two_sided(-t, freedom) == pytest.approx(0.05, abs=5e-5)


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.04, math.nan, 0.01], [0.04, math.nan, 0.02]),
        ([0.6, 0.7], [1.0, 1.0]),
    ],
)
def test_holm_multiplies_by_how_many_are_left(p_values, corrected) -> None:
    np.testing.assert_allclose(paired.holm(p_values), corrected)


def test_a_difference_has_students_interval_and_one_seed_has_none() -> None:
    found = paired.Difference.of([0.1, 0.2, 0.15])  # standard error .05 / sqrt(3), t of two degrees 4.303
    assert str(found) == "+0.150 (+0.026 to +0.274)"
    assert found.p == pytest.approx(0.0351, abs=1e-4)
    assert str(paired.Difference.of([0.1])) == "+0.100"


@pytest.mark.parametrize("is_step", [True, False])
def test_dpo_converges_to_the_odds_of_being_right_and_not_to_the_advantages(is_step) -> None:
    tree = theory_pairs.Tree(0)
    states = list(tree.resets())
    policy = theory_pairs.converged(tree, is_step=is_step)
    assert theory_pairs.apart(policy, theory_pairs.of_pairs(tree, is_step=is_step), states) < 1e-3
    assert theory_pairs.apart(policy, theory_pairs.of_theorem(tree, 1.0, states), states) > 0.2


def test_resets_before_the_decision_save_regret() -> None:
    name = "entropy is as high elsewhere"
    found = {
        resets: theory_resets.regret(name, resets, 300.0, seed=0, tokens=4_000)
        for resets in theory_resets.RESETS
    }
    largest = found.pop("the largest advantage, known exactly")
    assert all(largest < other - 0.02 for other in found.values())
