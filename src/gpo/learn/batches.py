"""Sequences of different lengths to batches with little padding: the fewest that keep it under a share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_PADDING_FRAC = 0.1
_EVENNESS = 1e-3
"""What a batch of all tokens costs more, in its own tokens: breaks ties, and shares work out evenly."""


def buckets(
    lengths: Sequence[int], max_tokens: int, *, num_min: int = 1, max_padding: float = MAX_PADDING_FRAC
) -> list[list[int]]:
    """Indices of each batch, longest sequences first: as few as possible, padding under `max_padding`.

    Rows times longest length is at most `max_tokens`, but a batch has at least one row. `num_min` asks for
    more batches than needed, as far as there are rows. Of all cuts of the sorted lengths into so many
    batches it is the one with the least padding, and of equals the most even one.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    sorted_N = np.asarray(lengths)[order]
    best, cuts = np.full(len(sorted_N) + 1, np.inf), []
    best[0] = 0.0
    num_rows = np.arange(len(sorted_N) + 1)[None, :] - np.arange(len(sorted_N))[:, None]
    area = num_rows * sorted_N[:, None].astype(float)  # [i, j] is that of one batch of the rows i to j
    area[(num_rows < 1) | ((area > max_tokens) & (num_rows > 1))] = np.inf
    area *= 1 + _EVENNESS * area / max(1, sorted_N.sum())
    for num in range(1, len(sorted_N) + 1):
        total = best[:-1, None] + area
        cuts.append(total.argmin(0))
        best = np.concatenate(([np.inf], total.min(0)[1:]))
        if num >= min(num_min, len(sorted_N)) and padding_frac(int(sorted_N.sum()), best[-1]) < max_padding:
            break
    parts, end = [], len(sorted_N)
    for cut in reversed(cuts):
        parts.append(order[cut[end] : end].tolist())
        end = int(cut[end])
    return parts[::-1]


def padding_frac(num_tokens: int, area: float) -> float:
    """Share of a batch's places that hold no token; 0 for nothing."""
    return 1 - num_tokens / area if area else 0.0
