"""One batch of a trainer whose group size is fixed: fresh groups, and reset groups in the last places.

The reset states come from trajectories of the same call, not of the call before: their values are those
of the policy that is about to be updated, so the rollouts that estimated them train as well. Or every place
holds a reset group, of a trajectory that was sampled for it and is not trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from gpo.explore.waves import locate
from gpo.located import Located, choose, reset_state
from gpo.paths import PathPrior
from gpo.pool import Pool
from gpo.protocols import unjudged
from gpo.recipe import Recipe
from gpo.types import Group, Problem, Rollout, State


@dataclass(frozen=True)
class Batch:
    """What a call sampled: [U] groups of G rollouts in the trainer's order, and what they came from."""

    groups: list[Group]
    fresh: list[Group]
    """What was sampled at prompts, the trajectories to reset among it."""
    located: list[Located]
    prior: PathPrior
    pool: Pool
    unjudged: dict[str, int]

    @property
    def rollouts(self) -> list[Rollout]:
        """[U * G], the rows of the trainer."""
        return [rollout for group in self.groups for rollout in group.rollouts]

    @property
    def resets(self) -> list[Group]:
        return [group for group in self.groups if group.state.prefix_ids]

    @property
    def tokens(self) -> dict[str, int]:
        """Generated tokens by purpose; `untrained` are those of them that no group holds."""
        ledger = self.pool.tokens()
        trained = sum(len(rollout.action_ids) for rollout in self.rollouts)
        return ledger | {"untrained": sum(ledger.values()) - trained}

    @property
    def num_untrained(self) -> int:
        """Rollouts that no group holds: G is fixed, and most of a search is not at the reset state."""
        return sum(map(len, self.pool.rollouts.values())) - len(self.rollouts)


def sample_batch(
    pool: Pool,
    problems: Sequence[Problem],
    group_size: int,
    num_resets: int,
    recipe: Recipe,
    prior: PathPrior,
) -> Batch:
    """Groups [U] for the trainer's U problems, of which `num_resets` may give way to reset groups.

    Up to U / 2 are the last, and fewer where fewer states are found; U are all, each of a single trajectory
    at its prompt, which no group holds. A place for which no reset state is found keeps its own problem.
    Critical steps at the very start are no resets: their state is the prompt, which has its group.
    """
    before = unjudged(pool.verifier)
    taken: Counter[State] = Counter()
    prompts = [State(problem) for problem in problems]
    is_everywhere = num_resets == len(prompts)
    first, size = (num_resets, 1) if is_everywhere else (len(prompts) - num_resets, group_size)
    fresh = draw(pool, prompts[:first], size, "explore", taken)
    located: list[Located] = []
    if num_resets:
        most = min(recipe.max_located, num_resets)
        located, prior = locate(pool, choose(fresh, recipe, pool.seed, most), recipe, prior)
    places = [(one.curve.rollout, place[0]) for one in located if (place := reset_state(one, recipe))]
    states = list(dict.fromkeys(state for _, state in places if state.prefix_ids))
    if "values" not in recipe.trained:
        taken.update({state: len(pool.at(state)) for state in states})
    if is_everywhere:
        at = {id(rollout): state for rollout, state in places}
        at_each = [at.get(id(group.rollouts[0]), group.state) for group in fresh]
        groups = draw(pool, at_each, group_size, "resets", taken)
    else:
        resets = draw(pool, states, group_size, "resets", taken)
        left = draw(pool, prompts[first + len(states) :], group_size, "explore", taken)
        groups, fresh = fresh + resets + left, fresh + left
    missed = {kind: num - before[kind] for kind, num in unjudged(pool.verifier).items()}
    return Batch(groups, fresh, located, prior, pool, missed)


def draw(pool: Pool, states: Sequence[State], num: int, purpose: str, taken: Counter[State]) -> list[Group]:
    """A group of `num` rollouts for each state: the next in order of sampling, none of them in two groups.

    Which ones is decided by their order and never by their rewards. `taken` counts those in groups.
    """
    spans = []
    for state in states:
        spans.append((state, slice(taken[state], taken[state] + num)))
        taken[state] += num
    pool.fill({state: taken[state] for state in states}, purpose)
    return [Group(state, tuple(pool.at(state)[span])) for state, span in spans]


def metrics(batch: Batch) -> dict[str, float]:
    """What to log of a batch, by name; a mean over nothing is left out.

    `fresh/value` is the success rate of the prompts, comparable with a run without resets, as TRL's own
    mean reward is not. `reset/value` near 0 says that the rule names states that are lost already.
    """
    logged: dict[str, float] = {f"tokens/{name}": float(num) for name, num in batch.tokens.items()}
    logged["num_untrained"] = float(batch.num_untrained)
    logged |= {f"num_{kind}": float(num) for kind, num in batch.unjudged.items()}
    logged["reset_frac"] = len(batch.resets) / len(batch.groups)
    logged["truncated_frac"] = fmean(not rollout.finished for rollout in batch.rollouts)
    for kind, groups in (("fresh", batch.fresh), ("reset", batch.resets)):
        if groups:
            logged[f"{kind}/value"] = fmean(group.value for group in groups)
        if groups and len(groups[0].rollouts) > 1:
            logged[f"{kind}/signal_frac"] = fmean(group.has_signal for group in groups)
    if named := [one.critical.credibility for one in batch.located if one.critical]:
        logged["credibility"] = fmean(named)
    return {f"gpo/{name}": value for name, value in logged.items()}
