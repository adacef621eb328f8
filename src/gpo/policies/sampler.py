"""One draw from the next-token distribution for every row of a batch.

Each row has its own stream of uniforms, made by a counter-based generator from the request's seed and
the row's number, and a uniform is turned into a token by inverting the cumulative distribution. A row
therefore draws the same tokens whatever else is in the batch, up to the rounding of the model's logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gpo.seeds import derive_seed
from gpo.types import InputError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is drawn. `temperature` 0 is greedy; `top_p` 1 and `top_k` 0 cut nothing."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise InputError(f"temperature is {self.temperature}; give 0 (greedy) or a positive number")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}; give a number above 0, at most 1 (keeps every token)")
        if self.top_k < 0:
            raise InputError(f"top_k is {self.top_k}; give 0 (keeps every token) or a positive number")


def uniforms(seed: int, row: int, num: int) -> NDArray[np.float64]:
    """[num] in [0, 1) of the stream that (seed, row) names; a longer one begins with a shorter one."""
    return np.random.Generator(np.random.Philox(key=derive_seed("row", seed, row))).random(num)


def draw(logits_BV: Tensor, uniform_B: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids [B], their log-probabilities [B] and the distributions' entropies [B], both float32 in nats.

    Log-probabilities and entropies are at the sampling temperature (at 1 if it is 0) before any top-k
    or top-p cut: what a learner recomputes from a forward pass. A row whose logits are not finite gets
    nan as its log-probability.
    """
    logits_BV = logits_BV.float()
    if sampling.temperature not in (0, 1):
        logits_BV = logits_BV / sampling.temperature
    logprobs_BV = logits_BV.log_softmax(-1)
    probs_BV = logprobs_BV.exp()
    ids_B = logits_BV.argmax(-1) if sampling.temperature == 0 else invert(cut(probs_BV, sampling), uniform_B)
    # The bound makes 0 x ln 0 a 0, for tokens that the model rules out.
    entropies_B = -(probs_BV * logprobs_BV.clamp(min=torch.finfo(torch.float32).min)).sum(-1)
    return ids_B, logprobs_BV.gather(-1, ids_B[:, None])[:, 0], entropies_B


def cut(probs_BV: Tensor, sampling: Sampling) -> Tensor:
    """[B, V] with 0 for all but the `top_k` likeliest tokens, and of these the fewest that hold `top_p`.

    The sums are not 1 any more. Tokens as likely as the last one that is kept are kept too.
    """
    if 0 < sampling.top_k < probs_BV.shape[-1]:
        floor_B1 = probs_BV.topk(sampling.top_k).values[:, -1:]
        probs_BV = probs_BV.masked_fill(probs_BV < floor_B1, 0)
    if sampling.top_p < 1:
        ranked_BV = probs_BV.sort(descending=True).values
        likelier_BV = ranked_BV.cumsum(-1) - ranked_BV
        num_kept_B1 = (likelier_BV < sampling.top_p * ranked_BV.sum(-1, keepdim=True)).sum(-1, keepdim=True)
        floor_B1 = ranked_BV.gather(-1, num_kept_B1.clamp(min=1) - 1)
        probs_BV = probs_BV.masked_fill(probs_BV < floor_B1, 0)
    return probs_BV


def invert(weights_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """[B] the first token whose cumulated weight exceeds `uniform` times the sum; never one of weight 0.

    Blocks of about the square root of V are summed first, and only the one that is hit is cumulated: one
    pass over a large vocabulary, in float64, so that its tail is not rounded away.
    """
    size = math.isqrt(weights_BV.shape[-1] - 1) + 1
    padded_BV = F.pad(weights_BV, (0, -weights_BV.shape[-1] % size))
    blocks_BKC = padded_BV.view(len(padded_BV), -1, size)
    sums_BK = blocks_BKC.sum(-1, dtype=torch.float64)
    block_B, rest_B = _first_above(sums_BK, uniform_B * sums_BK.sum(-1))
    rows_B = torch.arange(len(block_B), device=block_B.device)
    offset_B, _ = _first_above(blocks_BKC[rows_B, block_B].double(), rest_B)
    return block_B * size + offset_B


def _first_above(weights_BK: Tensor, target_B: Tensor) -> tuple[Tensor, Tensor]:
    """The first place of positive weight where the cumulated sum exceeds the target, and what is left there.

    A parallel cumulated sum may fall by a rounding error where the weight is 0, and a target may round
    up to the total: the first is hidden, the second lowered by the least there is.
    """
    total_BK = weights_BK.cumsum(-1)
    reachable_BK = total_BK.masked_fill(weights_BK <= 0, -torch.inf)
    last_B = reachable_BK.amax(-1)
    target_B = torch.minimum(target_B, last_B.nextafter(torch.full_like(last_B, -torch.inf)))
    place_B1 = (reachable_BK > target_B[:, None]).to(torch.uint8).argmax(-1, keepdim=True)
    before_B1 = total_BK.gather(-1, place_B1) - weights_BK.gather(-1, place_B1)
    return place_B1[:, 0], target_B - before_B1[:, 0]
