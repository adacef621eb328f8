"""A run in the terminal: a trajectory step by step, the token ledger, a run's rounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gpo.record.lines import Critical, CurveLine
from gpo.types import CriticalStep, spent_tokens
from gpo.visible import printable

Json = Mapping[str, Any]


def percent(mean: float, stderr: float | None) -> str:
    """A rate with its standard error, in percent."""
    if stderr is None or math.isnan(stderr):
        return f"{100 * mean:.1f} %"
    return f"{100 * mean:.1f} ± {100 * stderr:.1f} %"


def trajectory(line: CurveLine) -> RenderableType:
    """Each step with V and trials n before it, A with its interval, a mark."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", width=1)
    for name in ("step", "V", "n", "A", "95 %"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("text", overflow="fold")
    steps = zip(line.steps, line.values, line.advantages, line.intervals, line.trials, strict=False)
    for i, (step, value, change, (low, high), trials) in enumerate(steps):
        is_critical = line.named is not None and line.named.index == i
        table.add_row(
            "▶" if is_critical else "",
            str(i),
            _number(value),
            str(trials),
            _number(change, "{:+z.2f}"),
            "" if change is None else f"{low:+z.2f} .. {high:+z.2f}",
            Text(printable(step.strip("\n").replace("\n", " ⏎ "))),
            style=_colour(change) if is_critical else None,
        )
    ending = f"outcome {line.reward:g}" + ("" if line.finished else ", cut by the token limit")
    question = Text(f"{printable(line.question)}  (answer: {printable(line.answer)})", style="dim")
    told = naming(line.named) if line.num_steps > 1 else "a single step, so nothing to compare"
    return Group(question, table, Text(f"{ending}; {told}"))


def _colour(change: float | None) -> str:
    """Colour of the critical step: red if it lowered the chance of success, green if it raised it."""
    return "bold" if change is None else "bold red" if change < 0 else "bold green"


def naming(critical: Critical | CriticalStep | None) -> str:
    """The sentence that names the critical step."""
    if critical is None:
        return "no step was named critical"
    return (
        f"critical step {critical.index} by the rule {printable(critical.rule)}: "
        f"P(it is the rule's argmax) = {critical.probability:.2f}, "
        f"P(|A| >= 0.2) = {critical.credibility:.2f}"
    )


def ledger(tokens: Mapping[str, int]) -> RenderableType:
    """Generated tokens by purpose."""
    names = {
        "explore": "first rollouts",
        "values": "value estimates",
        "resets": "resets",
        "archive": "archived states",
        "fill": "missing sides of pairs",
        "matching the search": "baseline's share of the search",
        "evaluation": "evaluation",
    }
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("tokens for")
    table.add_column("number", justify="right")
    for purpose, number in tokens.items():
        table.add_row(Text(names.get(purpose) or printable(purpose)), f"{number:,}")
    table.add_row("total", f"{sum(tokens.values()):,}", style="bold")
    return table


def progress(records: Sequence[Json], num_rounds: int, budget_tokens: int | None = None) -> str:
    """One line about the last of these rounds: what it sampled and learned, how fast, where its time went.

    What is left is that of the rounds, or of the token budget if that ends sooner.
    """
    record = records[-1]
    metrics = record["metrics"]
    shown = [
        ("reward", "sample/reward", "{:.2f}"),
        ("signal", "train/signal_groups_frac", "{:.2f}"),
        ("V at resets", "reset/value", "{:.2f}"),
        ("ladders", "ladder/kept", "{:.0f}"),
        ("of which given", "ladder/given_frac", "{:.0%}"),
        ("practised", "ladder/practised", "{:.0f}"),
        ("reward there", "ladder/reward", "{:.2f}"),
        ("KL", "train/kl" if "train/kl" in metrics else "train/update_kl", "{:z.4f}"),
        *((name, *column) for name, column in OFFLINE.items() if "train/rows" in metrics),
        ("tokens/s", "time/tokens_per_s", "{:,.0f}"),
    ]
    parts = [f"round {record['round']}/{num_rounds}"]
    parts += [
        f"{label} {_number(metrics[name], form) or '-'}" for label, name, form in shown if name in metrics
    ]
    total = metrics["time/round_s"] or 1.0
    for label, name in (("sampling", "sample"), ("verifying", "verify"), ("training", "train")):
        parts.append(f"{label} {metrics[f'time/{name}_s'] / total:.0%}")
    if evaluation := record.get("evaluation"):
        parts.append(f"accuracy {percent(evaluation['accuracy'], evaluation['stderr'])}")
    seconds = [one["metrics"]["time/round_s"] for one in records if "time/round_s" in one["metrics"]]
    left_s = (num_rounds - record["round"]) * sum(seconds) / len(seconds)
    spent = sum(spent_tokens(one["tokens"]) for one in records)
    if budget_tokens is not None and spent:
        left_s = min(left_s, max(0, budget_tokens - spent) * sum(seconds) / spent)
    return ", ".join([*parts, f"{left_s:.0f} s left"])


ONLINE = {
    "reward": ("sample/reward", "{:.2f}"),
    "signal": ("train/signal_groups_frac", "{:.2f}"),
    "located": ("locate/trajectories", "{:.0f}"),
}
OFFLINE = {
    "rows": ("train/rows", "{:.0f}"),
    "updates": ("train/updates", "{:.0f}"),
    "loss": ("train/loss", "{:z.3f}"),
    "margin": ("train/rewards/margins", "{:z.3f}"),
}
"""What is shown of a round, by its metrics; the second where it trained pairs or labelled rows."""


def rounds(records: Sequence[Json], latest: int | None = None) -> RenderableType:
    """A run's rounds: what was sampled and trained, tokens so far, accuracy where it was measured.

    With `latest` only so many of the last ones.
    """
    known = {name for record in records for name in record["metrics"]}
    shown = ONLINE | OFFLINE if "train/rows" in known else ONLINE
    columns = {title: (name, form) for title, (name, form) in shown.items() if name in known}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("round", *columns, "tokens", "accuracy"):
        table.add_column(name, justify="right")
    table.add_column("")
    spent = 0
    for i, record in enumerate(records):
        spent += spent_tokens(record["tokens"])
        if latest is not None and i < len(records) - latest:
            continue
        metrics, evaluation = record["metrics"], record.get("evaluation")
        table.add_row(
            str(record["round"]),
            *(_number(metrics.get(name), form) for name, form in columns.values()),
            f"{spent:,}",
            percent(evaluation["accuracy"], evaluation["stderr"]) if evaluation else "",
            bar(evaluation["accuracy"]) if evaluation else "",
        )
    return table


BAR_WIDTH = 20


def bar(share: float) -> str:
    """A share as a bar of eighths of a character, and dots up to where it would be whole."""
    eighths = round(8 * BAR_WIDTH * min(1.0, max(0.0, share)))
    whole, part = divmod(eighths, 8)
    drawn = "█" * whole + (" ▏▎▍▌▋▊▉"[part] if part else "")
    return drawn + "·" * (BAR_WIDTH - len(drawn))


def comparison(rows: Sequence[Json]) -> RenderableType:
    """Runs beside each other: accuracy before and after or the success rate, tokens, critical steps."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", overflow="fold")
    for name in ("rounds", "before", "after", "tokens", "credible", "V reset"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            printable(row["run"]),
            str(row["rounds"]),
            *(percent(*rate) if rate[0] is not None else "" for rate in (row["before"], row["after"])),
            f"{row['tokens']:,}",
            f"{row['credible']} of {row['located']}",
            _number(row["reset_value"]),
        )
    return table


def sweep_progress(records: Sequence[Json], num_problems: int | None) -> str:
    """One line about the problems of `gpo locate`, `gpo sample` or `gpo eval` so far."""
    rates = [rate for record in records for rate in record.get("rates", []) if rate is not None]
    num = sum(len(record.get("rates") or record.get("outcomes") or []) for record in records)
    parts = [f"{num} problems" if num_problems is None else f"{num}/{num_problems} problems"]
    if rates:
        parts.append(f"success rate {percent(sum(rates) / len(rates), None)}")
    return ", ".join([*parts, f"{sum(sum(record['tokens'].values()) for record in records):,} tokens"])


def _number(value: float | None, form: str = "{:.2f}") -> str:
    return "" if value is None or not math.isfinite(value) else form.format(value)
