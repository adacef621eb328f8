"""A PEFT adapter on a model, every weight of it in its place: what does not fit is refused by name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NoReturn

import torch
from transformers import PreTrainedModel

from gpo.policies.weights import FLOATS, RESTORE, listed
from gpo.types import DataWarning, InputError

_NAME = "default"
_SHARED = ("vblora_vector_bank", ".tinylora_v.", ".unilora_theta_d.")
"""Weights that stand once in the file and in several places of the model."""


def load_adapter(model: PreTrainedModel, source: str) -> Any:
    """The model with a PEFT adapter whose weights can be trained further; the model's own are frozen.

    InputError if the adapter prepends virtual tokens, which would be prepended again at every read, names
    modules that the model lacks, or has a weight that is missing, without a place, of another shape or not
    finite; the model may be one of shapes alone. A DataWarning says where it names another base model.
    """
    from peft import MODEL_TYPE_TO_PEFT_MODEL_MAPPING, PeftConfig, PeftModel, load_peft_weights

    config: Any = PeftConfig.from_pretrained(source)
    if config.is_prompt_learning:
        raise InputError(
            f"adapter {source!r} cannot be loaded: {config.peft_type.value} is prompt learning, which adds "
            "tokens that no text has; give a LoRA adapter"
        )
    _note_other_base(model, config.base_model_name_or_path, source)
    config.inference_mode = False
    kind = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(config.task_type, PeftModel)
    mapping = getattr(model, "_checkpoint_conversion_mapping", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT's own use of a name that changed
        warnings.filterwarnings("ignore", ".*meta parameter in the current model")  # where only names count
        adapted = kind(model, config, _NAME)
        try:
            result = adapted.load_adapter(source, _NAME, is_trainable=True, key_mapping=mapping)
        except KeyError as error:  # a module that is saved whole, and is not in the file
            _refuse_missing(source, [str(error.args[0])])
    if missing := [key for key in result.missing_keys if not any(name in key for name in _SHARED)]:
        _refuse_missing(source, missing)
    if result.unexpected_keys:
        raise InputError(
            f"adapter {source!r}: holds weights that {type(model).__name__} or its adapter_config.json has "
            f"no place for: {listed(map(_bare, result.unexpected_keys))}; it belongs to another model "
            f"(base_model_name_or_path: {config.base_model_name_or_path}); give that one with --model"
        )
    for key, weight in load_peft_weights(source, device="cpu").items():
        if weight.dtype in FLOATS and not bool(torch.isfinite(weight).all()):
            raise InputError(f"adapter {source!r}: {key} holds nan or infinity; {RESTORE}")
    return adapted


def _refuse_missing(source: str, keys: list[str]) -> NoReturn:
    raise InputError(
        f"adapter {source!r}: lacks weights that its adapter_config.json asks for: "
        f"{listed(map(_bare, keys))}; they would stay untrained; restore its files or name its model"
    )


def _bare(key: str) -> str:
    """The key as the file has it: without the name that PEFT puts into it."""
    return key.replace(f".{_NAME}.", ".").removesuffix(f".{_NAME}")


def _note_other_base(model: PreTrainedModel, base: str | None, source: str) -> None:
    """A DataWarning if the adapter was made for a model of another name; folders may well have moved."""
    name = str(getattr(model.config, "_name_or_path", ""))
    if base and name and Path(base).name.lower() not in (Path(name).name.lower(), "model"):
        warnings.warn(
            f"adapter {source!r} names {base!r} as its base model, and is loaded onto {name!r}; its weights "
            "fit by name and shape only",
            DataWarning,
            stacklevel=2,
        )
