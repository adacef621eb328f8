"""Sampler, reader and learner agree with a plain forward pass of a pretrained model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from gpo import Problem, Request, Rollout, Sample, State, TransformersPolicy
from gpo.learn.logprobs import ActionLogprobs
from gpo.policies.described import DescribedPolicy

STORY = "A baker puts 6 rolls on each of 4 trays and eats 2 of them. How many rolls are left?\n\n"
NUM_NEW = 12


@pytest.fixture(scope="module")
def policy(folder: Path) -> TransformersPolicy:
    return TransformersPolicy.load(folder, max_tokens=40 + NUM_NEW, temperature=0.7)


def states(policy: TransformersPolicy) -> list[State]:
    """A short prompt, one with a prefix, and one that is longer than Gemma's window of 512 tokens."""
    short, long = (Problem("one", policy.prompt_ids(STORY * num), "22") for num in (1, 24))
    assert len(long.prompt_ids) > 512 + NUM_NEW
    prefix = tuple(policy.tokenizer.encode("First, 6 times 4 is 24.\n"))
    return [State(short, ()), State(short, prefix), State(long, ())]


def plain(model: Any, rows: Sequence[tuple[State, Sample]], temperature: float) -> list[list[float]]:
    """Log-probabilities of the samples by one unpadded pass of transformers for each, in float32."""
    found = []
    for state, sample in rows:
        ids = torch.tensor([state.ids + sample.action_ids])
        with torch.no_grad():
            logits = model(ids).logits[0, len(state.ids) - 1 : -1].float() / temperature
        found.append(
            logits.log_softmax(-1).gather(-1, torch.tensor(sample.action_ids)[:, None])[:, 0].tolist()
        )
    return found


def gaps(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> list[float]:
    return [abs(a - b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]


def three_ways(policy: TransformersPolicy, given: Sequence[State]) -> dict[str, list[float]]:
    """How far each of our log-probabilities is from the plain pass's."""
    drawn = policy.sample([Request(state, num=2, seed=seed) for seed, state in enumerate(given)])
    rows = [(state, sample) for state, samples in zip(given, drawn, strict=True) for sample in samples]
    expected = plain(policy.model, rows, policy.temperature)
    read = policy.read([(state, sample.action_ids) for state, sample in rows])
    rollouts = [
        Rollout(state, sample.action_ids, sample.logprobs, (), "", sample.finished, 0.0, 0)
        for state, sample in rows
    ]
    with torch.no_grad():
        learned = ActionLogprobs(policy.model, policy.temperature)(rollouts).tolist()
    assert len(learned) == sum(len(sample.action_ids) for _, sample in rows) >= 2 * NUM_NEW
    return {
        "sampler": gaps([sample.logprobs for _, sample in rows], expected),
        "reader": gaps([sample.logprobs for sample in read], expected),
        "learner": gaps([learned], [list(chain.from_iterable(expected))]),
    }


def test_in_float32_all_three_are_within_1e_4_of_a_plain_pass(policy):
    for name, found in three_ways(policy, states(policy)).items():
        assert max(found) < 1e-4, (name, max(found))


def test_in_bfloat16_the_gap_is_that_of_rounding(folder, capsys):
    policy = TransformersPolicy.load(folder, max_tokens=40 + NUM_NEW, temperature=0.7, dtype="bfloat16")
    for name, found in three_ways(policy, states(policy)[:2]).items():  # CPUs take minutes for the long one
        mean = sum(found) / len(found)
        with capsys.disabled():
            print(f"\n{folder.name}, bfloat16, {name}: mean {mean:.4f}, largest {max(found):.3f} nats")
        assert mean < 0.1
        assert max(found) < 2


def test_embeddings_are_tied_and_the_vocabulary_is_whole(policy, folder):
    model = policy.model
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert policy.num_rows == policy.num_ids == {"smollm2": 49_152, "gemma3": 262_144}[folder.name]
    text = "On day 3 she pays €12.50 for 1,250 g of “Äpfel” 🍎.\n\n7 + 5 =  12\n\tif x:\n"
    ids = policy.tokenizer.encode(text)
    assert policy.tokenizer.decode(ids) == text
    spelled = [policy.tokenizer.decode([one]).strip() for one in ids]
    assert max(len(one) for one in spelled if one.isdigit()) == 1  # both models read digit by digit


def test_what_is_described_without_weights_asks_and_ends_alike(policy, folder):
    described = DescribedPolicy.load(folder, max_tokens=40 + NUM_NEW)
    assert described.prompt_ids(STORY) == policy.prompt_ids(STORY)
    assert described.end_ids == policy.end_ids
    if folder.name == "smollm2":
        asked = policy.tokenizer.decode(policy.prompt_ids("Hi"))
        assert asked.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    else:
        assert policy.tokenizer.decode(policy.prompt_ids("Hi")) == "<bos>Hi"
