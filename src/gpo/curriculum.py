"""What a round leaves to the next, and the two extras that live on it: the archive and the share of tokens.

Beside the paper and not in it (gpo.py): states kept from earlier rounds are sampled again (gpo.archive), and
search and archive get the tokens that they repay (gpo.share).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpo.archive import Archive, Trace
from gpo.located import Located, bounds_of
from gpo.paths import PathPrior
from gpo.pool import Pool
from gpo.protocols import Policy
from gpo.recipe import Recipe
from gpo.seeds import derive_seed
from gpo.share import ARMS, Share, measured
from gpo.types import Group, InputError, Problem


@dataclass(frozen=True)
class Memory:
    """What one round leaves to the next, besides the policy's weights."""

    prior: PathPrior = field(default_factory=PathPrior)
    archive: Archive = field(default_factory=Archive)
    share: Share = field(default_factory=Share)
    ease: Mapping[str, float] = field(default_factory=dict)
    """Each problem's ease by id, for the baseline of split trajectories; see gpo.credit."""

    @classmethod
    def from_json(cls, content: Any) -> Memory:
        """What `dataclasses.asdict` took apart; InputError for anything else."""
        try:
            share = Share(
                {arm: float(level) for arm, level in content["share"]["levels"].items()},
                {arm: (float(a), float(b)) for arm, (a, b) in content["share"]["sums"].items()},
            )
            ease = {problem: float(ease) for problem, ease in content.get("ease", {}).items()}
            prior, archive = PathPrior.from_json(content["prior"]), Archive.from_json(content["archive"])
            return cls(prior, archive, share, ease)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"memory: is not what a run writes ({error!r}); start a new run") from None


def limits(
    explored: Sequence[Group], recipe: Recipe, share: Share, index: int, *, has_budget: bool
) -> dict[str, int]:
    """How many trajectories are searched and archived states sampled in a round, at most, by arm."""
    most = dict(zip(ARMS, (recipe.max_located, recipe.archived), strict=True))
    if recipe.share == "fixed" or (recipe.share == "auto" and not has_budget):
        return most
    unsolved = sum(not group.has_signal and group.value < recipe.success_at for group in explored)
    frac = unsolved / max(1, len(explored))
    return {arm: share.num(arm, num, index, frac) for arm, num in most.items()}


def most_resets(num_prompts: int, recipe: Recipe) -> int:
    """Groups at given prefixes that keep to their share of the round's groups."""
    return math.floor(num_prompts * recipe.max_reset_frac / (1 - recipe.max_reset_frac))


def from_archive(
    pool: Pool,
    located: Sequence[Located],
    recipe: Recipe,
    archive: Archive,
    known: Mapping[str, Problem],
    most: int,
) -> tuple[Archive, list[Group]]:
    """At most `most` groups at archived states; the archive with older counts decayed and these counted."""
    archive = archive.decayed(recipe.archive_decay)
    num_resets = sum(one.critical is not None for one in located) if recipe.resets else 0
    num_prompts = sum(state.prefix_ids == () for state in pool.rollouts)
    most = min(most, max(0, most_resets(num_prompts, recipe) - num_resets))
    rng = np.random.default_rng(derive_seed(pool.seed, "archive"))
    states = {place: archive.state(*place, known) for place in archive.choose(most, recipe.archive_at, rng)}
    before = {state: len(pool.at(state)) for state in states.values()}
    pool.fill({state: num + recipe.reset_size for state, num in before.items()}, "archive", is_whole=True)
    groups = {
        place: Group(state, tuple(pool.at(state)[before[state] :]))
        for place, state in states.items()
        if len(pool.at(state)) > before[state]
    }
    return archive.learn(groups, recipe.success_at), list(groups.values())


def into_archive(
    archive: Archive,
    explored: Sequence[Group],
    located: Sequence[Located],
    recipe: Recipe,
    policy: Policy,
) -> Archive:
    """The archive with this round's successes, or explored trajectories, of problems rarely solved."""
    counts = {one.curve.rollout: one.curve for one in located if one.curve.rollout}
    found = []
    for group in explored:
        num_right = sum(rollout.reward >= recipe.success_at for rollout in group.rollouts)
        for rollout in group.rollouts:
            is_success = rollout.reward >= recipe.success_at
            if not is_success and (recipe.archive_of == "succeeded" or rollout not in counts):
                continue
            bounds = tuple(bounds_of(rollout, recipe.step_splitter(), policy))
            curve, num = counts.get(rollout), len(bounds) - 1
            # Without a search there are the others of its group, at the first boundary.
            wins = curve.successes[:-1] if curve else (num_right - is_success, *(0,) * (num - 1))
            trials = curve.trials[:-1] if curve else (len(group.rollouts) - 1, *(0,) * (num - 1))
            ids, problem = rollout.completion_ids, rollout.state.problem.id
            found.append(Trace(problem, ids, bounds, float(is_success), wins, trials))
    solved = {group.state.problem.id for group in explored if group.value > 0.5}
    return archive.add(found, recipe.archive_per_problem).without(solved)


def measured_by_arm(pool: Pool, recipe: Recipe) -> dict[str, tuple[float, float]]:
    """The signal and tokens of fresh prompts, of search with its resets, and of the archive."""
    ledger = pool.tokens()
    arms = {"fresh": ("explore",), "search": ("values", "resets"), "archive": ("archive",)}
    return {
        arm: measured(
            pool.groups(set(purposes) & set(recipe.trained)), sum(ledger[name] for name in purposes)
        )
        for arm, purposes in arms.items()
    }
