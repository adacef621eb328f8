"""Rows of token ids that a causal language model has read, with its logits for what comes next.

Rows of any length share a batch, padded on the left so that what comes next is always the last column.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from gpo.policies.cache import with_room
from gpo.policies.sampler import Sampling
from gpo.rope import switch_of
from gpo.types import Ids, InputError, Sample, State

_ARGUMENTS = frozenset({"attention_mask", "position_ids", "past_key_values", "logits_to_keep"})


class Reader:
    """A batch in the middle of being read; `select` expands or thins it, `feed` appends a token.

    Where the model's key-value cache can be rearranged along the batch, no token is read twice.
    """

    logits_BV: Tensor

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Ids],
        num_new: int,
        context: int | None,
        switch: int | None = None,
    ) -> None:
        """Reads the prompts. Positions stay below `context`; a cache ends at `switch` tokens."""
        self._model = model
        self._accepted = _forward_arguments(model)
        self._length = max(map(len, prompts))
        self._switch = switch
        self._max_position = None if context is None else context - 1
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
        if self._switch is not None and self._length == self._switch + 1:
            self._cache = None  # its keys were turned with the short frequencies
        self._read()

    def _read(self) -> None:
        # Rows that have ended may run on for a few tokens; their positions must not leave the context, which
        # fails for learned positions and rescales some rotary ones for the whole batch.
        new = slice(0 if self._cache is None else self._length - 1, self._length)
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
        cache = getattr(output, "past_key_values", None) if "past_key_values" in inputs else None
        self._cache = with_room(cache) if self._cache is None else cache
        self.logits_BV = output.logits[:, -1]


def read(
    model: PreTrainedModel,
    given: Sequence[tuple[State, Ids]],
    sampling: Sampling,
    context: int | None,
    batch_tokens: int,
) -> list[Sample]:
    """The given continuations as samples, with their log-probabilities and entropies, in order."""
    longest = max((len(state.ids) + len(ids) for state, ids in given), default=0)
    if context is not None and longest > context:
        raise InputError(
            f"a trajectory has {longest} tokens; the model's context is {context}; leave it out or shorten it"
        )
    parts = [
        part
        for k, (state, ids) in enumerate(given)
        for part in _parts(k, state, ids, switch_of(model.config))
    ]
    found: list[list[tuple[float, float]]] = [[] for _ in given]
    for is_long in (False, True):  # in order: the part before a switch comes first
        order = sorted((part for part in parts if part.is_long == is_long), key=lambda part: -part.width)
        while order:
            rows = max(1, batch_tokens // order[0].width)
            for part, pairs in zip(order[:rows], _read_parts(model, order[:rows], sampling), strict=True):
                found[part.index] += pairs
            order = order[rows:]
    return [
        Sample(ids, tuple(x for x, _ in pairs), tuple(y for _, y in pairs), finished=True)
        for (_, ids), pairs in zip(given, found, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    """Tokens `first` to `width` - 1 of one sequence, to be predicted from those before each."""

    index: int
    ids: Ids
    first: int
    is_long: bool

    @property
    def width(self) -> int:
        return len(self.ids)


def _parts(index: int, state: State, ids: Ids, switch: int | None) -> Iterator[_Part]:
    """The sequence in one part, or in two where its model switches within the continuation."""
    whole, first = state.ids + ids, len(state.ids)
    bound = len(whole) if switch is None else min(len(whole), max(first, switch + 1))
    if first < bound:
        yield _Part(index, whole[:bound], first, is_long=False)
    if bound < len(whole):
        yield _Part(index, whole, bound, is_long=True)


def _read_parts(
    model: PreTrainedModel, parts: Sequence[_Part], sampling: Sampling
) -> Iterator[list[tuple[float, float]]]:
    """Each part's tokens: their log-probabilities and the entropies of the distributions they came from.

    One padded batch; padding is on the right, where a causal model never looks. The last token of the
    longest row predicts nothing here and is left out.
    """
    width = max(part.width for part in parts) - 1
    rows = [part.ids[:width] + (0,) * (width - part.width) for part in parts]
    logits_BTV = model(input_ids=torch.tensor(rows, device=model.device), use_cache=False).logits
    for part, logits_TV in zip(parts, logits_BTV, strict=True):
        logprobs_TV = torch.log_softmax(
            logits_TV[part.first - 1 : part.width - 1].float() / (sampling.temperature or 1.0), dim=1
        )
        ids = torch.tensor(part.ids[part.first :], device=logprobs_TV.device)
        chosen = logprobs_TV.gather(1, ids[:, None])[:, 0]
        entropies = torch.special.entr(logprobs_TV.exp()).sum(1)
        yield list(zip(chosen.tolist(), entropies.tolist(), strict=True))


def _forward_arguments(model: Any) -> Set[str]:
    """Which of `_ARGUMENTS` the model's forward takes; a wrapper that names none passes all of them on."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    names = inspect.signature(base.forward).parameters.keys()
    return _ARGUMENTS & names if "input_ids" in names else _ARGUMENTS
