"""The algorithm on a table whose values are known."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from toy import RIGHT as TOY_RIGHT
from toy import AllRight, TablePolicy, problems

from gpo import steps
from gpo.evaluation import evaluate, mean_and_stderr
from gpo.explore.waves import locate
from gpo.gpo import Memory, problem_order, reset, rounds, run_round
from gpo.located import choose, reset_state
from gpo.paths import PathPrior
from gpo.pool import Pool
from gpo.recipe import Recipe
from gpo.types import InputError, State

RIGHT = [0.95, 0.95, 0.5, 0.95]
LINES = steps.newline(min_tokens=1)


def recipe(**changes) -> Recipe:
    fixed = {"group_size": 8, "problems_per_round": 4, "splitter": LINES, "search": "uniform"}
    return Recipe(**{**fixed, "explored": "failed", **changes})


def one_round(policy=None, **changes):
    policy = policy or TablePolicy(RIGHT)
    return policy, run_round(policy, AllRight(), problems(6), recipe(**changes), index=0, seed=3)


def test_every_rollout_is_sampled_once_and_verified_once() -> None:
    policy, verifier = TablePolicy(RIGHT), AllRight()
    data = run_round(policy, verifier, problems(6), recipe(), index=0, seed=3)
    states = [request.state for request in policy.requests]
    sampled = sum(request.num for request in policy.requests)
    assert verifier.num_scored == sampled == sum(len(group.rollouts) for group in data.groups)
    assert len({(request.state, request.seed) for request in policy.requests}) == len(states)
    assert sum(data.tokens.values()) == sum(len(r.action_ids) for g in data.groups for r in g.rollouts)


def test_value_estimates_agree_with_the_table() -> None:
    policy = TablePolicy(RIGHT)
    # 64 rollouts at each of about 15 states: an estimate off by 4.5 s.e. has probability 7e-6 each.
    data = run_round(policy, AllRight(), problems(6), recipe(values=64), index=0, seed=0)
    assert data.located
    for one in data.located:
        curve = one.curve
        for bound, value, n in zip(curve.bounds[:-1], curve.values, curve.trials, strict=False):
            truth = policy.value(curve.rollout.state_at(bound))
            assert abs(value - truth) <= 4.5 * math.sqrt(truth * (1 - truth) / n) + 1e-12


def test_with_many_samples_the_critical_step_is_the_first_wrong_line() -> None:
    _, data = one_round(rule="drop", values=64)
    assert data.located
    for one in data.located:
        assert one.critical is not None
        first_wrong = one.curve.rollout.text.split("\n").index("w")
        assert one.critical.index == first_wrong
        assert "w" not in "".join(TablePolicy(RIGHT).text(one.critical.reset_state(one.curve).prefix_ids))


@pytest.mark.slow
def test_the_adaptive_search_finds_more_first_errors_than_uniform_with_half_the_tokens() -> None:
    policy = TablePolicy([0.97] * 4 + [0.5] + [0.97] * 7)
    found, tokens = {}, {}
    for search, changes in {"adaptive": {"search_traces": 12}, "uniform": {"values": 4}}.items():
        settings = recipe(search=search, max_located=64, **changes)
        data = run_round(policy, AllRight(), problems(64), settings, index=0, seed=2)
        firsts = [one.curve.rollout.text.split("\n").index("w") for one in data.located]
        hits = [one.critical.index == first for one, first in zip(data.located, firsts, strict=True)]
        found[search], tokens[search] = sum(hits) / len(hits), data.tokens["values"]
    assert tokens["adaptive"] < 0.55 * tokens["uniform"]
    assert found["adaptive"] > found["uniform"] + 0.1


def test_a_search_stays_within_its_budget_and_teaches_the_next() -> None:
    _, data = one_round(search="adaptive", search_traces=3.0)
    length = 2 * len(RIGHT) + 1
    assert 0 < data.tokens["values"] <= len(data.located) * 3.0 * length
    assert data.memory.prior != PathPrior()
    assert min(data.memory.prior.proposal) < 0


def test_the_chosen_trajectory_is_no_evidence_for_its_own_values() -> None:
    policy = TablePolicy([0.0, 1.0])  # every rollout fails at its first line
    data = run_round(policy, AllRight(), problems(1), recipe(values=4), index=0, seed=0)
    curve = data.located[0].curve
    assert curve.trials[0] == 7  # the others of its group, for nothing
    assert data.tokens["values"] == 4 * 3  # only the boundary after the first line had to be sampled


@pytest.mark.slow
def test_the_value_at_the_prompt_is_not_biased_by_the_choice_of_a_failure() -> None:
    # Rollouts before the first failure are all successes; counted, they would give 0.62 here.
    # 400 curves of 4 rollouts: s.e. 0.0125, so off by more than 4.5 s.e. with probability 7e-6.
    policy = TablePolicy([0.5])
    data = run_round(policy, AllRight(), problems(400), recipe(max_located=400), index=0, seed=1)
    first = [one.curve.values[0] for one in data.located]
    assert sum(first) / len(first) == pytest.approx(0.5, abs=4.5 * 0.5 / math.sqrt(4 * len(first)))


def test_equal_states_of_two_trajectories_are_sampled_once() -> None:
    policy, verifier = TablePolicy([0.5, 0.5, 0.5]), AllRight()
    pool = Pool(policy, verifier, seed=1)
    start = State(problems(1)[0])
    pool.fill({start: 8}, "explore")
    failed = [r for r in pool.at(start) if r.reward == 0][:3]
    policy.requests.clear()
    found, _ = locate(pool, failed, recipe(values=4))
    assert all(trials >= 4 for one in found for trials in one.curve.trials[:-1])
    asked = [request.state for request in policy.requests]
    assert len(asked) == len(set(asked))


def test_a_reset_group_is_filled_up_from_the_value_rollouts() -> None:
    policy, data = one_round(rule="drop", values=4)
    for one in data.located:
        assert one.critical is not None
        state = one.critical.reset_state(one.curve)
        group = next(group for group in data.groups if group.state == state)
        assert len(group.rollouts) == 8
        asked = [request.num for request in policy.requests if request.state == state]
        assert asked in ([4, 4], [8])  # the empty prefix is the prompt's own group


def test_base_samples_no_value_and_no_reset() -> None:
    _, data = one_round(rule="base")
    assert data.tokens["values"] == data.tokens["resets"] == 0
    assert data.located == []
    assert [group.state.prefix_ids for group in data.groups] == [()] * 6


@pytest.mark.parametrize("rule", ["entropy", "random"])
def test_free_rules_reset_without_value_rollouts(rule) -> None:
    _, data = one_round(rule=rule)
    assert data.tokens["values"] == 0
    assert data.tokens["resets"] > 0


def test_without_train_values_only_prompts_and_resets_train() -> None:
    _, kept = one_round()
    _, thrown = one_round(trained=("explore", "resets"))
    assert kept.tokens == thrown.tokens
    assert sum(len(g.rollouts) for g in thrown.groups) < sum(len(g.rollouts) for g in kept.groups)


def test_rrpo_trains_only_what_was_sampled_again_after_a_failure() -> None:
    recipe = Recipe.named("rrpo", splitter=steps.newline(min_tokens=1))
    policy = TablePolicy([0.9, 0.5, 0.9])
    data = run_round(policy, AllRight(), problems(12), recipe, index=0, seed=0)
    failed = {group.state.problem for group in data.explored if not group.value}
    assert 0 < len(failed) < 12
    assert {group.state.problem for group in data.groups} == failed
    for group in data.groups:
        assert len(group.rollouts) == (7 if group.state.prefix_ids else 6)  # a failure is there already
        assert group.baselines is None


def test_what_is_explored_follows_the_setting() -> None:
    pool = Pool(TablePolicy([0.5]), AllRight(), seed=0)
    pool.fill(dict.fromkeys(map(State, problems(40)), 2), "explore")
    groups = pool.groups()
    num_failed = sum(min(g.rewards_G) == 0 for g in groups)
    num_mixed = sum(g.has_signal for g in groups)
    assert 0 < num_mixed < num_failed < 40
    for explored, expected in (("failed", num_failed), ("mixed", num_mixed), ("all", 40)):
        chosen = choose(groups, recipe(explored=explored, max_located=99), seed=0)
        assert len(chosen) == expected
        assert explored == "all" or all(r.reward == 0 for r in chosen)
    assert len(choose(groups, recipe(max_located=3), seed=0)) == 3


def test_a_cut_rollout_is_a_failure_in_values_and_in_evaluation() -> None:
    policy = TablePolicy([1.0, 1.0], max_lines=1)
    data = run_round(policy, AllRight(), problems(2), recipe(), index=0, seed=0)
    assert all(not r.finished and r.reward == 0 for g in data.groups for r in g.rollouts)
    result = evaluate(policy, AllRight(), problems(3), num=2)
    assert (result.accuracy, result.truncated_frac) == (0.0, 1.0)


def test_rounds_are_reproducible_and_can_start_in_the_middle() -> None:
    def take(start: int, num: int):
        source = rounds(TablePolicy(RIGHT), AllRight(), problems(10), recipe(), seed=5, start=start)
        return [next(source) for _ in range(num)]

    whole, tail = take(0, 4), take(2, 2)
    assert [r.groups for r in whole[2:]] == [r.groups for r in tail]
    assert whole[0].groups != whole[1].groups


def test_an_epoch_visits_every_problem_once() -> None:
    epoch = [i for index in range(3) for i in problem_order(12, 4, index, seed=0)]
    assert sorted(epoch) == list(range(12))
    assert problem_order(12, 4, 3, seed=0) != problem_order(12, 4, 0, seed=0)
    assert len(problem_order(3, 16, 7, seed=0)) == 3


def test_resets_without_a_critical_step_sample_nothing() -> None:
    pool = Pool(TablePolicy(RIGHT), AllRight(), seed=0)
    reset(pool, [], recipe(), 9)
    assert pool.rollouts == {}


def test_evaluation_has_its_own_streams_and_a_clustered_error() -> None:
    policy = TablePolicy([0.5])
    first, again = (evaluate(policy, AllRight(), problems(50), num=4, seed=1) for _ in range(2))
    assert first == again
    assert first.accuracy == pytest.approx(0.5, abs=4.5 * 0.5 / math.sqrt(200))
    assert mean_and_stderr([0.0, 0.5, 1.0]) == (0.5, pytest.approx(0.5 / math.sqrt(3)))
    assert math.isnan(mean_and_stderr([1.0])[1])


def test_a_round_never_exceeds_its_budget_and_samples_no_group_in_part() -> None:
    policy = TablePolicy(RIGHT)
    longest = policy.max_tokens
    for budget in (0, 8 * longest - 1, 8 * longest, 20 * longest, 400):
        data = run_round(policy, AllRight(), problems(6), recipe(), index=0, seed=3, budget_tokens=budget)
        assert sum(data.tokens.values()) <= budget
        assert all(len(group.rollouts) == 8 for group in data.explored)
        assert (data.pool.num_denied > 0) or budget == 400
    assert len(data.explored) == 5  # 400 // (8 * 9)


def test_rounds_end_when_no_group_fits_any_more() -> None:
    source = rounds(TablePolicy(RIGHT), AllRight(), problems(10), recipe(), budget_tokens=3000)
    spent = [sum(data.tokens.values()) for data in source]
    assert 3000 - 8 * 9 < sum(spent) <= 3000


@pytest.mark.slow
def test_the_gradient_of_searched_rollouts_is_that_of_their_states_values() -> None:
    # Parameters: the logit of each line being right. From a state without a wrong line, f lines long,
    # dV/dlogit_i = V (1 - right_i) for i >= f. Each rollout's (reward - baseline) * score minus that has
    # mean 0 given everything before it, so the normalised sum is close to standard normal: beyond 4.5 in
    # one of 8 numbers with probability 5e-5.
    policy = TablePolicy(RIGHT)
    settings = recipe(search="adaptive", search_traces=6.0, max_located=400, rule="drop")
    data = run_round(policy, AllRight(), problems(400), settings, index=0, seed=0)
    for purpose in ("values", "resets"):
        terms = [
            (kept.rollout.reward - kept.baseline) * score(kept.rollout) - slope(policy, kept.rollout.state)
            for some in data.pool.rollouts.values()
            for kept in some
            if kept.purpose == purpose and kept.baseline is not None
        ]
        assert len(terms) > 300
        sums, squares = np.sum(terms, axis=0), np.sum(np.square(terms), axis=0)
        assert np.abs(sums / np.sqrt(np.maximum(squares, 1e-12))).max() < 4.5


def score(rollout) -> np.ndarray:
    """d log-probability / d logit of each line."""
    first = len(rollout.state.prefix_ids) // 2
    scores = np.zeros(len(RIGHT))
    for i, token in enumerate(rollout.action_ids[: 2 * (len(RIGHT) - first) : 2], start=first):
        scores[i] = (token == TOY_RIGHT) - RIGHT[i]
    return scores


def slope(policy: TablePolicy, state: State) -> np.ndarray:
    first = len(state.prefix_ids) // 2
    return policy.value(state) * (1 - np.array(RIGHT)) * (np.arange(len(RIGHT)) >= first)


def test_searched_rollouts_carry_what_was_believed_and_others_do_not() -> None:
    _, data = one_round(search="adaptive", rule="drop", search_traces=6.0)
    for some in data.pool.rollouts.values():
        for kept in some:
            assert (kept.baseline is None) == (kept.purpose == "explore")
            assert kept.baseline is None or 0 <= kept.baseline <= 1
    searched = [group for group in data.groups if group.baselines is not None]
    assert searched
    assert all(len(group.baselines) == len(group.rollouts) for group in searched)
    _, fixed = one_round(search="uniform")
    assert all(group.baselines is None for group in fixed.groups)


def test_a_reset_where_signal_is_highest_stays_near_the_critical_step() -> None:
    _, data = one_round(search="adaptive", rule="drop", search_traces=8.0)
    for one in data.located:
        state, value = reset_state(one, recipe(reset_at="signal", rule="drop"))
        plain = one.estimate.values[one.critical.index]
        assert value * (1 - value) >= plain * (1 - plain)
        assert state == one.curve.rollout.state_at(len(state.prefix_ids))


def test_resets_keep_to_their_share_of_the_groups() -> None:
    _, data = one_round(rule="drop", max_reset_frac=0.25, max_located=6)
    resets = {k.rollout.state for some in data.pool.rollouts.values() for k in some if k.purpose == "resets"}
    assert len(data.located) > 2
    assert len(resets) <= 2  # 6 prompts are three quarters


def test_a_splice_trains_the_best_continuation_with_its_prefix() -> None:
    policy = TablePolicy([0.5, 0.9, 0.5])
    settings = {"rule": "as-released", "splice": True, "trained": ("explore",), "max_located": 6}
    _, data = one_round(policy, **settings)
    swapped = [
        (old, new)
        for before, after in zip(data.explored, data.groups, strict=True)
        for old, new in zip(before.rollouts, after.rollouts, strict=True)
        if old is not new
    ]
    assert swapped
    for old, new in swapped:
        assert (old.reward, new.reward) == (0.0, 1.0)
        assert new.state == old.state
        assert new.text == policy.text(new.action_ids)
        assert len(new.logprobs) == len(new.entropies) == len(new.action_ids)
    assert sum(len(g.rollouts) for g in data.groups) == sum(len(g.rollouts) for g in data.explored)


def test_a_memory_is_its_json_and_what_an_older_version_kept_beside_it_is_left_out() -> None:
    _, data = one_round(TablePolicy([0.5, 0.9, 0.5]))
    content = json.loads(json.dumps(asdict(data.memory)))
    assert Memory.from_json(content | {"archive": {"traces": []}, "share": {"levels": {}}}) == data.memory


def test_a_memory_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="memory: is not what a run writes"):
        Memory.from_json({"prior": {}})
