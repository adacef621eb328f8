"""GPO inside TRL's GRPOTrainer: the rollout function samples, searches and resets; TRL trains.

    rollouts = gpo.trl.rollout_func(verifier=gpo.verifiers.load("math"))
    trainer = GRPOTrainer(..., rollout_func=rollouts, reward_funcs=rollouts.reward, train_dataset=...)

The data set has the columns `prompt`, text or messages, and `answer`. Everything else, such as G, temperature
and completion length, is the trainer's own setting. Only public names of TRL are used.
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
"""The version of TRL that the tests run; `rollout_func` is experimental there and may change in others."""

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
    """Pass this as `rollout_func`, and its method `reward` in `reward_funcs`.

    `reset_share` (rounded down) is the share of a process's groups that are reset groups, if enough critical
    steps are found: at most 0.5, because a fresh group gives at most one; None means the recipe's
    max_reset_frac. `recipe` says whose trajectories are explored and how; group_size, reset_size and
    problems_per_round are the trainer's, and states of earlier calls (`archived`) are not used. Without
    "values" in `trained` a reset group has none of the rollouts that chose its state. `batch_tokens` bounds
    the key-value cache while sampling. `seed` None means the trainer's. `thinking_marks` adds pairs of
    thinking marks to those of gpo.marks. A train_dataset named as test data (by its split, or as a benchmark
    without training rows) is refused unless `allow_test`; one without names, as from Dataset.from_dict,
    cannot be checked.

    InputError if TRL's version is not the tested one or a setting is out of range. Trainer settings that do
    not work are refused when it first asks for rollouts.
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
    """GRPOConfig settings, including `num_generations`, that turn GRPOTrainer into RLOO.

    RLOOTrainer has no rollout function. The leave-one-out advantage (arXiv 2402.14740) is the reward minus
    the group's mean times G / (G - 1), a weight of all rewards, and its loss sums the tokens of a completion
    before averaging over completions, which TRL calls luspo. `reward_weights` are those of your reward
    functions. Exact as long as samples train once, by the weights that sampled them, which is TRL's default.
    beta, if set, is GRPO's penalty in the loss, not RLOO's in the reward.
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
