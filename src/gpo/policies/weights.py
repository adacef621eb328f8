"""Weights of a causal language model, every one from its checkpoint: none left at random, none left out.

transformers fills what a checkpoint lacks with random numbers and passes over what has no place in the model.
Here both are refused, as are shapes that differ and numbers that are not finite.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from gpo.policies import gguf
from gpo.policies.folders import shard_of
from gpo.types import DataWarning, InputError

_LOGGER = "transformers.modeling_utils"
_BESIDE = re.compile(
    r"(^|\.)(mtp\w*|nextn\w*|v_head|value_head|visual|vision_\w+|multi_modal_projector)(\.|$)"
    r"|\.(attn|attention)\.(masked_)?bias$|\.inv_freq$|(^|\.)position_ids$"
)
"""Weights that next-token logits never go through: further predictions, a value head, eyes, old buffers."""
_HEADS = re.compile(r"^(score|classifier|classification_head|qa_outputs|reward_head|regression_head)\.")
_SHOWN = 3
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
RESTORE = "the weights are broken; restore or download them again"


def load_weights(source: str, **arguments: Any) -> Any:
    """The model of a folder or hub name; InputError if its weights are not those of the checkpoint."""
    build: Any = AutoModelForCausalLM.from_pretrained
    build = partial(gguf.from_pretrained, build) if gguf.is_gguf(source) else build
    with _without_report():
        model, info = build(source, output_loading_info=True, ignore_mismatched_sizes=True, **arguments)
    _check_missing(source, info["missing_keys"])
    _check_shapes(source, info["mismatched_keys"])
    _check_unexpected(source, info["unexpected_keys"], model)
    if gguf.is_gguf(source):
        gguf.finish(source, model)
    return model


def num_tokens(model: Any) -> int:
    """Token ids that the model has an embedding for: those below this number."""
    return int(model.get_input_embeddings().weight.shape[0])


def check_finite(source: str, model: torch.nn.Module) -> None:
    """InputError that names the first parameter with nan or infinity in it."""
    for name, parameter in model.named_parameters():
        if parameter.dtype in FLOATS and not bool(torch.isfinite(parameter.detach()).all()):
            raise InputError(f"model {source!r}: {name} holds nan or infinity; {RESTORE}")


def _check_missing(source: str, keys: Iterable[str]) -> None:
    if not keys:
        return
    first = in_order(keys)[0]
    shard = shard_of(Path(source), first) if Path(source).is_dir() else None
    where = f" ({shard} should hold the first)" if shard else ""
    raise InputError(
        f"model {source!r}: the checkpoint lacks weights that its config.json asks for: "
        f"{listed(keys)}{where}; they would be random; restore the files or their config.json"
    )


def _check_shapes(source: str, keys: Iterable[tuple[str, Any, Any]]) -> None:
    for name, found, wanted in sorted(keys):
        raise InputError(
            f"model {source!r}: {name} has shape {list(found)} in the checkpoint and {list(wanted)} by its "
            "config.json; restore the config.json that belongs to the weights"
        )


def _check_unexpected(source: str, keys: Iterable[str], model: Any) -> None:
    unused = {key for key in keys if _BESIDE.search(key)}
    others = set(keys) - unused
    if heads := {key for key in others if _HEADS.search(key)}:
        raise InputError(
            f"model {source!r}: holds a head for another task ({listed(heads)}), so it was not trained to "
            "continue text; give a causal language model"
        )
    is_quantized = getattr(model, "hf_quantizer", None) is not None
    if others and not is_quantized:
        raise InputError(
            f"model {source!r}: the checkpoint holds weights that {type(model).__name__} has no place for: "
            f"{listed(others)}; config.json may be another model's or name fewer layers; restore the one "
            "that belongs to the weights"
        )
    if left := unused | others:
        warnings.warn(f"model {source!r}: not used: {listed(left)}", DataWarning, stacklevel=2)


def listed(keys: Iterable[str]) -> str:
    """The first keys, in the order of the layers, and how many more there are."""
    names = in_order(keys)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def in_order(keys: Iterable[str]) -> list[str]:
    """Sorted, with numbers as numbers."""
    return sorted(
        keys,
        key=lambda key: [
            (part.isdigit(), int(part) if part.isdigit() else 0, part) for part in key.split(".")
        ],
    )


@contextmanager
def _without_report() -> Iterator[None]:
    """Inside, transformers does not log its table of keys, which are told here in one line."""

    def is_other(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    logger = logging.getLogger(_LOGGER)
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
