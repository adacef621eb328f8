"""Answers of `gpo solve` as a page holds them: a row for each problem, with its attempts and its text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpo.record.rounds import SolvedLine
from gpo.report.text import encoded
from gpo.report.views import Limits

Json = dict[str, Any]

LONGEST = 20_000
"""Characters of a text on the page."""


def answers_data(name: str, lines: Sequence[SolvedLine], limits: Limits) -> Json:
    """All that the page of a run draws, in the order of its problems, as many as the page may hold."""
    shown: list[Json] = []
    room = limits.num_bytes
    for line in lines[: limits.num_trajectories]:
        shown.append(row(line))
        room -= len(encoded(shown[-1])) + 1
        if room < 0:
            shown.pop()
            break
    notes = [f"{len(shown):,} of {len(lines):,} problems are shown"] if len(shown) < len(lines) else []
    return {"runs": [{"name": name, "trajectories": []}], "notes": notes, "answers": shown}


def row(line: SolvedLine) -> Json:
    """What the page shows of a problem; `right` is None where the answer is not known."""
    left = len(line.text) - LONGEST
    return {
        "problem": line.problem,
        "answer": line.answer,
        "votes": line.votes,
        "share": line.share,
        "tokens": sum(line.tokens.values()),
        "right": line.right,
        "text": line.text if left <= 0 else f"{line.text[:LONGEST]} … ({left:,} more characters)",
        "attempts": [
            {"answer": one.answer, "score": one.score, "start": one.start, "tokens": one.tokens,
             "right": None if one.reward is None else one.reward == 1, "finished": one.finished}
            for one in line.attempts
        ],
    }  # fmt: skip
