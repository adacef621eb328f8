"""A trainer's weights in vLLM: adapters by name, updates, and the comparison that follows each."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from conftest import ENGINE, MAX_TOKENS, peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from gpo import DEMO_MODEL
from gpo.policies.loading import load_tokenizer
from gpo.policies.transformers import TransformersPolicy
from gpo.policies.vllm import VllmPolicy
from gpo.types import EngineError, InputError, Problem, Request, State


def states_of(policy, num=3):
    return [State(Problem(str(i), policy.prompt_ids(f"{i} + 4 = "), "")) for i in range(num)]


def gap(policy, trainer) -> float:
    """The largest difference of log-probabilities on fresh samples."""
    requests = [Request(state, 2, 7) for state in states_of(policy)]
    found = 0.0
    for request, group in zip(requests, policy.sample(requests), strict=True):
        for one in group:
            known = trainer.read([(request.state, one.action_ids)])[0]
            found = max([found, *(abs(a - b) for a, b in zip(one.logprobs, known.logprobs, strict=True))])
    return found


def test_an_adapter_is_sampled_from_by_its_name(lora_policy, adapter) -> None:
    base = TransformersPolicy.load(DEMO_MODEL, max_tokens=MAX_TOKENS)
    tuned = TransformersPolicy.load(DEMO_MODEL, adapter=adapter, max_tokens=MAX_TOKENS)
    before = lora_policy.fingerprint
    assert gap(lora_policy, base) < 1e-4
    lora_policy.adapter = "mine"
    try:
        assert gap(lora_policy, tuned) < 1e-4
        assert gap(lora_policy, base) > 0.1
        assert lora_policy.fingerprint["weights"] != before["weights"]
        with pytest.raises(InputError, match="fails when it reads given text with adapters enabled"):
            lora_policy.read([(states_of(lora_policy)[0], (5, 6))])
    finally:
        lora_policy.adapter = None


def test_a_trained_adapter_takes_the_place_of_the_one_before(lora_policy) -> None:
    tokenizer = load_tokenizer(DEMO_MODEL, trust_remote_code=False)
    try:
        for seed in (3, 4):
            trainer = TransformersPolicy(peft_model(seed), tokenizer, max_tokens=MAX_TOKENS)
            trainer.version = seed
            assert lora_policy.update(trainer, states_of(lora_policy)) < 1e-4
            assert gap(lora_policy, trainer) < 1e-4
            assert lora_policy.version == seed
    finally:
        lora_policy.adapter = None


def test_updated_weights_are_the_trainers_and_cached_prefixes_are_forgotten(vllm_policy) -> None:
    trainer = TransformersPolicy.load(DEMO_MODEL, max_tokens=MAX_TOKENS)
    original = {name: weights.clone() for name, weights in trainer.model.state_dict().items()}
    vllm_policy.sample([Request(state, 1, 0) for state in states_of(vllm_policy)])
    torch.manual_seed(0)
    try:
        for version in (1, 2):
            with torch.no_grad():
                for weights in trainer.model.parameters():
                    weights.add_(0.02 * torch.randn_like(weights))
            trainer.version = version
            assert vllm_policy.update(trainer, states_of(vllm_policy)) < 1e-4
            assert gap(vllm_policy, trainer) < 1e-4
    finally:
        trainer.model.load_state_dict(original)
        vllm_policy.update(trainer, states_of(vllm_policy))


def test_weights_that_vllm_reloads_wrongly_stop_the_run_with_the_reason(tmp_path) -> None:
    config = AutoConfig.from_pretrained(DEMO_MODEL, tie_word_embeddings=True)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    tokenizer = load_tokenizer(DEMO_MODEL, trust_remote_code=False)
    trainer = TransformersPolicy(model, tokenizer, max_tokens=MAX_TOKENS)
    trainer.save(tmp_path)
    policy = VllmPolicy.load(tmp_path, max_tokens=MAX_TOKENS, engine=ENGINE)
    try:
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(0.05 * torch.randn_like(weights))
        with pytest.raises(EngineError, match="tied embeddings, which vLLM reloads wrongly; train with"):
            policy.update(trainer, states_of(policy))
    finally:
        policy.close()


def test_train_samples_from_vllm_and_hands_every_update_over(tmp_path) -> None:
    arguments = [
        "train",
        "--task",
        "chain_sum",
        "--max-tokens",
        "64",
        "--min-step-tokens",
        "1",
        "--size",
        "32",
    ]
    arguments += ["--rounds", "2", "--problems-per-round", "4", "--group-size", "4", "--eval-problems", "8"]
    arguments += ["--recipe", "search"]
    arguments += ["--learning-rate", "1e-3", "--warmup-updates", "0", "--engine", "vllm", "--output", "run"]
    for name, value in ENGINE.items():
        arguments += ["--vllm-args", f"{name}={str(value).lower()}"]
    script = "from gpo.cli import main\nif __name__ == '__main__':\n    main()"
    (tmp_path / "go.py").write_text(script)
    subprocess.run([sys.executable, "go.py", *arguments], cwd=tmp_path, check=True, timeout=600)
    lines = [json.loads(line) for line in (tmp_path / "run/rounds.jsonl").read_text().splitlines()]
    gaps = [line["metrics"]["engine/logprob_gap"] for line in lines[1:]]
    assert len(gaps) == 2
    assert max(gaps) < 1e-4
    rollouts = [json.loads(line) for line in (tmp_path / "run/rollouts.jsonl").read_text().splitlines()]
    assert {line["policy_version"] for line in rollouts} == {0, 1}
