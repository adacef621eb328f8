"""GPO inside TRL's GRPOTrainer: the rollout function samples, searches and resets; TRL trains.

    rollouts = gpo.trl.rollout_func(verifier=gpo.verifiers.load("math"))
    trainer = GRPOTrainer(..., rollout_func=rollouts, reward_funcs=rollouts.reward, train_dataset=...)

The data set has the columns `prompt`, text or messages, and `answer`. Everything else, such as G, the
temperature and the longest completion, is the trainer's own setting. Only public names of TRL are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gpo.protocols import Verifier
from gpo.recipe import Recipe
from gpo.trl.checks import check_recipe
from gpo.trl.rollouts import Rollouts
from gpo.types import InputError

__all__ = ["TESTED", "Rollouts", "rloo", "rollout_func"]

TESTED = "1.16"
"""The version of TRL that the tests run; `rollout_func` is experimental there and may change in any other."""

try:
    _VERSION = version("trl")
except PackageNotFoundError:
    raise ImportError(f"gpo.trl needs TRL {TESTED}: pip install 'trl=={TESTED}.*'") from None


def rollout_func(
    *,
    verifier: Verifier,
    recipe: Recipe | None = None,
    reset_share: float | None = None,
    answer_column: str = "answer",
    batch_tokens: int = 65_536,
    seed: int | None = None,
    thinking_marks: Sequence[Sequence[str]] = (),
    allow_test: bool = False,
) -> Rollouts:
    """What to pass as `rollout_func`; its method `reward` is what to pass in `reward_funcs`.

    Of a process's groups, `reset_share`, rounded down, are reset groups where enough critical steps are
    found: at most 0.5, as a fresh group gives at most one; None is the recipe's max_reset_frac. `recipe`
    says whose trajectories are explored and how; group_size, reset_size and problems_per_round are the
    trainer's, and states of earlier calls (`archived`) have no place. Without "values" in `trained` a
    reset group has none of the rollouts that chose its state. `batch_tokens` bounds the key-value cache
    while sampling. `seed` None is the trainer's. `thinking_marks` are pairs that open and close what no
    reader sees, beside those that gpo.marks knows. A train_dataset whose own names say that it is for testing
    (its split, or a benchmark without training rows) is refused unless `allow_test`; one without names, such
    as Dataset.from_dict makes, cannot be told.

    InputError if TRL's version is not the tested one or a setting is out of range; what the trainer's
    settings do not allow is refused when it first asks for rollouts.
    """
    if not _VERSION.startswith(f"{TESTED}."):
        raise InputError(
            f"gpo.trl is tested with TRL {TESTED} and this is {_VERSION}: pip install 'trl=={TESTED}.*'"
        )
    recipe = recipe or Recipe()
    share = recipe.max_reset_frac if reset_share is None else reset_share
    check_recipe(recipe, share)
    return Rollouts(recipe, verifier, share, answer_column, batch_tokens, seed, thinking_marks, allow_test)


def rloo(num_generations: int, reward_weights: Sequence[float] = (1.0,)) -> dict[str, Any]:
    """Settings of a GRPOConfig, `num_generations` among them, with which GRPOTrainer is RLOO.

    RLOOTrainer has no rollout function. The leave-one-out advantage (arXiv 2402.14740) is the reward
    minus the group's mean times G / (G - 1), a weight of all rewards, and its loss sums the tokens of a
    completion before the mean over completions, which TRL calls luspo. `reward_weights` are those of
    your reward functions. Exact as long as samples train once, by the weights that sampled them, which
    is TRL's default; beta, if you set it, is GRPO's penalty in the loss and not RLOO's in the reward.
    """
    if num_generations < 2:
        raise InputError(f"num_generations is {num_generations}; leaving one out needs at least 2")
    correction = num_generations / (num_generations - 1)
    return {
        "num_generations": num_generations,
        "scale_rewards": "none",
        "loss_type": "luspo",
        "importance_sampling_level": "sequence",
        "reward_weights": [weight * correction for weight in reward_weights],
    }
