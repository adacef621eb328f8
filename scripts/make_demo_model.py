"""Make the tiny model that ships in the package: a tokenizer, and a supervised warm-up on demonstrations.

    python scripts/make_demo_model.py [--output DIR] [--steps N] [--seed N]

The first half of the demonstrations is right, the second flawed on purpose (see gpo.tasks.chain_sum and
gpo.tasks.planted): the model knows the right way and the wrong one, and has picked up the habit of both.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gpo import tasks
from gpo.evaluation import evaluate
from gpo.policies.transformers import TransformersPolicy
from gpo.seeds import derive_seed
from gpo.verifiers import load as load_verifier

CONTEXT = 8192
MAX_TOKENS = 96
NUM_PROBLEMS = 300
"""Test questions of each task that the finished model is measured on."""
MIX = {"chain_sum": 0.4, "modchain": 0.25, "pivot": 0.2, "pivotlate": 0.15}
"""The share of each task in the demonstrations; hardchain is a harder choice of modchain's questions."""
BATCH = 48
LR = 3e-3
CLEAN_FRAC = 0.5
"""The share of the demonstrations, the first ones, that have no flaw: they are quicker to learn from."""

PIECES = r"\n|[0-9]| [+\-*=?] |: | ?[A-Za-z]+|[^\S\n]+|[^\sA-Za-z0-9]+"
"""What is never merged across: lines, digits, spaced operators, words, spaces, the rest."""
PHRASES = [
    *(" + ", " - ", " * ", " = ", " ? ", "Answer: ", "system", "user", "assistant"),
    "State the final answer to the following arithmetic problem: ",
    "Work modulo from",
]
"""The fixed words of the tasks: each becomes one token. Anything else is spelled in bytes."""
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
"""
README = """\
# The demo's model

A Llama of {num_parameters:,} float32 parameters, trained on step-by-step demonstrations of this package's
own tasks, flawed on purpose; it can do nothing else. Byte-level tokenizer, a template like ChatML, a context
of {context:,} positions (it was trained on at most 110).

Made by `make demo-model`: {num_steps:,} steps of {batch} demonstrations, seed {seed}.
No third-party data went in, only what reasoning-gym's generators and this package's produce.
Licence: Apache-2.0, as the package.

Measured on {num_problems} test questions of each task, 8 samples a question, ± the standard error:

{table}
"""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text goes in and comes out; digits, newlines and operators stand alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,  # more than the phrases can fill, so that all their merges are made
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(PHRASES * 10, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",  # noqa: S106 - a token, and no password
        pad_token="<|endoftext|>",  # noqa: S106
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """As transformers saves it, but under the class name that its older versions know too."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("backend", None)
    path.write_text(json.dumps({**config, "tokenizer_class": "PreTrainedTokenizerFast"}, indent=2) + "\n")


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """0.4 million float32 parameters at random."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=3,
        num_key_value_heads=3,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=True, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model


def demonstrations(policy: TransformersPolicy, size: int, seed: int) -> Iterator[tuple[list[int], int]]:
    """`size` times token ids of prompt and completion, and the length of the prompt; no question twice."""
    rng = random.Random(derive_seed("demonstrations", seed))  # noqa: S311 - no cryptography
    questions = {
        task: iter([row.question for row in tasks.load(task, "train", int(share * size * 1.1) + 100, seed)])
        for task, share in MIX.items()
    }
    for index in range(size):
        task = rng.choices(list(MIX), list(MIX.values()))[0]
        question = next(questions[task])
        prompt_ids = policy.prompt_ids(question)
        completion = "\n".join(
            tasks.demonstration(task, question, rng if index >= size * CLEAN_FRAC else None)
        )
        completion_ids = [*policy.tokenizer.encode(completion), policy.end_ids[0]]
        yield [*prompt_ids, *completion_ids], len(prompt_ids)


def train(policy: TransformersPolicy, num_steps: int, seed: int) -> None:
    """AdamW, linear decay to a tenth after a short warm-up; loss on the completions only."""
    model = policy.model
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.98), weight_decay=0.05)
    stream = demonstrations(policy, num_steps * BATCH, seed)
    start = time.monotonic()
    model.train()
    for step in range(1, num_steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1.0, step / 100) * (1 - 0.9 * step / num_steps)
        loss = completion_loss(model, [next(stream) for _ in range(BATCH)])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == num_steps:
            left_s = (time.monotonic() - start) / step * (num_steps - step)
            print(
                f"step {step:5} of {num_steps}  loss {loss.item():.4f}  {left_s / 60:4.1f} min left",
                flush=True,
            )
    model.eval()


def completion_loss(model: LlamaForCausalLM, batch: list[tuple[list[int], int]]) -> torch.Tensor:
    """Mean cross-entropy in nats of the completions' tokens; rows are padded on the right."""
    length = max(len(ids) for ids, _ in batch)
    ids_BT = torch.full((len(batch), length), model.config.pad_token_id)
    is_target_BT = torch.zeros((len(batch), length), dtype=torch.bool)
    for row, (ids, prompt_length) in enumerate(batch):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        is_target_BT[row, prompt_length : len(ids)] = True
    # Padding on the right is invisible to what is left of it under a causal mask.
    logits_BTV = model(input_ids=ids_BT).logits[:, :-1]
    return cross_entropy(logits_BTV[is_target_BT[:, 1:]], ids_BT[:, 1:][is_target_BT[:, 1:]])


def measure(policy: TransformersPolicy, greedy: TransformersPolicy) -> list[str]:
    """A Markdown table over the test questions of every task."""
    lines = [
        "| task | pass@1 at temperature 1 | greedy | questions with 0 < p < 1 | tokens |",
        "|---|---|---|---|---|",
    ]
    for task in tasks.names():
        problems = tasks.problems(tasks.load(task, "test", NUM_PROBLEMS, seed=0), policy.prompt_ids, task)
        with load_verifier(tasks.verifier(task)) as verifier:
            sampled = evaluate(policy, verifier, problems, num=8)
            best = evaluate(greedy, verifier, problems)
        mixed = sum(group.has_signal for group in sampled.groups) / NUM_PROBLEMS
        lines.append(
            f"| {task} | {sampled.accuracy:.3f} ± {sampled.stderr:.3f} | {best.accuracy:.3f} "
            f"| {mixed:.2f} | {sampled.tokens / NUM_PROBLEMS / 8:.0f} |"
        )
    return lines


def readme(model: LlamaForCausalLM, num_steps: int, seed: int, table: list[str]) -> str:
    return README.format(
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        context=CONTEXT,
        batch=BATCH,
        num_steps=num_steps,
        seed=seed,
        num_problems=NUM_PROBLEMS,
        table="\n".join(table),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parents[1] / "src" / "gpo" / "demo_model"
    )
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)  # more threads are slower on a model this small
    torch.manual_seed(args.seed)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    policy = TransformersPolicy(model, tokenizer, max_tokens=MAX_TOKENS)
    train(policy, args.steps, args.seed)
    model.save_pretrained(args.output)
    save_tokenizer(tokenizer, args.output)
    greedy = TransformersPolicy(model, tokenizer, max_tokens=MAX_TOKENS, temperature=0.0)
    table = measure(policy, greedy)
    (args.output / "README.md").write_text(readme(model, args.steps, args.seed, table), encoding="utf-8")
    print("\n".join(table))


if __name__ == "__main__":
    main()
