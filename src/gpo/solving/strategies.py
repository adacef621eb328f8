"""How the tokens for a problem are spent: each strategy makes attempts until nothing is left.

`restart` goes back to before the step at which the value model sees the largest fall or, without one, the
policy was least certain. `bandit` has three arms: continue from where the last attempt began, backtrack to
before its weakest step, restart at the prompt. Each arm keeps Beta(1 + gains, 1 + losses): an attempt's score
is a gain of the arm that made it, the rest a loss. A number is drawn from each, divided by the tokens that an
attempt from there takes, and the largest is played (Thompson 1933; the arms are Meta-Reasoner's, 2502.19918).
A score is the verifier's reward, the predicted value at the end, or the share of other answers that agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gpo.explore.work import Work
from gpo.seeds import derive_seed
from gpo.solving.answers import Attempt
from gpo.solving.workings import Workings, agreement, joined
from gpo.types import Rollout, State

RIGHT_ENOUGH = 0.5
"""Predicted value of an answer from which there is nothing to go back for."""


def independent(workings: Workings) -> Work[None]:
    """Whole answers from the prompt: as many at once as fit, or one by one where a right one ends it all."""
    at_once = 1 if workings.settings.judged_by == "verifier" else workings.left
    while not workings.is_over:
        yield from workings.attempted(num=at_once)


def restart(workings: Workings) -> Work[None]:
    """From before the weakest step of an attempt that may be wrong, `tries` times, and then afresh."""
    while not workings.is_over:
        found = yield from workings.attempted()
        for _ in range(workings.settings.tries):
            if workings.is_over or not (found and found[0].named and _may_be_wrong(workings, found[0])):
                break
            found = yield from workings.attempted(found[0].path, found[0].named)


def _may_be_wrong(workings: Workings, attempt: Attempt) -> bool:
    return workings.settings.judged_by != "value" or attempt.score < RIGHT_ENOUGH


@dataclass
class Arm:
    """How attempts of a kind have fared."""

    gains: float = 0.0
    plays: int = 0

    def drawn(self, rng: np.random.Generator) -> float:
        return float(rng.beta(1 + self.gains, 1 + self.plays - self.gains))


def bandit(workings: Workings) -> Work[None]:
    """Continues, goes back or starts afresh, as what has helped so far suggests; see above."""
    rng = np.random.default_rng(derive_seed(workings.seed, "bandit", workings.problem.id))
    arms = {name: Arm() for name in ("restart", "backtrack", "continue")}
    name, last, start = "restart", None, 0
    while not workings.is_over:
        found = yield from workings.attempted(last.path if last else None, start)
        if not found:
            return
        last = found[0]
        arms[name].gains += _gain(workings, last)
        arms[name].plays += 1
        name, start = _played(arms, workings, last, rng)


def _gain(workings: Workings, attempt: Attempt) -> float:
    is_scored = workings.settings.judged_by != "votes"
    return attempt.score if is_scored else agreement(workings.attempts, attempt)


def _played(
    arms: Mapping[str, Arm], workings: Workings, last: Attempt, rng: np.random.Generator
) -> tuple[str, int]:
    """The arm to play next, and how many tokens of the last attempt it keeps."""
    starts = {"restart": 0, "backtrack": last.named, "continue": last.start}
    whole = sum(len(one.path.action_ids) for one in workings.attempts) / len(workings.attempts)
    drawn = {name: arm.drawn(rng) for name, arm in arms.items()}
    worth = {
        name: drawn[name] / max(1.0, whole - start)
        for name, start in starts.items()
        if start > 0 or name == "restart"
    }
    name = max(worth, key=lambda one: worth[one])
    return name, starts[name]


@dataclass(frozen=True)
class Partial:
    """The beginning of an answer, and its predicted value."""

    path: Rollout | None
    start: int
    """Tokens of the path that are kept."""
    value: float = 0.0


def beam(workings: Workings) -> Work[None]:
    """Grows partial answers step by step and keeps the best, until all have ended; then once more.

    Once what is left might not suffice for that and an answer after it, the best are sampled to their ends.
    """
    settings = workings.settings
    while not workings.is_over:
        kept = [Partial(None, 0)] * settings.beam
        while kept and not workings.is_over:
            num = len(kept) * settings.branches * settings.beam_step_tokens
            if workings.left < num + workings.policy.max_tokens - kept[0].start:
                for partial in kept:
                    yield from workings.attempted(partial.path, partial.start)
                break
            grown: list[Partial] = []
            for partial in kept:
                grown += yield from _grown(workings, partial)
            kept = sorted(grown, key=lambda one: -one.value)[: settings.beam]


def _grown(workings: Workings, partial: Partial) -> Work[list[Partial]]:
    """Its continuations that go on; those that ended are attempts."""
    path, start = partial.path, partial.start
    state = State(workings.problem) if path is None else path.state_at(start)
    settings = workings.settings
    found: list[Partial] = []
    for one in (yield from workings.sampled(state, settings.branches, settings.beam_step_tokens)):
        whole = joined(path, start, one)
        if one.finished:
            yield from workings.judged(whole, start, workings.spent)
            continue
        bounds, values = yield from workings.looked(whole)
        place = len(bounds) - 2 if len(bounds) > 2 and bounds[-2] > start else len(bounds) - 1
        if values:
            found.append(Partial(whole, bounds[place], values[place]))
    return [] if workings.is_solved else found


STRATEGIES: Mapping[str, Callable[[Workings], Work[None]]] = {
    "majority": independent,
    "best-of-n": independent,
    "beam": beam,
    "restart": restart,
    "bandit": bandit,
}
