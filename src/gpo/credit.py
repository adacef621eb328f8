"""What an explored trajectory trains with once its reset group is there: spliced as released, or split.

Split: the rule has looked at the whole trajectory, head h and tail z with reward R, and named the state c
between them. REINFORCE, with a baseline b that knows nothing of the trajectory, is without bias:

    grad V(x) = E[(R - b) (score(h) + score(z))]

- Given h and c, R on the head may be replaced by anything of the same mean. A rollout at c is distributed
  like z if the rule would have named c with it in z's place: R becomes the mean over z and those rollouts.
  The mean over all of them would be biased, as z is no plain sample of c: c was named with a look at it.
- So the tail keeps b, too: a value of c would be multiplied by E[score(z) | h, c], which is not 0.
- The rollouts at c were sampled after c was named, and are compared with each other: n grad V(c).

Rewards may decide neither which trajectory is explored nor what the rule names; those of earlier rounds may,
by which a critic was fitted. `tests/test_credit.py` sums
over all outcomes on a table, and finds the exact gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from gpo.located import Located, bounds_of, reset_state, unsampled
from gpo.pool import Kept, Pool
from gpo.recipe import Recipe
from gpo.rules import named_step
from gpo.seeds import derive_seed
from gpo.types import Group, Rollout, State

BELIEF_TRIALS = 2.0
"""Rollouts that a belief counts for beside those of a reset group's others, above those it was made from."""


PRIOR_TRIALS = 2.0
"""Number of rollouts that the other prompts' evidence about a prompt counts for, beside its own group's."""
EASE_RATE = 0.5
"""Weight of the last visit in a problem's ease; half also shrinks a first visit to the round's mean."""


def split(
    explored: Sequence[Group],
    located: Sequence[Located],
    pool: Pool,
    recipe: Recipe,
    ease: Mapping[str, float],
) -> tuple[list[Group], dict[str, float]]:
    """The explored rollouts, cut where they were reset, each against its own baseline; and the ease after.

    `ease` is by how much a problem's rollouts beat the mean of the round's other prompts, by problem id. A
    baseline is that mean plus the ease, together with the outcomes of the rest of the group.
    """
    places = {id(one.curve.rollout): found[0] for one in located if (found := reset_state(one, recipe))}
    outcomes = [[_outcome(r, places.get(id(r)), pool, recipe) for r in g.rollouts] for g in explored]
    means = [fmean(some) for some in outcomes]
    groups, after = [], dict(ease)
    for group, outcomes_G, mean in zip(explored, outcomes, means, strict=True):
        others = (sum(means) - mean) / (len(means) - 1) if len(means) > 1 else 0.5
        problem = group.state.problem.id
        old = ease.get(problem, 0.0)
        prior = PRIOR_TRIALS * min(1.0, max(0.0, others + old))
        after[problem] = old + EASE_RATE * (mean - others - old)
        trials = PRIOR_TRIALS + len(outcomes_G) - 1
        for rollout, outcome in zip(group.rollouts, outcomes_G, strict=True):
            baseline = (prior + sum(outcomes_G) - outcome) / trials
            parts = _parts(rollout, places.get(id(rollout), group.state), outcome)
            groups += [Group(part.state, (part,), (baseline,)) for part in parts]
    return groups, after


def _outcome(rollout: Rollout, place: State | None, pool: Pool, recipe: Recipe) -> float:
    """The reward, averaged with the rollouts at the reset state that have the rule name it again."""
    if place is None:
        return rollout.reward
    resets = [one.rollout for one in pool.rollouts.get(place, []) if one.purpose == "resets"]
    return fmean(
        [rollout.reward, *(r.reward for r in resets if _is_named(joined(rollout, r), place, pool, recipe))]
    )


def _is_named(whole: Rollout, place: State, pool: Pool, recipe: Recipe) -> bool:
    bounds = bounds_of(whole, recipe.step_splitter(), pool.policy)
    seed = derive_seed(pool.seed, "rule", whole.state.key)
    index = named_step(unsampled(whole, bounds), recipe.rule, seed=seed)
    return index is not None and bounds[index] == len(place.prefix_ids)


def _parts(rollout: Rollout, place: State, outcome: float) -> list[Rollout]:
    """Head and tail of a rollout; a reset to where it began leaves it whole."""
    num = len(place.prefix_ids) - len(rollout.state.prefix_ids)
    if not num:
        return [rollout]
    ids, logprobs, entropies = rollout.action_ids, rollout.logprobs, rollout.entropies
    head = replace(
        rollout,
        action_ids=ids[:num],
        logprobs=logprobs[:num],
        entropies=entropies[:num],
        predicted=rollout.predicted[: num + 1],
        reward=outcome,
        finished=True,  # its outcome is known, whether or not this tail was cut
    )
    tail = replace(
        rollout,
        state=place,
        action_ids=ids[num:],
        logprobs=logprobs[num:],
        entropies=entropies[num:],
        predicted=rollout.predicted[num:],
    )
    return [head, tail]


def with_beliefs(kept: list[Kept]) -> list[Kept]:
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


def spliced(group: Group, located: Sequence[Located], pool: Pool, recipe: Recipe) -> Group:
    """The group with its explored trajectory replaced by the best rollout at the reset state, as released.

    The whole of it counts as sampled, prefix included; a trajectory without a better one stays.
    """
    replaced = {}
    for one in located:
        place, old = reset_state(one, recipe), one.curve.rollout
        if place is None or old is None or old.state != group.state:
            continue
        best = max(pool.at(place[0]), key=lambda r: r.reward, default=old)
        if best.reward > old.reward:
            replaced[old] = joined(old, best)
    return replace(group, rollouts=tuple(replaced.get(r, r) for r in group.rollouts))


def joined(old: Rollout, new: Rollout) -> Rollout:
    """`new`, sampled after a prefix of `old`, as one rollout from where `old` began."""
    num = len(new.state.prefix_ids) - len(old.state.prefix_ids)
    return replace(
        new,
        state=old.state,
        action_ids=old.action_ids[:num] + new.action_ids,
        logprobs=old.logprobs[:num] + new.logprobs,
        entropies=old.entropies[:num] + new.entropies,
        predicted=old.predicted[:num] + new.predicted,
    )
