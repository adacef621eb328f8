"""What a value model sees of a completion: the policy's hidden state at every token, and how likely it was.

The hidden state says what is to be written next; whether something went wrong before is often not in it. How
unlikely the tokens were that led there is, and costs nothing more: it comes from the same pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from gpo.learn.logprobs import ActionLogprobs
from gpo.policies.transformers import evaluating
from gpo.types import Ids, InputError, Rollout, State

EXTRA = 3
"""Beside the hidden state: the token's log-probability, the entropy it came from, 1; 0 before the first."""

Asked = tuple[State, Ids]
"""A state, and the ids after it."""


class Backbone:
    """A causal language model, read for its hidden states and the surprise of its tokens."""

    def __init__(
        self, model: Any, temperature: float, context: int | None = None, batch_tokens: int = 65_536
    ) -> None:
        """`temperature` is what tokens were sampled at; `context` the most tokens that the model reads."""
        self.model, self.context, self.batch_tokens = model, context, batch_tokens
        with evaluating(model):
            self._logprobs = ActionLogprobs(model, temperature or 1.0)

    @property
    def hidden_size(self) -> int:
        return int(self._logprobs.head.weight.shape[1])

    def batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Indices of each batch's rows, longest first, whose padded tokens are at most `batch_tokens`."""
        order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
        while order:
            num = max(1, self.batch_tokens // max(1, lengths[order[0]]))
            yield order[:num]
            order = order[num:]

    def read(self, given: Sequence[Asked]) -> list[Tensor]:
        """[T+1, H+EXTRA] of each completion, float32 on the CPU, from its state on; prefixes are read whole.

        InputError if one is longer than the context.
        """
        found: list[Tensor] = [torch.empty(0)] * len(given)
        lengths = [len(state.ids) + len(ids) for state, ids in given]
        if self.context is not None and max(lengths, default=0) > self.context:
            raise InputError(
                f"a completion has {max(lengths)} tokens with its prompt; the context of the value model's "
                f"backbone is {self.context}; leave it out or shorten it"
            )
        with evaluating(self.model), torch.inference_mode():
            for rows in self.batches(lengths):
                for i, seen_TF in zip(rows, self._features([given[i] for i in rows]), strict=True):
                    found[i] = seen_TF.cpu()
        return found

    def hidden(self, given: Sequence[Asked]) -> list[Tensor]:
        """[T+1, H] hidden states alone, with gradients where they are wanted."""
        rollouts, sizes = _ended(given)
        return [*torch.split(self._logprobs.hidden(self._logprobs.batch(rollouts)).float(), sizes)]

    def _features(self, given: Sequence[Asked]) -> Iterator[Tensor]:
        rollouts, sizes = _ended(given)
        batch = self._logprobs.batch(rollouts)
        hidden_NH = self._logprobs.hidden(batch)
        surprise_N2 = torch.stack(
            [self._logprobs.score(hidden_NH, batch.actions_N), self._logprobs.entropies(hidden_NH)], dim=1
        )
        for hidden_TH, surprise_T2 in zip(
            torch.split(hidden_NH, sizes), torch.split(surprise_N2, sizes), strict=True
        ):
            extra_TE = hidden_TH.new_zeros(len(hidden_TH), EXTRA, dtype=torch.float32)
            extra_TE[1:, :2], extra_TE[1:, 2] = surprise_T2[:-1], 1.0
            yield torch.cat([hidden_TH.float(), extra_TE], dim=1)


def _ended(given: Sequence[Asked]) -> tuple[list[Rollout], list[int]]:
    """Each completion from its prompt on, with an id more, so that the state after the last is read too."""
    rollouts = [
        Rollout(State(state.problem), (*state.prefix_ids, *ids, 0), (), (), "", True, 0.0, 0)
        for state, ids in given
    ]
    return rollouts, [len(rollout.action_ids) for rollout in rollouts]
