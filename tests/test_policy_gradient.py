"""Losses against numbers by hand; gradients against a plain unpadded reference, and an exact expectation."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from gpo.learn.examples import Example
from gpo.learn.logprobs import ActionLogprobs
from gpo.learn.policy_gradient import Optimisation, PolicyGradient, k3
from gpo.learn.process import StepRewards
from gpo.learn.reading import complete, credited
from gpo.types import Group, InputError, Problem, Rollout, State, StepValues

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}


REWARDS = (1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.25, 1.0, 1.0)  # of the groups below


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


def learner(model, reference=None, **changes) -> PolicyGradient:
    settings = Optimisation(**{"learning_rate": 1e-2, "warmup_updates": 0, **changes})
    return PolicyGradient(model, settings, temperature=1.0, seed=0, reference=reference)


def examples(learn: PolicyGradient, data, step_values=(), step_rewards=()) -> list[Example]:
    """Ready to be trained, all in one minibatch."""
    with learn.network.training():
        found = credited(data, step_values, learn.settings, learn.network, step_rewards)
        complete(found, range(len(found)), step_values, learn.settings, learn.network)
    return found


def example(one: Rollout, advantage: float, old=None) -> Example:
    num = len(one.action_ids)
    return Example(
        one, 1.0, torch.full((num,), advantage), torch.tensor(one.logprobs if old is None else old)
    )


def gradient(learn: PolicyGradient, rows) -> torch.Tensor:
    learn.model.zero_grad(set_to_none=True)
    learn.accumulate(rows)
    return torch.cat([p.grad.flatten() for p in learn.parameters.values()])


def plain_gradient(model, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


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
    rows = examples(learn, data)
    assert len(rows) == 7
    ours = gradient(learn, rows)
    terms = []
    for group in data[:2]:
        rewards = group.rewards_G
        for one in group.rollouts:
            others = (sum(rewards) - one.reward) / (len(rewards) - 1)
            terms.append((one.reward - others) * plain_logprobs(model, one).sum())
    num_tokens = sum(len(r.action_ids) for group in data[:2] for r in group.rollouts)
    assert torch.allclose(ours, plain_gradient(model, -sum(terms) / num_tokens), rtol=1e-5, atol=1e-6)


def test_prefix_tokens_carry_no_gradient() -> None:
    # The last row's embedding gradient of the *output head* at a token that occurs only in the prefix
    # must come from the softmax alone; with one action token it is p * hidden, as by hand.
    model = llama().eval()
    one = rollout(model, (1, 2), (30, 31), (5,), 1.0)
    learn = learner(model)
    learn.accumulate([example(one, 1.0)])
    ids = torch.tensor([one.state.ids])
    hidden = model.model(input_ids=ids)[0][0, -1]
    probs = (model.lm_head.weight @ hidden).softmax(-1)
    expected = probs[:, None] * hidden[None]
    expected[5] -= hidden
    assert torch.allclose(model.lm_head.weight.grad, expected.detach(), atol=1e-5)


def test_the_clip_stops_a_token_that_has_moved_far_enough() -> None:
    model = llama().eval()
    one = rollout(model, (1, 2), (), (5, 6), 1.0)
    old = [x - 1.0 for x in one.logprobs]
    one = replace(one, logprobs=tuple(old))
    learn = learner(model, clip=0.2)
    # The ratio is e: above 1.2 with A > 0 the gain is constant, so there is no gradient.
    measured = learn.accumulate([example(one, 0.5, old)])
    assert measured["loss"] == pytest.approx(-1.2 * 0.5)
    assert measured["clip_frac"] == 1.0
    assert measured["ratio_mean"] == pytest.approx(math.e, rel=1e-5)
    assert measured["update_kl"] == pytest.approx(math.e - 2, rel=1e-4)
    assert all(float(p.grad.abs().max()) == 0.0 for p in learn.parameters.values())
    # With A < 0 the larger ratio counts, with its gradient.
    measured = learn.accumulate([example(one, -0.5, old)])
    assert measured["loss"] == pytest.approx(math.e * 0.5, rel=1e-5)
    assert measured["clip_frac"] == 0.0
    higher = learner(model, clip=0.2, clip_high=0.5)
    assert higher.accumulate([example(one, 0.5, old)])["loss"] == pytest.approx(-1.5 * 0.5)


def test_an_engine_that_computes_differently_is_corrected_up_to_a_cap() -> None:
    model = llama().eval()
    one = rollout(model, (1, 2), (), (5, 6), 1.0)
    # The engine gave the first token 1/1.5 of the trainer's probability, the second a tenth.
    given = (one.logprobs[0] - math.log(1.5), one.logprobs[1] - math.log(10.0))
    data = [Group(one.state, (replace(one, logprobs=given), replace(one, logprobs=(), reward=0.0)))]
    assert examples(learner(model), data)[0].old_T.tolist() == pytest.approx(one.logprobs, abs=1e-5)
    assert examples(learner(model), data)[1].old_T.tolist() == pytest.approx(one.logprobs, abs=1e-5)
    metrics = learner(llama()).update(data)
    assert metrics["train/sampler_mismatch"] == pytest.approx((math.log(1.5) + math.log(10)) / 4, rel=1e-4)
    assert metrics["train/sampler_mismatch_max"] == pytest.approx(math.log(10), rel=1e-4)
    measured = learner(model).accumulate([example(replace(one, logprobs=given), 1.0, one.logprobs)])
    assert measured["loss"] == pytest.approx(-(1.5 + 2.0) / 2, rel=1e-5)
    assert measured["sampler_capped_frac"] == 0.5
    assert measured["ratio_mean"] == pytest.approx(1.0)
    unknown = learner(model).accumulate([example(replace(one, logprobs=()), 1.0, one.logprobs)])
    assert unknown["loss"] == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("changes", "divisors"),
    [
        ({}, (6, 6)),
        ({"normalisation": "rollouts"}, (2 * 2, 2 * 4)),
        ({"normalisation": "constant", "loss_constant": 50.0}, (50, 50)),
    ],
)
def test_a_loss_is_normalised_by_tokens_by_rollouts_or_by_a_constant(changes, divisors) -> None:
    model = llama().eval()
    rows = [rollout(model, (1, 2), (), (5, 6), 1.0), rollout(model, (1, 2), (), (5, 6, 7, 8), 0.0)]
    learn = learner(model, **changes)
    ours = gradient(learn, [example(rows[0], 0.5), replace(example(rows[1], -0.25), weight=3.0)])
    terms = [a * plain_logprobs(model, one).sum() for a, one in ((0.5, rows[0]), (3 * -0.25, rows[1]))]
    loss = -sum(term / divisor for term, divisor in zip(terms, divisors, strict=True))
    assert torch.allclose(ours, plain_gradient(model, loss), rtol=1e-4, atol=1e-6)


def test_the_divergence_from_a_reference_is_part_of_the_loss_of_every_rollout() -> None:
    model, reference = llama().eval(), llama(seed=1).eval()
    data = groups(model)
    learn = learner(model, reference, kl_coef=0.3)
    rows = examples(learn, data)
    assert len(rows) == 9  # those without an advantage too
    ours = gradient(learn, rows)
    surrogate = divergence = 0.0
    for row in rows:
        new = plain_logprobs(model, row.rollout)
        log_r = plain_logprobs(reference, row.rollout).detach() - new
        surrogate = surrogate + (row.advantages_T * new).sum()
        ratio = (new - new.detach()).exp()  # 1, but for its gradient
        divergence = divergence + (ratio * (log_r.exp() - log_r - 1)).sum()
    num_tokens = sum(len(row.rollout.action_ids) for row in rows)
    expected = plain_gradient(model, (0.3 * divergence - surrogate) / num_tokens)
    assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-6)
    assert learn.accumulate(rows)["kl"] == pytest.approx(divergence.item() / num_tokens, rel=1e-4)


@pytest.mark.parametrize("changes", [{}, {"algorithm": "ppo"}])
def test_rewards_of_steps_are_added_to_what_the_outcome_gives(changes) -> None:
    model = llama().eval()
    learn = learner(model, step_reward_weight=0.5, **changes)
    data = groups(model)
    before = {id(row.rollout): row.advantages_T for row in examples(learn, data)}
    flat = data[2].rollouts  # two right answers of one and two tokens
    rewarded = [StepRewards(flat[0], (0, 1), (0.0,)), StepRewards(flat[1], (0, 1, 2), (1.0, 2.0))]
    rows = {id(row.rollout): row.advantages_T for row in examples(learn, data, step_rewards=rewarded)}
    assert len(rows) == 9  # an advantage of its own makes an equal outcome worth training
    # 0, 1 and 2 have the mean 1 and the deviation 1: -1 on the first, and 0 + 1 and then 1 on the second.
    for one, added in zip(flat, ([-0.5], [0.5, 0.5]), strict=True):
        start = before.get(id(one), torch.zeros(len(added)))
        assert (rows[id(one)] - start).tolist() == pytest.approx(added, abs=1e-3)
    assert all(torch.equal(rows[key], before[key]) for key in before if key not in map(id, flat))
    assert learn.update(data, step_rewards=rewarded)["train/step_reward"] == pytest.approx(1.0)


def test_the_bottleneck_keeps_up_the_entropy_of_tokens_with_an_advantage() -> None:
    model = llama().eval()
    data = groups(model)
    learn = learner(model, ib_coef=0.3, microbatch_tokens=20)
    rows = examples(learn, data)
    assert len(rows) == 7  # without an advantage there is nothing to weigh
    ours = gradient(learn, rows)
    gain = 0.0
    for row in rows:
        start, ids = len(row.rollout.state.ids), row.rollout.state.ids + row.rollout.action_ids
        logprobs = model(input_ids=torch.tensor([ids])).logits[0, start - 1 : -1].log_softmax(-1)
        entropies = -(logprobs.exp() * logprobs).sum(-1)
        gain = gain + (row.advantages_T * (plain_logprobs(model, row.rollout) + 0.3 * entropies)).sum()
    num_tokens = sum(len(row.rollout.action_ids) for row in rows)
    assert torch.allclose(ours, plain_gradient(model, -gain / num_tokens), rtol=1e-4, atol=1e-6)
    chunked = ActionLogprobs(model, chunk_elements=3 * 40)
    hidden = chunked.hidden(chunked.batch([rows[1].rollout]))
    expected = -(chunked._logits(hidden).softmax(-1) * chunked._logits(hidden).log_softmax(-1)).sum(-1)
    assert torch.allclose(chunked.entropies(hidden), expected, atol=1e-5)


@pytest.mark.parametrize("advantage", [0.5, -0.25])
def test_the_bottleneck_of_a_uniform_policy_is_its_advantage_times_the_log_of_the_vocabulary(
    advantage,
) -> None:
    model = llama().eval()
    with torch.no_grad():
        model.lm_head.weight.zero_()
    one = rollout(model, (1, 2), (), (5, 6), 1.0)
    measured = learner(model, ib_coef=0.1).accumulate([example(one, advantage)])
    assert measured["loss"] == pytest.approx(-advantage - 0.1 * advantage * math.log(40), rel=1e-5)
    assert learner(model).accumulate([example(one, advantage)])["loss"] == pytest.approx(-advantage)


def test_the_divergence_in_the_reward_changes_advantages() -> None:
    model, reference = llama().eval(), llama(seed=1).eval()
    data = groups(model)
    rows = examples(learner(model, reference, kl_coef=0.1, kl_in="reward"), data)
    shaped = [
        one.reward - 0.1 * (plain_logprobs(model, one) - plain_logprobs(reference, one)).sum().item()
        for one in data[0].rollouts
    ]
    expected = [r - (sum(shaped) - r) / 2 for r in shaped]
    assert [float(row.advantages_T[0]) for row in rows[:3]] == pytest.approx(expected, rel=1e-3)
    assert len(rows) == 9  # the flat group differs in its divergence


def test_a_cut_rollout_can_be_masked_and_still_counts_as_a_failure() -> None:
    model = llama()
    data = groups(model)[:1]
    cut = replace(data[0].rollouts[1], finished=False)
    data = [replace(data[0], rollouts=(data[0].rollouts[0], cut, data[0].rollouts[2]))]
    rows = examples(learner(model, mask_truncated=True), data)
    assert [float(row.advantages_T[0]) for row in rows] == pytest.approx([1.0, -0.5])
    assert learner(model, mask_truncated=True).update(data)["train/masked_rollouts"] == 1
    assert len(examples(learner(model), data)) == 3


def test_ppo_credits_tokens_by_its_critic_over_the_sampled_suffix() -> None:
    model = llama().eval()
    learn = learner(model, algorithm="ppo", gae_lambda=0.5, value_clip=None)
    with torch.no_grad():
        learn.network.module.head.weight.fill_(1e-9)  # or it would begin with the mean outcome
        learn.network.module.head.bias.fill_(0.5)
    data = groups(model)
    rows = examples(learn, data)
    assert len(rows) == 9
    raw = []
    for row in rows:
        # V is 0.5 everywhere and 0 after the end: only the last delta is not 0, and lambda carries it back.
        num = len(row.rollout.action_ids)
        raw.append([(row.rollout.reward - 0.5) * 0.5 ** (num - 1 - t) for t in range(num)])
        assert row.targets_T.tolist() == pytest.approx([a + 0.5 for a in raw[-1]], abs=1e-6)
    flat = [a for part in raw for a in part]
    mean = sum(flat) / len(flat)
    std = math.sqrt(sum((a - mean) ** 2 for a in flat) / len(flat))
    for row, part in zip(rows, raw, strict=True):
        assert row.advantages_T.tolist() == pytest.approx([(a - mean) / std for a in part], abs=1e-4)
    measured = learn.accumulate(rows)
    assert measured["value_loss"] == pytest.approx(sum(a * a for a in flat) / 2 / len(flat), rel=1e-4)
    # The critic's error does not reach the policy: the same gradient with another weight on it.
    assert learn.network.module.head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("critic", ["head", "model"])
def test_the_critic_learns_the_value_of_its_states(critic) -> None:
    model = llama()
    settings = {"algorithm": "ppo", "critic": critic, "critic_learning_rate": 3e-2, "learning_rate": 1e-6}
    learn = learner(model, epochs=4, value_clip=None, max_grad_norm=10.0, **settings)
    data = groups(model)
    found = [learn.update(data, round_index=i) for i in range(12)]
    assert found[-1]["train/value_loss"] < 0.6 * found[0]["train/value_loss"]
    assert found[0]["train/value_mean"] == pytest.approx(sum(REWARDS) / 9, abs=1e-6)
    # Rewards differ within a group, so the state alone explains a part of them only.
    assert found[-1]["train/value_explained_frac"] > 0.2 > found[0]["train/value_explained_frac"]


def test_a_search_supervises_the_critic_at_its_boundaries() -> None:
    model = llama().eval()
    data = groups(model)
    one = data[1].rollouts[1]
    steps = StepValues(one, (4, 7, 10), (0.3, 0.6, 1.0))
    rows = examples(learner(model, algorithm="ppo"), data, [steps])
    aims = next(row.targets_T.tolist() for row in rows if row.rollout is one)
    assert (aims[0], aims[3]) == pytest.approx((0.3, 0.6))
    rows = examples(learner(model), data, [steps])
    credit = next(row.advantages_T.tolist() for row in rows if row.rollout is one)
    assert credit == pytest.approx([0.3, 0.3, 0.3, 0.4, 0.4, 0.4])


def test_searched_groups_give_the_exact_gradient_in_expectation_and_leave_one_out_does_not() -> None:
    # A search samples one-token completions of one state until one is right, at most three. Every course it
    # can take is enumerated with its probability, so the expectation of the learner's gradient is exact: by
    # optional stopping it is E[number of rollouts] times the gradient of V. No sampling, no false alarm.
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{**SIZES, "vocab_size": 4}, initializer_range=0.5)).eval()
    state = State(Problem("p", (1, 2), ""))
    rewards = (0.0, 0.0, 0.6, 1.0)  # of the four tokens; only the last stops the search
    logprobs = model(input_ids=torch.tensor([state.ids])).logits[0, -1].log_softmax(-1)
    chances = logprobs.detach().exp().tolist()
    exact = plain_gradient(model, (logprobs.exp() * torch.tensor(rewards)).sum())
    beliefs = (0.5, 0.35, 0.2)  # of the first, second and third rollout: they follow what was seen
    plain = learner(model, normalisation="constant", loss_constant=1.0)
    expected, leave_one_out, mean_num = torch.zeros_like(exact), torch.zeros_like(exact), 0.0
    for course in itertools.chain.from_iterable(itertools.product(range(4), repeat=n) for n in (1, 2, 3)):
        if 3 in course[:-1] or (course[-1] != 3 and len(course) < 3):
            continue  # the search had stopped before, or goes on
        chance = math.prod(chances[token] for token in course)
        rows = tuple(
            Rollout(state, (t,), (math.log(chances[t]),), (), "", True, rewards[t], 0) for t in course
        )
        searched = Group(state, rows, baselines=beliefs[: len(rows)])
        expected -= chance * gradient(plain, examples(plain, [searched]))
        if compared := examples(plain, [Group(state, rows)]):
            leave_one_out -= chance * gradient(plain, compared)
        mean_num += chance * len(rows)
    assert torch.allclose(expected, mean_num * exact, rtol=1e-3, atol=1e-5)
    # Leave-one-out on the same data is biased: how many a rollout is compared with depends on its reward.
    error = (leave_one_out / mean_num - exact).norm() / exact.norm()
    print(error, torch.nn.functional.cosine_similarity(leave_one_out, exact, dim=0), chances)
    assert error > 0.2


def test_low_precision_weights_are_refused() -> None:
    with pytest.raises(InputError, match="dtype: weights in bfloat16 round small updates away"):
        learner(llama().to(torch.bfloat16))


def test_autocast_and_recomputation_leave_the_gradient_as_it_is() -> None:
    model = llama(attention_dropout=0.5)
    data = groups(model.eval())
    plain = gradient(learner(model), examples(learner(model), data))
    again = learner(model, gradient_checkpointing=True)
    with again.network.training():
        recomputed = gradient(again, examples(learner(model), data))
    assert torch.allclose(plain, recomputed, rtol=1e-5, atol=1e-7)
    assert "forward" not in vars(model.model.layers[0])
    half = gradient(learner(model, mixed_precision="bf16"), examples(learner(model), data))
    assert half.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(plain, half, dim=0) > 0.97
    assert not torch.equal(plain, half)


def test_minibatches_are_even_and_a_small_one_takes_a_smaller_step() -> None:
    learn = learner(llama(), minibatch=4, epochs=2)
    plan = list(learn._minibatches(9, 0))
    assert [len(rows) for rows in plan] == [3, 3, 3, 3, 3, 3]
    for one_pass in (plan[:3], plan[3:]):
        assert sorted(i for rows in one_pass for i in rows) == list(range(9))
    assert plan[:3] != plan[3:]
    assert list(learn._minibatches(0, 0)) == []
    data = groups(learn.model)[:1]  # three rollouts of a minibatch of four
    assert learn.update(data)["train/learning_rate"] == pytest.approx(1e-2 * math.sqrt(3 / 4))


def test_several_passes_keep_the_ratio_to_the_first() -> None:
    model = llama()
    data = groups(model)
    learn = learner(model, epochs=3, minibatch=4, learning_rate=3e-2)
    metrics = learn.update(data)
    assert metrics["train/updates"] == 6
    assert metrics["train/clip_frac"] > 0
    assert metrics["train/update_kl"] > 0
    assert metrics["train/sampler_mismatch"] < 1e-5
    assert metrics["train/padding_frac"] < 0.1


def test_k3_is_never_negative_and_zero_for_equals() -> None:
    assert k3(torch.tensor([-1.0, -2.0]), torch.tensor([-1.0, -2.0])).tolist() == [0.0, 0.0]
    assert k3(torch.tensor([-1.0]), torch.tensor([-2.0])).item() == pytest.approx(math.exp(-1.0), rel=1e-6)
    assert k3(torch.tensor([-2.0]), torch.tensor([-1.0])).item() == pytest.approx(math.e - 2.0, rel=1e-6)


def test_a_gradient_that_is_not_finite_stops_before_the_step() -> None:
    model = llama()
    data = groups(model)
    learn = learner(model)
    with torch.no_grad():
        model.lm_head.weight[5] = math.inf
    before = {name: p.detach().clone() for name, p in learn.parameters.items()}
    with pytest.raises(FloatingPointError, match="update 1: the loss is nan"):
        learn.update(data)
    assert all(torch.equal(before[name], p) for name, p in learn.parameters.items())


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


@pytest.mark.parametrize("changes", [{}, {"algorithm": "ppo"}, {"algorithm": "ppo", "critic": "model"}])
def test_the_saved_optimizer_goes_on_as_if_never_stopped(tmp_path, changes) -> None:
    models = [llama(), llama()]
    data = groups(models[0])
    changes = {"minibatch": 3, "warmup_updates": 8, **changes}
    straight = learner(models[0], **changes)
    straight.update(data, round_index=0)
    straight.save(tmp_path / "optimizer.safetensors")
    models[1].load_state_dict(models[0].state_dict())
    resumed = learner(models[1], **changes)
    resumed.load(tmp_path / "optimizer.safetensors")
    for learn in (straight, resumed):
        learn.update(data, round_index=1)
    assert resumed.num_updates == straight.num_updates >= 6
    assert resumed.network.critic_parameters.keys() == straight.network.critic_parameters.keys()
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_head_that_is_not_known_is_refused() -> None:
    model = llama()
    model.lm_head.register_forward_hook(lambda module, args, output: output)
    plain = model.forward
    model.forward = lambda *args, **kwargs: type("Out", (), {"logits": plain(*args, **kwargs).logits * 3})()
    with pytest.raises(InputError, match="LlamaForCausalLM changes its logits in an unknown way"):
        ActionLogprobs(model)


def test_a_frozen_model_is_refused() -> None:
    model = llama()
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no parameter is trainable"):
        learner(model)
