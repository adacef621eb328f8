"""Log-probabilities of sampled tokens under a causal LM, without logits of a whole batch.

Only the hidden states that predict a sampled token meet the output head, a few thousand at a time,
and the backward pass computes their logits again. So no [B,T,V] tensor ever exists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gpo.rope import switch_of
from gpo.types import InputError, Rollout


@dataclass(frozen=True)
class Batch:
    """Rollouts as one padded batch: ids, attention and the places that predict a sampled token, all [B,T]."""

    ids_BT: Tensor
    attention_BT: Tensor
    predicts_BT: Tensor
    actions_N: Tensor
    """The sampled tokens, row after row."""


def check_temperature(temperature: float) -> None:
    """InputError for one at which nothing can be learned."""
    if temperature <= 0:
        raise InputError(f"temperature: training needs one above 0, got {temperature}")


class ActionLogprobs(nn.Module):
    """Log-probabilities [N] of the N sampled tokens of some rollouts, in their order, in nats."""

    def __init__(self, model: Any, temperature: float = 1.0, *, chunk_elements: int = 2**25) -> None:
        """`chunk_elements` bounds the float32 logits held at once: 2**25 are 128 MiB."""
        super().__init__()
        self.model, self.temperature, self.chunk_elements = model, temperature, chunk_elements
        check_temperature(temperature)
        self._check_head()

    @property
    def _base(self) -> Any:
        return self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model

    @property
    def decoder(self) -> Any:
        return self._base.get_decoder()

    @property
    def head(self) -> Any:
        return self._base.get_output_embeddings()

    def forward(self, rollouts: Sequence[Rollout]) -> Tensor:
        batch = self.batch(rollouts)
        return self.score(self.hidden(batch), batch.actions_N)

    def batch(self, rollouts: Sequence[Rollout]) -> Batch:
        """The rollouts, padded on the right, where a causal model never looks."""
        rows = [rollout.state.ids + rollout.action_ids for rollout in rollouts]
        width = max(map(len, rows))
        device = self.head.weight.device
        ids = torch.tensor([row + (0,) * (width - len(row)) for row in rows], device=device)
        places = torch.arange(width, device=device)
        lengths = torch.tensor([[len(row)] for row in rows], device=device)
        starts = torch.tensor([[len(rollout.state.ids)] for rollout in rollouts], device=device)
        predicts = (places >= starts - 1) & (places < lengths - 1)
        actions = torch.tensor([i for rollout in rollouts for i in rollout.action_ids], device=device)
        return Batch(ids, (places < lengths).long(), predicts, actions)

    def hidden(self, batch: Batch, decoder: Any = None) -> Tensor:
        """[N,H] the last hidden states that predict the sampled tokens; of another decoder if given."""
        decoder = self.decoder if decoder is None else decoder
        switch, width = switch_of(self._base.config), batch.ids_BT.shape[1]
        if switch is None or width <= switch:
            return self._pass(batch, decoder, slice(0, width))
        return self._two_passes(batch, decoder, switch)

    def _pass(self, batch: Batch, decoder: Any, columns: slice) -> Tensor:
        ids_BT, attention_BT = batch.ids_BT[:, : columns.stop], batch.attention_BT[:, : columns.stop]
        hidden: Tensor = decoder(input_ids=ids_BT, attention_mask=attention_BT, use_cache=False)[0]
        return hidden[:, columns][batch.predicts_BT[:, columns]]

    def _two_passes(self, batch: Batch, decoder: Any, switch: int) -> Tensor:
        """As `_pass`, with what follows at most `switch` tokens read with LongRoPE's short frequencies.

        The sampler drew it so, and a neighbour in the batch must not change it.
        """
        is_short_N = (torch.arange(batch.ids_BT.shape[1], device=batch.ids_BT.device) < switch).expand(
            batch.ids_BT.shape
        )[batch.predicts_BT]
        parts = []
        for is_short, columns in ((True, slice(0, switch)), (False, slice(switch, batch.ids_BT.shape[1]))):
            rows = batch.predicts_BT[:, columns].any(1)
            if rows.any():
                chosen = replace(
                    batch, ids_BT=batch.ids_BT[rows], attention_BT=batch.attention_BT[rows],
                    predicts_BT=batch.predicts_BT[rows],
                )  # fmt: skip
                parts.append((is_short_N == is_short, self._pass(chosen, decoder, columns)))
        hidden_NH = parts[0][1].new_zeros(len(is_short_N), parts[0][1].shape[1])
        for is_part_N, part_NH in parts:
            hidden_NH = hidden_NH.index_put((is_part_N,), part_NH)
        return hidden_NH

    def score(self, hidden_NH: Tensor, actions_N: Tensor) -> Tensor:
        """[N] log-probabilities of the tokens that the hidden states predict."""
        return self._in_chunks(self._chunk, hidden_NH, actions_N)

    def entropies(self, hidden_NH: Tensor) -> Tensor:
        """[N] entropies of the distributions that the hidden states predict, in nats, at the temperature."""
        return self._in_chunks(self._entropy_chunk, hidden_NH)

    def _in_chunks(self, function: Callable[..., Tensor], *parts: Tensor) -> Tensor:
        """The function of a few thousand rows at a time, whose logits the backward pass computes again."""
        rows = max(1, self.chunk_elements // self.head.weight.shape[0])
        if len(parts[0]) <= rows:
            return function(*parts)
        chunks = zip(*(torch.split(part, rows) for part in parts), strict=True)
        return torch.cat([checkpoint(function, *chunk, use_reentrant=False) for chunk in chunks])

    def _chunk(self, hidden_NH: Tensor, actions_N: Tensor) -> Tensor:
        logits_NV = self._logits(hidden_NH) / self.temperature
        chosen_N = logits_NV.gather(1, actions_N[:, None])[:, 0]
        return chosen_N - logits_NV.logsumexp(dim=1)

    def _entropy_chunk(self, hidden_NH: Tensor) -> Tensor:
        logprobs_NV = (self._logits(hidden_NH) / self.temperature).log_softmax(dim=1)
        return -(logprobs_NV.exp() * logprobs_NV).sum(dim=1)

    def _logits(self, hidden: Tensor) -> Tensor:
        """float32 logits, with the scalings that some architectures put behind their head."""
        logits: Tensor = self.head(hidden).float()
        config = self._base.config
        if scale := getattr(config, "logit_scale", None):  # Cohere
            logits = logits * scale
        if scaling := getattr(config, "logits_scaling", None):  # Granite
            logits = logits / scaling
        if cap := getattr(config, "final_logit_softcapping", None):  # Gemma 2
            logits = cap * torch.tanh(logits / cap)
        return logits

    @torch.no_grad()
    def _check_head(self) -> None:
        """Refuses a model whose logits are not its head applied to its last hidden states."""
        ids = torch.arange(4, device=self.head.weight.device)[None]
        ours = self._logits(self.decoder(input_ids=ids, use_cache=False)[0])
        theirs = self.model(input_ids=ids, use_cache=False).logits.float()
        scale = max(1.0, float(theirs.abs().max()))
        if ours.shape != theirs.shape or float((ours - theirs).abs().max()) > 0.02 * scale:
            raise InputError(
                f"model: {type(self.model).__name__} changes its logits in an unknown way, so it cannot be "
                "trained"
            )
