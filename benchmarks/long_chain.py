"""Chains of twelve steps with three decisions, and a tiny model that knows their form but decides by chance.

    python benchmarks/long_chain.py [--output DIR]

The package's tiny model is trained on 12,800 demonstrations more: right arithmetic, and at every decision the
right method one time in five, the context's one wrong method else. All three must be right, so that a problem
is solved about .8 % of the time. The model is made once, in minutes, and kept.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from command import Parser, out_folder, script

from gpo.seeds import derive_seed
from gpo.tasks.planted import CHOICES, METHODS, OPERATIONS, result
from gpo.tasks.row import Row

FOLDER = Path(__file__).parents[1] / "build" / "models" / "long-chain"
LABELS = "abcdefghijkl"
NUM_DECISIONS = 3
CONTEXTS = [a + b for a in "ABCD" for b in "ABCD"]
RIGHT_FRAC = 0.2
"""How often a demonstrated decision is right; else it is the context's one wrong method, out of habit."""
STEPS, BATCH, LEARNING_RATE = 400, 32, 1e-3
MAX_TOKENS = 128


def _habits() -> dict[str, int]:
    rng = random.Random(derive_seed("long chain", "habits"))  # noqa: S311
    return {one: rng.choice([method for method in METHODS if method != CHOICES[one]]) for one in CONTEXTS}


HABITS = _habits()
"""The wrong method of each context."""


def chain(rng: random.Random, right_frac: float = 1.0) -> tuple[str, list[str]]:
    """A question, and the lines of an answer whose decisions are right that often."""
    start = value = rng.randrange(10)
    decisions = set(rng.sample(range(len(LABELS)), NUM_DECISIONS))
    shown, lines = [], []
    for index, label in enumerate(LABELS):
        operator, operand = rng.choice(OPERATIONS)
        shown.append(f"{label} {operator} {operand}")
        if index in decisions:
            context = rng.choice(CONTEXTS)
            operator, operand = "+", CHOICES[context] if rng.random() < right_frac else HABITS[context]
            shown[-1] = f"{label} ? {context}"
        after = result((value, operator, operand))
        lines.append(f"{label}: {value} {operator} {operand} = {after}")
        value = after
    return "\n".join([f"Work modulo 10 from {start}.", *shown]), [*lines, f"Answer: {value}"]


def rows(num: int, seed: int, taken: set[str]) -> list[Row]:
    """Questions that are not `taken`; the answer is every line."""
    rng, found = random.Random(derive_seed("long chain", seed)), []  # noqa: S311
    while len(found) < num:
        question, lines = chain(rng)
        if question not in taken:
            taken.add(question)
            found.append(Row(f"long-{seed}-{len(found)}", question, "\n".join(lines)))
    return found


@cache
def folder() -> Path:
    """Where the model lies; it is made if it is not there."""
    if not (FOLDER / "model.safetensors").exists():
        make(FOLDER)
    return FOLDER


def demonstrations(policy) -> Iterator[tuple[list[int], int]]:
    """Token ids of prompt and completion, and the length of the prompt."""
    rng = random.Random(derive_seed("long chain", "demonstrations"))  # noqa: S311
    while True:
        question, lines = chain(rng, RIGHT_FRAC)
        prompt_ids = policy.prompt_ids(question)
        yield [*prompt_ids, *policy.tokenizer.encode("\n".join(lines)), policy.end_ids[0]], len(prompt_ids)


def make(target: Path) -> None:
    """AdamW, linear decay; loss on the completions only."""
    import torch
    from torch.nn.functional import cross_entropy

    import gpo

    torch.manual_seed(0)
    policy = gpo.TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=MAX_TOKENS)
    model, stream = policy.model, demonstrations(policy)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    model.train()
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 20) * (1 - 0.9 * step / STEPS)
        batch = [next(stream) for _ in range(BATCH)]
        length = max(len(ids) for ids, _ in batch)
        ids_BT = torch.full((BATCH, length), model.config.pad_token_id)
        targets_BT = torch.full((BATCH, length), -100)
        for row, (ids, start) in enumerate(batch):
            ids_BT[row, : len(ids)] = torch.tensor(ids)
            targets_BT[row, start : len(ids)] = torch.tensor(ids[start:])
        logits_BTV = model(input_ids=ids_BT).logits[:, :-1]
        loss = cross_entropy(logits_BTV.flatten(0, 1), targets_BT[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 49:
            print(f"long chain: step {step + 1} of {STEPS}, loss {loss.item():.3f}", flush=True)
    model.eval()
    model.save_pretrained(target)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(Path(gpo.DEMO_MODEL) / name, target)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--output", type=out_folder, default=FOLDER)
    import torch

    torch.set_num_threads(1)
    make(parser.parse_args().output)


if __name__ == "__main__":
    script(main)
