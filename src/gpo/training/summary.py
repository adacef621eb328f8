"""What a training run comes to: the summary that the command returns, and what a person reads of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType

from gpo.record import Json
from gpo.report import terminal
from gpo.report.unjudged import counted, told

BEST = "best"
"""The folder of the best model in a run with `patience`."""


def accuracies(lines: Sequence[Json]) -> list[float]:
    """Accuracies of all evaluations so far."""
    return [line["evaluation"]["accuracy"] for line in lines if "evaluation" in line]


def best_of(lines: Sequence[Json], model: Path) -> Json | None:
    """The round with the highest accuracy, the first of several, if its model was kept."""
    evaluated = [line for line in lines if "evaluation" in line]
    if not evaluated or not model.exists():
        return None
    best = max(evaluated, key=lambda line: line["evaluation"]["accuracy"])
    return {"round": best["round"], "accuracy": best["evaluation"]["accuracy"], "model": str(model)}


def summarise(lines: Sequence[Json]) -> Json:
    """The first and last evaluation, None without any, and the ledger of a run, from its round lines."""
    evaluations = [line["evaluation"] for line in lines if "evaluation" in line]
    tokens: Counter[str] = Counter()
    for line in lines:
        tokens.update(line["tokens"])
    tokens["evaluation"] = tokens.pop("evaluation", 0)  # the last one shown
    found: Json = {}
    for name, one in zip(("before", "after"), (evaluations[:1], evaluations[-1:]), strict=True):
        found[f"accuracy_{name}"] = one[0]["accuracy"] if one else None
        found[f"accuracy_{name}_stderr"] = one[0]["stderr"] if one else None
    return found | {
        "rounds": lines[-1]["round"],
        "verifier_timeouts": int(sum(line["metrics"].get("verify/timeouts", 0) for line in lines)),
        "unjudged": counted(lines),
        "tokens": dict(tokens),
    }


def report(lines: Sequence[Json], summary: Json) -> list[RenderableType]:
    """What a person reads at the end."""
    best, rounds = summary["best"], summary["rounds"]
    left = "; ".join(f"{num} {name}" for name, num in summary.get("left_out", {}).items())
    rates = []
    if summary["accuracy_before"] is not None:
        before, after = (
            terminal.percent(summary[f"accuracy_{name}"], summary[f"accuracy_{name}_stderr"])
            for name in ("before", "after")
        )
        rates = [f"accuracy on held-out problems: {before} before, {after} after {rounds} rounds"]
    if summary["ended_by"] == "patience":
        rates.append(f"ended after {rounds} rounds: no new best in the last evaluations (--patience)")
    if best:
        rates.append(f"the best model is that of round {best['round']}: {best['model']}")
    return [
        terminal.rounds(lines),
        "",
        *([f"left out: {left}"] if left else []),
        *told(summary["unjudged"]),
        terminal.ledger(summary["tokens"]),
        *(f"budget left: {num:,} {name}" for name, num in summary["unspent"].items()),
        "",
        *rates,
        f"written to {summary['run']}",
    ]
