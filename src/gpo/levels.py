"""The levels that a value may have, and how far it diffuses between them across a step."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from gpo.curve import Floats

NUM_LEVELS = 25
LEVELS: Floats = np.sin(np.linspace(0, np.pi / 2, NUM_LEVELS)) ** 2
"""[K] denser towards 0 and 1, where a rate is known more finely."""
CHANGES: Floats = LEVELS[None, :] - LEVELS[:, None]
"""[K, K] the effect of a step from level a to level b."""
CELLS: Floats = np.gradient(LEVELS)
"""[K] the span of values that a level stands for."""
LOG_LEVELS = np.log(np.clip(LEVELS, 1e-9, 1))
LOG_MISSES = np.log(np.clip(1 - LEVELS, 1e-9, 1))
"""[K] of a success and of a failure, at each level."""


@lru_cache(maxsize=1024)
def diffusion(drift: float) -> Floats:
    """[K, K] transition of a diffusion with this standard deviation, held back at 0 and 1.

    A birth-death process with the exact local variance, run for one step by scaling and squaring.
    """
    gaps = np.diff(LEVELS)
    rates = np.zeros((NUM_LEVELS, NUM_LEVELS))
    for k in range(NUM_LEVELS):
        up = gaps[min(k, NUM_LEVELS - 2)]
        down = gaps[max(k - 1, 0)]
        if k + 1 < NUM_LEVELS:
            rates[k, k + 1] = drift**2 / (up * (up + down))
        if k > 0:
            rates[k, k - 1] = drift**2 / (down * (up + down))
    rates -= np.diag(rates.sum(1))
    squarings = max(0, math.ceil(math.log2(max(1e-9, -rates.min())))) + 5
    return np.asarray(np.linalg.matrix_power(np.eye(NUM_LEVELS) + rates / 2**squarings, 2**squarings))


def inverted(weights_MK: Floats, uniform_M: Floats) -> npt.NDArray[np.int64]:
    """[M] a column of each row, drawn in proportion to its weight."""
    totals_MK = np.cumsum(weights_MK, axis=1)
    picked = (totals_MK < (uniform_M * totals_MK[:, -1])[:, None]).sum(1)
    return np.asarray(np.minimum(picked, weights_MK.shape[1] - 1), np.int64)
