"""What a training run costs at most in tokens: a round of it, and all of it."""

from __future__ import annotations

from gpo.cost import Cost, of_rollouts, of_round, of_training
from gpo.recipe import Recipe
from gpo.training.weights import AnySettings


def costs(settings: AnySettings, recipe: Recipe, num: int, num_held_out: int) -> tuple[Cost, Cost]:
    """Of a round, and of the whole run; `num` problems are trained on, none where rows are given."""
    a_round = of_round(recipe, num, settings.max_tokens) if num else Cost({})
    if num and (fill := getattr(settings, "fill", 0)):
        most = min(settings.problems_per_round, num)
        filled = of_rollouts(most, "state", fill, settings.max_tokens)
        a_round = Cost({**a_round.parts, "missing sides": filled})
    evaluation = of_rollouts(num_held_out, "held-out problem", settings.eval_num, settings.max_tokens)
    limits = settings.rounds, settings.budget_tokens
    return a_round, of_training(a_round, *limits, evaluation, settings.eval_every)


def told(a_round: Cost, run: Cost) -> list[str]:
    """The costs in words."""
    one = [f"a round costs at most {a_round}"] if a_round.total else []
    return [*one, f"the run costs at most {run}"] if run.total else ["the run samples nothing"]
