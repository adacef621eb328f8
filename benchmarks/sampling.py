"""New tokens a second of TransformersPolicy beside `model.generate`, on the same work.

    python benchmarks/sampling.py                # a random-weight Llama of 2 layers
    python benchmarks/sampling.py --model PATH   # any model that gpo can load

Both use the same model object, the same starts, as many samples of each, the same limit of new tokens,
temperature 1 and nothing cut, and both may end early at the same end tokens; tokens are counted up to
there. Repeats are interleaved, after one uncounted round; the figures are medians, the ratio is the
median of the ratios of neighbours with its range. `generate` has the work as one left-padded batch with
num_return_sequences.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from command import Parser, script, whole
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gpo.policies.transformers import TransformersPolicy
from gpo.seeds import derive_seed
from gpo.types import Ids, Problem, Request, State


@dataclass(frozen=True)
class Work:
    name: str
    num_starts: int
    num_tokens: int
    """Mean length of a start."""
    num_samples: int
    spread: float = 1 / 8
    """How far lengths spread to both sides, as a share of the mean."""


Sampler = Callable[[TransformersPolicy, Work, list[Ids]], int]
"""Samples the work and returns the number of new tokens."""

WORKS = (
    Work("128 prompts x 1", 128, 48, 1),
    Work("16 prompts x 8", 16, 48, 8),
    Work("64 prompts x 8", 64, 48, 8),
    Work("1 prefix of 500 x 64", 1, 500, 64),
    Work("4 prefixes of 500 x 8", 4, 500, 8),
)


def numbered(vocab_size: int, end_id: int) -> PreTrainedTokenizerFast:
    """A tokenizer whose words are <0>, <1> and so on."""
    vocab = {f"<{token}>": token for token in range(vocab_size)}
    tokenizer = Tokenizer(models.WordLevel(vocab))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=f"<{end_id}>")


def tiny_policy(max_tokens: int) -> TransformersPolicy:
    config = LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=8192, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    return TransformersPolicy(LlamaForCausalLM(config).eval(), numbered(512, 1), max_tokens=max_tokens)


def starts(work: Work, vocab_size: int) -> list[Ids]:
    generator = torch.Generator().manual_seed(derive_seed(work.name))
    spread = int(work.num_tokens * work.spread) if work.num_starts > 1 else 0
    lengths = (
        torch.linspace(work.num_tokens - spread, work.num_tokens + spread, work.num_starts).int().tolist()
    )
    return [
        tuple(torch.randint(2, vocab_size, (length,), generator=generator).tolist()) for length in lengths
    ]


def with_policy(policy: TransformersPolicy, work: Work, prompts: list[Ids]) -> int:
    requests = [
        Request(State(Problem(str(k), ids, "")), work.num_samples, k) for k, ids in enumerate(prompts)
    ]
    return sum(len(sample.action_ids) for samples in policy.sample(requests) for sample in samples)


@torch.inference_mode()
def with_generate(policy: TransformersPolicy, work: Work, prompts: list[Ids]) -> int:
    width, device = max(map(len, prompts)), policy.model.device
    ids_BL = torch.tensor([(0,) * (width - len(ids)) + ids for ids in prompts], device=device)
    pads_B1 = torch.tensor([[width - len(ids)] for ids in prompts], device=device)
    output_BT = policy.model.generate(
        ids_BL,
        attention_mask=(torch.arange(width, device=device) >= pads_B1).long(),
        num_return_sequences=work.num_samples,
        max_new_tokens=policy.max_tokens,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=list(policy.end_ids),
        pad_token_id=policy.end_ids[0],
    )[:, width:].cpu()
    is_end_BT = torch.isin(output_BT, torch.tensor(policy.end_ids))
    ended_before_BT = is_end_BT.cumsum(-1) - is_end_BT.long()
    return int((ended_before_BT == 0).sum())


def tokens_per_s(sample: Sampler, policy: TransformersPolicy, work: Work, prompts: list[Ids]) -> float:
    start = time.perf_counter()
    num_tokens = sample(policy, work, prompts)
    return num_tokens / (time.perf_counter() - start)


def measure(policy: TransformersPolicy, work: Work, num_repeats: int) -> str:
    prompts = starts(work, policy.model.config.get_text_config().vocab_size)
    ours, theirs = [], []
    for _ in range(num_repeats + 1):
        ours.append(tokens_per_s(with_policy, policy, work, prompts))
        theirs.append(tokens_per_s(with_generate, policy, work, prompts))
    ratios = [a / b for a, b in zip(ours[1:], theirs[1:], strict=True)]
    return (
        f"{work.name:<24}{statistics.median(ours[1:]):>12,.0f}{statistics.median(theirs[1:]):>12,.0f}"
        f"{statistics.median(ratios):>8.2f}  ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", help="folder or hub name; default: a random-weight Llama of 2 layers")
    parser.add_argument("--max-tokens", type=whole, default=64, help="new tokens of a sample (default 64)")
    parser.add_argument("--repeats", type=whole, default=7, help="measurements that count (default 7)")
    arguments = parser.parse_args()
    if arguments.model:
        policy = TransformersPolicy.load(arguments.model, max_tokens=arguments.max_tokens)
    else:
        policy = tiny_policy(arguments.max_tokens)
    for num_threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(num_threads)
        print(f"{num_threads} thread(s), {policy.max_tokens} new tokens, {policy.model.device}")
        print(f"{'work':<24}{'gpo tok/s':>12}{'generate':>12}{'ratio':>8}  (range)")
        for work in WORKS:
            print(measure(policy, work, arguments.repeats), flush=True)


if __name__ == "__main__":
    script(main)
