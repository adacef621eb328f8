"""What finished searches teach later ones, fixed by their places in the queue.

The search at place i starts from what the first P problems taught, where P is the largest of 32, 64, ...,
2048 that is at most i / 2, and from nothing where there is none. So what it starts from does not depend on
which searches happen to be finished, and it seldom has to wait: at least P problems lie between.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpo.paths import PathPosterior, PathPrior

FIRST, LAST = 32, 2048


def num_taught(place: int) -> int:
    """How many problems, from the first on, teach the search at this place."""
    num = FIRST
    while 2 * num <= place // 2 and num < LAST:
        num *= 2
    return num if num <= place // 2 else 0


class Lessons:
    """The priors learned so far; problems may finish in any order and are learned from in theirs."""

    def __init__(self) -> None:
        self._priors = {0: PathPrior()}
        self._last, self._num = PathPrior(), 0
        self._early: dict[int, Sequence[PathPosterior]] = {}

    def prior(self, place: int) -> PathPrior | None:
        """What the search at this place starts from; None if it has to wait for others."""
        return self._priors.get(num_taught(place))

    def finish(self, place: int, paths: Sequence[PathPosterior]) -> None:
        """The problem at this place is finished, and its searches ended with these posteriors."""
        if place >= LAST:
            return
        self._early[place] = paths
        while self._num in self._early:
            for path in self._early.pop(self._num):
                self._last = self._last.learn(path)
            self._num += 1
            self._priors[self._num] = self._last

    @property
    def latest(self) -> PathPrior:
        return self._last
