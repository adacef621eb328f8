"""A fresh LoRA adapter on a model (arXiv 2106.09685)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from gpo.types import InputError, derive_seed


def with_lora(model: Any, *, rank: int, alpha: int, targets: Sequence[str], seed: int) -> Any:
    """The model with an adapter that changes nothing yet; its own weights are frozen.

    `targets` are names of modules, all linear ones but the head if there are none. InputError for a name
    that the model does not have, and for a model that has an adapter already.
    """
    if hasattr(model, "peft_config"):
        raise InputError("lora_rank: the model has an adapter already, which is trained; leave it out")
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules=list(targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    # PEFT draws the adapter's first weights from torch's own stream.
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT's own use of a name that changed
        torch.manual_seed(derive_seed(seed, "lora"))
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            raise InputError(f"lora_targets: {' '.join(str(error).split())[:200]}") from None
