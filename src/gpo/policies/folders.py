"""What a local folder of weights holds, looked at file by file before anything is loaded."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError, safe_open

from gpo import checksums
from gpo.files import JsonError, parse_json, read_text
from gpo.types import DataWarning, InputError

_MAX_BYTES = 64 * 2**20
_SINGLE = ("model.safetensors", "pytorch_model.bin")
_POINTER = b"version https://git-lfs"
_RESTORE = "restore or download it again"
_OTHER_HEAD = re.compile(
    r"For(\w*Classification|\w*QuestionAnswering|MultipleChoice|MaskedLM|NextSentence\w*|\w*Reward\w*)$"
)


def check_model_folder(folder: Path) -> None:
    """InputError unless the folder holds a whole causal language model: its config and every file of weights.

    Files that a run saved are compared with their checksums; a DataWarning says where a run has none.
    """
    check_sums(folder)
    if not (folder / "config.json").is_file():
        _refuse_what_is_none(folder)
    config = read_object(folder / "config.json")
    if (folder / "adapter_config.json").is_file():
        _refuse(
            folder,
            "it holds an adapter (adapter_config.json) beside the model; move that to a folder of its own "
            "and name it with --adapter",
        )
    check_task(folder, config)
    for path in _weight_files(folder):
        check_weight_file(path)


def check_adapter_folder(folder: Path) -> None:
    """InputError unless the folder holds an adapter's config and its weights, whole."""
    check_sums(folder)
    if not (folder / "adapter_config.json").is_file():
        what = "a model; name it with --model" if (folder / "config.json").is_file() else "no adapter"
        _refuse(folder, f"it has no adapter_config.json, so it holds {what}", "adapter")
    read_object(folder / "adapter_config.json")
    files = [folder / name for name in ("adapter_model.safetensors", "adapter_model.bin")]
    found = next((path for path in files if path.exists()), None)
    if found is None:
        _refuse(
            folder, "it has adapter_config.json but no adapter_model.safetensors; restore that", "adapter"
        )
    check_weight_file(found)


def check_sums(folder: Path) -> None:
    """Compares what a run saved with its checksums; a DataWarning where it was saved without."""
    todo = "take another checkpoint of the run"
    if not checksums.check(folder, todo) and _is_of_run(folder):
        warnings.warn(
            f"{folder}: has no {checksums.SUMS}, as an earlier version of gpo saved it; its files are taken "
            "as they are",
            DataWarning,
            stacklevel=2,
        )


def _is_of_run(folder: Path) -> bool:
    folder = folder.absolute()
    is_checkpoint = folder.parent.parent.name == "checkpoints"
    run = folder.parents[2] if is_checkpoint else folder.parent
    return folder.name in ("model", "best") and (run / "run.json").is_file()


def check_task(folder: Path, config: Any) -> None:
    """InputError for the config of a model that was made for another task than to continue text."""
    names = config.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else ""
    if config.get("is_encoder_decoder") is True:
        _refuse(folder, f"{name or 'it'} is an encoder and decoder; give a causal language model")
    if _OTHER_HEAD.search(name):
        _refuse(folder, f"config.json says {name}, a head for another task; give a causal language model")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file that a model's maker wrote; InputError if it is none."""
    try:
        found = parse_json(read_text(path, str(path), _MAX_BYTES))
    except JsonError as error:
        raise InputError(f"{path}: is not valid JSON ({error}); {_RESTORE}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no JSON object; {_RESTORE}")
    return found


def shard_of(folder: Path, key: str) -> str | None:
    """The file that should hold the tensor, where an index says so."""
    index = next((folder / f"{name}.index.json" for name in _SINGLE if _index(folder, name)), None)
    return _weight_map(index).get(key) if index and not (folder / _SINGLE[0]).is_file() else None


def _index(folder: Path, name: str) -> bool:
    return (folder / f"{name}.index.json").is_file()


def _weight_files(folder: Path) -> list[Path]:
    """The files that transformers would read, in its order of preference."""
    for name in _SINGLE:
        has_single, has_index = (folder / name).exists(), _index(folder, name)
        if has_single and has_index and _shards(folder, name)[0].exists():
            _refuse(
                folder,
                f"it holds {name} and the shards of {name}.index.json, of which only the first would be "
                "read; remove those that are not meant",
            )
        if has_single:
            return [folder / name]
        if has_index:
            return _shards(folder, name)
    return _refuse_what_is_none(folder)


def _shards(folder: Path, name: str) -> list[Path]:
    index = folder / f"{name}.index.json"
    return [folder / shard for shard in sorted(set(_weight_map(index).values()))]


def _weight_map(index: Path) -> dict[str, str]:
    found = read_object(index).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise InputError(f"{index}: has no weight_map, so it names no file; {_RESTORE}")
    for key, shard in found.items():
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise InputError(
                f"{index}: weight_map: {key}: {shard!r} is not a file name in its folder; {_RESTORE}"
            )
    return found


def check_weight_file(path: Path) -> None:
    """InputError for a file of weights that is not there, empty, a pointer in its place, or cut short."""
    if not path.is_file():
        raise InputError(f"{path}: is missing, and weights are in it; {_RESTORE}")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty; {_RESTORE}")
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise InputError(f"{path}: is a pointer of Git LFS, not the file itself; run git lfs pull")
    if path.suffix != ".safetensors":
        return
    try:
        with safe_open(path, framework="pt") as opened:
            if not opened.keys():
                raise InputError(f"{path}: holds no tensor; {_RESTORE}")
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: is not a whole safetensors file ({reason}); {_RESTORE}") from None


def _refuse_what_is_none(folder: Path) -> NoReturn:
    """Says what the folder holds instead of a model."""
    names = sorted(path.name for path in folder.iterdir())
    if "adapter_config.json" in names:
        reason = "it holds an adapter and no model; name it with --adapter, and its base model with --model"
    elif not names:
        reason = "it is empty; give a folder with config.json, a tokenizer and weights"
    elif "config.json" not in names:
        reason = f"it has no config.json, only {_listed(names)}; give the folder of a model"
    else:
        reason = "it has no model.safetensors, no index of shards and no pytorch_model.bin; add the weights"
    _refuse(folder, reason)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _refuse(folder: Path, reason: str, what: str = "model") -> NoReturn:
    raise InputError(f"{what} {str(folder)!r} (local folder) cannot be loaded: {reason}")
