"""Curves, groups and critical steps in a notebook: small escaped HTML that needs no script and no file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Protocol

from gpo.curve import Estimate, paired_estimate
from gpo.report.terminal import naming, percent
from gpo.types import CriticalStep, Group, ValueCurve
from gpo.visible import printable_lines

WIDTH, HEIGHT, LEFT, TOP = 560, 130, 34, 8
MAX_ROWS = 40
MAX_CHARACTERS = 400

GAIN, LOSS = "#3b8fd0", "#e0712c"
"""Told apart by colour-blind readers, on white and on black; all else takes the notebook's text colour."""


class Found(Protocol):
    """A located trajectory."""

    @property
    def curve(self) -> ValueCurve: ...
    @property
    def critical(self) -> CriticalStep | None: ...
    @property
    def estimate(self) -> Estimate: ...
    @property
    def probabilities(self) -> list[float]: ...


def html(thing: ValueCurve | CriticalStep | Group | Found) -> str:
    """What a notebook shows of a curve, a critical step, a group or a located trajectory."""
    if isinstance(thing, ValueCurve):
        return value_curve(thing)
    if isinstance(thing, CriticalStep):
        return critical_step(thing)
    return group(thing) if isinstance(thing, Group) else located(thing)


def value_curve(curve: ValueCurve) -> str:
    """The curve's means with their intervals, and a row for each step."""
    return _curve(curve, paired_estimate(curve), None, [])


def located(found: Found) -> str:
    """A trajectory's estimated values, with the critical step marked."""
    return _curve(found.curve, found.estimate, found.critical, found.probabilities)


def critical_step(step: CriticalStep) -> str:
    """The step, its effect and how sure it is, in a sentence."""
    low, high = step.interval
    return _box(
        f"<p>{escape(naming(step))}</p><p>A = {step.advantage:+.2f}, 95 % {low:+.2f} to {high:+.2f}</p>"
    )


def group(found: Group) -> str:
    """The group's value and its rollouts, as text."""
    rows = "".join(
        f"<tr><td>{'✓' if one.reward >= 1 else '✗' if one.reward <= 0 else ''} {one.reward:g}</td>"
        f"<td>{len(one.action_ids)}{'' if one.finished else ' (cut)'}</td>"
        f"<td style='text-align:left;white-space:pre-wrap'>{_text(one.text)}</td></tr>"
        for one in found.rollouts[:MAX_ROWS]
    )
    title = (
        f"{len(found.rollouts)} rollouts of problem {found.state.problem.id} after "
        f"{len(found.state.prefix_ids)} given tokens: value {percent(found.value, found.stderr)}"
        if found.rollouts
        else f"no rollouts of problem {found.state.problem.id}"
    )
    head = "<tr><th>reward</th><th>tokens</th><th style='text-align:left'>completion</th></tr>"
    return _box(f"<p>{_text(title)}</p><table>{head}{rows}</table>{_more(len(found.rollouts))}")


def _curve(
    curve: ValueCurve, estimate: Estimate, critical: CriticalStep | None, chances: Sequence[float]
) -> str:
    rows = "".join(_row(curve, estimate, critical, chances, i) for i in range(min(curve.num_steps, MAX_ROWS)))
    head = "".join(f"<th>{name}</th>" for name in ("step", "tokens", "V", "right of n", "A", "95 %", "P"))
    text = ""
    if curve.rollout is not None:
        whole = escape(printable_lines(curve.rollout.text))
        text = f"<details><summary>text</summary><div style='white-space:pre-wrap'>{whole}</div></details>"
    named = f"<p>{escape(naming(critical))}</p>" if critical else ""
    return _box(
        f"{named}{_svg(estimate, critical)}<table><tr>{head}</tr>{rows}</table>{_more(curve.num_steps)}{text}"
    )


def _row(
    curve: ValueCurve, estimate: Estimate, critical: CriticalStep | None, chances: Sequence[float], i: int
) -> str:
    change, (low, high) = estimate.advantages[i], estimate.intervals[i]
    is_critical = critical is not None and critical.index == i
    cells = (
        f"{'▶ ' if is_critical else ''}{i}",
        str(curve.bounds[i + 1] - curve.bounds[i]),
        _number(estimate.values[i]),
        f"{curve.successes[i]} of {curve.trials[i]}",
        _number(change, "+.2f"),
        "" if math.isnan(change) else f"{low:+.2f} to {high:+.2f}",
        _number(chances[i]) if chances else "",
    )
    style = f" style='font-weight:bold;outline:2px solid {_colour(change)}'" if is_critical else ""
    return f"<tr{style}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _svg(estimate: Estimate, critical: CriticalStep | None) -> str:
    """The values over the boundaries with their band; the critical step's column is tinted."""
    num = len(estimate.values) - 1

    def x(boundary: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * boundary / num

    def y(value: float) -> float:
        return TOP + (HEIGHT - 2 * TOP) * (1 - value)

    known = [(i, value) for i, value in enumerate(estimate.values) if math.isfinite(value)]
    line = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in known)
    bands = estimate.value_intervals
    upper = [f"{x(i):.1f},{y(high):.1f}" for i, (_, high) in enumerate(bands)]
    lower = [f"{x(i):.1f},{y(low):.1f}" for i, (low, _) in enumerate(bands)]
    column = ""
    if critical is not None:
        column = (
            f"<rect x='{x(critical.index):.1f}' y='{TOP}' width='{x(1) - x(0):.1f}' "
            f"height='{HEIGHT - 2 * TOP}' fill='{_colour(critical.advantage)}' fill-opacity='.3'/>"
        )
    marks = "".join(
        f"<text x='{LEFT - 4}' y='{y(v) + 4:.1f}' text-anchor='end' font-size='11'>{v:g}</text>"
        f"<line x1='{LEFT}' x2='{WIDTH - 8}' y1='{y(v):.1f}' y2='{y(v):.1f}' stroke='currentColor' "
        "stroke-opacity='.2'/>"
        for v in (0, 0.5, 1)
    )
    dots = "".join(f"<circle cx='{x(i):.1f}' cy='{y(value):.1f}' r='2.5'/>" for i, value in known)
    return (
        f"<svg width='{WIDTH}' height='{HEIGHT}' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' "
        f"aria-label='value curve' style='max-width:100%' fill='currentColor'>{marks}{column}"
        f"<polygon points='{' '.join([*upper, *reversed(lower)])}' fill-opacity='.15'/>"
        f"<polyline points='{line}' fill='none' stroke='currentColor' stroke-width='1.5'/>{dots}</svg>"
    )


def _colour(change: float) -> str:
    return LOSS if change < 0 else GAIN


def _number(value: float, form: str = ".2f") -> str:
    return "" if math.isnan(value) else format(value, form)


def _text(text: str) -> str:
    cut = f"{text[:MAX_CHARACTERS]} …" if len(text) > MAX_CHARACTERS else text
    return escape(printable_lines(cut))


def _more(num: int) -> str:
    return f"<p>… and {num - MAX_ROWS:,} more</p>" if num > MAX_ROWS else ""


def _box(content: str) -> str:
    return f"<div style='font-size:.9em'>{content}</div>"
