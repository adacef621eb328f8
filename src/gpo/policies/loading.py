"""Load a causal language model, its tokenizer and an adapter; whatever is wrong with them is one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError  # what torch raises where a file asks for more than tensors
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from gpo.policies import gguf
from gpo.policies.adapters import load_adapter
from gpo.policies.folders import check_adapter_folder, check_model_folder
from gpo.policies.weights import check_finite, load_weights, num_tokens
from gpo.types import InputError

_DAMAGED = (SafetensorError, StrictDataclassError, EOFError, KeyError, RecursionError)
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
    source = checked_source("model", name)
    adapter_source = checked_source("adapter", adapter) if adapter is not None else None
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_device(place)
    tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)
    with one_line("model", source):
        model = load_weights(source, trust_remote_code=trust_remote_code, dtype=dtype or "auto")
    check_vocabulary(source, tokenizer, num_tokens(model))
    if adapter_source is not None:
        with one_line("adapter", adapter_source):
            model = load_adapter(model, adapter_source)
    model = model.to(place)
    check_finite(source, model)
    return model, tokenizer


def check_files(name: str | Path, adapters: Iterable[str | Path], *, trust_remote_code: bool) -> None:
    """The same checks for an engine that loads the weights itself; no number of a weight is read."""
    source = checked_source("model", name)
    if gguf.is_gguf(source):
        raise InputError(
            f"model {source!r}: --engine vllm reads no GGUF; use --engine transformers, or the folder of the "
            "original model"
        )
    sources = [checked_source("adapter", adapter) for adapter in adapters]
    for adapter in [None, *sources]:
        with one_line("model" if adapter is None else "adapter", adapter or source):
            model = load_weights(source, trust_remote_code=trust_remote_code, device_map="meta")
            if adapter is not None:
                load_adapter(model, adapter)


def check_vocabulary(source: str, tokenizer: Any, num_rows: int) -> None:
    """InputError for a tokenizer of another model: it has tokens of text that the embedding has no row for.

    Tokens that were added to a tokenizer later, such as one for padding, may lie beyond: only what uses
    them is refused.
    """
    added = tokenizer.get_added_vocab()
    beyond = [token for token, id in tokenizer.get_vocab().items() if id >= num_rows and token not in added]
    if beyond:
        raise InputError(
            f"model {source!r}: its tokenizer has {len(beyond)} tokens beyond the {num_rows} that the model "
            f"knows, such as {beyond[0]!r}; restore the tokenizer that belongs to the model"
        )


def check_device(device: str | torch.device) -> None:
    """InputError for a device that torch does not know, or that is not here."""
    try:
        torch.empty(1).to(device)
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
    source = source_of("model", name)
    with one_line("tokenizer of", source):
        if gguf.is_gguf(source):
            return gguf.load_tokenizer(Path(source))
        if get_tokenizer_config(source).get("tokenizer_class") in _GENERIC_TOKENIZERS:
            return PreTrainedTokenizerFast.from_pretrained(source)
        return AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)


def load_config(source: str, *, trust_remote_code: bool) -> tuple[Any, Any]:
    """The config and generation config of a model; InputError if they cannot be had."""
    with one_line("model", source):
        if gguf.is_gguf(source):
            return gguf.load_config(Path(source))
        config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
        try:
            return config, GenerationConfig.from_pretrained(source)
        except OSError:  # many models have none; transformers then makes it of the model's own config
            return config, GenerationConfig.from_pretrained(source, "config.json", _from_model_config=True)


def checked_source(what: str, name: str | Path) -> str:
    """As `source_of`, with the files of a local folder looked at."""
    source = source_of(what, name)
    if gguf.is_gguf(source):
        gguf.checked(source)
    elif Path(source).is_dir():
        (check_model_folder if what == "model" else check_adapter_folder)(Path(source))
    return source


def source_of(what: str, name: str | Path) -> str:
    """The folder or GGUF file, or a name for the hub; InputError for what can only be a path and is neither.

    A training run and its checkpoints hold theirs in a folder `model`.
    """
    path, text = Path(name).expanduser(), str(name)
    if path.is_dir():
        config = "config.json" if what == "model" else "adapter_config.json"
        is_run = not (path / config).exists() and (path / "model" / config).is_file()
        file = gguf.only_gguf(path) if what == "model" and not is_run else None
        return str(path / "model" if is_run else file or path)
    if what == "model" and gguf.is_gguf(path):
        return str(path)
    if path.exists():
        raise InputError(f"{what} path {text!r} is a file; give the folder that holds it, or a .gguf file")
    if isinstance(name, Path) or _is_path(text):
        raise InputError(f"{what} path {text!r} does not exist; correct it, or give a name on the hub")
    return text


def _is_path(text: str) -> bool:
    """Whether this cannot be a name on the hub, which is a word or OWNER/NAME."""
    is_file = Path(text).suffix.lower() in (".gguf", ".safetensors", ".bin")
    return is_file or text.startswith(("/", ".", "~")) or text.endswith("/") or text.count("/") > 1


@contextmanager
def one_line(what: str, source: str) -> Iterator[None]:
    """Turns a library's refusal of many lines into one that says what was tried."""
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, ImportError, UnpicklingError, *_DAMAGED) as error:
        is_local = Path(source).exists()
        kind = "file" if Path(source).is_file() else "folder"
        where = f"local {kind}" if is_local else "no local folder, tried as a name on the hub"
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        if "trust_remote_code" in str(error):
            reason = "it brings code of its own; read that, then allow it with trust_remote_code"
        todo = "replace the files that are damaged" if is_local else "give a folder, or a name the hub has"
        raise InputError(f"{what} {source!r} ({where}) cannot be loaded: {reason}; {todo}") from error
