"""A new LoRA adapter for a model: its own weights are frozen, and are the reference with the adapter off."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from gpo.types import InputError


def new_adapter(model: Any, rank: int, alpha: float | None, targets: Sequence[str], seed: int) -> Any:
    """The model with a LoRA adapter (arXiv 2106.09685) of its linear modules, which at first changes nothing.

    `targets` are names of modules, all linear ones but the head if empty; `alpha` is twice the rank by
    default. InputError for a target that the model does not have, and for a model with an adapter already.
    """
    from peft import LoraConfig, get_peft_model

    if hasattr(model, "peft_config"):
        raise InputError("lora_rank: the model has an adapter already, which is trained; leave it out")
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,  # type: ignore[arg-type] # scales fine as a float
        target_modules=list(targets) or "all-linear",
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of peft's own making
        torch.manual_seed(seed)
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            raise InputError(f"lora_targets: {' '.join(str(error).split())[:200]}") from None
