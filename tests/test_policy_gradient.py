"""Advantages and losses against numbers by hand; gradients against a plain unpadded reference."""

import math

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from gpo.learn.logprobs import ActionLogprobs
from gpo.learn.policy_gradient import Optimisation, PolicyGradient, grpo, rloo
from gpo.types import Group, InputError, Problem, Rollout, State

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}


def llama(seed: int = 0, **changes) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**SIZES, initializer_range=0.3, **changes))


def gemma(seed: int = 0) -> Gemma2ForCausalLM:
    torch.manual_seed(seed)
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, initializer_range=0.3, final_logit_softcapping=2.0))


def plain_logprobs(model, rollout: Rollout, temperature: float = 1.0) -> torch.Tensor:
    """One row, no padding, all logits: the definition."""
    ids = torch.tensor([rollout.state.ids + rollout.action_ids])
    logprobs = (model(input_ids=ids).logits[0].float() / temperature).log_softmax(-1)
    start = len(rollout.state.ids)
    return torch.stack([logprobs[t - 1, ids[0, t]] for t in range(start, ids.shape[1])])


def rollout(model, prompt, prefix, action, reward) -> Rollout:
    one = Rollout(State(Problem(str(prompt), prompt, ""), prefix), action, (), (), "", True, reward, 0)
    with torch.no_grad():
        logprobs = tuple(plain_logprobs(model, one).tolist())
    return Rollout(one.state, action, logprobs, (), "", True, reward, 0)


def groups(model) -> list[Group]:
    """A fresh group, a reset group with a longer prefix and other lengths, and one without signal."""
    fresh = [
        rollout(model, (1, 2, 3), (), a, r) for a, r in (((4, 5), 1.0), ((6, 7, 8, 9), 0.0), ((4,), 0.0))
    ]
    reset = [
        rollout(model, (1, 2, 3), (6, 7, 11, 12), a, r)
        for a, r in (((8,), 0.0), ((10, 11, 12, 13, 14, 15), 1.0), ((8, 9), 1.0), ((3, 3), 0.25))
    ]
    flat = [rollout(model, (9, 9), (), a, 1.0) for a in ((1,), (2, 3))]
    return [Group(rows[0].state, tuple(rows)) for rows in (fresh, reset, flat)]


def learner(model, **changes) -> PolicyGradient:
    settings = Optimisation(**{"learning_rate": 1e-2, "warmup_updates": 0, **changes})
    return PolicyGradient(model, settings, temperature=1.0, seed=0)


def test_rloo_compares_each_reward_with_the_mean_of_the_others() -> None:
    assert rloo([1.0, 0.0, 0.0, 1.0]) == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3])
    assert rloo([0.5, 0.25]) == pytest.approx([0.25, -0.25])
    assert rloo([1.0]) == [0.0]
    assert rloo([1.0, 1.0, 1.0]) == [0.0, 0.0, 0.0]


def test_grpo_divides_by_the_standard_deviation() -> None:
    assert grpo([1.0, 0.0, 0.0, 1.0]) == pytest.approx(
        [x / (math.sqrt(1 / 3) + 1e-4) for x in (0.5, -0.5, -0.5, 0.5)]
    )
    assert grpo([1.0]) == [0.0]
    assert grpo([0.0, 0.0]) == [0.0, 0.0]


@pytest.mark.parametrize("make", [llama, gemma])
def test_log_probabilities_agree_with_a_plain_forward_pass(make) -> None:
    model = make().eval()
    rows = [r for group in groups(model) for r in group.rollouts]
    for temperature in (1.0, 0.7):
        chunked = ActionLogprobs(model, temperature, chunk_elements=3 * 40)
        plain = torch.cat([plain_logprobs(model, r, temperature) for r in rows])
        assert torch.allclose(chunked(rows), plain, atol=1e-5)


@pytest.mark.parametrize("make", [llama, gemma])
def test_the_gradient_is_that_of_a_plain_unpadded_reference(make) -> None:
    model = make().eval()
    learn = learner(model, microbatch_tokens=20)
    data = groups(model)
    examples = learn.examples(data)
    assert len(examples) == 7
    learn.accumulate(examples)
    ours = {name: p.grad.clone() for name, p in learn.parameters.items()}

    model.zero_grad()
    terms = []
    for group in data[:2]:
        rewards = group.rewards_G
        for one in group.rollouts:
            others = (sum(rewards) - one.reward) / (len(rewards) - 1)
            terms.append((one.reward - others) * plain_logprobs(model, one).sum())
    num_tokens = sum(len(r.action_ids) for group in data[:2] for r in group.rollouts)
    (-sum(terms) / num_tokens).backward()
    for name, parameter in learn.parameters.items():
        assert torch.allclose(ours[name], parameter.grad, rtol=1e-5, atol=1e-6), name


def test_prefix_tokens_carry_no_gradient() -> None:
    # The last row's embedding gradient of the *output head* at a token that occurs only in the prefix
    # must come from the softmax alone; with one action token it is p * hidden, as by hand.
    model = llama().eval()
    one = rollout(model, (1, 2), (30, 31), (5,), 1.0)
    learn = learner(model)
    learn.accumulate([(one, 1.0)])
    ids = torch.tensor([one.state.ids])
    hidden = model.model(input_ids=ids)[0][0, -1]
    probs = (model.lm_head.weight @ hidden).softmax(-1)
    expected = probs[:, None] * hidden[None]
    expected[5] -= hidden
    assert torch.allclose(model.lm_head.weight.grad, expected.detach(), atol=1e-5)


def test_the_clip_stops_a_token_that_has_moved_far_enough() -> None:
    model = llama().eval()
    one = rollout(model, (1, 2), (), (5, 6), 1.0)
    moved = Rollout(one.state, one.action_ids, tuple(x - 1.0 for x in one.logprobs), (), "", True, 1.0, 0)
    learn = learner(model, clip=0.2)
    loss, clipped = learn.accumulate([(moved, 0.5)])  # ratio e > 1.2 with A > 0: constant, no gradient
    assert loss == pytest.approx(-1.2 * 0.5)
    assert clipped == 1.0
    assert all(float(p.grad.abs().max()) == 0.0 for p in learn.parameters.values())
    loss, clipped = learn.accumulate([(moved, -0.5)])  # A < 0: the larger ratio counts, with its gradient
    assert loss == pytest.approx(math.e * 0.5, rel=1e-5)
    assert clipped == 0.0


def test_an_update_makes_right_answers_likelier_and_leaves_flat_groups_out() -> None:
    model = llama()
    data = groups(model)
    learn = learner(model)
    before = [plain_logprobs(model, r).sum().item() for r in data[0].rollouts]
    metrics = learn.update(data)
    after = [plain_logprobs(model, r).sum().item() for r in data[0].rollouts]
    assert after[0] > before[0]
    assert after[1] < before[1]
    assert metrics["train/rollouts"] == 7
    assert metrics["train/updates"] == 1
    assert metrics["train/signal_groups_frac"] == pytest.approx(2 / 3)
    nothing = learn.update(data[2:])
    assert nothing["train/updates"] == 0


def test_the_saved_optimizer_goes_on_as_if_never_stopped(tmp_path) -> None:
    models = [llama(), llama()]
    data = groups(models[0])
    straight = learner(models[0], minibatch=3, warmup_updates=8)
    straight.update(data, round_index=0)
    straight.save(tmp_path / "optimizer.safetensors")
    models[1].load_state_dict(models[0].state_dict())
    resumed = learner(models[1], minibatch=3, warmup_updates=8)
    resumed.load(tmp_path / "optimizer.safetensors")
    for learn in (straight, resumed):
        learn.update(data, round_index=1)
    assert resumed.num_updates == straight.num_updates == 6
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_head_that_is_not_known_is_refused() -> None:
    model = llama()
    model.lm_head.register_forward_hook(lambda module, args, output: output)
    plain = model.forward
    model.forward = lambda *args, **kwargs: type("Out", (), {"logits": plain(*args, **kwargs).logits * 3})()
    with pytest.raises(InputError, match="LlamaForCausalLM puts something between"):
        ActionLogprobs(model)


@pytest.mark.parametrize(("changes", "message"), [({"algorithm": "ppo2"}, "one of rloo, grpo")])
def test_unknown_algorithms_are_refused(changes, message) -> None:
    with pytest.raises(InputError, match=message):
        Optimisation(**changes)


def test_a_frozen_model_is_refused() -> None:
    model = llama()
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no parameter is trainable"):
        learner(model)
