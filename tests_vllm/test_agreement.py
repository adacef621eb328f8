"""transformers, vLLM in process and a vLLM server: one model, one answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import MAX_TOKENS

from gpo import DEMO_MODEL
from gpo.policies.sampler import Sampling
from gpo.policies.server import ServerPolicy
from gpo.policies.transformers import TransformersPolicy
from gpo.types import DataWarning, InputError, Problem, Request, State


def transformers_policy(**settings: Any) -> TransformersPolicy:
    return TransformersPolicy.load(DEMO_MODEL, **{"max_tokens": MAX_TOKENS, **settings})


def server_policy(served: Any, **settings: Any) -> ServerPolicy:
    return ServerPolicy.load([served.url], DEMO_MODEL, **{"max_tokens": MAX_TOKENS, **settings})


def requests_of(policy: Any, num_problems: int = 6, num: int = 3) -> list[Request]:
    questions = [f"{i} + 3 - 2 = " for i in range(num_problems)]
    problems = [
        Problem(question, policy.prompt_ids(question), "", question=question) for question in questions
    ]
    prefix = tuple(policy.tokenizer.encode("1 + 3 = 4\n"))
    return [
        Request(State(problem, given), num, seed)
        for seed, problem in enumerate(problems)
        for given in ((), prefix)
    ]


@contextmanager
def sampling(policy: Any, settings: Sampling, stop: tuple[str, ...] = ()) -> Iterator[Any]:
    """The engine is loaded once; how it samples is said in every request."""
    before = policy.sampling, policy.stop
    policy.sampling, policy.stop = settings, stop
    yield policy
    policy.sampling, policy.stop = before


def ids_of(groups: Any) -> list[list[tuple[int, ...]]]:
    return [[one.action_ids for one in group] for group in groups]


@pytest.mark.parametrize("stop", [(), ("= ",)])
def test_greedy_continuations_and_their_logprobs_are_the_same_on_three_engines(
    vllm_policy, served, stop
) -> None:
    local = transformers_policy(temperature=0.0, stop=stop)
    requests = requests_of(local)
    known = local.sample(requests)
    with sampling(vllm_policy, Sampling(0.0), stop) as in_process:
        others = [in_process.sample(requests)]
    others.append(server_policy(served, temperature=0.0, stop=stop).sample(requests))
    for other in others:
        assert ids_of(other) == ids_of(known)
        for mine, theirs in zip(known, other, strict=True):
            for a, b in zip(mine, theirs, strict=True):
                assert a.finished == b.finished
                assert b.logprobs == pytest.approx(a.logprobs, abs=1e-4)
    assert any(one.finished for group in known for one in group)


def test_sampled_logprobs_are_those_of_a_plain_forward_pass(vllm_policy, served) -> None:
    local = transformers_policy()
    requests = requests_of(local)
    for policy in (vllm_policy, server_policy(served)):
        groups = policy.sample(requests)
        given = [
            (request.state, one.action_ids)
            for request, group in zip(requests, groups, strict=True)
            for one in group
        ]
        drawn = [one for group in groups for one in group]
        known = local.read(given)
        for one, plain, read in zip(drawn, known, policy.read(given), strict=True):
            assert one.logprobs == pytest.approx(plain.logprobs, abs=1e-4)
            assert read.logprobs == pytest.approx(plain.logprobs, abs=1e-4)
            assert one.finished == (one.action_ids[-1] in local.end_ids)


def test_a_server_with_processed_logprobs_gives_those_at_the_temperature_and_none_after_a_cut(served) -> None:
    policy, local = server_policy(served, temperature=0.7), transformers_policy(temperature=0.7)
    requests = requests_of(local)
    for request, group in zip(requests, policy.sample(requests), strict=True):
        for one in group:
            plain = local.read([(request.state, one.action_ids)])[0]
            assert one.logprobs == pytest.approx(plain.logprobs, abs=1e-4)
    with pytest.warns(DataWarning, match="start it with --logprobs-mode raw_logprobs"):
        policy = server_policy(served, top_k=3)
    assert all(math.isnan(x) for x in policy.sample(requests[:1])[0][0].logprobs)


def test_in_process_logprobs_are_those_before_a_cut(vllm_policy) -> None:
    local = transformers_policy(top_k=3)
    with sampling(vllm_policy, Sampling(top_k=3)) as policy:
        for request, group in zip(requests_of(local), policy.sample(requests_of(local)), strict=True):
            for one in group:
                plain = local.read([(request.state, one.action_ids)])[0]
                assert one.logprobs == pytest.approx(plain.logprobs, abs=1e-4)


@pytest.mark.parametrize("engine", ["vllm", "server"])
def test_what_a_request_draws_depends_neither_on_its_neighbours_nor_on_their_order(
    vllm_policy, served, engine
) -> None:
    policy = vllm_policy if engine == "vllm" else server_policy(served)
    requests = requests_of(policy)
    together = ids_of(policy.sample(requests))
    assert ids_of(policy.sample(requests[::-1])) == together[::-1]
    assert ids_of(future.result() for future in [policy.submit(one) for one in requests]) == together
    few = [Request(request.state, 2, request.seed) for request in requests]
    assert ids_of(policy.sample(few)) == [group[:2] for group in together]
    assert any(len(set(group)) > 1 for group in together)
    others = [Request(request.state, request.num, request.seed + 1) for request in requests]
    assert ids_of(policy.sample(others)) != together


@pytest.mark.parametrize("engine", ["vllm", "server"])
def test_limits_are_those_of_every_policy(vllm_policy, served, engine) -> None:
    policy = vllm_policy if engine == "vllm" else server_policy(served)
    problem = Problem("x", policy.prompt_ids("1 + 1 = "), "")
    full = State(problem, (5,) * MAX_TOKENS)
    assert [(one.action_ids, one.finished) for one in policy.sample([Request(full, 2, 0)])[0]] == [
        ((), False)
    ] * 2
    almost = State(problem, (5,) * (MAX_TOKENS - 2))
    assert {len(one.action_ids) for one in policy.sample([Request(almost, 4, 0)])[0]} <= {1, 2}
    assert policy.context == 1024
    with pytest.raises(InputError, match="the model's context is 1024"):
        policy.read([(State(problem), (5,) * 1100)])
    with pytest.raises(InputError, match="the prompt is empty"):
        policy.sample([Request(State(Problem("y", (), "")), 1, 0)])


def test_a_prefix_is_read_once(vllm_policy) -> None:
    problem = Problem("long", vllm_policy.prompt_ids("1 + 2 = " * 30), "")
    params = vllm_policy._params(num=1, max_tokens=4, seed=0)
    cached = [
        vllm_policy._submit(State(problem).ids, params, lambda output: output.num_cached_tokens).result()
        for _ in range(2)
    ]
    assert cached[0] == 0
    assert cached[1] >= len(problem.prompt_ids) - 32


@pytest.mark.parametrize("engine", ["vllm", "server"])
def test_more_prompts_at_once_than_a_step_can_read_are_all_answered(vllm_policy, served, engine) -> None:
    policy = vllm_policy if engine == "vllm" else server_policy(served)
    prompts = [policy.prompt_ids(f"{i} + " * 60 + "1 = ") for i in range(48)]
    requests = [Request(State(Problem(str(i), ids, ""), (5,) * 60), 1, i) for i, ids in enumerate(prompts)]
    assert sum(map(len, prompts)) > 8192
    assert all(1 <= len(one.action_ids) <= 4 for (one,) in policy.sample(requests))
