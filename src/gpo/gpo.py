"""The paper: explore, locate the critical step, reset to just before it, hand over what to learn from.

Guided Pivotal Optimization (Yu, Cheng, Wu, Xing; NeurIPS 2025, arXiv 2509.16456). One verb does all
of it: sample n continuations from a state. A fresh start is the empty prefix, a value estimate is
n rollouts from a step's start, a reset is a group at the state before the critical step.

    for round in rounds(policy, verifier, problems, Recipe(), seed=0):
        learner.update(round.groups)

Every rollout is kept: those that estimated a value are on-policy samples of that state, so they
train as a group of their own, and they are the first members of the reset group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from gpo import curve as curves
from gpo import proposals, steps
from gpo import search as searches
from gpo.paths import PathPrior
from gpo.pool import Pool, Watch
from gpo.proposals import Proposal, Scores
from gpo.types import (
    CriticalStep,
    Group,
    InputError,
    Policy,
    Problem,
    Rollout,
    Splitter,
    State,
    ValueCurve,
    Verifier,
    derive_seed,
)

EXPLORED = ("failed", "mixed", "all")
"""Whose trajectory is explored: one failed of every group, only of groups that also succeeded, any."""

SEARCHES = ("adaptive", "uniform", "bisect")
WIDTH = 2
"""Boundaries that a search may ask for at once. One finds a little more with the same tokens (67 against
66 % of first errors, and 59 % with four), but halves the batches that the searches share."""


@dataclass(frozen=True)
class Recipe:
    """The settings of the algorithm; every default is the paper's where it states one."""

    group_size: int = 8
    """G rollouts from every prompt and from every reset state."""
    problems_per_round: int = 16
    search: str = "adaptive"
    """How rollouts are spread over step boundaries, one of SEARCHES; `uniform` is the paper's."""
    search_traces: float = 8.0
    """Tokens of an adaptive search or a bisection, in lengths of its trajectory."""
    values: int = 4
    """Rollouts per step boundary of the uniform search and of bisection (paper: n = 4)."""
    proposal: Proposal = proposals.entropy
    """The cheap look at the steps that an adaptive search starts from; see gpo.proposals."""
    rule: str = "absolute"
    """How the critical step is named, one of curve.RULES; `base` resets nothing."""
    explored: str = "failed"
    """Whose trajectories are explored, one of EXPLORED."""
    max_located: int = 8
    """At most this many trajectories are explored in a round, one of a problem."""
    resets: bool = True
    """Whether a group is sampled before each critical step, or steps are only located."""
    train_values: bool = True
    """Whether value rollouts train as groups of their own state, or are thrown away (the paper)."""
    success_at: float = 1.0
    """A rollout is a success for V if its reward is at least this; learners use the raw reward."""
    splitter: Splitter = field(default_factory=steps.newline)

    def __post_init__(self) -> None:
        if self.rule not in curves.RULES:
            raise InputError(f"rule: {self.rule!r} is unknown; one of {', '.join(curves.RULES)}")
        for name, known in (("explored", EXPLORED), ("search", SEARCHES)):
            if getattr(self, name) not in known:
                raise InputError(f"{name}: {getattr(self, name)!r} is unknown; one of {', '.join(known)}")
        if not self.search_traces > 0:
            raise InputError(f"search_traces: must be above 0, got {self.search_traces}")
        for name in ("group_size", "problems_per_round", "values", "max_located"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Located:
    """A trajectory, its value curve, and the step that the rule named, if it named one."""

    curve: ValueCurve
    critical: CriticalStep | None
    """The best answer, credible or not: see its `credibility`."""
    estimate: curves.Estimate
    probabilities: list[float]
    """[S] that each step is the rule's argmax."""
    tokens: int = 0
    """That its search took, a rollout that it shares with another search counted in both."""


@dataclass(frozen=True)
class Round:
    """What one round sampled: the groups to learn from, the located trajectories, the token ledger."""

    index: int
    groups: list[Group]
    explored: list[Group]
    """The groups at the prompts, the base algorithm's own data."""
    located: list[Located]
    tokens: dict[str, int]
    prior: PathPrior
    """What the searches up to this round have learned; the next round starts from it."""
    num_timeouts: int
    """Answers whose verifier was stopped at the time limit: reward 0."""
    pool: Pool


def choose(groups: Sequence[Group], recipe: Recipe, seed: int) -> list[Rollout]:
    """The trajectories to explore: at most one of a group, at most `max_located`, drawn at random."""
    candidates = []
    for group in groups:
        failed = [r for r in group.rollouts if r.reward < recipe.success_at]
        if recipe.explored == "all":
            failed = list(group.rollouts)
        elif recipe.explored == "mixed" and len(failed) == len(group.rollouts):
            failed = []
        candidates += [r for r in failed if r.action_ids][:1]
    order = np.random.default_rng(derive_seed(seed, "choose")).permutation(len(candidates))
    return [candidates[i] for i in sorted(order[: recipe.max_located])]


def locate(
    pool: Pool, trajectories: Sequence[Rollout], recipe: Recipe, prior: PathPrior | None = None
) -> tuple[list[Located], PathPrior]:
    """Each trajectory's value curve and critical step, all searched in lock-step, and what they taught.

    Rules that need no values cost no rollouts: their curves hold the outcome alone.
    """
    prior = prior or PathPrior()
    bounds = [bounds_of(rollout, recipe.splitter, pool.policy) for rollout in trajectories]
    if recipe.rule not in curves.VALUE_RULES:
        return [
            _without_search(pool, one, b, recipe) for one, b in zip(trajectories, bounds, strict=True)
        ], prior
    traces = [_unsampled(one, b) for one, b in zip(trajectories, bounds, strict=True)]
    proposed = recipe.proposal(pool.policy, traces) if recipe.search == "adaptive" else [None] * len(traces)
    runs = [
        start_search(trace, scores, recipe, prior) for trace, scores in zip(traces, proposed, strict=True)
    ]
    _run_searches(pool, trajectories, bounds, runs, recipe.success_at)
    found = []
    for rollout, b, run in zip(trajectories, bounds, runs, strict=True):
        curve = replace(run.curve, bounds=tuple(b), rollout=rollout)
        found.append(Located(curve, run.best(), run.estimate, run.probabilities(), run.tokens))
        if isinstance(run, searches.Adaptive):
            prior = prior.learn(run.path)
    return found, prior


def _unsampled(rollout: Rollout, bounds: Sequence[int]) -> ValueCurve:
    return ValueCurve(tuple(bounds), (0,) * len(bounds), (0,) * len(bounds), rollout)


def start_search(trace: ValueCurve, proposed: Scores, recipe: Recipe, prior: PathPrior) -> searches.Search:
    """The recipe's search over the steps of one trajectory, from a proposal's scores for them."""
    rollout, bounds = trace.rollout, trace.bounds
    assert rollout is not None  # noqa: S101 - for the type checker
    settings: searches.Settings = {
        "num_steps": len(bounds) - 1,
        "outcome": float(rollout.reward >= recipe.success_at),
        "step_tokens": [end - start for start, end in pairwise(bounds)],
        "rule": recipe.rule,
        "prior": prior,
        "proposal": proposed,
        "seed": derive_seed("search", rollout.state.key, len(rollout.action_ids)),
    }
    if recipe.search == "uniform":
        return searches.uniform(recipe.values, **settings)
    settings["budget_tokens"] = round(recipe.search_traces * (bounds[-1] - bounds[0]))
    if recipe.search == "bisect":
        return searches.bisect(recipe.values, **settings)
    return searches.adaptive(**settings)


def _without_search(pool: Pool, rollout: Rollout, bounds: Sequence[int], recipe: Recipe) -> Located:
    num = len(bounds) - 1
    outcome = int(rollout.reward >= recipe.success_at)
    curve = ValueCurve(tuple(bounds), (*(0,) * num, outcome), (*(0,) * num, 1), rollout)
    seed = derive_seed(pool.seed, "rule", rollout.state.key)
    critical = curves.critical_step(curve, recipe.rule, seed=seed)
    chances = curves.probabilities(curve, recipe.rule, seed=seed)
    return Located(curve, critical, curves.paired_estimate(curve), chances)


def _run_searches(
    pool: Pool,
    trajectories: Sequence[Rollout],
    bounds: Sequence[Sequence[int]],
    runs: Sequence[searches.Search],
    success_at: float,
) -> None:
    """Answer the asks of all searches until all are done; equal states are sampled once.

    What was sampled at a state before, by whomever, is told to a search for nothing.
    """
    read: dict[tuple[int, int], int] = {}  # how far each search has read each state's rollouts

    def tell(i: int, boundary: int, num: int | None, tokens: int | None) -> None:
        evidence = pool.at(trajectories[i].state_at(bounds[i][boundary]))
        seen = read.get((i, boundary), _first_evidence(evidence, trajectories[i]))
        news = evidence[seen:] if num is None else evidence[seen : seen + num]
        read[i, boundary] = seen + len(news)
        runs[i].tell(boundary, sum(r.reward >= success_at for r in news), len(news), tokens)

    for i, run in enumerate(runs):
        for boundary in range(run.num_steps):
            tell(i, boundary, None, 0)
    while asks := [(i, b, num) for i, run in enumerate(runs) for b, num in run.ask(width=WIDTH)]:
        wanted: dict[State, int] = {}
        for i, boundary, num in asks:
            state = trajectories[i].state_at(bounds[i][boundary])
            wanted[state] = max(wanted.get(state, 0), read[i, boundary] + num)
        pool.fill(wanted, "values")
        for i, boundary, num in asks:
            tell(i, boundary, num, None)


def _first_evidence(rollouts: Sequence[Rollout], trajectory: Rollout) -> int:
    """Where the rollouts begin that say something of their state's value to `trajectory`'s search.

    It was chosen as the first failure of its group, so those sampled before it are all successes: only
    the ones after it are independent of the choice.
    """
    return next((i + 1 for i, rollout in enumerate(rollouts) if rollout is trajectory), 0)


def bounds_of(rollout: Rollout, splitter: Splitter, policy: Policy) -> list[int]:
    """[S+1] step bounds as offsets into the completion; a given prefix is no step of the rollout.

    What ends a finished rollout is its last token, and is never a step of its own.
    """
    start, num = len(rollout.state.prefix_ids), len(rollout.action_ids)
    body = rollout.action_ids[:-1] if rollout.finished and num > 1 else rollout.action_ids
    bounds = splitter(body, policy.tokenizer)
    return [start + offset for offset in (*bounds[:-1], num)]


def reset(pool: Pool, located: Sequence[Located], recipe: Recipe) -> None:
    """Sample a full group at the state before each critical step; value rollouts there are members."""
    states = [one.critical.reset_state(one.curve) for one in located if one.critical]
    pool.fill(dict.fromkeys(states, recipe.group_size), "resets")


def run_round(
    policy: Policy,
    verifier: Verifier,
    problems: Sequence[Problem],
    recipe: Recipe,
    *,
    index: int,
    seed: int,
    prior: PathPrior | None = None,
    watch: Watch | None = None,
) -> Round:
    """Explore, locate, reset: one round's data for `problems`; `prior` is the round's before."""
    pool = Pool(policy, verifier, derive_seed(seed, "round", index), watch)
    timeouts = verifier.num_timeouts
    prompts = [State(problem) for problem in problems]
    pool.fill(dict.fromkeys(prompts, recipe.group_size), "explore")
    explored = [Group(state, tuple(pool.at(state))) for state in prompts]
    located: list[Located] = []
    prior = prior or PathPrior()
    if recipe.rule != "base":
        located, prior = locate(pool, choose(explored, recipe, pool.seed), recipe, prior)
    if recipe.resets:
        reset(pool, located, recipe)
    groups = pool.groups(without=None if recipe.train_values else "values")
    timeouts = verifier.num_timeouts - timeouts
    return Round(index, groups, explored, located, pool.tokens(), prior, timeouts, pool)


def locate_given(
    policy: Policy,
    verifier: Verifier,
    trajectories: Sequence[Rollout],
    recipe: Recipe,
    *,
    index: int,
    seed: int,
    prior: PathPrior | None = None,
    watch: Watch | None = None,
) -> Round:
    """Locates the critical steps of trajectories from elsewhere; V is that of `policy`.

    They are off-policy: none of them is in the round's groups, so none is ever trained as sampled.
    """
    pool = Pool(policy, verifier, derive_seed(seed, "round", index), watch)
    timeouts = verifier.num_timeouts
    located, prior = locate(pool, trajectories, recipe, prior)
    explored = [Group(rollout.state, (rollout,)) for rollout in trajectories]
    timeouts = verifier.num_timeouts - timeouts
    return Round(index, pool.groups(), explored, located, pool.tokens(), prior, timeouts, pool)


def rounds(
    policy: Policy,
    verifier: Verifier,
    problems: Sequence[Problem],
    recipe: Recipe,
    *,
    seed: int = 0,
    start: int = 0,
    prior: PathPrior | None = None,
    watch: Watch | None = None,
) -> Iterator[Round]:
    """Rounds without end, from round `start`; learn from each before asking for the next.

    Problems come in a new random order each epoch. Round i depends on the seed, i, the policy's weights
    and the prior of the round before only, so a resumed run goes on as the uninterrupted one would have.
    """
    index = start
    while True:
        batch = [problems[i] for i in problem_order(len(problems), recipe.problems_per_round, index, seed)]
        data = run_round(policy, verifier, batch, recipe, index=index, seed=seed, prior=prior, watch=watch)
        yield data
        prior = data.prior
        index += 1


def problem_order(num_problems: int, per_round: int, index: int, seed: int) -> list[int]:
    """Indices of the problems of round `index`: epochs of random order, cut into rounds."""
    per_round = min(per_round, num_problems)
    rounds_per_epoch = num_problems // per_round
    epoch, place = divmod(index, rounds_per_epoch)
    order = np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(num_problems)
    return [int(i) for i in order[place * per_round : (place + 1) * per_round]]
