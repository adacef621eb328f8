"""GPO inside TRL's GRPOTrainer: the rollout function samples, searches and resets; TRL trains.

    rollouts = gpo.trl.rollout_func(verifier=gpo.verifiers.load("math"))  # or your TRL reward functions
    trainer = GRPOTrainer(..., rollout_func=rollouts, reward_funcs=rollouts.reward, train_dataset=...)

The data set has the columns `prompt`, text or messages, and `answer`. Everything else, such as G, temperature
and completion length, is the trainer's own setting. Only public names of TRL are used.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from gpo import verifiers
from gpo.protocols import Verifier
from gpo.recipe import Recipe
from gpo.trl.checks import check_recipe
from gpo.trl.rollouts import Rollouts
from gpo.trl.selfcheck import SelfCheck
from gpo.types import DataWarning, InputError
from gpo.verifiers.function import RewardFunction, combined

__all__ = ["TESTED", "Rollouts", "rloo", "rollout_func"]

TESTED = "1.16"
"""The version of TRL that the tests run; `rollout_func` is experimental there and may change in others."""

try:
    _VERSION = version("trl")
except PackageNotFoundError:
    raise ImportError(f"gpo.trl needs TRL {TESTED}: pip install 'trl=={TESTED}.*'") from None


def rollout_func(
    *,
    verifier: Verifier | RewardFunction | Sequence[RewardFunction],
    recipe: Recipe | None = None,
    reset_share: float | None = None,
    answer_column: str = "answer",
    batch_tokens: int = 65_536,
    seed: int | None = None,
    thinking_marks: Sequence[Sequence[str]] = (),
    allow_test: bool = False,
    reward_weights: Sequence[float] | None = None,
) -> Rollouts:
    """Pass this as `rollout_func`, and its method `reward` in `reward_funcs`.

    `verifier` is one of gpo.verifiers, or your TRL reward function, or a list of them, whose reward is then
    their mean by `reward_weights`: 1, a success, only where all say 1. They run in processes of their own.
    `reset_share` (rounded down) is the share of a process's groups that are reset groups, if enough
    critical steps are found: at most 0.5, because a fresh group gives at most one; or 1: a single
    trajectory per prompt, which is not trained, and all groups at its critical step. None means the
    recipe's max_reset_frac. `recipe` says whose trajectories are explored and how; group_size, reset_size
    and problems_per_round are the trainer's. Without "values" in `trained` a reset group has none of the
    rollouts that chose its state. `batch_tokens` bounds the key-value cache while sampling. `seed` None
    means the trainer's. `thinking_marks` adds pairs of thinking marks to those of gpo.marks. A
    train_dataset named as test data (by its split, or as a benchmark without training rows) is refused
    unless `allow_test`; one without names, as from Dataset.from_dict, cannot be checked.

    InputError if a setting is out of range. Trainer settings that do not work are refused when it first asks
    for rollouts. With another version of TRL than the tested one there is a DataWarning, and the first batch
    that it trains is compared with what was sampled: InputError if that differs.
    """
    recipe = recipe or Recipe()
    share = recipe.max_reset_frac if reset_share is None else reset_share
    check_recipe(recipe, share)
    judge = verifier_of(verifier, reward_weights)
    made = Rollouts(recipe, judge, share, answer_column, batch_tokens, seed, thinking_marks, allow_test)
    if not _VERSION.startswith(f"{TESTED}."):
        advice = f"pip install 'trl=={TESTED}.*'"
        told = f"gpo.trl is tested with TRL {TESTED} and this is {_VERSION}; its first batch is checked"
        warnings.warn(f"{told}. If it fails: {advice}", DataWarning, stacklevel=2)
        made.check = SelfCheck(_VERSION, advice)
    return made


def verifier_of(
    given: Verifier | RewardFunction | Sequence[RewardFunction], weights: Sequence[float] | None
) -> Verifier:
    """A verifier as it is, or one made of reward functions; InputError for a list that cannot be one."""
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    if weights is not None and not is_list:
        raise InputError("reward_weights: are those of a list of reward functions; leave them out")
    if is_list:
        return verifiers.load(combined(cast(Sequence[RewardFunction], given), weights))
    if hasattr(given, "score"):
        return cast(Verifier, given)
    if not callable(given):
        raise InputError(f"verifier: is {given!r:.60}; give gpo.verifiers.load(...) or reward functions")
    return verifiers.load(given)


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
