"""The statistics of the study, and its theory on one table each."""

import math
import sys
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import online_rounds
import paired
import theory_pairs
import theory_resets
from toy import AllRight, TablePolicy, problems

from gpo import steps
from gpo.gpo import Memory
from gpo.pool import Kept, Pool
from gpo.recipe import Recipe
from gpo.types import Rollout, State


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


@dataclass
class Told(Pool):
    """A pool whose rollouts earn what is foretold."""

    rewards: list[float] = field(default_factory=list)

    def fill(self, wanted, purpose, *, baselines=None, is_whole=False) -> None:
        for state, num in wanted.items():
            kept = self.rollouts.setdefault(state, [])
            while len(kept) < num:
                rollout = Rollout(state, (1,), (0.0,), (0.0,), "", True, self.rewards[len(kept)], 0)
                kept.append(Kept(rollout, purpose, (baselines or {}).get(state)))


def test_a_pilot_that_decides_on_the_rest_leaves_the_gradient_without_bias() -> None:
    # A success of probability .7 by one logit: its slope is .21, once for each rollout of the pilot of 2, and
    # once for each of the 2 that follow unless both succeeded (.51).
    state, slope, recipe = State(problems(1)[0]), 0.0, Recipe.named("base")
    for rewards in product((1.0, 0.0), repeat=4):
        pool = Told(TablePolicy([0.7]), AllRight(), 0, rewards=list(rewards))
        pool.fill({state: 2}, "explore")
        online_rounds.commit(pool, [state], 4, recipe)
        groups = pool.groups(recipe.trained)
        found = sum(
            (r.reward - b) * (r.reward - 0.7)
            for group in groups
            for r, b in zip(group.rollouts, group.baselines or others(group.rewards_G), strict=True)
        )
        slope += math.prod(0.7 if reward else 0.3 for reward in rewards) * found
    assert slope == pytest.approx(0.21 * (2 + 2 * 0.51))


def others(rewards) -> list[float]:
    """The mean of the others for each: the baseline of leave-one-out."""
    return [(sum(rewards) - reward) / (len(rewards) - 1) for reward in rewards]


@pytest.mark.parametrize(
    ("name", "way", "most"),
    [
        ("base", {"pilot": 4}, 8),
        ("pivot", {"pilot": 3}, 8),
        ("pivot", {"second": 3}, 8),
        ("pivot", {"base_from": 0.5}, 8),
    ],
)
def test_every_way_of_a_round_keeps_to_eight_rollouts_a_prompt_and_trains_all(name, way, most) -> None:
    policy, recipe = TablePolicy([0.9, 0.5, 0.9]), Recipe.named(name, splitter=steps.newline(min_tokens=1))
    data = online_rounds.one_round(Pool(policy, AllRight(), 0), problems(16), recipe, way, Memory(), 1)
    sampled = {problem.id: 0 for problem in problems(16)}
    for rollout in data.rollouts:
        sampled[rollout.state.problem.id] += 1
    assert set(sampled.values()) <= {4, 7, most}
    tokens = sum(len(r.action_ids) for group in data.groups for r in group.rollouts)
    assert tokens == sum(data.tokens.values())
    assert ("pilot" in way) == (min(sampled.values()) == 4)
