"""Run folders written by hand, for the tests of what is shown of a run."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from gpo.record.base import Line


class Numbered(Line):
    """A line of which only the round matters."""

    round: int


def curve(number: int, question: str, answer: str, steps: list[str], **changes: Any) -> dict[str, Any]:
    """A line of curves.jsonl: two tokens a step, the middle step critical."""
    num = len(steps)
    bounds = [2 * i for i in range(num + 1)]
    middle = num // 2
    values = [0.9] * (middle + 1) + [0.05] * (num - middle - 1) + [0.0]
    advantages = [after - before for before, after in itertools.pairwise(values)]
    return {
        "round": 0,
        "problem": f"hostile/{number}",
        "question": question,
        "answer": answer,
        "prompt_ids": [1],
        "completion_ids": [number] * bounds[-1],
        "reward": 0.0,
        "finished": True,
        "steps": steps,
        "bounds": bounds,
        "successes": [3] * (middle + 1) + [0] * (num - middle),
        "trials": [4] * num + [1],
        "values": values,
        "advantages": advantages,
        "intervals": [[a - 0.1, a + 0.1] for a in advantages],
        "probabilities": [float(i == middle) for i in range(num)],
        "critical": {
            "index": middle,
            "advantage": advantages[middle],
            "interval": [-0.95, -0.7],
            "probability": 0.97,
            "credibility": 0.99,
            "rule": "drop",
        },
    } | changes


def rollout(line: dict[str, Any], boundary: int, text: str, reward: float) -> dict[str, Any]:
    """A rollout at one of its boundaries."""
    num = line["bounds"][boundary]
    return {
        "round": line["round"],
        "purpose": "values",
        "problem": line["problem"],
        "prefix_ids": line["completion_ids"][:num],
        "answer": line["answer"],
        "prompt_ids": line["prompt_ids"],
        "action_ids": [7, 8, 9],
        "logprobs": [],
        "entropies": [],
        "policy_version": 0,
        "text": "".join(line["steps"][:boundary]) + text,
        "finished": True,
        "reward": reward,
    }


def write_run(
    folder: Path, lines: list[dict[str, Any]], rollouts: list[dict[str, Any]], **settings: Any
) -> Path:
    folder.mkdir()
    run = {"command": "locate", "settings": {"task": "own", "rule": "drop", "search": "adaptive", **settings}}
    (folder / "run.json").write_text(json.dumps(run))
    counts = {"rollouts": 2, "truncated": 0, "timeouts": 0}
    problems = [
        {"problem": "p0", "place": 0, "tokens": {"explore": 6, "values": 12}, "rates": [0.5], "no_signal": 0},
        {"problem": "p1", "place": 1, "tokens": {"explore": 4, "values": 8}, "rates": [0.0], "no_signal": 1},
    ]
    problems = [one | counts for one in problems]
    for name, records in (("problems", problems), ("curves", lines), ("rollouts", rollouts)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    return folder
