# ruff: noqa: E501 - a case is a line
"""Rotary frequencies that change with length: every draw and every reading as of the one sequence alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from test_transformers_policy import DECODER, characters

from gpo.learn.critic import ActorCritic
from gpo.learn.logprobs import ActionLogprobs
from gpo.policies.transformers import TransformersPolicy
from gpo.rope import side, switch_of
from gpo.types import Problem, Request, Rollout, Sample, State

SWITCH = 40
LONG = {"rope_theta": 1e4, "original_max_position_embeddings": SWITCH}
LONGROPE = {
    **LONG,
    "rope_type": "longrope",
    "short_factor": [1.0] * 8,
    "long_factor": [1.0, 1.5, 2, 3, 5, 8, 13, 21],
}
KINDS: dict[str, tuple[type, dict[str, Any], int | None]] = {
    "phi3 longrope": (transformers.Phi3Config, LONGROPE, SWITCH),
    "llama longrope": (transformers.LlamaConfig, LONGROPE, SWITCH),
    "llama dynamic": (transformers.LlamaConfig, {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}, None),
    "llama dynamic of a shorter original": (transformers.LlamaConfig, {**LONG, "rope_type": "dynamic", "factor": 4.0}, None),
    "llama yarn": (transformers.LlamaConfig, {**LONG, "rope_type": "yarn", "factor": 4.0}, None),
    "llama3": (
        transformers.LlamaConfig,
        {**LONG, "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
        None,
    ),
    "llama linear": (transformers.LlamaConfig, {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}, None),
}  # fmt: skip
ACROSS = [
    "a question: what",
    "ab",
    "a much longer question, past the switch: is it so",
    "a third one of some thirty chars",
]


def model_of(kind: str) -> Any:
    config, rope, _ = KINDS[kind]
    torch.manual_seed(3)
    values = {**DECODER, "max_position_embeddings": 96, "rope_parameters": rope}
    if config is transformers.Phi3Config:
        values |= {"original_max_position_embeddings": SWITCH, "sliding_window": None}
    return transformers.AutoModelForCausalLM.from_config(config(**values)).eval()


def requests_of(policy: TransformersPolicy, num: int = 3) -> list[Request]:
    return [
        Request(State(Problem(text, tuple(policy.tokenizer.encode(text)), "", question=text)), num, seed)
        for seed, text in enumerate(ACROSS)
    ]


def alone(kind: str, start: State, ids: tuple[int, ...]) -> list[float]:
    """The log-probability of each token after a forward pass of nothing but the tokens before it."""
    model, whole, found = model_of(kind), start.ids + ids, []
    with torch.no_grad():
        for place in range(len(start.ids), len(whole)):
            logits_V = model(torch.tensor([whole[:place]]), use_cache=False).logits[0, -1].float()
            found.append(float(logits_V.log_softmax(-1)[whole[place]]))
    return found


def gap(ours: Any, theirs: Any) -> float:
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def sampled(policy: TransformersPolicy) -> list[tuple[State, Sample]]:
    requests = requests_of(policy)
    return [
        (request.state, sample)
        for request, samples in zip(requests, policy.sample(requests), strict=True)
        for sample in samples
    ]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def drawn(kind: str) -> tuple[TransformersPolicy, list[tuple[State, Sample]], list[list[float]]]:
    """A policy, what it drew across the switch in one batch, and what each sequence alone says of it."""
    policy = TransformersPolicy(model_of(kind), characters(), max_tokens=45)
    found = sampled(policy)
    return policy, found, [alone(kind, state, sample.action_ids) for state, sample in found]


def test_a_switch_is_read_from_the_config(kind):
    assert switch_of(model_of(kind).config) == KINDS[kind][2]


def test_samples_have_the_logprobs_of_each_sequence_alone(drawn):
    _, found, known = drawn
    assert {len(state.ids) + len(sample.action_ids) > SWITCH for state, sample in found} == {True}
    assert max(gap(sample.logprobs, theirs) for (_, sample), theirs in zip(found, known, strict=True)) < 1e-4


def test_reading_gives_what_sampling_gave_in_any_company(drawn):
    policy, found, known = drawn
    for chosen in (found, found[::-1], found[:1]):
        read = policy.read([(state, sample.action_ids) for state, sample in chosen])
        for (state, sample), one in zip(chosen, read, strict=True):
            theirs = known[found.index((state, sample))]
            assert gap(one.logprobs, theirs) < 1e-4
            assert gap(one.entropies, sample.entropies) < 1e-4


def test_the_learner_gives_what_sampling_gave_with_gradients_and_values(drawn):
    policy, found, known = drawn
    rollouts = [Rollout(state, one.action_ids, one.logprobs, (), "", True, 0.0, 0) for state, one in found]
    for module in (ActionLogprobs(policy.model), ActorCritic(ActionLogprobs(policy.model), "model")):
        result = module(rollouts)
        logprobs_N = result if isinstance(result, torch.Tensor) else result[0]
        assert gap(logprobs_N.tolist(), [x for theirs in known for x in theirs]) < 1e-4
        logprobs_N.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in policy.model.parameters() if p.grad is not None)
    policy.model.zero_grad()


def test_what_a_row_draws_does_not_depend_on_its_neighbours(drawn):
    policy, found, _ = drawn
    requests = requests_of(policy)
    apart = [sample for request in requests for sample in policy.sample([request])[0]]
    assert [sample.action_ids for sample in apart] == [sample.action_ids for _, sample in found]
    small = TransformersPolicy(policy.model, characters(), max_tokens=45, batch_tokens=1)
    assert [one.action_ids for _, one in sampled(small)] == [sample.action_ids for _, sample in found]


def test_a_prefix_past_the_switch_is_continued_as_it_was_sampled(drawn):
    policy, found, known = drawn
    state, sample = found[0]
    half = State(state.problem, sample.action_ids[:30])
    rest = policy.read([(half, sample.action_ids[30:])])[0]
    assert gap(rest.logprobs, known[0][30:]) < 1e-4


@pytest.mark.parametrize(
    ("length", "num_new", "expected"),
    [
        (10, 31, (False, 0)),
        (10, 32, (True, 10)),
        (40, 1, (False, 0)),
        (40, 2, (True, 40)),
        (41, 1, (True, 41)),
        (70, 9, (True, 41)),
    ],
)
def test_rows_share_a_batch_by_the_side_of_the_switch_they_are_on(length, num_new, expected):
    assert side(length, num_new, SWITCH) == expected
    assert side(length, num_new, None) == (False, 0)


def test_rows_that_run_on_after_their_end_do_not_switch_a_batch_that_stays_before_it():
    policy = TransformersPolicy(model_of("phi3 longrope"), characters(), max_tokens=12, stop=["a", "e", " "])
    for state, sample in sampled(policy):
        if len(state.ids) < 30:
            theirs = alone("phi3 longrope", state, sample.action_ids)
            assert gap(sample.logprobs, theirs) < 1e-4
