"""The paper: explore, locate the critical step, reset to just before it, hand over what to learn from.

Guided Pivotal Optimization (Yu, Cheng, Wu, Xing; NeurIPS 2025, arXiv 2509.16456). One verb does all
of it: sample n continuations from a state. A fresh start is the empty prefix, a value estimate is
n rollouts from a step's start, a reset is a group at the state before the critical step.

    for round in rounds(policy, verifier, problems, Recipe(), seed=0):
        learner.update(round.groups)

Every rollout is kept: those that estimated a value are on-policy samples of that state, so they train
too, each against the value believed when it was asked for, and they count towards the reset group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gpo.archive import Archive, Trace
from gpo.credit import spliced, split
from gpo.explore.waves import locate
from gpo.locate import Located, bounds_of, choose, reset_state
from gpo.paths import PathPrior
from gpo.pool import Kept, Pool, Watch
from gpo.recipe import Recipe
from gpo.share import ARMS, Share, measured
from gpo.types import (
    Group,
    InputError,
    Policy,
    Problem,
    State,
    StepValues,
    Verifier,
    derive_seed,
    unjudged,
)

BELIEF_TRIALS = 2.0
"""Rollouts that a belief counts for beside those of a reset group's others, above those it was made from."""


@dataclass(frozen=True)
class Memory:
    """What one round leaves to the next, besides the policy's weights."""

    prior: PathPrior = field(default_factory=PathPrior)
    archive: Archive = field(default_factory=Archive)
    share: Share = field(default_factory=Share)
    ease: Mapping[str, float] = field(default_factory=dict)
    """Of problems by id, for the baseline of split trajectories; see gpo.credit."""

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


@dataclass(frozen=True)
class Round:
    """What one round sampled: the groups to learn from, the located trajectories, the token ledger."""

    index: int
    groups: list[Group]
    explored: list[Group]
    """The groups at the prompts, the base algorithm's own data."""
    located: list[Located]
    archived: list[Group]
    """The groups at states of earlier rounds."""
    memory: Memory
    """What the next round starts from."""
    unjudged: dict[str, int]
    """Answers that got 0 without a verdict, by kind."""
    pool: Pool

    @property
    def tokens(self) -> dict[str, int]:
        """Generated tokens by purpose."""
        return self.pool.tokens()

    @property
    def step_values(self) -> list[StepValues]:
        """Of the explored trajectories whose values were searched."""
        return [values for one in self.located if (values := one.step_values)]


def reset(pool: Pool, located: Sequence[Located], recipe: Recipe, most: int) -> None:
    """Sample a group before each critical step, at most `most`; value rollouts there are members.

    How many are missing depends on rewards where the search did, so their baseline is what was believed
    of the state before they were sampled, together with the rewards of the others (`_with_beliefs`).
    """
    places = [place for one in located if (place := reset_state(one, recipe))]
    beliefs = {state: value if math.isfinite(value) else None for state, value in places}
    kept = list(beliefs)[:most]
    pool.fill(
        dict.fromkeys(kept, recipe.reset_size),
        "resets",
        baselines={state: beliefs[state] for state in kept if recipe.search != "uniform"},
    )
    for state in kept:
        pool.rollouts[state] = _with_beliefs(pool.rollouts.get(state, []))


def _with_beliefs(kept: list[Kept]) -> list[Kept]:
    """Resets with a baseline of the belief and the other resets' rewards, which know nothing of their own."""
    resets = [one for one in kept if one.purpose == "resets"]
    trials = BELIEF_TRIALS + sum(one.purpose == "values" for one in kept)
    total = sum(one.rollout.reward for one in resets)

    def informed(one: Kept) -> Kept:
        if one.purpose != "resets" or one.baseline is None:
            return one
        others = total - one.rollout.reward
        return replace(one, baseline=(trials * one.baseline + others) / (trials + len(resets) - 1))

    return [informed(one) for one in kept]


def run_round(
    policy: Policy,
    verifier: Verifier,
    problems: Sequence[Problem],
    recipe: Recipe,
    *,
    index: int,
    seed: int,
    memory: Memory | None = None,
    known: Mapping[str, Problem] | None = None,
    budget_tokens: float = math.inf,
    watch: Watch | None = None,
) -> Round:
    """Explore, locate, reset: one round's data for `problems`; `memory` is what the round before left.

    `known` are all training problems by id, among them those of archived states. With a token budget
    fewer problems are sampled, none in part, so that even the longest completions stay within it.
    """
    memory = memory or Memory()
    pool = Pool(policy, verifier, derive_seed(seed, "round", index), watch, budget_tokens)
    before = unjudged(verifier)
    prompts = [State(problem) for problem in problems]
    pool.fill(dict.fromkeys(prompts, recipe.group_size), "explore", is_whole=True)
    explored = [Group(state, tuple(pool.at(state))) for state in prompts if pool.at(state)]
    is_weighed = recipe.share == "signal" or (recipe.share == "auto" and budget_tokens < math.inf)
    most = dict(zip(ARMS, (recipe.max_located, recipe.archived), strict=True))
    if is_weighed:
        unsolved = sum(not group.has_signal and group.value < recipe.success_at for group in explored)
        frac = unsolved / max(1, len(explored))
        most = {arm: memory.share.num(arm, num, index, frac) for arm, num in most.items()}
    located, prior = _locate(pool, explored, recipe, memory.prior, most["search"])
    archive, archived = _from_archive(pool, located, recipe, memory.archive, known or {}, most["archive"])
    archive = _into_archive(archive, explored, located, recipe, policy) if recipe.archived else archive
    groups, ease = _credited(pool, explored, located, recipe, memory.ease)
    share = memory.share.after(_measured(pool, recipe))
    missed = {kind: num - before[kind] for kind, num in unjudged(verifier).items()}
    left = Memory(prior, archive, share, ease)
    return Round(index, groups, explored, located, archived, left, missed, pool)


def _credited(
    pool: Pool,
    explored: Sequence[Group],
    located: Sequence[Located],
    recipe: Recipe,
    ease: Mapping[str, float],
) -> tuple[list[Group], Mapping[str, float]]:
    """What trains, as the recipe credits explored trajectories, and the ease of problems after the round."""
    if recipe.credit == "split":
        parts, ease = split(explored, located, pool, recipe, ease)
        return parts + pool.groups(set(recipe.trained) - {"explore"}), ease
    groups = pool.groups(recipe.trained)
    if recipe.splice:
        groups = [spliced(group, located, pool, recipe) for group in groups]
    return groups, ease


def _locate(
    pool: Pool, explored: Sequence[Group], recipe: Recipe, prior: PathPrior, most: int
) -> tuple[list[Located], PathPrior]:
    """At most `most` located trajectories, their reset groups sampled, and what the searches taught."""
    if recipe.rule == "base":
        return [], prior
    located, prior = locate(pool, choose(explored, recipe, pool.seed, most), recipe, prior)
    if recipe.resets:
        reset(pool, located, recipe, _most_resets(len(explored), recipe))
    return located, prior


def _most_resets(num_prompts: int, recipe: Recipe) -> int:
    """Groups at given prefixes that keep to their share of the round's groups."""
    return math.floor(num_prompts * recipe.max_reset_frac / (1 - recipe.max_reset_frac))


def _from_archive(
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
    most = min(most, max(0, _most_resets(num_prompts, recipe) - num_resets))
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


def _into_archive(
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


def _measured(pool: Pool, recipe: Recipe) -> dict[str, tuple[float, float]]:
    """The signal and tokens of fresh prompts, of search with its resets, and of the archive."""
    ledger = pool.tokens()
    arms = {"fresh": ("explore",), "search": ("values", "resets"), "archive": ("archive",)}
    return {
        arm: measured(
            pool.groups(set(purposes) & set(recipe.trained)), sum(ledger[name] for name in purposes)
        )
        for arm, purposes in arms.items()
    }


def rounds(
    policy: Policy,
    verifier: Verifier,
    problems: Sequence[Problem],
    recipe: Recipe,
    *,
    seed: int = 0,
    start: int = 0,
    memory: Memory | None = None,
    budget_tokens: float = math.inf,
    watch: Watch | None = None,
) -> Iterator[Round]:
    """Rounds from round `start` on; learn from each before asking for the next.

    They end when the token budget has no room for another group, else never. Problems come in a new random
    order each epoch. Round i depends on the seed, i, the policy's weights and what the round before left
    only, so a resumed run goes on as the uninterrupted one would have.
    """
    known = {problem.id: problem for problem in problems}
    index = start
    while budget_tokens >= recipe.group_size * policy.max_tokens:
        batch = [problems[i] for i in problem_order(len(problems), recipe.problems_per_round, index, seed)]
        data = run_round(
            policy,
            verifier,
            batch,
            recipe,
            index=index,
            seed=seed,
            memory=memory,
            known=known,
            budget_tokens=budget_tokens,
            watch=watch,
        )
        yield data
        memory = data.memory
        budget_tokens -= sum(data.tokens.values())
        index += 1


def problem_order(num_problems: int, per_round: int, index: int, seed: int) -> list[int]:
    """Indices of the problems of round `index`: epochs of random order, cut into rounds."""
    per_round = min(per_round, num_problems)
    rounds_per_epoch = num_problems // per_round
    epoch, place = divmod(index, rounds_per_epoch)
    order = np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(num_problems)
    return [int(i) for i in order[place * per_round : (place + 1) * per_round]]
