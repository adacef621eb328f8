"""What benchmarks/values.py found, as tables and lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from search_tables import mean_se, table


def at_quality(
    results: list[dict], costs: Sequence[float], kind: str, target: float, rows: np.ndarray
) -> float:
    """Traces of tokens at which this search's mean quality first reaches the target; inf if it does not."""
    reached = np.maximum.accumulate(np.array([r[kind] for r in results])[rows].mean(0)) >= target - 1e-9
    return costs[int(reached.argmax())] if reached.any() else np.inf


def report(
    name: str, results: list[dict], costs: Sequence[float], kinds: list[str], tokens: dict[str, int]
) -> str:
    """Quality by cost with standard errors, and after how many searches values pay."""
    cost = float(np.mean([r["uniform 8"][1] for r in results]))
    uniform_q = [r["uniform 8"][0] for r in results]
    rows = [[kind, *(mean_se([r[kind][i] for r in results]) for i in range(len(costs)))] for kind in kinds]
    told = f"uniform 8: quality {mean_se(uniform_q)} at {cost:.1f} lengths; {len(results)} trajectories"
    head = ["search", *(f"{x:g}" for x in costs)]
    return f"## {name}\n\n{told}\n\n{table(head, rows)}\n\n{pays(results, costs, tokens)}"


DEFAULT = 8
"""Lengths of the trajectory that a search may take by default."""
OWN = "its own, 0 lengths"
"""The target that is as good as the value model's step without a rollout; see `saving`."""


def pays(results: list[dict], costs: Sequence[float], tokens: dict[str, int]) -> str:
    """After how many searches each value model has saved the tokens of its training traces, over entropy."""
    everything, rng = np.arange(len(results)), np.random.default_rng(0)
    draws = [rng.choice(everything, len(everything)) for _ in range(1000)]
    rows = []
    for (name, num), target in product(tokens.items(), ("uniform 8", f"entropy, {DEFAULT} lengths", OWN)):
        quality, *lengths, after = saving(results, costs, name, num, target, everything)
        some = [saving(results, costs, name, num, target, draw)[-1] for draw in draws]
        low, high = map(counted, np.quantile(some, [0.025, 0.975], method="lower"))
        told = [f"{target} ({quality:.2f})", *(f"{one:g}" for one in lengths)]
        rows.append([name, f"{num:,}", *told, f"{counted(after)} ({low} to {high})"])
    head = ["model", "training tokens", "target", "lengths: entropy", "value model", "pays after searches"]
    return table(head, rows)


def saving(
    results: list[dict], costs: Sequence[float], name: str, tokens: int, target: str, rows: np.ndarray
) -> tuple[float, float, float, float]:
    """The target's quality, the lengths to it by entropy and by values, and searches until they pay.

    Where entropy does not come to what the value model is without a rollout, it is taken to do so at the
    largest cost.
    """
    some = [results[i] for i in rows]
    kind, at = {"uniform 8": (target, 0), OWN: (name, 0)}.get(target, ("entropy", costs.index(DEFAULT)))
    quality = float(np.mean([one[kind][at] for one in some]))
    with_entropy, with_values = (
        at_quality(results, costs, kind, quality, rows) for kind in ("entropy", name)
    )
    if target == OWN:
        with_entropy = min(with_entropy, costs[-1])
    saved = (with_entropy - with_values) * float(np.mean([one["length"] for one in some]))
    return quality, with_entropy, with_values, tokens / saved if saved > 0 else np.inf


def counted(searches: float) -> str:
    return f"{searches:,.0f}" if np.isfinite(searches) else "never"


def knows(some: list[Any], name: str, trials: list[list[int]]) -> str:
    """Log loss and Brier score of the predictions against one rate for all, and the quality of their step."""
    v = np.concatenate([w.predicted[name] for w in some]).clip(1e-4, 1 - 1e-4)
    truth, n = np.concatenate([w.values for w in some]), np.concatenate(trials)
    rate = float((truth * n).sum() / n.sum())
    loss = [
        float(-(n * (truth * np.log(p) + (1 - truth) * np.log(1 - p))).sum() / n.sum()) for p in (v, rate)
    ]
    brier = [float((n * (truth * (1 - p) ** 2 + (1 - truth) * p**2)).sum() / n.sum()) for p in (v, rate)]
    named = {}
    for kind in (name, "entropy"):
        picks = [int(np.argmax(w.scores(kind, 0))) for w in some]
        some_q = [
            abs(w.effects[k]) / max(np.abs(w.effects).max(), 1e-12) for w, k in zip(some, picks, strict=True)
        ]
        named[kind] = f"{np.mean(some_q):.2f} ± {np.std(some_q, ddof=1) / np.sqrt(len(some_q)):.2f}"
    return (
        f"{name}: log loss {loss[0]:.3f} (one rate {loss[1]:.3f}), Brier {brier[0]:.3f} ({brier[1]:.3f}), "
        f"error of V {np.abs(v - truth).mean():.3f} ({np.abs(rate - truth).mean():.3f}); its step "
        f"{named[name]}, entropy's {named['entropy']}"
    )
