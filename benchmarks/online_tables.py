"""What benchmarks/online.py measured, as tables and learning curves."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hard_tasks import HARD
from paired import Difference, holm

Run = dict[str, Any]
AXES = ("tokens", "samples", "rounds")
REACHED = 0.1
"""The accuracy to which tokens are counted on the rarely solved task."""
COLLAPSED = 0.1
"""A run that ends below this has lost what the model could do."""


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


def end(run: Run) -> float:
    """Accuracy at the last evaluation."""
    return float(run["points"][-1]["accuracy"])


def savings(run: Run) -> float:
    """The logarithm of 1 / tokens to the accuracy, so that a difference is a ratio."""
    return -math.log(tokens_to(run, REACHED))


TOKENS = f"tokens to {REACHED:.0%}"
MEASURES: dict[str, Callable[[Run], float]] = {"mean of the curve": height, "at the end": end}
"""What is compared by its differences; `TOKENS` besides, by its ratios."""


def by_arm(runs: list[Run], task: str) -> dict[str, dict[int, Run]]:
    """Of a task, the runs by arm and seed; another rate than that of most is another arm."""
    some = [run for run in runs if run["task"] == task]
    rates = Counter((run["arm"], run["lr"]) for run in some)
    most = {
        arm: max((lr for one, lr in rates if one == arm), key=lambda lr: rates[arm, lr]) for arm, _ in rates
    }
    found: dict[str, dict[int, Run]] = {}
    for run in some:
        name = run["arm"] if run["lr"] == most[run["arm"]] else f"{run['arm']} at {run['lr']:g}"
        found.setdefault(name, {})[run["seed"]] = run
    return found


def paired(found: dict[int, Run], reference: dict[int, Run]) -> list[tuple[Run, Run]]:
    """The reference's run and the arm's, of each seed that both have."""
    return [(reference[seed], found[seed]) for seed in sorted(set(found) & set(reference))]


def matrix(runs: list[Run], reference: str, measure: str) -> list[str]:
    """Arms by tasks: how far above the reference, with p-values corrected over all of these comparisons."""
    is_ratio = measure == TOKENS
    of = savings if is_ratio else MEASURES[measure]
    tasks = list(dict.fromkeys(run["task"] for run in runs))
    cells: dict[tuple[str, str], Difference] = {}
    levels: dict[str, str] = {}
    for task in tasks:
        arms = by_arm(runs, task)
        levels[task] = level([of(run) for run in arms[reference].values()], is_ratio=is_ratio)
        for arm, found in arms.items():
            if arm != reference and (pairs := paired(found, arms[reference])):
                cells[arm, task] = Difference.of([of(run) - of(one) for one, run in pairs])
    corrected = dict(zip(cells, holm([one.p for one in cells.values()]), strict=True))
    head = f"{measure}: {reference}'s over the arm's" if is_ratio else f"{measure}, minus {reference}"
    lines = table_head([head, *tasks])
    lines.append(f"| *{reference} itself* | {' | '.join(levels[task] for task in tasks)} |")
    for arm in dict.fromkeys(arm for arm, _ in cells):
        pairs = [(arm, task) for task in tasks]
        shown = [
            shown_with(cells[pair], corrected[pair], is_ratio=is_ratio) if pair in cells else ""
            for pair in pairs
        ]
        lines.append(f"| {arm} | {' | '.join(shown)} |")
    return [*lines, ""]


def level(values: list[float], *, is_ratio: bool) -> str:
    """The reference's own mean; of tokens the geometric one."""
    mean = float(np.mean(values))
    return f"{math.exp(-mean):,.0f} tokens" if is_ratio else f"{mean:.3f}"


def as_ratio(logs: Difference) -> str:
    """A difference of logarithms as a ratio."""
    mean, low, high = (math.exp(x) for x in (logs.mean, logs.low, logs.high))
    return f"{mean:.2f}" if logs.num < 2 else f"{mean:.2f} ({low:.2f} to {high:.2f})"


def shown_with(difference: Difference, p: float, *, is_ratio: bool) -> str:
    """The difference with its corrected p-value and the number of seeds."""
    shown = as_ratio(difference) if is_ratio else str(difference)
    if math.isnan(p):
        return f"{shown}, one seed"
    return f"{shown}, p {'< .001' if p < 0.001 else f'{p:.3f}'}, {difference.num} seeds"


def table_head(names: list[str]) -> list[str]:
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def tables(runs: list[Run], reference: str = "base") -> list[str]:
    """Each arm's accuracy, and its difference from the reference by seed, where the shorter run ended."""
    lines = []
    for task in dict.fromkeys(run["task"] for run in runs):
        arms = by_arm(runs, task)
        heads = [head for axis in AXES for head in (f"at equal {axis}", f"minus {reference}")]
        heads += [f"tokens to {REACHED:.0%}: {reference} / arm", "collapsed"] if task in HARD else []
        lines += table_head([task, "learning rate", "seeds", *heads])
        for arm, found in arms.items():
            pairs = paired(found, arms[reference])
            if not pairs:
                continue
            cells = [
                arm,
                f"{pairs[0][1]['lr']:g}",
                str(len(pairs)),
                *(compared(pairs, axis) for axis in AXES),
            ]
            if task in HARD:
                num = sum(end(run) < COLLAPSED for run in found.values())
                cells += [saved(pairs), f"{num} of {len(found)}"]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return lines


def compared(pairs: list[tuple[Run, Run]], axis: str) -> str:
    """The arm's accuracy and how far it is above the reference, where the first of all these runs ended."""
    place = min(run["points"][-1][axis] for pair in pairs for run in pair)
    values = [at(run, axis, place) for _, run in pairs]
    above = Difference.of([v - at(one, axis, place) for v, (one, _) in zip(values, pairs, strict=True)])
    return f"{np.mean(values):.3f} at {place:,} | {above}"


def saved(pairs: list[tuple[Run, Run]]) -> str:
    """How many times the arm's tokens the reference needs to reach the accuracy, as a geometric mean."""
    return as_ratio(Difference.of([savings(run) - savings(one) for one, run in pairs]))


def spent(runs: list[Run]) -> list[str]:
    """What the tokens bought: shares by purpose, groups with signal, values of reset states."""
    purposes = ("explore", "values", "resets")
    heads = ["task", "arm", "tokens of a run", *purposes]
    heads += ["groups with signal", "of resets", "V at resets"]
    lines = table_head(heads)
    for task, arm in dict.fromkeys((run["task"], run["arm"]) for run in runs):
        some = [run for run in runs if (run["task"], run["arm"]) == (task, arm)]
        total = sum(sum(run["ledger"].values()) for run in some)
        cells = [task, arm, f"{total / len(some):,.0f}"]
        cells += [f"{sum(run['ledger'].get(p, 0) for run in some) / total:.2f}" for p in purposes]
        for key in ("all", "resets", "reset_value"):
            values = [s[key] for run in some for s in run["signals"] if s.get(key) is not None]
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
