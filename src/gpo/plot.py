"""Figures for papers, from runs and curves: value curves, learning curves, where critical steps fall.

Every function returns a matplotlib Figure, which saves itself: `figure.savefig("curve.pdf")`. They need
`pip install gpo[plot]`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from gpo.curve import Estimate, Floats, paired_estimate
from gpo.report.figures import Run, positions, series
from gpo.report.reading import read_run
from gpo.types import CriticalStep, InputError, ValueCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito (2008): told apart by colour-blind readers."""
STYLES = ("-", "--", ":", "-.")
"""Lines differ in dash too, for print."""

Measure = Literal["accuracy", "reward", "signal", "reset"]
MEASURES: dict[Measure, str] = {
    "accuracy": "accuracy on held-out problems",
    "reward": "mean reward of first rollouts",
    "signal": "share of groups with signal",
    "reset": "V of the reset states",
}
NUM_PLACES = 200
"""Grid points of a learning curve."""


class Located(Protocol):
    """A trajectory with its estimates."""

    @property
    def curve(self) -> ValueCurve: ...
    @property
    def critical(self) -> CriticalStep | None: ...
    @property
    def estimate(self) -> Estimate: ...


def value_curve(found: Located | ValueCurve) -> Figure:
    """V before every step with its 95 % band; the critical step's column is tinted.

    A `ValueCurve` is drawn from the means of its counts, a located trajectory from its search's estimates.
    """
    critical = None
    if isinstance(found, ValueCurve):
        estimate = paired_estimate(found)
    else:
        estimate, critical = found.estimate, found.critical
    values = np.array(estimate.values)
    known = np.flatnonzero(np.isfinite(values))
    figure, axes = _figure((5.0, 2.6))
    if estimate.value_intervals:
        low, high = np.array(estimate.value_intervals).T
        axes.fill_between(np.arange(len(values)), low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(known, values[known], color=COLOURS[0], marker="o", markersize=3)
    if critical is not None:
        colour = COLOURS[1] if critical.advantage < 0 else COLOURS[2]
        axes.axvspan(critical.index, critical.index + 1, color=colour, alpha=0.25, linewidth=0)
        label = f"step {critical.index}: A = {critical.advantage:+.2f}"
        axes.set_title(label, fontsize="medium", loc="left")
    axes.set(xlabel="step boundary", ylabel="V", ylim=(-0.02, 1.02), xlim=(0, len(values) - 1))
    return figure


def learning_curves(
    arms: Mapping[str, Sequence[Path | str]],
    *,
    measure: Measure = "accuracy",
    over: Literal["tokens", "round"] = "tokens",
) -> Figure:
    """One line for each arm, the mean over its runs, which are its seeds, with a 95 % band.

    The band of several seeds is that of their mean (t distribution); of one seed, that of its own
    evaluations. Runs are interpolated to a common grid, as far as all runs of the arm reach. InputError if no
    run of an arm measured it.
    """
    if measure not in MEASURES or over not in ("tokens", "round"):
        known = ", ".join(MEASURES)
        raise InputError(f"measure {measure!r} over {over!r}: one of {known}, over tokens or round")
    figure, axes = _figure((5.0, 3.2))
    from matplotlib.ticker import EngFormatter

    for number, (name, paths) in enumerate(arms.items()):
        curves = [_measured(read_run(Path(path)), measure, over) for path in paths]
        if not curves:
            raise InputError(f"{name}: has no run")
        places, mean, half = _mean_band(curves)
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
        low, high = (mean - half).clip(0, 1), (mean + half).clip(0, 1)
        axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
        for curve in curves if len(curves) > 1 else []:
            axes.plot(curve[0], curve[1], color=colour, linewidth=0.6, alpha=0.6)
        axes.plot(places, mean, style, color=colour, label=f"{name} ({_seeds(len(curves))})")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set(xlabel="generated tokens" if over == "tokens" else "round", ylabel=MEASURES[measure])
    axes.legend(frameon=False)
    return figure


def critical_positions(runs: Sequence[Path | str], *, credible_at: float = 0.9) -> Figure:
    """Critical steps by the tenth of the trace that they start in; credible ones are filled."""
    found = [positions(read_run(Path(path)).curves, credible_at) for path in runs]
    credible, other = (np.sum([one[kind] for one in found], axis=0) for kind in ("credible", "other"))
    figure, axes = _figure((5.0, 2.6))
    edges = np.arange(10) / 10 + 0.05
    axes.bar(edges, credible, 0.09, color=COLOURS[0], label=f"credible ({credible.sum()})")
    label = f"less sure ({other.sum()})"
    axes.bar(edges, other, 0.09, credible, facecolor="none", edgecolor=COLOURS[0], label=label)
    axes.set(xlabel="share of the trace before the critical step", ylabel="trajectories", xlim=(0, 1))
    axes.legend(frameon=False)
    return figure


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("gpo.plot: needs matplotlib; pip install 'gpo[plot]'") from None
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _measured(run: Run, measure: Measure, over: str) -> Floats:
    """[3, N] places, values and their standard errors (nan where not known) of one run."""
    points = []
    for point in series(run):
        value, stderr = point[measure] if isinstance(point[measure], tuple) else (point[measure], None)
        if value is not None:
            points.append((point[over], value, math.nan if stderr is None else stderr))
    if not points:
        raise InputError(f"{run.path}: measured no {measure}")
    return np.array(points, float).T


def _seeds(num: int) -> str:
    return "1 seed" if num == 1 else f"{num} seeds"


def _mean_band(curves: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
    """Places, means over the curves, and half the width of their 95 % bands."""
    if len(curves) == 1:
        places, values, stderrs = curves[0]
        return places, values, 1.96 * np.nan_to_num(stderrs)
    start, end = max(c[0, 0] for c in curves), min(c[0, -1] for c in curves)
    places = np.linspace(start, end, NUM_PLACES)
    values = np.stack([np.interp(places, c[0], c[1]) for c in curves])
    stderr = values.std(0, ddof=1) / math.sqrt(len(curves))
    return places, values.mean(0), _t95(len(curves) - 1) * stderr


def _t95(freedom: int) -> float:
    """The two-sided 95 % quantile of Student's t, by the next smaller freedom that is tabled."""
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
    table |= {10: 2.228, 12: 2.179, 15: 2.131, 20: 2.086, 30: 2.042}
    return next(table[key] for key in sorted(table, reverse=True) if key <= freedom)
