"""Short hashes of what a model's values depend on, so that curves of different models are never mixed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gpo.seeds import json_digest

_WEIGHTS = (".safetensors", ".bin")
_FILE_PROBES = 4096
_PROBES = 64
"""Weights of each tensor that are hashed: an update touches all of them."""


def vocabulary_digest(tokenizer: Any) -> str:
    """Digest of the tokens and their ids, special ones too."""
    return json_digest([tokenizer.get_vocab(), sorted(map(str, tokenizer.all_special_tokens))])


def template_digest(
    chat_template: str | None, system_prompt: str | None, template_args: Mapping[str, Any]
) -> str:
    """Digest of all that turns a question into a prompt."""
    return json_digest([chat_template, system_prompt, dict(template_args)])


def weights_digest(model: torch.nn.Module) -> str:
    """Digest of evenly spread weights of every tensor: cheap for any size, different after any update."""
    sums = hashlib.blake2b(digest_size=8)
    for name, weights in model.named_parameters():
        flat = weights.detach().reshape(-1)
        probes = flat[:: max(1, len(flat) // _PROBES)][:_PROBES]
        sums.update(name.encode() + str(tuple(weights.shape)).encode())
        sums.update(probes.float().cpu().numpy().tobytes())
    return sums.hexdigest()


def files_digest(name: str | Path) -> str:
    """Digest of evenly spread bytes of a local folder's weight files; a hub name is its own digest."""
    files = sorted(path for suffix in _WEIGHTS for path in Path(name).glob(f"*{suffix}"))
    if not files:
        return str(name)
    sums = hashlib.blake2b(digest_size=8)
    for path in files:
        size = path.stat().st_size
        sums.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for place in range(_FILE_PROBES):
                file.seek(place * size // _FILE_PROBES)
                sums.update(file.read(_PROBES))
    return sums.hexdigest()
