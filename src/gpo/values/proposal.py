"""A value model as the proposal of a search: where its value changes most, and what the path may be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from gpo.proposals import Predicted, Proposal, Scores
from gpo.protocols import Policy, ValueModel
from gpo.types import ValueCurve


def proposal(values: ValueModel, say: float | None = None) -> Proposal:
    """Scores each step by how much the value changes.

    The last step, whose effect the outcome shows, gets the mean score: a known outcome is far from any
    cautious prediction.

    With `say` its values count as so many rollouts at every boundary from the start; without, for what
    searches learn that they are worth. One forward pass over each trajectory.
    """

    def scores(policy: Policy, traces: Sequence[ValueCurve]) -> list[Scores]:
        del policy
        rollouts = [trace.rollout for trace in traces if trace.rollout is not None]
        starts = [trace.bounds[0] for trace in traces if trace.rollout is not None]
        given = [
            (one.state_at(start), one.completion_ids[start:])
            for one, start in zip(rollouts, starts, strict=True)
        ]
        curves = iter(values.read(given))
        return [None if one.rollout is None else _of_trace(one, next(curves), say) for one in traces]

    return scores


def _of_trace(trace: ValueCurve, values: Sequence[float], say: float | None) -> Predicted:
    """From the values [T+1] after each token."""
    assert trace.rollout is not None  # noqa: S101 - for the type checker
    means = [values[bound - trace.bounds[0]] for bound in trace.bounds[:-1]]
    changes = [abs(after - before) for before, after in pairwise(means)]
    return Predicted([*changes, sum(changes) / len(changes) if changes else 0.0], means, say)
