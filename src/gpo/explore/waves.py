"""Searches answered on a pool: all trajectories of a round in waves, equal states sampled once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpo.explore.work import Ask, Await, Look, Need, Searched, Work, searched
from gpo.located import Located
from gpo.paths import PathPrior
from gpo.pool import Pool
from gpo.recipe import Recipe
from gpo.types import Rollout, State


def locate(
    pool: Pool, trajectories: Sequence[Rollout], recipe: Recipe, prior: PathPrior | None = None
) -> tuple[list[Located], PathPrior]:
    """Each trajectory's value curve and critical step, and what their searches taught."""
    prior = prior or PathPrior()
    works = [
        searched(one, pool.at(one.state), recipe, pool.policy, pool.seed, is_ahead=False)
        for one in trajectories
    ]
    found = Driver(pool, works).run(recipe, prior)
    for one in found:
        prior = prior.learn(one.path) if one.path else prior
    return [one.located for one in found], prior


class Driver:
    """What pieces of work need, gathered until all of them wait, and then sampled together.

    Once the pool's budget has denied a rollout none is sampled: what was found so far stands.
    """

    def __init__(self, pool: Pool, works: Sequence[Work[Searched]]) -> None:
        self.pool, self.works, self.is_spent = pool, works, False
        self.needs: dict[int, Need] = {}
        """What each unfinished piece of work waits for, by its place."""
        self.found: dict[int, Searched] = {}

    def run(self, recipe: Recipe, prior: PathPrior) -> list[Searched]:
        """Takes every piece of work to its end; returns what each found, in order."""
        for place in range(len(self.works)):
            self._send(place, None)
        if looks := {place: need for place, need in self.needs.items() if isinstance(need, Look)}:
            scores = self.pool.look(recipe.step_proposal(), [look.trace for look in looks.values()])
            for place, one in zip(looks, scores, strict=True):
                self._send(place, one)
        for place in [place for place, need in self.needs.items() if isinstance(need, Await)]:
            self._send(place, prior)
        while self.needs:
            self._wave()
        return [self.found[place] for place in range(len(self.works))]

    def _wave(self) -> None:
        """Samples what is asked for, as far as the budget goes, and hands it out."""
        asks = {place: need for place, need in self.needs.items() if isinstance(need, tuple)}
        wanted: dict[State, int] = {}
        believed: dict[State, float | None] = {}
        for ask in (ask for need in asks.values() for ask in need):
            wanted[ask.state] = max(wanted.get(ask.state, 0), ask.row + 1)
            believed.setdefault(ask.state, ask.baseline)
        denied = self.pool.num_denied
        if not self.is_spent:
            self.pool.fill(wanted, "values", baselines=believed)
        self.is_spent |= self.pool.num_denied > denied
        for place, need in asks.items():
            for ask in need:
                self._send(place, self._rollout(ask))

    def _rollout(self, ask: Ask) -> Rollout | None:
        return next(iter(self.pool.at(ask.state)[ask.row :]), None)

    def _send(self, place: int, answer: Any) -> None:
        try:
            self.needs[place] = self.works[place].send(answer)
        except StopIteration as stop:
            self.found[place] = stop.value
            self.needs.pop(place, None)
