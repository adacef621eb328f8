"""What sampling costs at most, in tokens by purpose: known from the settings before anything is sampled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gpo import steps
from gpo.explore.events import Drawn, Event, Finished
from gpo.recipe import Recipe
from gpo.rules import VALUE_RULES
from gpo.self_judge import ANSWER_TOKENS

Part = tuple[int, str]
"""Tokens, and how they were reckoned."""


@dataclass(frozen=True)
class Cost:
    """Most tokens that may be generated, by what they are for."""

    parts: Mapping[str, Part]
    more: str = ""
    """What the total leaves out, as it is not known how often it comes."""

    @property
    def total(self) -> int:
        return sum(num for num, _ in self.parts.values())

    def record(self) -> dict[str, int]:
        """The tokens alone, and their sum."""
        return {name: num for name, (num, _) in self.parts.items()} | {"total": self.total}

    def __str__(self) -> str:
        parts = [f"{name} {num:,} ({how})" for name, (num, how) in self.parts.items() if num]
        return f"{self.total:,} tokens{self.more}: {', '.join(parts)}" if parts else "no tokens"


def of_rollouts(num: int, what: str, size: int, max_tokens: int) -> Part:
    """Of `size` rollouts at each of `num` prompts or states."""
    return num * size * max_tokens, f"{num:,} {what}{'s' * (num != 1)} x {size:,} x {max_tokens:,}"


def of_search(recipe: Recipe, max_tokens: int) -> int:
    """Tokens of the search of one trajectory.

    A search plans with its trajectory's length. Where that is shorter than the limit, and most continuations
    are not, it can take more than planned; that it takes more than this needs a trajectory of unusual length.
    """
    if recipe.rule not in VALUE_RULES:
        return 0
    if recipe.search == "uniform":
        steps_of = _shortest(recipe, max_tokens).items()
        return recipe.values * max(_at_starts(least, num, max_tokens) for least, num in steps_of)
    return math.ceil(recipe.search_traces * max_tokens) + of_look(recipe)


def of_look(recipe: Recipe) -> int:
    """Tokens that the proposal samples of one trajectory."""
    return ANSWER_TOKENS if recipe.search == "adaptive" and recipe.proposal == "self" else 0


def _at_starts(least: int, num: int, max_tokens: int) -> int:
    """Tokens of one rollout at the start of each of `num` steps of `least` tokens."""
    starts = [0, *(least * step for step in range(num))]  # a short answer is a step too
    return sum(max_tokens - start for start in starts if start < max_tokens)


def _shortest(recipe: Recipe, max_tokens: int) -> dict[int, int]:
    """The least tokens that a step may have, and the most such steps; several where the length decides."""
    most = recipe.max_steps
    if recipe.splitter == "fixed":
        return {recipe.fixed_step_tokens: most}
    if recipe.splitter == "auto" and recipe.min_step_tokens is None:
        leasts = ((steps.suiting(length, most), length) for length in range(1, max_tokens + 1))
        return {least: min(most, length // least + 1) for least, length in leasts}
    return {steps.MIN_TOKENS if recipe.min_step_tokens is None else recipe.min_step_tokens: most}


def of_searches(recipe: Recipe, num: int, max_tokens: int) -> dict[str, Part]:
    """Of searching `num` trajectories of any length; nothing for a rule that needs no values."""
    each = of_search(recipe, max_tokens)
    is_planned = recipe.search != "uniform" and not of_look(recipe)
    how = f"{recipe.search_traces:g} x {max_tokens:,}" if is_planned else f"{each:,}"
    return {"searches": (num * each, f"{num:,} x {how}")} if each else {}


def of_sweep(recipe: Recipe, num: int, max_tokens: int) -> Cost:
    """Of `num` problems, and the search of one trajectory of each."""
    prompts = {"prompts": of_rollouts(num, "problem", recipe.group_size, max_tokens)}
    return Cost(prompts | of_searches(recipe, num, max_tokens))


def of_solving(num: int, each: int) -> Cost:
    """Of `num` problems that may take so many tokens each."""
    return Cost({"problems": (num * each, f"{num:,} problem{'s' * (num != 1)} x {each:,}")})


class Bound:
    """Most tokens of a sweep while it goes on: what has turned out shorter than it could is taken off."""

    def __init__(self, recipe: Recipe, max_tokens: int, cost: Cost) -> None:
        self.recipe, self.max_tokens, self.most = recipe, max_tokens, cost.total

    def drawn(self, purpose: str, num: int) -> int:
        """A rollout of `num` tokens, which it returns; that of a search counts when the search has ended."""
        if purpose != "values":
            self.most -= self.max_tokens - num
        return num

    def after(self, event: Event) -> int:
        """Most tokens in all, now that this has happened."""
        if isinstance(event, Drawn):
            self.drawn(event.ask.purpose, len(event.rollout.action_ids))
        elif isinstance(event, Finished):
            num = max(1, len(event.task.given))
            spent = event.tokens["values"] + event.tokens.get("judge", 0)
            self.most -= num * of_search(self.recipe, self.max_tokens) - spent
        return self.most


def of_round(recipe: Recipe, num_problems: int, max_tokens: int) -> Cost:
    """Of one round of training on so many problems."""
    num = min(recipe.problems_per_round, num_problems)
    parts = {"prompts": of_rollouts(num, "problem", recipe.group_size, max_tokens)}
    located = min(recipe.max_located, num) * (recipe.rule != "base")
    parts |= of_searches(recipe, located, max_tokens)
    if groups := min(located * recipe.resets, recipe.most_resets(num)) + recipe.ladders:
        parts["resets"] = of_rollouts(groups, "group", recipe.reset_size, max_tokens)
    return Cost(parts)


def of_training(a_round: Cost, rounds: int, budget: int | None, evaluation: Part, every: int) -> Cost:
    """Of so many rounds, or of as many as a budget leaves, with an evaluation after `every` of them."""
    sampled, how, more = rounds * a_round.total, f"{rounds:,} x {a_round.total:,}", ""
    times = num_evaluations(rounds, every)
    tokens, each = evaluation
    if budget is not None and budget < sampled:
        sampled, how = budget, "--budget-tokens"
        if tokens and 0 < every < rounds:
            times, more = 2, f", and {tokens:,} for every evaluation but the first and the last"
    evaluated = times * tokens, f"{times:,} x {each}"
    return Cost({"rounds": (sampled, how), "evaluations": evaluated}, more)


def num_evaluations(rounds: int, every: int) -> int:
    """How often a run of so many rounds evaluates: before the first, every so many, after the last."""
    return 1 + (rounds // every + (rounds % every > 0) if every else 1)
