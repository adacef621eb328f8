"""What benchmarks/online.py measured, as tables and learning curves."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Run = dict[str, Any]
AXES = ("tokens", "samples", "rounds")
REACHED = 0.1
"""The accuracy to which tokens are counted on the rarely solved task."""
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t with 1, 2, ... degrees of freedom."""
T98 = (38.188, 7.649, 4.857, 3.961, 3.534, 3.287, 3.128, 3.016, 2.933)
"""99.17 % quantiles: of 95 % intervals that hold for three tasks together (Bonferroni)."""


def at(run: Run, axis: str, place: float) -> float:
    """Accuracy where the run had spent `place` tokens, rounds or samples, between its evaluations."""
    points = run["points"]
    return float(np.interp(place, [p[axis] for p in points], [p["accuracy"] for p in points]))


def height(run: Run) -> float:
    """The mean of the run's learning curve over its budget."""
    return float(np.mean([at(run, run["unit"], place) for place in np.linspace(0, run["budget"], 50)]))


def tokens_to(run: Run, accuracy: float) -> float:
    """Tokens until the run first reached that accuracy; all that it spent if it never did."""
    for before, after in itertools.pairwise(run["points"]):
        if after["accuracy"] >= accuracy:
            gained = (accuracy - before["accuracy"]) / max(1e-9, after["accuracy"] - before["accuracy"])
            return before["tokens"] + max(0.0, gained) * (after["tokens"] - before["tokens"])
    return float(run["points"][-1]["tokens"])


def interval(values: list[float], quantiles: Sequence[float] = T95) -> tuple[float, float, float]:
    """Mean and interval by Student's t; 95 % by default."""
    mean, num = float(np.mean(values)), len(values)
    if num < 2:
        return mean, float("nan"), float("nan")
    half = quantiles[min(num - 1, len(quantiles)) - 1] * float(np.std(values, ddof=1)) / np.sqrt(num)
    return mean, mean - half, mean + half


def tables(runs: list[Run]) -> str:
    """Each arm's accuracy, and its difference from base by seed, where the shorter of the two runs ended."""
    lines = []
    for task in dict.fromkeys(run["task"] for run in runs):
        arms: dict[str, dict[int, Run]] = defaultdict(dict)
        for run in runs:
            if run["task"] == task:
                arms[run["arm"]][run["seed"]] = run
        base = arms.get("base", next(iter(arms.values())))
        heads = ["mean of the curve, minus base, 98.3 %", *(f"at equal {axis} | minus base" for axis in AXES)]
        if task == "rare":
            heads.append(f"tokens to {REACHED:.0%}: base / arm")
        lines += [f"## {task}", "", f"| arm | learning rate | seeds | {' | '.join(heads)} |"]
        lines.append("|---" * (4 + 2 * len(AXES) + (task == "rare")) + "|")
        for arm, found in arms.items():
            seeds = sorted(set(found) & set(base))
            pairs = [(base[seed], found[seed]) for seed in seeds]
            mean, low, high = interval([height(run) - height(one) for one, run in pairs], T98)
            cells = [arm, f"{pairs[0][1]['lr']:g}", str(len(seeds))]
            cells += [f"{mean:+.3f} ({low:+.3f} to {high:+.3f})", *(compared(pairs, a) for a in AXES)]
            if task == "rare":
                cells.append(saved(pairs))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join([*lines, *spent(runs)])


def compared(pairs: list[tuple[Run, Run]], axis: str) -> str:
    """The arm's accuracy and how far it is above base, where the first of all these runs ended."""
    place = min(run["points"][-1][axis] for pair in pairs for run in pair)
    values = [at(run, axis, place) for _, run in pairs]
    mean, low, high = interval(
        [v - at(base, axis, place) for v, (base, _) in zip(values, pairs, strict=True)]
    )
    return f"{np.mean(values):.3f} at {place:,} | {mean:+.3f} ({low:+.3f} to {high:+.3f})"


def saved(pairs: list[tuple[Run, Run]]) -> str:
    """How many times the arm's tokens base needs to reach the accuracy: the geometric mean over seeds."""
    logs = [float(np.log(tokens_to(base, REACHED) / tokens_to(run, REACHED))) for base, run in pairs]
    mean, low, high = (float(np.exp(x)) for x in interval(logs))
    return f"{mean:.2f} ({low:.2f} to {high:.2f})"


def spent(runs: list[Run]) -> list[str]:
    """What the tokens bought: shares by purpose, groups with signal, values of reset and archived states."""
    purposes = ("explore", "values", "resets", "archive")
    heads = ["task", "arm", "tokens of a run", *purposes, "fresh groups with signal", "V at resets"]
    heads.append("V at archived")
    lines = ["## What the tokens bought", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for task, arm in dict.fromkeys((run["task"], run["arm"]) for run in runs):
        some = [run for run in runs if (run["task"], run["arm"]) == (task, arm)]
        total = sum(sum(run["ledger"].values()) for run in some)
        cells = [task, arm, f"{total / len(some):,.0f}"]
        cells += [f"{sum(run['ledger'].get(p, 0) for run in some) / total:.2f}" for p in purposes]
        for key in ("fresh", "reset_value", "archive_value"):
            values = [s[key] for run in some for s in run["signals"] if s[key] is not None]
            cells.append(f"{np.mean(values):.2f}" if values else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def picture(runs: list[Run], path: Path) -> None:
    """Learning curves of each task with bands of one standard error."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axis = runs[0]["unit"]
    tasks = list(dict.fromkeys(run["task"] for run in runs))
    figure, panels = plt.subplots(1, len(tasks), figsize=(5 * len(tasks), 4), squeeze=False)
    for panel, task in zip(panels[0], tasks, strict=True):
        for arm in dict.fromkeys(run["arm"] for run in runs if run["task"] == task):
            some = [run for run in runs if (run["task"], run["arm"]) == (task, arm)]
            places = np.linspace(0, min(run["points"][-1][axis] for run in some), 40)
            curves = np.array([[at(run, axis, place) for place in places] for run in some])
            mean, error = curves.mean(0), curves.std(0) / np.sqrt(len(some))
            (line,) = panel.plot(places, mean, label=arm)
            panel.fill_between(places, mean - error, mean + error, alpha=0.2, color=line.get_color())
        panel.set(title=task, xlabel=axis, ylabel="held-out accuracy")
    panels[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)
