"""What offline.py prints: places beside whole trajectories, at the learning rates that validation chose."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from paired import Difference, holm

Rates = Mapping[tuple[str, str, str, str], list[float]]
"""Learning rates by task, place, comparison and method."""
GRID_SEED = 100
"""The first of the runs that choose the learning rate; all seeds from here on do."""


def place_of(record: dict[str, Any]) -> tuple[str, str, str, str]:
    return record["task"], record["at"], record["comparison"], record["method"]


def chosen(records: list[dict[str, Any]]) -> Rates:
    """Of each task, place, comparison and method, the learning rate with the best validation accuracy."""
    found: dict[tuple[str, str, str, str], dict[float, list[float]]] = {}
    for record in records:
        if record["seed"] >= GRID_SEED:
            found.setdefault(place_of(record), {}).setdefault(record["lr"], []).append(record["accuracy"])
    return {key: [max(rates, key=lambda lr: sum(rates[lr]) / len(rates[lr]))] for key, rates in found.items()}


def report(records: list[dict[str, Any]]) -> None:
    """Means over seeds, and the difference to whole trajectories, paired by seed, with its interval; p-values
    hold together for all differences of a method."""
    heads = ["task", "method", "equal", "parted at", "rate", "seeds", "rows", "tokens", "accuracy"]
    heads.append("minus whole trajectories")
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    groups: dict[tuple[Any, ...], dict[int, dict[str, Any]]] = {}
    rates = chosen(records)
    for one in records:
        if one["seed"] < GRID_SEED and one["lr"] in rates.get(place_of(one), [one["lr"]]):
            key = (one["task"], one["method"], one["comparison"], one["at"])
            groups.setdefault(key, {})[one["seed"]] = one
    above: dict[tuple[Any, ...], Difference] = {}
    for (task, method, comparison, at), mine in groups.items():
        whole = groups.get((task, method, comparison, "prompt"), {})
        found = [mine[seed]["accuracy"] - whole[seed]["accuracy"] for seed in sorted(set(mine) & set(whole))]
        if at not in ("none", "prompt") and found:
            above[task, method, comparison, at] = Difference.of(found)
    corrected: dict[tuple[Any, ...], float] = {}
    for method in {key[1] for key in above}:
        keys = [key for key in above if key[1] == method]
        corrected |= zip(keys, holm([above[key].p for key in keys]), strict=True)
    for key, mine in sorted(groups.items()):
        task, method, comparison, at = key
        rows, tokens, accuracy = (
            fmean(r[name] for r in mine.values()) for name in ("rows", "tokens", "accuracy")
        )
        shown = f"{above[key]}, p {corrected[key]:.3f}" if key in above else ""
        rate = next(iter(mine.values()))["lr"]
        print(
            f"| {task} | {method} | {comparison} | {at} | {rate:.0e} | {len(mine)} | {rows:.0f} "
            f"| {tokens:,.0f} | {accuracy:.3f} | {shown} |"
        )
