"""Pairs and other rows: which continuations, on which side, from which state, and what was left out."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from toy import END, NEWLINE, RIGHT, WRONG, AllRight, TablePolicy, problems

from gpo import pairs, steps
from gpo.curve import Estimate
from gpo.gpo import run_round
from gpo.pairs import Options, Trajectory
from gpo.pairs.filling import filled, matched
from gpo.pairs.trajectories import of_round
from gpo.recipe import Recipe
from gpo.types import OFF_POLICY, CriticalStep, InputError, Problem, Rollout, State, ValueCurve

PROBLEM = Problem("p", (0, 0), "r", question="q")
R, W = (RIGHT, NEWLINE), (WRONG, NEWLINE)


def rollout(*lines: tuple[int, ...], given: int = 0, finished: bool = True, version: int = 0) -> Rollout:
    """Lines of two tokens, the first `given` of them given; right if no line is wrong."""
    ids = tuple(i for line in lines for i in line) + ((END,) if finished else ())
    start = 2 * given
    num = len(ids) - start
    reward = float(W not in lines and finished)
    return Rollout(
        State(PROBLEM, ids[:start]), ids[start:], (-0.1,) * num, (0.2,) * num, "", finished, reward, version
    )


def trajectory(
    own: Rollout,
    critical: int | None = 1,
    explored=(),
    searched=(),
    values=(0.8, 0.7, 0.1, 0.0),
    low=-0.9,
    high=-0.3,
) -> Trajectory:
    num = len(values) - 1
    bounds = (*range(0, 2 * num, 2), len(own.completion_ids))
    step = CriticalStep(critical, -0.6, (low, high), 0.9, 0.8, "drop") if critical is not None else None
    advantages = [b - a for a, b in pairwise(values)]
    estimate = Estimate(list(values), advantages, [(low, high)] * num)
    curve = ValueCurve(bounds, (0,) * (num + 1), (1,) * (num + 1), own)
    return Trajectory(curve, step, estimate, tuple(explored), tuple(searched))


OWN = rollout(R, W, R)


def ids_of(*lines: tuple[int, ...]) -> tuple[int, ...]:
    return (*(i for line in lines for i in line), END)


def test_a_pair_has_the_prefix_up_to_the_critical_step_as_prompt_and_two_continuations_of_that_state() -> (
    None
):
    good = rollout(R, R, R, given=1)
    rows = pairs.build([trajectory(OWN, explored=[OWN], searched=[good])], Options())
    (pair,) = rows.pairs
    assert pair.preference.prompt_ids == (0, 0, *R)
    assert pair.preference.chosen_ids == ids_of(R, R)
    assert pair.preference.rejected_ids == ids_of(W, R)
    assert (pair.chosen.source, pair.rejected.source) == ("state", "own")
    assert pair.preference.weight == 1.0


def test_a_rollout_of_the_prompt_that_takes_the_same_prefix_is_a_continuation_too() -> None:
    passes, other = rollout(R, R, R), rollout(W, R, R)
    rows = pairs.build([trajectory(OWN, explored=[OWN, passes, other])], Options())
    assert rows.pairs[0].chosen.ids == ids_of(R, R)
    assert [one.answer.ids for one in rows.unpaired] == [ids_of(R, R), ids_of(W, R)]


def test_a_rollout_from_further_on_stands_only_on_the_trajectorys_own_side() -> None:
    # From after the wrong line a toy answer cannot recover, so one that did is made by hand.
    lucky = replace(rollout(R, W, R, given=2), reward=1.0, action_ids=(RIGHT, NEWLINE, RIGHT, END))
    unlucky = rollout(R, W, W, given=2)
    counts: Counter[str] = Counter()
    one = trajectory(OWN, explored=[OWN], searched=[lucky, unlucky])
    right, wrong = pairs.sides(one, 1, Options(), None, counts)
    assert right == []
    assert [answer.source for answer in wrong] == ["own", "later"]
    assert counts["answers led through the step to the other outcome"] == 1


def test_what_no_policy_of_ours_sampled_is_never_an_answer() -> None:
    given = rollout(R, W, R, version=OFF_POLICY)
    further = rollout(R, W, W, given=2)
    fresh = [rollout(R, R, R, given=1), rollout(R, W, W, given=1)]
    rows = pairs.build([trajectory(given, searched=[*fresh, further])], Options(pairs_per_problem=9))
    assert [(p.chosen.source, p.rejected.source) for p in rows.pairs] == [("state", "state")]
    assert all(one.completion_ids != given.completion_ids for one in rows.fine_tuning)
    alone = pairs.build([trajectory(given, searched=[further])], Options())
    assert alone.unpaired == []


def test_unfinished_rollouts_are_left_out_and_counted_and_duplicates_too() -> None:
    cut = rollout(R, R, R, finished=False, given=1)
    good = [rollout(R, R, R, given=1)] * 3
    rows = pairs.build([trajectory(OWN, explored=[OWN], searched=[cut, *good])], Options())
    assert rows.counts["answers unfinished"] == 1
    assert rows.counts["answers duplicate"] == 2
    assert rows.counts["pairs"] == 1


def test_a_trajectory_with_one_side_gives_labelled_rows_but_no_pair() -> None:
    rows = pairs.build([trajectory(OWN, explored=[OWN])], Options())
    assert rows.pairs == []
    assert [one.labelled.is_right for one in rows.unpaired] == [False]
    assert rows.counts["trajectories without a right answer"] == 1
    assert pairs.missing_side(trajectory(OWN), Options()) == State(PROBLEM, R)


def test_pairs_of_one_problem_use_every_answer_before_any_comes_twice() -> None:
    rights = [rollout(R, R, R, given=1), rollout(R, R, R, R, given=1)]
    wrongs = [rollout(R, W, W, given=1), rollout(R, R, W, given=1)]
    one = trajectory(OWN, explored=[OWN], searched=[*rights, *wrongs])
    made = pairs.build([one], Options(pairs_per_problem=99)).pairs
    both = [(pair.chosen.ids, pair.rejected.ids) for pair in made]
    assert len(both) == len(set(both)) == 2 * 3
    assert len({chosen for chosen, _ in both[:2]}) == len({rejected for _, rejected in both[:2]}) == 2


def test_lengths_are_matched_and_what_cannot_be_is_counted() -> None:
    longer = rollout(R, R, R, R, R, given=1)  # 9 tokens against 5
    equal = rollout(R, R, R, given=1)
    both = trajectory(OWN, explored=[OWN], searched=[longer, equal])
    assert pairs.build([both], Options()).pairs[0].chosen.ids == ids_of(R, R, R, R)
    assert pairs.build([both], Options(length_ratio=2.0)).pairs[0].chosen.ids == ids_of(R, R)
    rows = pairs.build([trajectory(OWN, explored=[OWN], searched=[longer])], Options(length_ratio=1.5))
    assert rows.pairs == []
    assert rows.counts["trajectories whose answers differ in length by more than length_ratio"] == 1


def test_a_step_only_answer_is_the_first_step_without_an_end() -> None:
    good = [rollout(R, R, R, given=1), rollout(R, R, W, given=1)]
    one = trajectory(OWN, explored=[OWN], searched=good)
    options = Options(target="step")
    (pair,) = pairs.build([one], options, first_step=lambda ids: min(2, len(ids))).pairs
    assert (pair.chosen.ids, pair.rejected.ids) == (R, W)
    assert not pair.chosen.is_ended
    assert not pair.rejected.is_ended
    assert (
        pairs.build([one], options, first_step=lambda ids: 2).counts["first steps seen with both outcomes"]
        == 1
    )


def test_the_first_step_by_the_splitter_takes_the_end_token_along_only_when_nothing_else_is_left() -> None:
    from gpo.command_settings import PairsSettings
    from gpo.pairs.parts import first_step_by

    settings = PairsSettings(task="chain_sum", min_step_tokens=1)
    first_step = first_step_by(settings.step_splitter(), TablePolicy([1.0]).tokenizer)
    assert first_step(ids_of(R, R)) == 2
    assert first_step(ids_of(R)) == 3
    assert first_step((END,)) == 1


@pytest.mark.parametrize(("weight", "expected"), [("none", 1.0), ("advantage", 0.6), ("lower", 0.3)])
def test_a_pair_weighs_its_steps_advantage_or_the_bound_next_to_zero(weight, expected) -> None:
    one = trajectory(OWN, explored=[OWN], searched=[rollout(R, R, R, given=1)])
    assert pairs.build([one], Options(weight=weight)).pairs[0].weight == pytest.approx(expected)


def test_an_interval_that_holds_zero_weighs_nothing_and_is_left_out() -> None:
    one = trajectory(OWN, explored=[OWN], searched=[rollout(R, R, R, given=1)], low=-0.9, high=0.1)
    rows = pairs.build([one], Options(weight="lower"))
    assert rows.pairs == []
    assert rows.counts["trajectories of weight 0"] == 1


def test_a_step_below_the_credibility_asked_for_gives_no_row() -> None:
    one = trajectory(OWN, explored=[OWN], searched=[rollout(R, R, R, given=1)])
    assert len(pairs.build([one], Options(min_credibility=0.8)).pairs) == 1
    rows = pairs.build([one], Options(min_credibility=0.81))
    assert (rows.pairs, rows.unpaired) == ([], [])
    assert rows.counts["trajectories below min_credibility"] == 1


def test_settings_that_a_baseline_cannot_honour_are_refused() -> None:
    with pytest.raises(InputError, match="weight: 'lower' needs a searched step, so not with at = 'prompt'"):
        Options(at="prompt", weight="lower")
    with pytest.raises(InputError, match="min_credibility: only a critical step has one"):
        Options(at="random", min_credibility=0.5)
    with pytest.raises(InputError, match=r"at: must be 'critical', 'both'.*, got 'here'"):
        Options(at="here")


def test_baselines_part_at_the_prompt_the_highest_entropy_or_the_highest_value() -> None:
    entropies = (0.1, 0.1, 0.3, 0.3, 0.9, 0.9, 0.9)
    one = trajectory(replace(OWN, entropies=entropies), values=(0.4, 0.7, 0.1, 0.0))
    assert pairs.step_before_which(one, "prompt") == 0
    assert pairs.step_before_which(one, "entropy") == 2
    assert pairs.step_before_which(one, "as-released") == 1
    assert pairs.step_before_which(replace(one, critical=None), "critical") is None
    drawn = {pairs.step_before_which(one, "random", seed) for seed in range(60)}
    assert drawn == {0, 1, 2}  # each is missed by 60 draws with probability (2/3)**60 = 3e-11


def test_a_baseline_uses_no_rollout_that_the_search_paid_for() -> None:
    good = rollout(R, R, R, given=1)
    one = trajectory(OWN, explored=[OWN], searched=[good])
    for at in ("prompt", "entropy", "random"):
        rows = pairs.build([one], Options(at=at))
        assert rows.pairs == []
        assert rows.fine_tuning == rows.labelled == []
    assert pairs.build([one], Options(at="as-released")).fine_tuning == [good]


def test_both_adds_whole_trajectories_to_the_pairs_at_the_critical_step() -> None:
    at_prompt, at_critical = rollout(R, R, R), rollout(R, R, R, R, given=1)
    wrong_later = rollout(R, W, W, given=2)
    one = trajectory(OWN, explored=[OWN, at_prompt], searched=[at_critical, wrong_later])
    options = Options(at="both", pairs_per_problem=9)
    made = pairs.build([one], options).pairs
    whole = [pair for pair in made if pair.step == 0]
    assert [(pair.chosen.ids, pair.rejected.ids) for pair in whole] == [(ids_of(R, R, R), ids_of(R, W, R))]
    assert {(p.chosen.ids, p.rejected.ids) for p in made if p.step == 1} == {
        (right, wrong) for right in (ids_of(R, R), ids_of(R, R, R)) for wrong in (ids_of(W, R), ids_of(W, W))
    }
    assert [pair.step for pair in made[:2]] == [1, 0]  # by turns
    # Where no step is critical, whole trajectories are left.
    none = trajectory(OWN, None, explored=[OWN, at_prompt])
    assert [pair.step for pair in pairs.build([none], options).pairs] == [0]
    # One state with both sides is enough: nothing more is sampled.
    assert pairs.missing_side(trajectory(OWN, explored=[OWN, at_prompt]), options) is None


def test_every_rollout_parts_at_its_own_state_the_critical_one_first() -> None:
    at_prompt, at_critical, further = (
        rollout(R, R, R),
        rollout(R, R, R, R, given=1),
        rollout(R, W, W, given=2),
    )
    one = trajectory(OWN, explored=[OWN, at_prompt], searched=[at_critical, further])
    made = pairs.build([one], Options(at="every", pairs_per_problem=9)).pairs
    assert [(pair.step, pair.chosen.ids) for pair in made] == [(1, ids_of(R, R, R)), (0, ids_of(R, R, R))]
    assert all(pair.rejected.source == "own" for pair in made)
    assert [pair.step for pair in pairs.build([one], Options(at="every")).pairs] == [1]
    assert pairs.missing_side(one, Options(at="every")) is None
    lone = trajectory(OWN, explored=[OWN], searched=[further])
    assert pairs.missing_side(lone, Options(at="every")) == State(PROBLEM, R)
    assert pairs.build([lone], Options(at="every")).counts["trajectories without a right answer"] == 1
    # A step weighs its own advantage: 0.6 before the critical step, 0.1 before the first.
    weights = [
        p.weight
        for p in pairs.build([one], Options(at="every", pairs_per_problem=2, weight="advantage")).pairs
    ]
    assert weights == pytest.approx([0.6, 0.1])


def test_rows_of_steps_have_the_value_after_each_and_its_label(tmp_path) -> None:
    from gpo.pairs.rows import Writer

    class Letters:
        def decode(self, ids, **_):
            return TablePolicy([1.0]).tokenizer.decode(ids)

        def encode(self, text, **_):
            return TablePolicy([1.0]).tokenizer.encode(text)

    one = trajectory(OWN, explored=[OWN], values=(0.8, 0.75, 0.2, 0.0))
    record = Writer(Letters(), Options()).steps(one).record()
    assert record["completions"] == ["r\n", "w\n", "r\n"]
    assert record["values"] == [0.75, 0.2, 0.0]
    assert record["labels"] == [True, True, False]
    assert record["prompt_ids"] == [0, 0]
    assert Writer(Letters(), Options(label_at=0.3)).steps(one).labels == (True, False, False)


def located(rule: str = "drop"):
    policy = TablePolicy([0.9, 0.5, 0.9])
    recipe = Recipe(
        group_size=4,
        problems_per_round=8,
        rule=rule,
        explored="failed",
        resets=False,
        splitter=steps.newline(min_tokens=1),
    )
    return run_round(policy, AllRight(), problems(8), recipe, index=0, seed=5)


def test_every_answer_is_a_continuation_of_its_state_with_the_outcome_that_it_is_labelled_with() -> None:
    data = located()
    found = of_round(data)
    rows = pairs.build(found, Options(pairs_per_problem=4))
    assert len(rows.pairs) >= 4
    for pair in rows.pairs:
        prefix, start = pair.state.prefix_ids, len(pair.state.problem.prompt_ids)
        assert pair.preference.prompt_ids[start:] == prefix
        assert WRONG not in prefix + pair.chosen.ids
        assert WRONG in prefix + pair.rejected.ids
        assert pair.chosen.ids[-1] == pair.rejected.ids[-1] == END
    sampled = {one.completion_ids for t in found for one in (*t.explored, *t.searched)}
    assert all(p.state.prefix_ids + p.chosen.ids in sampled for p in rows.pairs)


def test_a_missing_side_is_sampled_from_the_state_and_nothing_else_is() -> None:
    data = located(rule="random")
    found, options = of_round(data), Options()
    lacking = [pairs.missing_side(one, options) for one in found]
    before = data.tokens
    more = filled(data.pool, found, options, 6, seed=0, first_step=None, whole=lambda state: state)
    assert any(lacking)
    for one, full, state in zip(found, more, lacking, strict=True):
        assert len(full.fresh) == (6 if state else 0)
        assert all(rollout.state == state for rollout in full.fresh)
        assert one.explored == full.explored
    assert {k: v for k, v in data.tokens.items() if k != "fill"} == before


def test_a_baseline_spends_what_the_search_spent_to_within_one_rollout_a_trajectory() -> None:
    data = located()
    found = of_round(data)
    more = matched(data.pool, found, "prompt", seed=0, whole=lambda state: state)
    assert any(one.search_tokens for one in found)
    for one in more:
        spent = sum(len(rollout.action_ids) for rollout in one.fresh)
        assert all(rollout.state.prefix_ids == () for rollout in one.fresh)
        # The toy's answers have 7 tokens; the first look is at four.
        assert one.search_tokens - 7 < spent <= max(one.search_tokens, 28)
    assert math.isclose(
        data.tokens["matching the search"],
        sum(len(r.action_ids) for t in more for r in t.fresh),
    )
