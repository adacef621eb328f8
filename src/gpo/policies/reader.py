"""Rows of token ids that a causal language model has read, with its logits for what comes next.

Rows of any length share a batch, padded on the left so that what comes next is always the last column.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence, Set
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from gpo.policies.sampler import Sampling
from gpo.types import Ids, InputError, Sample, State

_ARGUMENTS = frozenset({"attention_mask", "position_ids", "past_key_values", "logits_to_keep"})


class Reader:
    """A batch in the middle of being read; `select` expands or thins it, `feed` appends a token.

    Where the model's key-value cache can be rearranged along the batch, no token is read twice.
    """

    logits_BV: Tensor

    def __init__(
        self, model: PreTrainedModel, prompts: Sequence[Ids], num_new: int, context: int | None
    ) -> None:
        self._model = model
        self._accepted = _forward_arguments(model)
        self._max_position = None if context is None else context - 1
        self._length = max(map(len, prompts))
        ids_BL = np.zeros((len(prompts), self._length + num_new), dtype=np.int64)
        for row, ids in zip(ids_BL, prompts, strict=True):
            row[self._length - len(ids) : self._length] = ids
        self._ids_BL = torch.from_numpy(ids_BL).to(model.device)
        self._pads_B1 = torch.tensor([[self._length - len(ids)] for ids in prompts], device=model.device)
        self._columns = torch.arange(ids_BL.shape[1], device=model.device)
        is_ragged = len(set(map(len, prompts))) > 1
        if is_ragged and "attention_mask" not in self._accepted:
            raise InputError(
                f"{type(model).__name__} takes no attention_mask, so starts of different lengths cannot "
                "share a batch; set batch_tokens to 1"
            )
        self._mask_BL = (self._columns >= self._pads_B1).long() if is_ragged else None
        self._cache: Any = None
        self._read()

    def select(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows of the batch, in this order, repeats allowed."""
        index = torch.from_numpy(rows).to(self.logits_BV.device)
        self.logits_BV, self._ids_BL, self._pads_B1 = (
            tensor.index_select(0, index) for tensor in (self.logits_BV, self._ids_BL, self._pads_B1)
        )
        if self._mask_BL is not None:
            self._mask_BL = self._mask_BL.index_select(0, index)
        try:
            self._cache.reorder_cache(index)
        except (AttributeError, NotImplementedError):
            # No cache, or one that cannot be rearranged: the next read starts over from the ids, which
            # costs time and changes nothing.
            self._cache = None

    def feed(self, ids_B: Tensor) -> None:
        """Append a token to every row and read it."""
        self._ids_BL[:, self._length] = ids_B
        self._length += 1
        self._read()

    def _read(self) -> None:
        new = slice(0 if self._cache is None else self._length - 1, self._length)
        # Rows that have ended may run on for a few tokens; their positions must not leave the context,
        # which fails for learned positions and rescales some rotary ones for the whole batch.
        positions_BL = (self._columns[new] - self._pads_B1).clamp(0, self._max_position)
        mask_BL = None if self._mask_BL is None else self._mask_BL[:, : self._length]
        inputs = {
            "attention_mask": mask_BL,
            "position_ids": positions_BL,
            "past_key_values": self._cache,
            "logits_to_keep": 1,
        }
        inputs = {name: value for name, value in inputs.items() if name in self._accepted}
        output = self._model(input_ids=self._ids_BL[:, new], use_cache=True, return_dict=True, **inputs)
        # Other kinds of memory, such as Mamba's recurrent state, are left alone and the ids read again.
        self._cache = getattr(output, "past_key_values", None) if "past_key_values" in inputs else None
        self.logits_BV = output.logits[:, -1]


def read(
    model: PreTrainedModel,
    given: Sequence[tuple[State, Ids]],
    sampling: Sampling,
    context: int | None,
    batch_tokens: int,
) -> list[Sample]:
    """The given continuations as samples, with their log-probabilities and entropies, in order."""
    samples = [Sample((), (), (), finished=True)] * len(given)
    order = sorted((k for k, (_, ids) in enumerate(given) if ids), key=lambda k: -_width(given[k]))
    if order and context is not None and _width(given[order[0]]) > context:
        raise InputError(
            f"a trajectory has {_width(given[order[0]])} tokens; the model's context is {context}; "
            "leave it out or shorten it"
        )
    while order:
        rows = max(1, batch_tokens // _width(given[order[0]]))
        for k, sample in zip(
            order[:rows], _read_rows(model, [given[k] for k in order[:rows]], sampling), strict=True
        ):
            samples[k] = sample
        order = order[rows:]
    return samples


def _width(one: tuple[State, Ids]) -> int:
    return len(one[0].ids) + len(one[1])


def _read_rows(
    model: PreTrainedModel, given: Sequence[tuple[State, Ids]], sampling: Sampling
) -> list[Sample]:
    """One padded batch; padding is on the right, where a causal model never looks."""
    width = max(map(_width, given))
    rows = [(state.ids + ids) + (0,) * (width - _width((state, ids))) for state, ids in given]
    logits_BTV = model(input_ids=torch.tensor(rows, device=model.device), use_cache=False).logits
    samples = []
    for (state, ids), logits_TV in zip(given, logits_BTV, strict=True):
        first = len(state.ids) - 1
        logprobs_TV = torch.log_softmax(
            logits_TV[first : first + len(ids)].float() / (sampling.temperature or 1.0), dim=1
        )
        chosen = logprobs_TV.gather(1, torch.tensor(ids, device=logprobs_TV.device)[:, None])[:, 0]
        entropies = torch.special.entr(logprobs_TV.exp()).sum(1)
        samples.append(Sample(ids, tuple(chosen.tolist()), tuple(entropies.tolist()), finished=True))
    return samples


def _forward_arguments(model: Any) -> Set[str]:
    """Which of `_ARGUMENTS` the model's forward takes; a wrapper that names none passes all of them on."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    names = inspect.signature(base.forward).parameters.keys()
    return _ARGUMENTS & names if "input_ids" in names else _ARGUMENTS
