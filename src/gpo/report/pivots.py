"""The pivotal tokens inside a step: where the model was least sure, and where right and wrong first part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise, takewhile
from typing import Any

from gpo.record.lines import CurveLine

Json = dict[str, Any]

LEAST_ENTROPY = 0.1
"""Nats; a token that is surer than that was no choice."""


def num_shared(action_ids: Sequence[int], line: CurveLine, boundary: int) -> int:
    """Tokens that a rollout from the state before a step has in common with the step."""
    step = line.completion_ids[line.bounds[boundary] : line.bounds[boundary + 1]]
    return sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(action_ids, step, strict=False)))


def of(line: CurveLine, entropies: Sequence[float | None], leaving: Mapping[int, Sequence[int]]) -> Json:
    """By step: `peak` [first character, last + 1, nats] and `part` [first character, last + 1, how many, of].

    `leaving` are, by step, the tokens after which each rollout of the other outcome left the trajectory;
    `part` is the token where most of them did, the first of equals. {} where a run did not keep where
    tokens end.
    """
    if not line.ends:
        return {}
    found: Json = {}
    first = line.bounds[0]
    for step, (start, end) in enumerate(pairwise(line.bounds)):
        ends = [0, *line.ends][start - first : end - first + 1]
        spans = [(a - ends[0], b - ends[0]) for a, b in pairwise(ends)]
        one: Json = {}
        known = [(entropies[start + i], span) for i, span in enumerate(spans) if start + i < len(entropies)]
        sure = [(nats, span) for nats, span in known if nats is not None and span[1] > span[0]]
        if sure and (peak := max(sure, key=lambda each: each[0]))[0] >= LEAST_ENTROPY:
            one["peak"] = [*peak[1], peak[0]]
        inside = Counter(sorted(num for num in leaving.get(step, ()) if num < len(spans)))
        if inside:
            token, num = inside.most_common(1)[0]
            one["part"] = [*spans[token], num, len(leaving[step])]
        if one:
            found[str(step)] = one
    return found
