"""A model in one GGUF file, as transformers reads it, with nothing of it lost.

transformers unpacks the weights to float32, and passes in silence over what it has no name for: other rotary
frequencies, a window, the vocabulary's own way to split text. Whatever would be lost is refused here, and
before the weights load where the header tells.
"""

from __future__ import annotations

import os
import re
from copy import deepcopy
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from tokenizers import pre_tokenizers
from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerFast

from gpo.policies.folders import check_task, check_weight_file
from gpo.policies.gguf_header import MAGIC, Header, read_header
from gpo.types import InputError

_ADVICE = "give the folder of the original model, or serve the file with llama.cpp and use --engine server"
_DIGITS = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
"""Vocabularies of llama.cpp whose text is split at every digit, and then as GPT-2's is."""
_GPT2 = {"gpt-2", "mpt", "olmo", "jais", "trillion"}
_ENDS = ("eos", "eot", "eom")
"""Tokens that end a turn, a message or a text."""
_FACTORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
_AGREEING = ("attention.sliding_window", "attn_logit_softcapping", "final_logit_softcapping")


def is_gguf(source: str | Path) -> bool:
    """Whether this is a local file of that name; what is in it is another question."""
    return Path(source).suffix.lower() == ".gguf" and Path(source).is_file()


def only_gguf(folder: Path) -> Path | None:
    """The one GGUF file of a folder that holds no other weights; InputError if it holds several."""
    files = sorted(path for path in folder.iterdir() if is_gguf(path))
    if not files or any(path.suffix in (".safetensors", ".bin", ".json") for path in folder.glob("*model*")):
        return None
    if len(files) > 1:
        names = ", ".join(path.name for path in files[:3])
        raise InputError(f"model {str(folder)!r}: holds {len(files)} GGUF files ({names}); give one of them")
    return files[0]


def checked(path: str | Path) -> Header:
    """The header of a file that transformers reads whole; InputError, in one line, for any other."""
    check_weight_file(Path(path))
    return _checked(Path(path), *_state(path))


def _state(path: str | Path) -> tuple[int, int]:
    about = os.stat(path)
    return about.st_size, about.st_mtime_ns


@lru_cache(maxsize=8)
def _checked(path: Path, size: int, _: int) -> Header:
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            _refuse(path, "it is not a GGUF file; download it again")
    try:
        header = read_header(path)
    except ValueError as error:
        _refuse(path, f"{error}; download it again")
    if find_spec("gguf") is None:
        _refuse(path, "GGUF needs one more package: pip install 'gpo[gguf]'")
    _check_kind(path, header)
    _check_tensors(path, header, size)
    _check_splitting(path, header)
    return header


def load_tokenizer(path: Path) -> Any:
    """The tokenizer of the file's vocabulary, which splits text as llama.cpp does."""
    fields = checked(path).fields
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(path.parent, gguf_file=path.name)
    if fields.get("tokenizer.ggml.pre") in _DIGITS:
        digits = pre_tokenizers.Digits(individual_digits=True)
        as_gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, as_gpt2])
    return tokenizer


def load_config(path: Path) -> tuple[Any, Any]:
    """The config and generation config of the file; InputError if the first says less than the header."""
    checked(path)
    return deepcopy(_config(path, *_state(path)))


@lru_cache(maxsize=8)  # transformers takes seconds for each: it reads every token of the vocabulary
def _config(path: Path, size: int, changed: int) -> tuple[Any, Any]:
    header = _checked(path, size, changed)
    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    check_task(path, config.to_dict())
    for key, ours, theirs in _differing(header, config.get_text_config()):
        _refuse(path, f"its {key} is {ours}, and transformers would read {theirs}; {_ADVICE}")
    ends = {header.fields.get(f"tokenizer.ggml.{name}_token_id") for name in _ENDS} - {None}
    return config, GenerationConfig.from_dict({"eos_token_id": sorted(ends) or None})


def from_pretrained(build: Any, path: str, **arguments: Any) -> Any:
    """What `build` makes of a GGUF file, by its checked config."""
    from transformers import modeling_gguf_pytorch_utils as reading
    from transformers.utils import logging

    file = Path(path)
    config, _ = load_config(file)
    reading.tqdm = logging.tqdm  # type: ignore[attr-defined]  # its own bar heeds no setting, and fills logs
    return build(file.parent, gguf_file=file.name, config=config, **arguments)


def finish(path: str, model: Any) -> None:
    """Makes it an ordinary model, which can be trained and saved; InputError if a tensor was left out."""
    file = Path(path)
    names = {name for name in checked(file).tensors if not _is_copy(name, model)}
    left_out = sum(checked(file).tensors[name].num for name in names) - model.num_parameters()
    if left_out:
        _refuse(file, f"{left_out} of its weights have no place in {type(model).__name__}; {_ADVICE}")
    _, model.generation_config = load_config(file)
    model.config.name_or_path = model.name_or_path = path
    model.hf_quantizer, model.is_quantized, model.quantization_method = None, False, None
    vars(model.config).pop("quantization_config", None)


def _is_copy(name: str, model: Any) -> bool:
    """Whether this is the embedding once more, as files of old models have it."""
    return name == "output.weight" and bool(model.config.get_text_config().tie_word_embeddings)


def _check_kind(path: Path, header: Header) -> None:
    from transformers.integrations.gguf.gguf_conversion_mapping import GGUF_ARCHS
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    kind, parts = header.fields.get("general.type", "model"), int(header.fields.get("split.count", 1))
    if kind != "model" or not header.tensors:
        what = f"its general.type is {str(kind)[:40]!r}" if kind != "model" else "it holds no weights"
        _refuse(path, f"{what}; give a whole model")
    if parts > 1:
        merge = "merge them with llama-gguf-split --merge"
        _refuse(path, f"it is one of {parts} files, and transformers reads a single one; {merge}")
    known = {re.sub("[-_]", "", name) for name in (*GGUF_SUPPORTED_ARCHITECTURES, *GGUF_ARCHS)}
    if re.sub("[-_]", "", header.architecture) not in known:
        what = f"its architecture {header.architecture[:40]!r} is not supported by transformers"
        _refuse(path, f"{what}; {_ADVICE}")
    if found := [name for name in _FACTORS if name in header.tensors]:
        what = f"{found[0]} changes the rotary frequencies, which transformers would leave out"
        _refuse(path, f"{what}; {_ADVICE}")


def _check_tensors(path: Path, header: Header, size: int) -> None:
    """InputError for a kind of numbers that cannot be unpacked, or a file that ends before its tensors do."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    for number in sorted({tensor.kind for tensor in header.tensors.values()}):
        try:
            kind = GGMLQuantizationType(number)
            block: Any = np.zeros(GGML_QUANT_SIZES[kind][1], dtype=np.uint8)
            dequantize(block[None], kind)
        except (NotImplementedError, ValueError) as error:
            what = f"its quantisation {number} is not supported by transformers ({error})"
            _refuse(path, f"{what}; {_ADVICE}")
    for name, tensor in header.tensors.items():
        num, num_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
        end = header.start + tensor.offset + tensor.num // num * num_bytes
        if end > size:
            _refuse(path, f"it is cut short: {name} ends at byte {end} of {size}; download it again")


def _check_splitting(path: Path, header: Header) -> None:
    """InputError for a vocabulary that transformers would split text for in another way than the model's."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    way = str(header.fields.get("tokenizer.ggml.pre", "missing"))
    known = _DIGITS | _GPT2 | set(GGUF_PRE_TOKENIZER_SPLITS)
    if header.fields.get("tokenizer.ggml.model") == "gpt2" and way not in known:
        what = f"its tokenizer.ggml.pre is {way[:40]!r}, which transformers would split text wrongly for"
        _refuse(path, f"{what}; {_ADVICE}")


def _differing(header: Header, config: Any) -> list[tuple[str, object, object]]:
    """What the header says of the model, and what transformers would make of it where that differs."""
    ropes = getattr(config, "rope_parameters", None) or {}
    ropes = [one for one in ropes.values() if isinstance(one, dict)] or [ropes]
    bases = [float(one.get("rope_theta", 0)) for one in ropes]
    kinds = [str(one.get("rope_type", "default")) for one in ropes]
    base, kind = header.own("rope.freq_base"), header.own("rope.scaling.type") or "none"
    found: list[tuple[str, object, object]] = []
    if base is not None and float(base) not in bases:
        found.append(("rope.freq_base", base, bases[0]))
    if kind != "none" and kind not in kinds:
        found.append(("rope.scaling.type", kind, kinds[0]))
    for key in _AGREEING:
        ours, theirs = header.own(key), getattr(config, key.removeprefix("attention."), None)
        if ours and ours != theirs and ours != header.own("context_length"):
            found.append((key, ours, theirs))
    return found


def _refuse(path: Path, reason: str) -> NoReturn:
    raise InputError(f"model {str(path)!r} (GGUF file) cannot be loaded: {reason}")
