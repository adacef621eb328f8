"""The named recipes, and what is refused."""

from typing import get_args

import pytest

from gpo import proposals, steps
from gpo.command_settings import TrainSettings, merged
from gpo.learn.advantages import ALGORITHMS
from gpo.learn.optimisation import AlgorithmName
from gpo.pool import PURPOSES
from gpo.recipe import ProposalName, Recipe
from gpo.recipes import RECIPES, RecipeName
from gpo.rules import FREE_RULES, RULES, VALUE_RULES
from gpo.stepping import SplitterName
from gpo.types import InputError


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_can_be_made_and_changed(name) -> None:
    assert len(RECIPES[name]) <= 15
    assert Recipe.named(name, group_size=2).group_size == 2


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(InputError, match="recipe: 'best' is unknown; one of base, random, paper"):
        Recipe.named("best")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "best"}, "rule: must be .signed., .absolute.*got .best."),
        ({"explored": "none"}, "explored: must be 'failed'.*, got 'none'"),
        ({"values": 0}, "values: must be at least 1, got 0"),
        ({"search": "grid"}, "search: must be 'adaptive', 'uniform' or 'bisect', got 'grid'"),
        ({"search_traces": 0}, "search_traces: must be above 0, got 0"),
        ({"max_reset_frac": 1.0}, "max_reset_frac: must be below 1, got 1.0"),
        ({"trained": ("thoughts",)}, "trained: must be 'explore'.*, got 'thoughts'"),
        ({"trained": ()}, "trained: is empty"),
        ({"reset_at": "signal", "rule": "entropy"}, "'signal' needs values"),
        ({"splice": True, "rule": "random"}, "splice: needs resets and a rule on values"),
        ({"credit": "split"}, "credit: 'split' needs rule to be entropy or random or critic or critic-half"),
        (
            {"credit": "split", "rule": "entropy"},
            "needs explored to be all, not 'succeeded'; rewards must",
        ),
        (
            {"credit": "split", "rule": "entropy", "explored": "all", "trained": ("resets",)},
            "'split' trains explore and resets; name both in trained",
        ),
    ],
)
def test_settings_out_of_range_or_without_a_meaning_are_refused(changes, message) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**changes)


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        (
            "pivot",
            {"resets": False},
            "^resets: is False, and the credit 'split' needs True; .* recipe 'base'",
        ),
        ("pivot", {"rule": "drop"}, "^rule: is 'drop', and the credit 'split' needs entropy or .* 'group'"),
        ("pivot", {"explored": "failed"}, "^explored: is 'failed', and the credit 'split' needs all; "),
        ("ladder", {"trained": ("resets",)}, "^trained: the credit 'split' trains explore and resets"),
        ("rrpo", {"credit": "split"}, "^credit: 'split' needs explored to be all, not 'failed'; .* 'pivot'"),
        ("rrpo", {"credit": "split", "explored": "all"}, "^credit: the credit 'split' trains explore and"),
        ("as-released", {"resets": False}, "^resets: the recipe's splice needs resets and a rule on values"),
        ("as-released", {"rule": "random"}, "^rule: the recipe's splice needs resets and a rule on values"),
        ("as-released", {"rule": "random", "credit": "split"}, "^rule: the recipe's splice"),
    ],
)
def test_a_contradiction_with_a_recipe_blames_what_was_given(recipe, changes, message) -> None:
    with pytest.raises(InputError, match=message):
        merged(TrainSettings, {"task": "chain_sum", "recipe": recipe} | changes, {})


@pytest.mark.parametrize(
    ("recipe", "changes"), [("base", {"credit": "split"}), ("ladder", {"resets": False})]
)
def test_split_credit_asks_nothing_of_steps_where_no_trajectory_is_split(recipe, changes) -> None:
    assert merged(TrainSettings, {"task": "chain_sum", "recipe": recipe} | changes, {}).credit == "split"


def test_choices_that_are_spelled_out_for_types_are_those_that_there_are() -> None:
    assert set(get_args(RecipeName)) == set(RECIPES)
    assert get_args(SplitterName) == steps.NAMES
    assert get_args(ProposalName) == proposals.NAMES
    assert Recipe().trained == PURPOSES
    assert get_args(AlgorithmName) == tuple(ALGORITHMS)
    assert {*VALUE_RULES, *FREE_RULES, "base"} == set(RULES)
