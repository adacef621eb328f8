"""A vLLM engine for policies: which arguments are ours, which are the user's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from vllm.engine.arg_utils import EngineArgs
from vllm.platforms import current_platform
from vllm.v1.engine.llm_engine import LLMEngine

from gpo.policies.stepping import Stepper
from gpo.types import InputError

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
_OURS = {
    "model", "tokenizer", "dtype", "trust_remote_code", "logprobs_mode", "max_num_seqs", "generation_config",
    "enable_prefix_caching", "enable_lora", "max_lora_rank", "disable_log_stats",
}  # fmt: skip


def load_engine(
    model: str,
    *,
    trust_remote_code: bool,
    dtype: str,
    slots: int,
    rank: int,
    temperature: float,
    arguments: Mapping[str, Any],
) -> tuple[Any, str]:
    """The engine with prefixes cached and room for adapters of this rank, if any; and the dtype it has.

    `dtype` auto is the checkpoint's, which vLLM's own auto is not for float32. InputError if an argument is
    not the user's, or vLLM refuses any of it.
    """
    if taken := _OURS & set(arguments):
        raise InputError(f"--vllm-args: {min(taken)!r} is set by gpo; leave it out")
    config = AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
    found = str(config.dtype or "float32").removeprefix("torch.") if dtype == "auto" else dtype
    lora = {"max_lora_rank": next((one for one in _RANKS if one >= rank), rank)} if rank else {}
    # A prompt in two parts rewinds its random stream, which on a CPU ends the engine (vLLM 0.32).
    whole_prompts = {"enable_chunked_prefill": False} if current_platform.is_cpu() else {}
    try:
        made = EngineArgs(
            model=model,
            trust_remote_code=trust_remote_code,
            dtype=found,
            enable_prefix_caching=True,
            generation_config="vllm",  # or the model's own would set what a request leaves out
            disable_log_stats=True,
            logprobs_mode=_mode(temperature),
            max_num_seqs=slots,
            enable_lora=bool(rank),
            **{**lora, **whole_prompts, **arguments},
        )
        return LLMEngine.from_engine_args(made), found
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"--engine vllm: cannot load {model!r}: {reason}") from error


def _mode(temperature: float) -> str:
    """Log-probabilities at the sampling temperature; at 1, where both are, those before a cut."""
    return "raw_logprobs" if temperature in (0, 1) else "processed_logprobs"


def rank_of(adapter: str | Path) -> int:
    """The rank of a LoRA folder; InputError if it is none."""
    path = Path(adapter) / "adapter_config.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"adapter {str(adapter)!r}: has no LoRA rank in adapter_config.json") from error


def reload(engine: Any, folder: str) -> None:
    engine.collective_rpc("reload_weights", kwargs={"weights_path": folder})
    engine.reset_prefix_cache()


def end(stepper: Stepper, engine: Any) -> None:
    stepper.close()
    engine.engine_core.shutdown()
