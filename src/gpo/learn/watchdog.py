"""Training that goes wrong, named with the setting that is likely to blame."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

Metrics = Mapping[str, float]

WINDOW = 3
"""Rounds that are averaged, so that one unlucky round raises no alarm."""
SURE = 3
"""Standard errors by which the reward must have fallen; two would be chance now and then in a long run."""


def warnings(rounds: Sequence[Metrics]) -> dict[str, str]:
    """What is wrong after these rounds, by a short name, each in one sentence; empty if nothing is known.

    A metric that a run does not have is not watched.
    """
    found = {name: check(rounds) for name, check in CHECKS.items()}
    return {name: message for name, message in found.items() if message}


def _reward_fell(rounds: Sequence[Metrics]) -> str | None:
    rewards = _windows(rounds, "sample/reward")
    if len(rewards) <= WINDOW:
        return None
    best, now = max(rewards[:-WINDOW]), rewards[-1]
    if now > best - max(0.1, 0.3 * best, SURE * _stderr_of_fall(rounds, (best + now) / 2)):
        return None
    return (
        f"reward fell from {best:.2f} to {now:.2f}: lower learning_rate or raise warmup_updates, and with "
        "several epochs lower clip; kl_coef holds the policy to its start"
    )


def _stderr_of_fall(rounds: Sequence[Metrics], mean: float) -> float:
    """At most: the rollouts of a prompt may all be alike. 0 where a run did not count its prompts."""
    prompts = _windows(rounds, "sample/prompts")
    return math.sqrt(2 * mean * (1 - mean) / (WINDOW * prompts[-1])) if prompts and prompts[-1] else 0.0


def _moves_too_far(rounds: Sequence[Metrics]) -> str | None:
    now = _last(rounds, "train/update_kl")
    if now is None or now < 0.1:
        return None
    return f"a round moves the policy by {now:.2f} nats a token: lower learning_rate or epochs"


def _clips_much(rounds: Sequence[Metrics]) -> str | None:
    now = _last(rounds, "train/clip_frac")
    if now is None or now < 0.3:
        return None
    return f"{now:.0%} of the tokens are clipped: lower learning_rate or epochs, or raise minibatch"


def _left_the_reference(rounds: Sequence[Metrics]) -> str | None:
    now = _last(rounds, "train/kl")
    if now is None or now < 1.0:
        return None
    return f"the policy is {now:.1f} nats a token from its reference: raise kl_coef or lower learning_rate"


def _entropy_collapsed(rounds: Sequence[Metrics]) -> str | None:
    entropies, rewards = _windows(rounds, "train/entropy"), _windows(rounds, "sample/reward")
    if len(entropies) <= WINDOW or entropies[-1] > 0.05 * entropies[0] or (rewards and rewards[-1] > 0.8):
        return None
    return (
        f"entropy fell from {entropies[0]:.3f} to {entropies[-1]:.3f} nats while answers are still wrong: "
        "raise clip_high or temperature, or lower learning_rate"
    )


def _engine_differs(rounds: Sequence[Metrics]) -> str | None:
    now = _last(rounds, "train/sampler_mismatch")
    if now is None or now < 0.05:
        return None
    return (
        f"sampler and trainer differ by {now:.2f} nats a token: check that both have the same weights, dtype "
        "and temperature"
    )


def _has_no_signal(rounds: Sequence[Metrics]) -> str | None:
    shares = _windows(rounds, "train/signal_groups_frac")
    if not shares or shares[-1] > 0.02:
        return None
    reward = (_windows(rounds, "sample/reward") or [0.0])[-1]
    advice = "they are all solved" if reward > 0.5 else "they are too hard: raise group_size or max_tokens"
    return f"almost no group has differing rewards, so there is nothing to learn from: {advice}"


def _is_cut(rounds: Sequence[Metrics]) -> str | None:
    shares = _windows(rounds, "sample/truncated_frac")
    if not shares or shares[-1] < 0.5:
        return None
    return f"{shares[-1]:.0%} of the completions are cut by the token limit: raise max_tokens"


def _has_one_step(rounds: Sequence[Metrics]) -> str | None:
    now = _last(rounds, "locate/one_step_frac")
    if now is None or now < 0.5:
        return None
    return (
        f"{now:.0%} of the explored trajectories are a single step, so their resets begin at the prompt: "
        "lower min_step_tokens or choose another splitter"
    )


CHECKS: dict[str, Callable[[Sequence[Metrics]], str | None]] = {
    "reward": _reward_fell,
    "update_kl": _moves_too_far,
    "clip": _clips_much,
    "kl": _left_the_reference,
    "entropy": _entropy_collapsed,
    "sampler": _engine_differs,
    "signal": _has_no_signal,
    "truncated": _is_cut,
    "steps": _has_one_step,
}


def _values(rounds: Sequence[Metrics], name: str) -> list[float]:
    found = [metrics[name] for metrics in rounds if metrics.get(name) is not None]
    return [value for value in found if math.isfinite(value)]


def _windows(rounds: Sequence[Metrics], name: str) -> list[float]:
    """Means of every WINDOW rounds in a row."""
    values = _values(rounds, name)
    return [sum(values[i : i + WINDOW]) / WINDOW for i in range(len(values) - WINDOW + 1)]


def _last(rounds: Sequence[Metrics], name: str) -> float | None:
    found = _values(rounds[-1:], name)
    return found[-1] if found else None
