"""A key-value cache with room behind what it holds, so that a new token does not copy it.

transformers copies every layer's whole cache to append a token: a sixth of the decoding time of a model of
135 million weights with 128 rows on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_ROOM = 64
"""Tokens that a layer's cache grows by at once: growing copies it, a token that finds room copies nothing."""


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer's keys and values [B, H, L, D], views of tensors with room for more tokens behind them."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self._rooms: tuple[Tensor, Tensor] | None = None

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        *args: Any,  # noqa: ARG002 - the signature of transformers
        **kwargs: Any,  # noqa: ARG002
    ) -> tuple[Tensor, Tensor]:
        """Appends the new tokens' keys and values, and returns all."""
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        if self._rooms is None or end > self._rooms[0].shape[-2]:
            self._rooms = _enlarged(self.keys, end + _ROOM), _enlarged(self.values, end + _ROOM)
        for room, new in zip(self._rooms, (key_states, value_states), strict=True):
            room[..., start:end, :] = new
        self.keys, self.values = (room[..., :end, :] for room in self._rooms)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Goes on with these rows; their room is made when the next token comes."""
        super().reorder_cache(beam_idx)
        self._rooms = None


def _enlarged(old: Tensor, length: int) -> Tensor:
    """[B, H, length, D] that begins with `old`; the rest is not set."""
    new = old.new_empty((*old.shape[:2], length, old.shape[-1]))
    new[..., : old.shape[-2], :] = old
    return new


def with_room(cache: Any) -> Any:
    """The cache, with room in every layer that grows without end; other kinds of layers stay as they are."""
    if type(cache) is DynamicCache:
        cache.layers = [
            RoomyLayer(layer.keys, layer.values)
            if type(layer) is DynamicLayer and layer.keys is not None and layer.values is not None
            else layer
            for layer in cache.layers
        ]
    return cache
