"""Continue rows of token ids with a causal language model: plan the batches; draw, feed, drop what ended.

No step of the loop looks at a row from Python: what is drawn goes into tensors on the device, and every
few tokens one look closes the rows that have ended in between and cuts off what they drew too much.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from gpo.policies.reader import Reader
from gpo.policies.sampler import Sampling, draw, uniforms
from gpo.protocols import Tokenizer
from gpo.rope import side, switch_of
from gpo.types import Ids, Sample

_STRIDE = 8
"""Tokens between two checks for ended rows; a check waits for the device."""
_DENSE_FRAC = 0.75
"""Ended rows are dropped when at most this fraction of the batch is open: dropping copies the cache."""


@dataclass(frozen=True, slots=True)
class Row:
    """A continuation to sample: the ids it starts from [L >= 1], a limit of new tokens >= 1, its stream."""

    ids: Ids
    num_new: int
    seed: int
    index: int


@dataclass(frozen=True, slots=True)
class Ending:
    """What ends a row by itself: one of `token_ids`, or sampled text that contains one of `strings`."""

    token_ids: Ids
    strings: tuple[str, ...]
    tokenizer: Tokenizer

    @property
    def window(self) -> int:
        """Most tokens that the longest string can have before its last one, as a token is at least a byte."""
        return max((len(string.encode()) for string in self.strings), default=0)

    def places(self, tokens_BT: NDArray[np.int64], start: int) -> NDArray[np.int64]:
        """[B] how many columns it takes up to the first end in column `start` or later; 0: none."""
        is_end_BT = np.isin(tokens_BT[:, start:], self.token_ids)
        place_B = np.where(is_end_BT.any(1), start + 1 + is_end_BT.argmax(1), 0)
        if self.strings:
            for row, place in enumerate(place_B):
                place_B[row] = self._string_place(tokens_BT[row, : place or None].tolist(), start) or place
        return place_B

    def _string_place(self, ids: list[int], start: int) -> int:
        def has_string(stop: int) -> bool:
            text = self.tokenizer.decode(ids[:stop])
            return any(string in text for string in self.strings)

        if not has_string(len(ids)):
            return 0
        return next(stop for stop in range(start + 1, len(ids) + 1) if has_string(stop))


def batches(rows: Sequence[Row], batch_tokens: int, switch: int | None = None) -> Iterator[list[int]]:
    """Indices into `rows`, longest first, so that rows x (longest start + longest limit) <= batch_tokens.

    Rows with equal ids stay together, to share their prefill, unless they alone exceed the bound. A
    batch has at least one row. Rows that a model reads with other rotary frequencies (past `switch`
    tokens), or comes to in another step, are in other batches.
    """
    sides: dict[Any, list[int]] = {}
    for k, row in enumerate(rows):
        sides.setdefault(side(len(row.ids), row.num_new, switch), []).append(k)
    for chosen in sides.values():
        for batch in _batches([rows[k] for k in chosen], batch_tokens):
            yield [chosen[k] for k in batch]


def _batches(rows: Sequence[Row], batch_tokens: int) -> Iterator[list[int]]:

    def capacity(batch: list[int]) -> int:
        width = max(len(rows[k].ids) for k in batch) + max(rows[k].num_new for k in batch)
        return max(1, batch_tokens // width)

    states: dict[Ids, list[int]] = {}
    for k, row in enumerate(rows):
        states.setdefault(row.ids, []).append(k)
    batch: list[int] = []
    for state in sorted(states.values(), key=lambda state: -len(rows[state[0]].ids)):
        if batch and len(batch) + len(state) > capacity(batch + state):
            yield batch
            batch = []
        batch = batch + state
        while len(batch) > (size := capacity(batch)):
            yield batch[:size]
            batch = batch[size:]
    if batch:
        yield batch


class StoppedError(Exception):
    """Somebody asked for the decoding to stop."""


def decode(
    model: PreTrainedModel,
    rows: Sequence[Row],
    sampling: Sampling,
    ending: Ending,
    context: int | None,
    stop: threading.Event | None = None,
    count: Callable[[int], None] = lambda _: None,
) -> list[Sample]:
    """One sample for each row, in order; the model is expected in evaluation mode, without gradients.

    StoppedError at the next token once `stop` is set. `count` is told of every few tokens as they are drawn.
    """
    prompts = {ids: k for k, ids in enumerate(dict.fromkeys(row.ids for row in rows))}
    switch = switch_of(model.config)
    if switch is not None and not side(len(rows[0].ids), rows[0].num_new, switch)[0]:
        context, switch = switch, None  # rows that have ended run on, but not past the switch
    reader = Reader(model, list(prompts), max(row.num_new for row in rows), context, switch)
    if len(prompts) < len(rows):
        reader.select(np.array([prompts[row.ids] for row in rows]))
    sheet = _Sheet(rows, model.device)
    while True:
        ids_B = sheet.draw(reader.logits_BV, sampling)
        if sheet.num_drawn == sheet.next_look:
            before, open_B = sheet.num_tokens, sheet.look(ending)
            count(sheet.num_tokens - before)
            if not open_B.any():
                return sheet.samples()
            if open_B.mean() <= _DENSE_FRAC:
                keep = np.flatnonzero(open_B)
                reader.select(keep)
                ids_B = sheet.keep(keep, ids_B)
        if stop is not None and stop.is_set():
            raise StoppedError
        reader.feed(ids_B)


class _Sheet:
    """What was drawn, a line [T] for each row, and which of the lines are in the running batch."""

    def __init__(self, rows: Sequence[Row], device: torch.device) -> None:
        self._limits = np.array([row.num_new for row in rows])
        shape = len(rows), int(self._limits.max())
        uniforms_BT = np.zeros(shape)
        for line, row in zip(uniforms_BT, rows, strict=True):
            line[: row.num_new] = uniforms(row.seed, row.index, row.num_new)
        self._uniforms_BT = torch.from_numpy(uniforms_BT).to(device)
        self._tokens_BT = torch.zeros(shape, dtype=torch.long, device=device)
        self._logprobs_BT, self._entropies_BT = (torch.zeros(shape, device=device) for _ in range(2))
        self._lengths = np.zeros(len(rows), dtype=np.int64)  # 0 while open
        self._is_finished = np.zeros(len(rows), dtype=bool)
        self.num_drawn = self._num_looked = self.num_tokens = 0
        self._running = np.arange(len(rows))
        self._lines = torch.from_numpy(self._running).to(device)
        self.next_look = self._next_look()

    def _next_look(self) -> int:
        open_limits = self._limits[self._lengths == 0]
        return min(self._num_looked + _STRIDE, int(open_limits.min(initial=self._limits.max())))

    def draw(self, logits_BV: Tensor, sampling: Sampling) -> Tensor:
        """[B] the next token of every running row, written down with its log-probability and entropy."""
        place = self._lines, self.num_drawn
        ids_B, logprobs_B, entropies_B = draw(logits_BV, self._uniforms_BT[place], sampling)
        self._tokens_BT[place] = ids_B
        self._logprobs_BT[place] = logprobs_B
        self._entropies_BT[place] = entropies_B
        self.num_drawn += 1
        return ids_B

    def look(self, ending: Ending) -> NDArray[np.bool_]:
        """[B] which running rows are still open, after closing those that ended or are at their limit."""
        lines = np.flatnonzero(self._lengths == 0)
        first = max(0, self._num_looked - ending.window)
        tokens_BT = self._tokens_BT[torch.from_numpy(lines), first : self.num_drawn].cpu().numpy()
        places = ending.places(tokens_BT, self._num_looked - first)
        self._is_finished[lines] = places > 0
        self._lengths[lines] = np.where(places > 0, first + places, 0)
        is_cut = (self._lengths == 0) & (self._limits == self.num_drawn)
        self._lengths[is_cut] = self.num_drawn
        self._num_looked = self.num_drawn
        self.num_tokens = int(np.where(self._lengths > 0, self._lengths, self.num_drawn).sum())
        self.next_look = self._next_look()
        return np.asarray(self._lengths[self._running] == 0)

    def keep(self, rows: NDArray[np.int64], ids_B: Tensor) -> Tensor:
        """[B] `ids_B` of these rows of the running batch, which are the running batch from now on."""
        index = torch.from_numpy(rows).to(ids_B.device)
        self._running, self._lines = self._running[rows], self._lines[index]
        return ids_B[index]

    def samples(self) -> list[Sample]:
        """A sample for each line; FloatingPointError if the model's logits were not finite."""
        columns = [tensor.cpu() for tensor in (self._tokens_BT, self._logprobs_BT, self._entropies_BT)]
        samples = []
        for line, (length, is_finished) in enumerate(zip(self._lengths, self._is_finished, strict=True)):
            ids, logprobs, entropies = (tuple(column[line, :length].tolist()) for column in columns)
            if not math.isfinite(sum(logprobs)):
                raise FloatingPointError("the model's logits are not finite; its weights are broken")
            samples.append(Sample(ids, logprobs, entropies, bool(is_finished)))
        return samples
