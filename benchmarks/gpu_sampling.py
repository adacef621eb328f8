"""What benchmarks/gpu.py measures of sampling: the card, our sampler and others', and where time goes.

Every sampler starts from the same prefixes of random tokens, draws the same number of continuations of
each, and may end at one token that is hardly ever drawn: all do the same work. Its roofline is the rate at
which the card, at its measured bandwidth, could read the weights once and every row's keys and values once
per step; reading the prefixes is left out, so the true limit is lower.
"""

from __future__ import annotations

import gc
import importlib.util
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from learner import GROUP_SIZE
from sampling import Work, numbered, starts, with_generate, with_policy
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig
from transformers.generation import ContinuousBatchingConfig
from transformers.generation.continuous_batching.utils import WorkloadHints

import gpo
from gpo.types import Ids

Found = dict[str, Any]
COPIES = {"aten::cat", "aten::index_select", "aten::copy_"}
"""What moves keys and values: growing the cache, thinning and expanding it, repeating shared heads."""
LAUNCHES = {
    "cudaLaunchKernel",
    "cudaLaunchKernelExC",
    "cuLaunchKernel",
    "cuLaunchKernelEx",
    "cudaGraphLaunch",
}
WAITS = {"cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpyAsync"}
"""Copies to and from the host count as waits, because the host's memory is not pinned."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: tuple[int, int]
    prefix: int
    """Mean tokens of a prefix; lengths spread by 90 % to both sides."""
    num_new: int
    profiled: tuple[int, int]
    """New tokens of the two profiles, whose difference is that of steps alone."""
    matrix: int
    copied: int
    """Bytes."""


REAL = Size((256, 1024), 1050, 512, (8, 40), 8192, 2**32)
TOY = Size((8, 16), 24, 6, (2, 6), 128, 2**22)
SHAPES: dict[str, dict[str, Any]] = {
    "135M": {
        "vocab_size": 49_152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3,
    },
    "1.5B": {
        "vocab_size": 151_936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
        "num_attention_heads": 12, "num_key_value_heads": 2,
    },
}  # fmt: skip
TOY_SHAPE = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1,
}  # fmt: skip


@dataclass
class Subject:
    """A model to measure: that of a folder or GGUF, or one with random weights."""

    name: str
    path: str | None
    shape: dict[str, Any]
    device: torch.device

    def load(self, dtype: torch.dtype) -> gpo.TransformersPolicy:
        """The policy in this precision, with its own tokenizer if it has one; always the same weights."""
        if self.path:
            policy = gpo.TransformersPolicy.load(self.path, dtype="float32", device=self.device)
            policy.model.to(dtype)
            return policy
        config = LlamaConfig(**self.shape, max_position_embeddings=8192, tie_word_embeddings=True)
        torch.manual_seed(0)
        with self.device:
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        return endless(model.to(dtype).eval())

    @cached_property
    def own(self) -> gpo.TransformersPolicy:
        return self.load(torch.bfloat16)

    @cached_property
    def sampler(self) -> gpo.TransformersPolicy:
        """The same model in bfloat16, whose answers are as long as they may be."""
        return endless(self.own.model)

    def forget(self) -> None:
        """Lets the model go."""
        for name in ("own", "sampler"):
            vars(self).pop(name, None)


def endless(model: Any) -> gpo.TransformersPolicy:
    """A policy that ends at the last token of the vocabulary, and takes all rows as one batch."""
    model.generation_config.eos_token_id = None
    vocab_size = model.config.get_text_config().vocab_size
    tokenizer = numbered(vocab_size, vocab_size - 1)
    return gpo.TransformersPolicy(model, tokenizer, batch_tokens=sys.maxsize)


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds, until the device has finished, and what the work returns."""
    synchronise()
    start = time.perf_counter()
    found = work()
    synchronise()
    return time.perf_counter() - start, found


def median_s(work: Callable[[], Any], repeats: int = 3) -> float:
    """After one that is not counted."""
    return statistics.median([timed(work)[0] for _ in range(repeats + 1)][1:])


def forget_peak() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float:
    """Most memory that was in use on the card since `forget_peak`; on a CPU, of the process ever."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def card(size: Size, device: torch.device) -> Found:
    """What the device does at best: bytes a second read and written by a copy, and a large matrix product."""
    source = torch.zeros(size.copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_s = median_s(lambda: target.copy_(source))
    a, b = (torch.randn(size.matrix, size.matrix, device=device, dtype=torch.bfloat16) for _ in range(2))
    product_s = median_s(lambda: a @ b)
    return {"bytes_per_s": 2 * size.copied / copy_s, "flops": 2 * size.matrix**3 / product_s}


@contextmanager
def continuous_batching(policy: gpo.TransformersPolicy, work: Work, prompts: list[Ids]) -> Iterator[Any]:
    """transformers' own engine, warmed up; what it gives samples and returns the number of new tokens."""
    model, end_ids = policy.model, list(policy.end_ids)
    generation = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, num_return_sequences=work.num_samples,
        eos_token_id=end_ids, pad_token_id=end_ids[0],
    )  # fmt: skip
    # On a CPU it would size its cache by the machine's memory. Kernels are never fetched from the hub.
    sizes = (
        {} if model.device.type == "cuda" else {"num_blocks": 64, "max_batch_tokens": 256, "page_size": 32}
    )
    has_flash = any(importlib.util.find_spec(name) for name in ("flash_attn", "flash_attn_interface"))
    config = ContinuousBatchingConfig(seed=0, auto_switch_to_flash=has_flash, **sizes)
    hints = WorkloadHints(max(map(len, prompts)), policy.max_tokens, len(prompts) * work.num_samples)
    with model.continuous_batching_context_manager(
        generation_config=generation, continuous_batching_config=config, workload_hints=hints
    ) as manager:

        def sample(_: Any, work: Work, prompts: list[Ids]) -> int:
            manager.add_requests([list(ids) for ids in prompts], max_new_tokens=policy.max_tokens)
            num_open, num_new = len(prompts) * work.num_samples, 0
            while num_open:
                result = manager.get_result(timeout=1)
                if result is None and not manager.is_running():
                    raise RuntimeError("continuous batching ended before its last row")
                if result is not None and result.error:
                    raise RuntimeError(f"continuous batching: {result.error}")
                if result is not None and result.is_finished():
                    num_open, num_new = num_open - 1, num_new + len(result.generated_tokens)
            return num_new

        yield sample


@contextmanager
def engine(name: str, *given: Any) -> Iterator[Any]:
    """The sampler of this name."""
    if name == "continuous batching":
        with continuous_batching(*given) as sample:
            yield sample
    else:
        yield {"gpo": with_policy, "generate": with_generate}[name]


def work_of(size: Size, num_rows: int) -> Work:
    return Work(f"{num_rows} rows", num_rows // GROUP_SIZE, size.prefix, GROUP_SIZE, spread=0.9)


def sampling(subject: Subject, size: Size, num_rows: int, name: str, bytes_per_s: float | None) -> Found:
    """New tokens a second of one sampler, after a few that are not counted, and the share of the roofline."""
    policy, work = subject.sampler, work_of(size, num_rows)
    prompts = starts(work, policy.model.config.get_text_config().vocab_size)
    policy.max_tokens = size.num_new
    begun = time.perf_counter()
    with engine(name, policy, work, prompts) as sample:
        policy.max_tokens = 2
        sample(policy, work, prompts[:2])
        policy.max_tokens = size.num_new
        setup_s = time.perf_counter() - begun
        seconds, num_new = timed(lambda: sample(policy, work, prompts))
        attention = policy.model.config._attn_implementation
    found = {"new_tokens": num_new, "seconds": seconds, "tokens_per_s": num_new / seconds}
    found |= {"setup_s": setup_s, "attention": attention}
    if bytes_per_s:
        limit = work.num_samples * len(prompts) * size.num_new * bytes_per_s
        limit /= bytes_read(policy.model, prompts, size.num_new)
        found |= {"roofline_tokens_per_s": limit, "roofline_frac": num_new / seconds / limit}
    return found


def bytes_read(model: Any, prompts: Sequence[Ids], num_new: int) -> float:
    """Bytes of weights and cache that `num_new` steps read at least, for 8 rows of each prompt."""
    config, width = model.config.get_text_config(), model.dtype.itemsize
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    per_token = 2 * config.num_hidden_layers * config.num_key_value_heads * head * width
    num_cached = sum(GROUP_SIZE * (len(ids) * num_new + num_new * (num_new - 1) / 2) for ids in prompts)
    return num_new * sum(p.numel() for p in model.parameters()) * width + num_cached * per_token


def where_time_goes(subject: Subject, size: Size) -> Found:
    """Our decoder's steps, without the reading of prefixes: a long profile minus a short one.

    `idle_frac` is the share of the wall time, measured without the profiler, in which the device has nothing
    to do; on a CPU there is no such thing, and launches are operators.
    """
    policy, work = subject.sampler, work_of(size, size.rows[0])
    prompts = starts(work, policy.model.config.get_text_config().vocab_size)
    sums: list[dict[str, float]] = []
    for num_new in size.profiled:
        policy.max_tokens = num_new
        wall_s = median_s(lambda: with_policy(policy, work, prompts), repeats=1)
        sums.append(profiled(lambda: with_policy(policy, work, prompts)) | {"wall_s": wall_s})
    few, many = sums
    one = {key: many[key] - few[key] for key in many}
    num_steps = size.profiled[1] - size.profiled[0]
    found = {
        "step_s": one["wall_s"] / num_steps,
        "launches_per_step": one["launches"] / num_steps,
        "copies_frac": one["copies_s"] / one["busy_s"],
        "waits_frac": one["waits_s"] / one["wall_s"],
    }
    if policy.model.device.type == "cuda":
        found["idle_frac"] = max(0.0, 1 - one["busy_s"] / one["wall_s"])
    return found


def profiled(work: Callable[[], Any]) -> dict[str, float]:
    """Launches, and seconds in which the device worked, copied, and the host waited."""
    is_cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_cuda else [])]
    with profile(activities=activities) as profiler:
        timed(work)
    events = [event for event in profiler.key_averages() if not event.is_user_annotation]
    host = [event for event in events if event.device_type == DeviceType.CPU]

    def device_us(event: Any) -> float:
        return float(event.self_device_time_total if is_cuda else event.self_cpu_time_total)

    busy = [event for event in events if event.device_type == DeviceType.CUDA] if is_cuda else host
    launches = [e.count for e in host if (e.key in LAUNCHES if is_cuda else e.key.startswith("aten::"))]
    return {
        "launches": sum(launches),
        "busy_s": sum(map(device_us, busy)) / 1e6,
        "copies_s": sum(device_us(event) for event in host if event.key in COPIES) / 1e6,
        "waits_s": sum(event.self_cpu_time_total for event in host if event.key in WAITS) / 1e6,
    }  # fmt: skip
