"""A rollout to train on, with the figures of its sampled tokens; several of them as flat tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gpo.types import Rollout


@dataclass
class Example:
    """A rollout to train on, with the figures of its sampled tokens; all tensors are [T] on the CPU."""

    rollout: Rollout
    weight: float = 1.0
    advantages_T: Tensor | None = None
    old_T: Tensor | None = None
    """The trainer's log-probabilities before the round's first update."""
    reference_T: Tensor | None = None
    values_T: Tensor | None = None
    targets_T: Tensor | None = None

    @property
    def length(self) -> int:
        return len(self.rollout.state.ids) + len(self.rollout.action_ids)


@dataclass(frozen=True)
class Flat:
    """The figures of the N sampled tokens of several examples, on the network's device."""

    lengths: list[int]
    old_N: Tensor
    sampler_N: Tensor
    advantages_N: Tensor
    reference_N: Tensor | None
    values_N: Tensor | None
    targets_N: Tensor | None

    @classmethod
    def of(cls, rows: Sequence[Example], new_N: Tensor) -> Flat:
        """The tensors of `rows`, whose `new_N` has just been computed."""
        lengths = [len(row.rollout.action_ids) for row in rows]

        def flat(name: str) -> Tensor | None:
            parts = [part for row in rows if (part := getattr(row, name)) is not None]
            return torch.cat([part.to(new_N) for part in parts]) if parts else None

        old_N, advantages_N = flat("old_T"), flat("advantages_T")
        if old_N is None or advantages_N is None:
            raise ValueError("examples are trained with their advantages")
        sampler_N = torch.cat(
            [
                sampler_logprobs(row, old_T)
                for row, old_T in zip(rows, torch.split(old_N, lengths), strict=True)
            ]
        )
        return cls(
            lengths, old_N, sampler_N, advantages_N, flat("reference_T"), flat("values_T"), flat("targets_T")
        )

    def spread(self, numbers: Sequence[float]) -> Tensor:
        """[N] the number of each row on every token of it."""
        return self.old_N.new_tensor(numbers).repeat_interleave(self.old_N.new_tensor(self.lengths).long())


def sampler_logprobs(row: Example, old_T: Tensor) -> Tensor:
    """[T] the engine's log-probabilities; the trainer's own for an engine that gives none."""
    given = row.rollout.logprobs
    return old_T.new_tensor(given) if len(given) == len(old_T) else old_T
