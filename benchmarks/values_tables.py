"""What benchmarks/values.py found, as tables and lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from search_tables import table


def at_quality(
    results: list[dict], costs: Sequence[float], kind: str, target: float, rows: np.ndarray
) -> float:
    """Traces of tokens at which this search's mean quality first reaches the target; inf if it does not."""
    reached = np.maximum.accumulate(np.array([r[kind] for r in results])[rows].mean(0)) >= target
    return costs[int(reached.argmax())] if reached.any() else np.inf


def report(name: str, results: list[dict], costs: Sequence[float], kinds: list[str]) -> str:
    """Quality by cost, and the traces to the quality of uniform 8 with those of entropy over them."""
    everything, rng = np.arange(len(results)), np.random.default_rng(0)
    uniform_q = np.array([r["uniform 8"][0] for r in results])
    cost = float(np.mean([r["uniform 8"][1] for r in results]))
    draws = [rng.choice(everything, len(everything)) for _ in range(1000)]
    rows = []
    for kind in kinds:
        here = at_quality(results, costs, kind, uniform_q.mean(), everything)
        ratios = [
            at_quality(results, costs, "entropy", uniform_q[d].mean(), d)
            / at_quality(results, costs, kind, uniform_q[d].mean(), d)
            for d in draws
        ]
        usable = [one for one in ratios if np.isfinite(one)]
        low, high = np.quantile(usable, [0.025, 0.975]) if usable else (np.nan, np.nan)
        means = np.mean([r[kind] for r in results], axis=0)
        ratio = at_quality(results, costs, "entropy", uniform_q.mean(), everything) / here
        fewer = f"{ratio:.1f} ({low:.1f} to {high:.1f})"
        rows.append([kind, *(f"{x:.2f}" for x in means), f"{here:g}", fewer])
    head = ["search", *(f"{x:g}" for x in costs), "traces to uniform 8", "fewer than entropy"]
    told = f"uniform 8: quality {uniform_q.mean():.2f} at {cost:.1f} traces; {len(results)} trajectories"
    return f"## {name}\n\n{told}\n\n{table(head, rows)}"


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
