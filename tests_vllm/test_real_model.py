"""vLLM and transformers agree on a pretrained model: 49,152 tokens, tied embeddings, a chat template."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ENGINE

from gpo.policies.transformers import TransformersPolicy
from gpo.types import Problem, Request, State

STORIES = (
    "A baker puts 6 rolls on each of 4 trays and eats 2 of them. How many rolls are left?",
    "Tom has 12 pens. He gives 5 to Ann and buys 3 more. How many pens does Tom have?",
)
LIMITS = {"max_tokens": 48, "temperature": 0.7}


@pytest.fixture(scope="module")
def folder() -> Path:
    """`make test-vllm` converts it first: vLLM needs a transformers that is too old for that."""
    return Path(__file__).parent.parent / "build" / "models" / "smollm2"


@pytest.fixture(scope="module")
def local(folder: Path) -> TransformersPolicy:
    return TransformersPolicy.load(folder, **LIMITS)


@pytest.fixture(scope="module")
def in_vllm(folder: Path) -> Iterator[Any]:
    from gpo.policies.vllm import VllmPolicy

    policy = VllmPolicy.load(folder, engine=ENGINE, **LIMITS)
    yield policy
    policy.close()


def requests(policy: Any) -> list[Request]:
    """Each story from its prompt, and from behind a first line of an answer."""
    prefix = tuple(policy.tokenizer.encode("First, count what was there.\n"))
    problems = [Problem(story, policy.prompt_ids(story), "") for story in STORIES]
    return [
        Request(State(problem, given), 3, seed)
        for seed, problem in enumerate(problems)
        for given in ((), prefix)
    ]


def test_both_ask_in_the_words_of_the_chat_template_and_end_alike(local, in_vllm) -> None:
    for story in STORIES:
        assert in_vllm.prompt_ids(story) == local.prompt_ids(story)
        assert "<|im_start|>user\n" in local.tokenizer.decode(local.prompt_ids(story))
    assert in_vllm.end_ids == local.end_ids


def test_what_vllm_samples_has_the_logprobs_that_transformers_reads(local, in_vllm) -> None:
    asked = requests(in_vllm)
    drawn = in_vllm.sample(asked)
    rows = [(one.state, sample) for one, samples in zip(asked, drawn, strict=True) for sample in samples]
    read = local.read([(state, sample.action_ids) for state, sample in rows])
    gaps = [
        abs(a - b)
        for (_, sample), plain in zip(rows, read, strict=True)
        for a, b in zip(sample.logprobs, plain.logprobs, strict=True)
    ]
    assert len(gaps) >= 100
    assert max(gaps) < 1e-3
    assert sum(gaps) / len(gaps) < 1e-4
