"""Short hashes of what a model's values depend on, so that curves of different models are never mixed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch

_PROBES = 64
"""Weights of each tensor that are hashed: an update touches all of them."""


def text_digest(*parts: Any) -> str:
    """A short hash of anything that JSON can write."""
    return hashlib.blake2b(json.dumps(parts, default=str).encode(), digest_size=8).hexdigest()


def vocabulary_digest(tokenizer: Any) -> str:
    """Of the tokens and their ids, special ones too."""
    return text_digest(sorted(tokenizer.get_vocab().items()), sorted(map(str, tokenizer.all_special_tokens)))


def weights_digest(model: torch.nn.Module) -> str:
    """Of evenly spread weights of every tensor: cheap for any size, different after any update."""
    sums = hashlib.blake2b(digest_size=8)
    for name, weights in model.named_parameters():
        flat = weights.detach().reshape(-1)
        probes = flat[:: max(1, len(flat) // _PROBES)][:_PROBES]
        sums.update(name.encode() + str(tuple(weights.shape)).encode())
        sums.update(probes.float().cpu().numpy().tobytes())
    return sums.hexdigest()
