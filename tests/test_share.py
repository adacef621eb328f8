"""Tokens follow the signal: an arm that beats fresh prompts grows, one that does not is only probed."""

import math

import pytest

from gpo.share import LEAST_UNSOLVED, MARGIN, REGROWTH, Share, measured, signal
from gpo.types import Group, Problem, Rollout, State

STATE = State(Problem("p", (1,), ""))


def group(rewards, baselines=None, length: int = 4) -> Group:
    rollouts = tuple(Rollout(STATE, (1,) * length, (0.0,) * length, (), "", True, r, 0) for r in rewards)
    return Group(STATE, rollouts, baselines)


def test_signal_is_the_unbiased_variance_and_a_baseline_counts_as_two_rollouts() -> None:
    assert signal(group([1.0, 0.0, 0.0, 0.0])) == pytest.approx(0.25 * 0.75 * 4 / 3)
    assert signal(group([1.0])) == 0
    assert signal(group([0.0] * 8)) == 0
    assert signal(group([1.0], (0.5,))) == pytest.approx(2 / 3 * 1 / 3)


def test_tokens_that_were_thrown_away_count() -> None:
    weighted, tokens = measured([group([1.0, 0.0])], 20)
    assert (weighted, tokens) == (pytest.approx(0.5 * 8), 20.0)


def test_an_arm_grows_by_more_than_the_margin_shrinks_to_nothing_below_and_is_probed() -> None:
    rich, poor = (
        {"fresh": (1.0, 100.0), "archive": (MARGIN * 1.1, 100.0)},
        {"fresh": (1.0, 100.0), "archive": (1.0, 100.0)},
    )
    share = Share()
    for _ in range(20):
        share = share.after(poor)
    assert share.levels["archive"] == 0.0
    assert [share.num("archive", 8, i, 1.0) for i in range(5)] == [1, 0, 0, 0, 1]
    assert share.num("archive", 0, 0, 1.0) == 0
    levels = []
    for _ in range(20):
        share = share.after(rich)
        levels.append(share.levels["archive"])
    grown = levels[levels.index(REGROWTH) :]
    assert grown[:4] == [REGROWTH, 2 * REGROWTH, 4 * REGROWTH, 1.0]
    assert share.num("archive", 8, 1, 1.0) == 8
    assert share.num("archive", 8, 1, 0.3) == 3  # where most prompts teach something, they need no help
    assert share.num("archive", 8, 0, LEAST_UNSOLVED - 0.01) == 0


def test_an_arm_without_evidence_keeps_its_share() -> None:
    share = Share().after({"fresh": (1.0, 100.0), "search": (0.0, 0.0), "archive": (0.0, 0.0)})
    assert share.levels == Share().levels
    assert math.isnan(share.rate("search"))
