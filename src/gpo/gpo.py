"""The paper: explore, locate the critical step, reset to just before it, hand over what to learn from.

Guided Pivotal Optimization (Yu, Cheng, Wu, Xing; NeurIPS 2025, arXiv 2509.16456). One verb does all
of it: sample n continuations from a state. A fresh start is the empty prefix, a value estimate is
n rollouts from a step's start, a reset is a group at the state before the critical step.

    for round in rounds(policy, verifier, problems, Recipe(), seed=0):
        learner.update(round.groups)

Every rollout is kept: those that estimated a value are on-policy samples of that state, so they train too,
each against the value estimated when it was requested, and count towards the reset group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpo.credit import spliced, split, with_beliefs
from gpo.explore.waves import locate
from gpo.ladder import Ladder, practise, with_found
from gpo.located import Located, choose, reset_state
from gpo.paths import PathPrior
from gpo.pool import Pool, Watch
from gpo.protocols import Critic, Policy, Verifier, unjudged
from gpo.recipe import Recipe
from gpo.rules import CRITIC_RULES
from gpo.seeds import derive_seed
from gpo.types import Group, InputError, Problem, Rollout, State, StepValues


@dataclass(frozen=True)
class Memory:
    """What one round leaves to the next, besides the policy's weights."""

    prior: PathPrior = field(default_factory=PathPrior)
    ease: Mapping[str, float] = field(default_factory=dict)
    """Each problem's ease by id, for the baseline of split trajectories; see gpo.credit."""
    ladders: Mapping[str, Ladder] = field(default_factory=dict)
    """Of successes on problems that mostly fail, by problem id; see gpo.ladder."""

    @classmethod
    def from_json(cls, content: Any) -> Memory:
        """What `dataclasses.asdict` took apart; InputError for anything else."""
        try:
            ease = {problem: float(ease) for problem, ease in content.get("ease", {}).items()}
            # What an older version learned was counted in another way; searches learn again.
            prior = PathPrior() if "jumps" in content["prior"] else PathPrior.from_json(content["prior"])
            ladders = {key: Ladder.from_json(one) for key, one in content.get("ladders", {}).items()}
            return cls(prior, ease, ladders)
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
    def rollouts(self) -> list[Rollout]:
        """All that were sampled, whether they train or not."""
        return [kept.rollout for some in self.pool.rollouts.values() for kept in some]

    @property
    def step_values(self) -> list[StepValues]:
        """Values of the explored trajectories that were searched."""
        return [values for one in self.located if (values := one.step_values)]


def run_round(
    policy: Policy,
    verifier: Verifier,
    problems: Sequence[Problem],
    recipe: Recipe,
    *,
    index: int,
    seed: int,
    memory: Memory | None = None,
    critic: Critic | None = None,
    known: Mapping[str, Problem] | None = None,
    budget_tokens: float = math.inf,
    watch: Watch | None = None,
) -> Round:
    """Explore, locate, reset: one round's data for `problems`; `memory` is what the previous round left.

    A token budget reduces the number of problems, so that even the longest completions stay within it; none
    is sampled in part. A rule that reads a critic needs one; until that is ready, `entropy` names the steps.
    `known` are all problems by id: a ladder is of one of an earlier round.
    """
    memory, recipe = memory or Memory(), readable(recipe, critic)
    reads = critic if recipe.rule in CRITIC_RULES else None
    pool = Pool(policy, verifier, derive_seed(seed, "round", index), watch, budget_tokens, critic=reads)
    before = unjudged(verifier)
    explored = explore(pool, problems, recipe)
    located, prior = find(pool, explored, recipe, memory.prior)
    if recipe.resets:
        reset(pool, located, recipe, recipe.most_resets(len(explored)))
    ladders = climb(pool, explored, recipe, memory.ladders, known or {}, index)
    groups, ease = learnable(pool, explored, located, recipe, memory.ease)
    missed = {kind: num - before[kind] for kind, num in unjudged(verifier).items()}
    return Round(index, groups, explored, located, Memory(prior, ease, ladders), missed, pool)


def readable(recipe: Recipe, critic: Critic | None) -> Recipe:
    """The recipe, with the rule `entropy` in place of one that reads a critic which is not ready yet."""
    if recipe.rule not in CRITIC_RULES:
        return recipe
    if critic is None:
        raise InputError(f"rule: {recipe.rule!r} reads a critic; give one, such as gpo.values.critic(policy)")
    return recipe if critic.is_ready else recipe.changed(rule="entropy")


def explore(pool: Pool, problems: Sequence[Problem], recipe: Recipe) -> list[Group]:
    """A group of fresh rollouts at each prompt, for as many prompts as the budget allows."""
    prompts = [State(problem) for problem in problems]
    pool.fill(dict.fromkeys(prompts, recipe.group_size), "explore", is_whole=True)
    return [Group(state, tuple(pool.at(state))) for state in prompts if pool.at(state)]


def find(
    pool: Pool, explored: Sequence[Group], recipe: Recipe, prior: PathPrior
) -> tuple[list[Located], PathPrior]:
    """At most `max_located` trajectories with their critical steps, and what the searches taught."""
    if recipe.rule == "base":
        return [], prior
    return locate(pool, choose(explored, recipe, pool.seed, recipe.max_located), recipe, prior)


def reset(pool: Pool, located: Sequence[Located], recipe: Recipe, most: int) -> None:
    """Sample a group before each critical step, at most `most`; value rollouts there are members.

    Where rewards steered the search, they also decide how many rollouts are missing. So the baseline is the
    value estimated before sampling, together with the others' rewards (`with_beliefs`).
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
        pool.rollouts[state] = with_beliefs(pool.rollouts.get(state, []))


def climb(
    pool: Pool,
    explored: Sequence[Group],
    recipe: Recipe,
    ladders: Mapping[str, Ladder],
    known: Mapping[str, Problem],
    index: int,
) -> Mapping[str, Ladder]:
    """Practises on ladders where no prompt brought a success; the ladders after this round."""
    if not recipe.ladders:
        return {}
    rewards = [reward for group in explored for reward in group.rewards_G]
    if max(rewards, default=0.0) < recipe.success_at:
        return practise(pool, ladders, known, recipe, index)
    return with_found(ladders, explored, recipe, pool, index)


def learnable(
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


def rounds(
    policy: Policy,
    verifier: Verifier,
    problems: Sequence[Problem],
    recipe: Recipe,
    *,
    seed: int = 0,
    start: int = 1,
    memory: Memory | None = None,
    critic: Critic | None = None,
    budget_tokens: float = math.inf,
    watch: Watch | None = None,
) -> Iterator[Round]:
    """Rounds from round `start` on, counted from 1 as in `gpo train`; learn from each before the next.

    They end only when the token budget has no room for another group. Problems come in a new random order
    each epoch. Round i depends only on the seed, i, the policy's weights and what the previous round left, so
    a resumed run continues as an uninterrupted one would.
    """
    index, known = start, {problem.id: problem for problem in problems}
    while budget_tokens >= recipe.group_size * policy.max_tokens:
        batch = [
            problems[i] for i in problem_order(len(problems), recipe.problems_per_round, index - 1, seed)
        ]
        data = run_round(
            policy,
            verifier,
            batch,
            recipe,
            index=index,
            seed=seed,
            memory=memory,
            critic=critic,
            known=known,
            budget_tokens=budget_tokens,
            watch=watch,
        )
        yield data
        memory = data.memory
        if critic:
            critic.learn(data.rollouts)
        budget_tokens -= sum(data.tokens.values())
        index += 1


def problem_order(num_problems: int, per_round: int, index: int, seed: int) -> list[int]:
    """Indices of the problems of round `index`: epochs of random order, cut into rounds."""
    per_round = min(per_round, num_problems)
    rounds_per_epoch = num_problems // per_round
    epoch, place = divmod(index, rounds_per_epoch)
    order = np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(num_problems)
    return [int(i) for i in order[place * per_round : (place + 1) * per_round]]
