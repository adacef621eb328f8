"""Advantages, values and batches against numbers by hand."""

import math

import numpy as np
import pytest
import torch

from gpo.learn.advantages import ALGORITHMS, believed, credit, dr_grpo, grpo, rloo
from gpo.learn.batches import buckets, padding_frac
from gpo.learn.critic import gae, targets, value_losses
from gpo.learn.optimisation import Optimisation
from gpo.types import Group, InputError, Problem, Rollout, State, StepValues


def group(rewards, *, prefix=(), num_tokens=2, name="p", **fields) -> Group:
    state = State(Problem(name, (1, 2), ""), prefix)
    rows = [
        Rollout(state, tuple(range(10 + i, 10 + i + num_tokens)), (), (), "", True, reward, 0)
        for i, reward in enumerate(rewards)
    ]
    return Group(state, tuple(rows), **fields)


def test_rloo_compares_each_reward_with_the_mean_of_the_others() -> None:
    assert rloo([1.0, 0.0, 0.0, 1.0]) == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3])
    assert rloo([0.5, 0.25]) == pytest.approx([0.25, -0.25])
    assert rloo([1.0]) == [0.0]
    assert rloo([1.0, 1.0, 1.0]) == [0.0, 0.0, 0.0]


def test_grpo_divides_by_the_standard_deviation() -> None:
    assert grpo([1.0, 0.0, 0.0, 1.0]) == pytest.approx(
        [x / (math.sqrt(1 / 3) + 1e-4) for x in (0.5, -0.5, -0.5, 0.5)]
    )
    assert grpo([1.0]) == [0.0]
    assert grpo([0.0, 0.0]) == [0.0, 0.0]


def test_dr_grpo_only_subtracts_the_mean() -> None:
    assert dr_grpo([1.0, 0.0, 0.0, 0.0]) == pytest.approx([0.75, -0.25, -0.25, -0.25])
    assert dr_grpo([1.0]) == [0.0]
    assert dr_grpo([]) == []


def test_reinforce_has_one_baseline_for_the_whole_round() -> None:
    groups = [group([1.0, 1.0]), group([0.0], name="q")]
    found = [[a.tolist() for a in rows] for rows in credit(groups, ALGORITHMS["reinforce"])]
    assert found == [[[0.5, 0.5], [0.5, 0.5]], [[-1.0, -1.0]]]


@pytest.mark.parametrize("name", ["rloo", "dr-grpo", "reinforce"])
def test_believed_values_replace_the_comparison(name) -> None:
    found = credit([group([1.0, 0.0, 0.0], baselines=(0.2, 0.5, 0.4))], ALGORITHMS[name])
    assert [a[0] for a in found[0]] == pytest.approx([0.8, -0.5, -0.4])


def test_grpo_scales_by_the_deviation_that_was_believed() -> None:
    found = credit([group([1.0, 0.0], baselines=(0.2, 0.5))], ALGORITHMS["grpo"])
    assert [a[0] for a in found[0]] == pytest.approx([0.8 / 0.4, -0.5 / 0.5])
    assert believed([1.0], [0.0], is_scaled=True) == pytest.approx([1 / math.sqrt(0.05 * 0.95)])


def test_steps_are_credited_with_the_change_of_value() -> None:
    groups = [group([0.0, 1.0], prefix=(7,), num_tokens=5)]
    steps = StepValues(groups[0].rollouts[0], (1, 3, 6), (0.5, 0.8, 0.0))
    (found,) = credit(groups, ALGORITHMS["rloo"], [steps])
    assert found[0].tolist() == pytest.approx([0.3, 0.3, -0.8, -0.8, -0.8])
    assert found[1].tolist() == [1.0] * 5
    (scaled,) = credit(groups, ALGORITHMS["grpo"], [steps])
    assert scaled[0].tolist() == pytest.approx([0.6, 0.6, -1.6, -1.6, -1.6])


def test_step_bounds_must_span_the_sampled_tokens() -> None:
    groups = [group([0.0, 1.0], num_tokens=5)]
    with pytest.raises(ValueError, match="do not span the sampled tokens 0 to 5"):
        credit(groups, ALGORITHMS["rloo"], [StepValues(groups[0].rollouts[0], (0, 4), (0.5, 0.0))])


def test_gae_by_hand() -> None:
    values, rewards = np.array([0.5, 0.6, 0.2]), np.array([0.0, 0.0, 1.0])
    # deltas: .6 - .5, .2 - .6, 1 - .2
    assert gae(rewards, values, 0.0).tolist() == pytest.approx([0.1, -0.4, 0.8])
    assert gae(rewards, values, 1.0).tolist() == pytest.approx([0.5, 0.4, 0.8])
    assert gae(rewards, values, 0.5).tolist() == pytest.approx([0.1 + 0.5 * 0.0, -0.4 + 0.5 * 0.8, 0.8])
    assert gae(np.zeros(1), np.array([0.7]), 0.95).tolist() == pytest.approx([-0.7])


def test_believed_values_are_what_the_critic_is_fitted_to_at_boundaries() -> None:
    rollout = group([1.0], prefix=(7,), num_tokens=4).rollouts[0]
    returns = np.array([1.0, 0.9, 0.8, 0.7])
    steps = StepValues(rollout, (1, 3, 5), (0.25, 0.5, 1.0))
    assert targets(returns, steps).tolist() == [0.25, 0.9, 0.5, 0.7]
    assert targets(returns, None).tolist() == returns.tolist()


def test_the_clipped_value_loss_is_the_larger_one() -> None:
    new, old = torch.tensor([0.9, 0.9, 0.1]), torch.tensor([0.5, 0.5, 0.0])
    aim = torch.tensor([1.0, 0.0, 0.0])
    assert value_losses(new, old, aim, None).tolist() == pytest.approx([0.005, 0.405, 0.005])
    assert value_losses(new, old, aim, 0.2).tolist() == pytest.approx([0.5 * 0.3**2, 0.405, 0.005])


def test_buckets_are_the_fewest_that_keep_padding_low() -> None:
    assert buckets([10, 10, 10], 1000) == [[0, 1, 2]]
    assert buckets([10, 5, 10, 5], 1000) == [[0, 2], [1, 3]]
    assert [len(rows) for rows in buckets([10, 10, 10], 20)] in ([1, 2], [2, 1])
    assert buckets([30], 20) == [[0]]
    assert buckets([], 20) == []
    assert buckets([10, 10, 10, 10], 1000, num_min=2) == [[0, 1], [2, 3]]


def test_padding_stays_under_a_tenth_and_batches_under_their_limit() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        lengths = rng.integers(1, 200, size=rng.integers(1, 60)).tolist()
        found = buckets(lengths, 2000)
        assert sorted(i for rows in found for i in rows) == list(range(len(lengths)))
        widths = [max(lengths[i] for i in rows) for rows in found]
        areas = [len(rows) * width for rows, width in zip(found, widths, strict=True)]
        assert padding_frac(sum(lengths), sum(areas)) < 0.1
        assert all(area <= 2000 for area in areas)
        assert len(found) <= 12 + sum(lengths) // 1000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"algorithm": "ppo2"},
            "algorithm: must be 'ppo', 'grpo', 'dr-grpo', 'rloo' or 'reinforce', got 'ppo2'",
        ),
        ({"gae_lambda": 0.9}, "gae_lambda: only ppo has a critic; rloo does not use it"),
        ({"schedule": "cosine"}, "rounds: the schedule cosine needs it"),
        ({"algorithm": "dr-grpo"}, "loss_constant: the normalisation `constant` needs it"),
        ({"loss_constant": 5.0}, "loss_constant: the normalisation `tokens` does not use it"),
        ({"kl_in": "reward"}, "kl_in: has no effect"),
        ({"clip_high": 0.1}, "clip_high: must be at least clip"),
        ({"importance_cap": 0.5}, "importance_cap: must be at least 1"),
        (
            {"normalisation": "batch"},
            "normalisation: must be 'tokens', 'rollouts' or 'constant', got 'batch'",
        ),
        ({"epochs": 0}, "epochs: must be at least 1, got 0"),
    ],
)
def test_settings_without_a_meaning_are_refused(changes, message) -> None:
    with pytest.raises(InputError, match=message):
        Optimisation(**changes).check_complete()


def test_the_learning_rate_rises_over_updates_and_falls_over_rounds() -> None:
    linear = Optimisation(schedule="linear", rounds=4, warmup_updates=2)
    assert [linear.rate_factor(u, r) for u, r in ((0, 1), (1, 1), (2, 2), (9, 4))] == [0.5, 1.0, 0.75, 0.25]
    cosine = Optimisation(schedule="cosine", rounds=4, warmup_updates=0)
    assert cosine.rate_factor(0, 3) == pytest.approx(0.5)
    assert Optimisation(warmup_updates=0).rate_factor(0, 99) == 1.0
