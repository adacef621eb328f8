"""Which boundary of a trajectory to sample next: ask and tell, so that any engine can serve it.

    search = uniform(4, num_steps=S, outcome=0.0)
    while asks := search.ask(width=8):
        for boundary, num in asks:           # boundary 0..S-1: the state before that step
            search.tell(boundary, successes, num)
    search.best()

Many searches run in lock-step: the asks of all of them make one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from gpo import curve as curves
from gpo.types import CriticalStep, ValueCurve


class Search(Protocol):
    """One trajectory's search for its critical step."""

    tokens: int
    """Tokens of the rollouts asked for so far, as told, else as expected."""

    @property
    def done(self) -> bool: ...

    @property
    def curve(self) -> ValueCurve: ...

    def ask(self, width: int = 1) -> list[tuple[int, int]]: ...

    def tell(self, boundary: int, successes: int, num: int, tokens: int | None = None) -> None: ...

    def best(self) -> CriticalStep | None: ...


class Uniform:
    """The paper's allocation: `n` rollouts at every boundary, in the order of the trajectory.

    Costs about n (S + 1) / 2 trajectories of tokens. Rollouts told without having been asked for
    count: a boundary that already has `n` is not asked again.
    """

    def __init__(
        self,
        n: int,
        *,
        num_steps: int,
        outcome: float | None,
        step_tokens: Sequence[int] | None = None,
        rule: str = "absolute",
        seed: int = 0,
    ) -> None:
        if n < 1 or num_steps < 1:
            raise ValueError(f"n and num_steps must be at least 1, got {n} and {num_steps}")
        lengths = list(step_tokens) if step_tokens is not None else [1] * num_steps
        if len(lengths) != num_steps or min(lengths) < 1:
            raise ValueError(f"step_tokens must be {num_steps} positive lengths, got {lengths}")
        self._n, self._rule, self._seed = n, rule, seed
        self._bounds = tuple(accumulate(lengths, initial=0))
        self._successes, self._trials = [0] * num_steps, [0] * num_steps
        self._pending = [0] * num_steps
        self._outcome = outcome
        self.tokens = 0

    @property
    def done(self) -> bool:
        """Whether every boundary has its trials."""
        return all(trials >= self._n for trials in self._trials)

    @property
    def curve(self) -> ValueCurve:
        """Every count so far; the outcome, if known, is the one trial of the last boundary."""
        success, known = int(self._outcome or 0), int(self._outcome is not None)
        return ValueCurve(self._bounds, (*self._successes, success), (*self._trials, known))

    def ask(self, width: int = 1) -> list[tuple[int, int]]:
        """Up to `width` (boundary, number of rollouts) that are neither told nor on their way."""
        asks: list[tuple[int, int]] = []
        for boundary, trials in enumerate(self._trials):
            missing = self._n - trials - self._pending[boundary]
            if missing > 0 and len(asks) < width:
                asks.append((boundary, missing))
                self._pending[boundary] += missing
                self.tokens += missing * self._expected_tokens(boundary)
        return asks

    def tell(self, boundary: int, successes: int, num: int, tokens: int | None = None) -> None:
        """Count `successes` of `num` rollouts; `tokens` replaces what was expected of them."""
        if not 0 <= boundary < len(self._trials):
            raise ValueError(f"boundary {boundary} is not in 0..{len(self._trials) - 1}")
        if not 0 <= successes <= num:
            raise ValueError(f"{successes} successes of {num} rollouts are not possible")
        asked = min(num, self._pending[boundary])
        self._pending[boundary] -= asked
        self._successes[boundary] += successes
        self._trials[boundary] += num
        if tokens is not None:
            self.tokens += tokens - asked * self._expected_tokens(boundary)

    def best(self) -> CriticalStep | None:
        """The step that the rule names on the counts so far; None where it names none."""
        return curves.critical_step(self.curve, self._rule, seed=self._seed)

    def _expected_tokens(self, boundary: int) -> int:
        return self._bounds[-1] - self._bounds[boundary]


def uniform(
    n: int,
    *,
    num_steps: int,
    outcome: float | None,
    step_tokens: Sequence[int] | None = None,
    rule: str = "absolute",
    seed: int = 0,
) -> Uniform:
    """A search with `n` rollouts at every boundary: the baseline of every comparison."""
    return Uniform(n, num_steps=num_steps, outcome=outcome, step_tokens=step_tokens, rule=rule, seed=seed)
