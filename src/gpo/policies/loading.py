"""Load a causal language model, its tokenizer and an adapter; whatever is wrong with them is one line."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from gpo.policies.prompting import context_of, end_ids_of
from gpo.types import Ids, InputError

_GENERIC_TOKENIZERS = {"PreTrainedTokenizerFast", "TokenizersBackend"}


def load(
    name: str | Path,
    *,
    adapter: str | Path | None,
    trust_remote_code: bool,
    device: str | torch.device | None,
    dtype: str | torch.dtype | None,
) -> tuple[PreTrainedModel, Any]:
    """The model and tokenizer of a local folder or hub name; InputError in one line if they cannot be had.

    `device` None is the first GPU if there is one, `dtype` None the checkpoint's own.
    """
    source = _source("model", name)
    adapter_source = _source("adapter", adapter) if adapter is not None else None
    tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)
    with _one_line("model", source):
        model: Any = AutoModelForCausalLM.from_pretrained(
            source, trust_remote_code=trust_remote_code, dtype=dtype or "auto"
        )
    if adapter_source is not None:
        model = _load_adapter(model, adapter_source)
    return _placed(model, device), tokenizer


def _placed(model: Any, device: str | torch.device | None) -> PreTrainedModel:
    try:
        return cast(PreTrainedModel, model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {str(device)!r} cannot be used: {str(error).splitlines()[0]}; gpo doctor lists the "
            "devices"
        ) from error


def load_tokenizer(name: str | Path, *, trust_remote_code: bool) -> Any:
    """The tokenizer of a local folder or hub name, by the class it was saved with.

    What was saved as the generic fast class is wholly described by its tokenizer.json. AutoTokenizer
    prefers the class registered for the model type, and for some (Qwen2) that class splits by rules of
    its own, so that characters are dropped without a word.
    """
    source = _source("model", name)
    with _one_line("tokenizer of", source):
        if get_tokenizer_config(source).get("tokenizer_class") in _GENERIC_TOKENIZERS:
            return PreTrainedTokenizerFast.from_pretrained(source)
        return AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)


def _load_adapter(model: PreTrainedModel, source: str) -> PreTrainedModel:
    """The model with a PEFT adapter whose weights can be trained further; the model's own are frozen.

    PEFT loads no adapter that prepends virtual tokens this way, which is as well: they would be prepended
    again at every read.
    """
    from peft import PeftModel

    with _one_line("adapter", source), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT's own use of a name that changed
        return cast(PreTrainedModel, PeftModel.from_pretrained(model, source, is_trainable=True))


def _source(what: str, name: str | Path) -> str:
    """The folder, or a name for the hub; InputError for what can only be a path and is no folder.

    A training run and its checkpoints hold theirs in a folder `model`.
    """
    path, text = Path(name).expanduser(), str(name)
    if path.is_dir():
        config = "config.json" if what == "model" else "adapter_config.json"
        is_run = not (path / config).exists() and (path / "model" / config).is_file()
        return str(path / "model" if is_run else path)
    if path.exists():
        raise InputError(f"{what} path {text!r} is a file; give the folder that holds it")
    if isinstance(name, Path) or text.startswith(("/", ".", "~")) or text.count("/") > 1:
        raise InputError(
            f"{what} path {text!r} does not exist; give a folder, or a hub name without a dot or slash "
            "in front"
        )
    return text


@contextmanager
def _one_line(what: str, source: str) -> Iterator[None]:
    """Turns a library's refusal of many lines into one that says what was tried."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError, StrictDataclassError) as error:
        where = "local folder" if Path(source).is_dir() else "no local folder, tried as a name on the hub"
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        if "trust_remote_code" in str(error):
            reason = "it brings code of its own; read that, then allow it with trust_remote_code"
        todo = (
            "mend or replace its files" if Path(source).is_dir() else "give a folder, or a name the hub has"
        )
        raise InputError(f"{what} {source!r} ({where}) cannot be loaded: {reason}; {todo}") from error


def load_description(name: str | Path, *, trust_remote_code: bool) -> tuple[Any, Ids, int | None]:
    """Tokenizer, end tokens and context of a local folder or hub name, without its weights."""
    source = _source("model", name)
    tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)
    with _one_line("model", source):
        config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
        try:
            generation: Any = GenerationConfig.from_pretrained(source)
        except OSError:  # many models have none; transformers then makes it of the model's own config
            generation = config.get_text_config()
    return tokenizer, end_ids_of(generation, tokenizer), context_of(config)
