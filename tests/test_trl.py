"""GPO in TRL's GRPOTrainer: whole batches by identities, gradients against plain losses, every refusal."""

import importlib
import importlib.metadata
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from toy import AllRight, TablePolicy, problems
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

import gpo.trl
from gpo import steps, tasks, verifiers
from gpo.learn.policy_gradient import grpo, rloo
from gpo.paths import PathPrior
from gpo.pool import Pool
from gpo.recipe import Recipe
from gpo.trl.batch import metrics, sample_batch
from gpo.trl.checks import check_split
from gpo.trl.rows import Rows, prompt_ids
from gpo.types import DataWarning, InputError

pytestmark = [
    pytest.mark.filterwarnings("ignore:You are using 'rollout_func'"),
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
]
ROOT = Path(__file__).parent.parent
LINES = steps.newline(min_tokens=1)
RECIPE = Recipe(rule="drop", explored="failed", splitter=LINES, search_traces=3.0)
G = 4


# ---- the batch, on a table whose values are known


def batch_of(
    right=(1.0, 0.5, 1.0, 1.0), num=6, resets=3, group_size=G, seed=1, asked=None, policy=None, **changes
):
    plain = {"rule": "drop", "explored": "failed", "splitter": LINES, "search": "uniform", "values": 2}
    pool = Pool(policy or TablePolicy(right), AllRight(), seed)
    return sample_batch(
        pool, asked or problems(num), group_size, resets, Recipe(**plain | changes), PathPrior()
    )


def test_each_place_holds_g_rollouts_of_one_state_and_no_rollout_has_two_places() -> None:
    batch = batch_of()
    assert len(batch.groups) == 6
    assert [len(group.rollouts) for group in batch.groups] == [G] * 6
    assert all(rollout.state == group.state for group in batch.groups for rollout in group.rollouts)
    assert len({id(rollout) for rollout in batch.rollouts}) == 6 * G
    assert len(batch.resets) == 3
    assert [bool(group.state.prefix_ids) for group in batch.groups] == [False] * 3 + [True] * 3
    assert [g.state.problem.id for g in batch.fresh] == ["p0", "p1", "p2"]


def test_reset_states_are_found_in_the_fresh_failures_of_the_same_batch() -> None:
    batch = batch_of()
    failures = {id(r) for group in batch.fresh for r in group.rollouts if r.reward < 1}
    assert {id(one.curve.rollout) for one in batch.located} <= failures
    states = [one.critical.reset_state(one.curve) for one in batch.located if one.critical]
    assert [group.state for group in batch.resets] == states


def test_value_rollouts_are_the_first_of_a_reset_group_in_order_of_sampling() -> None:
    batch = batch_of(values=2)
    for group in batch.resets:
        kept = batch.pool.rollouts[group.state]
        assert [one.purpose for one in kept] == ["values"] * 2 + ["resets"] * 2
        assert list(group.rollouts) == [one.rollout for one in kept]


def test_with_more_value_rollouts_than_places_the_first_are_taken_and_the_rest_is_untrained() -> None:
    batch = batch_of(values=7)
    for group in batch.resets:
        kept = batch.pool.at(group.state)
        assert len(kept) == 7
        assert list(group.rollouts) == kept[:G]
    held = {id(rollout) for rollout in batch.rollouts}
    every = [one.rollout for kept in batch.pool.rollouts.values() for one in kept]
    left = [rollout for rollout in every if id(rollout) not in held]
    assert batch.num_untrained == len(left) > 3 * len(batch.resets)
    assert batch.tokens["untrained"] == sum(len(r.action_ids) for r in left)
    assert batch.tokens["untrained"] <= batch.tokens["values"]


def test_a_recipe_that_trains_no_values_fills_reset_groups_anew() -> None:
    batch = batch_of(trained=("explore", "resets"))
    for group in batch.resets:
        purposes = {id(one.rollout): one.purpose for one in batch.pool.rollouts[group.state]}
        assert {purposes[id(rollout)] for rollout in group.rollouts} == {"resets"}


def test_with_resets_everywhere_each_place_holds_the_reset_state_of_its_own_untrained_trajectory() -> None:
    batch = batch_of(right=(1.0, 0.5, 0.4, 1.0), resets=6, explored="all", rule="entropy")
    assert [group.state.problem.id for group in batch.groups] == [f"p{i}" for i in range(6)]
    assert [len(group.rollouts) for group in batch.groups] == [G] * 6
    assert [len(group.rollouts) for group in batch.fresh] == [1] * 6
    explored = {group.state.problem.id: group.rollouts[0] for group in batch.fresh}
    for group, one in zip(batch.groups, batch.located, strict=True):
        assert group.state == one.critical.reset_state(one.curve)
        assert one.curve.rollout is explored[group.state.problem.id]
        assert group.state.prefix_ids == one.curve.rollout.action_ids[: len(group.state.prefix_ids)]
        assert id(explored[group.state.problem.id]) not in map(id, group.rollouts)
    assert batch.num_untrained == 6
    assert metrics(batch)["gpo/fresh/value"] == sum(one.reward for one in explored.values()) / 6


def test_with_resets_everywhere_equal_prompts_and_places_without_a_state_have_groups_of_their_own() -> None:
    twice = [*problems(2), *problems(2)]
    batch = batch_of(right=(0.5, 1.0, 0.5), asked=twice, resets=4, explored="failed", rule="random")
    assert [group.state.problem.id for group in batch.groups] == ["p0", "p1", "p0", "p1"]
    assert len({id(rollout) for rollout in batch.rollouts}) == 4 * G
    named = {id(one.curve.rollout) for one in batch.located}
    for group, fresh in zip(batch.groups, batch.fresh, strict=True):
        if id(fresh.rollouts[0]) not in named:
            assert not group.state.prefix_ids
        assert id(fresh.rollouts[0]) not in map(id, group.rollouts)


def test_a_place_without_a_reset_state_keeps_its_own_problem() -> None:
    batch = batch_of(right=(1.0, 1.0))
    assert len(batch.resets) == 0
    assert [group.state.problem.id for group in batch.groups] == [f"p{i}" for i in range(6)]
    assert batch.num_untrained == 0


def test_a_critical_step_at_the_very_start_is_no_reset() -> None:
    # Only the first line can be wrong, so the state before it is the prompt, which has its group.
    batch = batch_of(right=(0.5, 1.0, 1.0), values=16)
    assert batch.located
    assert {one.critical.index for one in batch.located if one.critical} == {0}
    assert len(batch.resets) == 0
    assert len({id(rollout) for rollout in batch.rollouts}) == 6 * G


def test_a_problem_that_is_asked_twice_is_sampled_twice() -> None:
    one, other = problems(2)
    batch = batch_of(resets=1, asked=[one, one, other])
    assert batch.groups[0].state == batch.groups[1].state
    assert len({id(rollout) for rollout in batch.rollouts}) == 3 * G


def test_at_most_the_recipes_number_of_trajectories_is_located() -> None:
    batch = batch_of(max_located=1)
    assert len(batch.located) == 1
    assert len(batch.resets) == 1
    assert len(batch.fresh) == 5


def test_successes_can_be_explored_too() -> None:
    batch = batch_of(explored="succeeded", rule="absolute", search="adaptive")
    assert batch.located
    assert all(one.curve.rollout.reward == 1 for one in batch.located)
    assert [len(group.rollouts) for group in batch.groups] == [G] * 6


def test_metrics_separate_fresh_and_reset_states() -> None:
    batch = batch_of(values=2)
    logged = metrics(batch)
    ledger = batch.pool.tokens()
    assert logged["gpo/tokens/values"] == ledger["values"] > 0
    assert logged["gpo/reset_frac"] == 0.5
    assert logged["gpo/fresh/value"] == sum(r.reward for g in batch.fresh for r in g.rollouts) / (3 * G)
    assert logged["gpo/reset/value"] == sum(r.reward for g in batch.resets for r in g.rollouts) / (3 * G)
    assert logged["gpo/reset/signal_frac"] == sum(group.has_signal for group in batch.resets) / 3
    cut = batch_of(policy=TablePolicy((1.0, 0.5, 1.0), max_lines=2))
    assert metrics(cut)["gpo/truncated_frac"] == 1.0
    assert metrics(cut)["gpo/fresh/value"] == 0.0


# ---- from a prompt to its row


def rows_of(columns, verifier=None, name="train_dataset") -> Rows:
    return Rows({name: Dataset.from_dict(columns)}, "answer", verifier or AllRight())


def test_a_prompt_finds_its_row_with_all_columns() -> None:
    message = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "1 + 1?"}]
    rows = rows_of({"prompt": [message], "answer": [2.0], "level": ["easy"]})
    found = rows.ask(message, (5, 6))
    assert (found.problem.answer, found.problem.question) == ("2", "1 + 1?")
    assert found.problem.prompt_ids == (5, 6)
    assert found.problem.columns == {"prompt": message, "answer": 2.0, "level": "easy"}
    assert found.row["answer"] == 2.0


def test_rows_that_share_prompt_and_answer_are_one() -> None:
    rows = rows_of({"prompt": ["q", "q"], "answer": ["2", "2"], "level": ["a", "b"]})
    assert rows.ask("q", (1,)).problem.id == "train_dataset row 0"


class Refusing(AllRight):
    def check(self, problem) -> None:
        raise ValueError(f"{problem.answer!r} is no number")


@pytest.mark.parametrize(
    ("columns", "verifier", "message"),
    [
        (
            {"prompt": ["q", "q"], "answer": ["2", "3"]},
            None,
            "train_dataset row 1: has the prompt of train_dataset row 0 and the answer '3', not '2'",
        ),
        ({"prompt": ["q"], "gold": ["2"]}, None, "row 0: has no column 'answer', only prompt, gold; set ans"),
        ({"prompt": ["q"], "answer": [" "]}, None, "row 0: answer 'answer' is ' '; give a string"),
        ({"prompt": ["q"], "answer": [None]}, None, "row 0: answer 'answer' is None"),
        ({"prompt": ["q"], "answer": ["x"]}, Refusing(), "train_dataset row 0: 'x' is no number"),
        ({"prompt": [" "], "answer": ["x"]}, None, "row 0: the prompt's last message has no text"),
        ({"prompt": ["q"], "answer": ["x"], "image": ["i"]}, None, "has a column 'image', and only text"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(columns, verifier, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        rows_of(columns, verifier)
    assert "\n" not in str(caught.value)


def test_a_prompt_of_no_row_and_a_stream_are_refused() -> None:
    with pytest.raises(InputError, match="no row of train_dataset has the prompt 'other'"):
        rows_of({"prompt": ["q"], "answer": ["2"]}).ask("other", (1,))
    stream = Dataset.from_dict({"prompt": ["q"], "answer": ["2"]}).to_iterable_dataset()
    with pytest.raises(InputError, match=r"train_dataset: is streamed.*give a Dataset"):
        Rows({"train_dataset": stream}, "answer", AllRight())


# ---- the trainer


@pytest.fixture(scope="module")
def number():
    with verifiers.load("number", num_workers=1) as verifier:
        yield verifier


def data(num=64, is_text=False) -> Dataset:
    rows = tasks.load("chain_sum", "train", size=num, seed=0)
    prompts = [row.question if is_text else [{"role": "user", "content": row.question}] for row in rows]
    answers = [row.answer for row in rows]
    return Dataset.from_dict({"prompt": prompts, "answer": answers, "level": list(range(num))})


def trainer_of(
    path, verifier, *, is_text=False, more=(), adapter=None, recipe=RECIPE, share=None, **config
) -> GRPOTrainer:
    rollouts = gpo.trl.rollout_func(verifier=verifier, recipe=recipe, reset_share=share)
    settings = {
        "output_dir": str(path),
        "use_cpu": True,
        "bf16": False,
        "num_generations": G,
        "per_device_train_batch_size": 8 * G,
        "max_completion_length": 96,
        "learning_rate": 1e-4,
        "logging_steps": 1,
        "disable_tqdm": True,
        "save_strategy": "no",
        **config,
    }
    return GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(gpo.DEMO_MODEL),
        processing_class=PreTrainedTokenizerFast.from_pretrained(gpo.DEMO_MODEL),
        reward_funcs=[rollouts.reward, *(wrap(rollouts) for wrap in more)],
        rollout_func=rollouts,
        train_dataset=data(is_text=is_text),
        eval_dataset=data(8),
        args=GRPOConfig(**settings),
        peft_config=adapter,
    )


def generated(trainer):
    """One call of the trainer's own for rollouts, rewards and advantages: its batch of tensors, and ours."""
    trainer.model.train()
    inputs = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    return inputs, trainer.rollout_func.batch


def plain_logprobs(model, rollout, temperature) -> torch.Tensor:
    """One row, no padding, all logits: the definition."""
    ids = torch.tensor([rollout.state.ids + rollout.action_ids])
    logprobs = (model(input_ids=ids).logits[0].float() / temperature).log_softmax(-1)
    start = len(rollout.state.ids)
    return torch.stack([logprobs[t - 1, ids[0, t]] for t in range(start, ids.shape[1])])


def gradient(model, loss) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, number):
    """A trainer, its batch of tensors, ours, and a function with which it scores the same rollouts again."""
    trainer = trainer_of(tmp_path_factory.mktemp("mixed"), number, temperature=0.8)
    trainer.num_iterations = 2  # so that TRL computes the log-probabilities of before the update
    trainer.current_gradient_accumulation_steps = 1
    rows, output = next(iter(trainer.get_train_dataloader())), {}

    def first(prompts, trainer):
        output.update(rollouts(prompts, trainer))
        return dict(output)

    rollouts, trainer.rollout_func = trainer.rollout_func, first
    trainer.model.train()
    inputs = trainer._generate_and_score_completions(rows)
    trainer.rollout_func = lambda prompts, trainer: dict(output)
    assert len(rollouts.batch.resets) >= 2
    return trainer, inputs, rollouts.batch, lambda: trainer._generate_and_score_completions(rows)


@pytest.mark.parametrize("scale_rewards", ["group", "batch", "none"])
def test_a_mixed_batch_has_one_baseline_for_each_state(mixed, monkeypatch, scale_rewards) -> None:
    trainer, _, batch, score = mixed
    monkeypatch.setattr(trainer, "scale_rewards", scale_rewards)
    advantages_PG = score()["advantages"].view(len(batch.groups), G)
    assert advantages_PG.sum(1).abs().max() < 1e-5
    rewards_PG = torch.tensor([group.rewards_G for group in batch.groups])
    centred_PG = rewards_PG - rewards_PG.mean(1, keepdim=True)
    expected_PG = {
        "group": torch.tensor([grpo(group.rewards_G) for group in batch.groups]),
        "batch": centred_PG / (rewards_PG.flatten().std() + 1e-4),
        "none": centred_PG,
    }[scale_rewards]
    assert torch.allclose(advantages_PG, expected_PG.float(), atol=1e-5)


def test_the_loss_covers_sampled_tokens_with_the_log_probabilities_of_their_sampling(mixed) -> None:
    _, inputs, batch, _ = mixed
    assert {r.state.prefix_ids == () for r in batch.rollouts} == {True, False}
    for row, rollout in enumerate(batch.rollouts):
        given = inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()]
        sampled = inputs["completion_mask"][row].bool()
        assert tuple(given.tolist()) == rollout.state.ids
        assert tuple(inputs["completion_ids"][row][sampled].tolist()) == rollout.action_ids
        noted = torch.tensor(rollout.logprobs)
        assert torch.allclose(inputs["old_per_token_logps"][row][sampled], noted, atol=2e-5)
        assert torch.equal(inputs["sampling_per_token_logps"][row][sampled], noted)


def test_the_gradient_of_a_mixed_batch_is_that_of_a_plain_loss(mixed) -> None:
    trainer, inputs, batch, _ = mixed
    theirs = gradient(trainer.model, trainer.compute_loss(trainer.model, inputs))
    loss = torch.zeros(())
    for group in batch.groups:
        for rollout, advantage in zip(group.rollouts, grpo(group.rewards_G), strict=True):
            loss = loss - advantage * plain_logprobs(trainer.model, rollout, 0.8).sum()
    ours = gradient(trainer.model, loss / sum(len(rollout.action_ids) for rollout in batch.rollouts))
    assert torch.norm(ours) > 0
    assert torch.norm(ours - theirs) < 1e-4 * torch.norm(ours)


def test_the_rloo_settings_give_trls_own_rloo_gradient(tmp_path, number) -> None:
    trainer = trainer_of(tmp_path, number, **gpo.trl.rloo(G))
    trainer.current_gradient_accumulation_steps = 1
    inputs, batch = generated(trainer)
    expected = torch.tensor([rloo(group.rewards_G) for group in batch.groups]).flatten()
    assert torch.allclose(inputs["advantages"], expected.float(), atol=1e-6)
    ours = gradient(trainer.model, trainer.compute_loss(trainer.model, inputs))
    reference = RLOOTrainer(
        model=trainer.model,
        processing_class=trainer.processing_class,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        train_dataset=data(8),
        args=RLOOConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, beta=0.0, num_generations=G,
            per_device_train_batch_size=8 * G,
        ),
    )  # fmt: skip
    with torch.no_grad():
        old = torch.stack([plain_logprobs(trainer.model, one, 1.0).sum() for one in batch.rollouts])
    inputs |= {"old_logps": old, "advantages": expected.float()}
    theirs = gradient(trainer.model, reference.compute_loss(trainer.model, inputs))
    assert torch.norm(theirs) > 0
    assert torch.norm(ours - theirs) < 1e-4 * torch.norm(theirs)


def test_rloo_weighs_every_reward_function_and_refuses_a_single_generation() -> None:
    assert gpo.trl.rloo(5, [1.0, 0.2])["reward_weights"] == [1.25, 0.25]
    with pytest.raises(InputError, match="num_generations is 1; leaving one out needs at least 2"):
        gpo.trl.rloo(1)


@pytest.mark.parametrize("is_text", [True, False])
def test_prompts_become_the_ids_that_trl_makes_of_them(tmp_path, number, is_text) -> None:
    trainer = trainer_of(tmp_path, number, is_text=is_text)
    prompts = trainer.train_dataset["prompt"][:4]
    expected, _, _ = trainer._tokenize_prompts(list(prompts))
    assert [list(prompt_ids(trainer.processing_class, one, {})) for one in prompts] == expected
    inputs, batch = generated(trainer)
    assert len(inputs["advantages"]) == len(batch.rollouts) == 8 * G


def test_your_own_reward_functions_see_whole_completions_and_the_states_row(tmp_path, number) -> None:
    seen = []

    def length(prompts, completions, answer, level, completion_ids, **_):
        seen.append((prompts, completions, answer, level, completion_ids))
        return [len(one[0]["content"]) / 1000 for one in completions]

    async def zero(completions, **_):
        return [0.0] * len(completions)

    wraps = [lambda rollouts: rollouts.whole(length), lambda rollouts: rollouts.whole(zero)]
    trainer = trainer_of(tmp_path, number, more=wraps, scale_rewards="none")
    assert trainer.reward_func_names == ["reward", "length", "zero"]
    inputs, batch = generated(trainer)
    ((prompts, completions, answers, levels, completion_ids),) = seen
    assert len(batch.resets) >= 2
    for row, rollout in enumerate(batch.rollouts):
        problem = rollout.state.problem
        assert prompts[row] == [{"role": "user", "content": problem.question}]
        assert completions[row] == [{"role": "assistant", "content": rollout.text}]
        assert (answers[row], levels[row]) == (problem.answer, problem.columns["level"])
        assert completion_ids[row] == list(rollout.completion_ids)
    rewards = torch.tensor([rollout.reward + len(rollout.text) / 1000 for rollout in batch.rollouts])
    expected_PG = rewards.view(-1, G) - rewards.view(-1, G).mean(1, keepdim=True)
    assert torch.allclose(inputs["advantages"], expected_PG.flatten(), atol=1e-5)


def test_a_cut_rollout_earns_nothing_and_is_masked_if_trl_is_told_to(tmp_path, number) -> None:
    trainer = trainer_of(tmp_path, number, max_completion_length=40, mask_truncated_completions=True)
    inputs, batch = generated(trainer)
    finished = [rollout.finished for rollout in batch.rollouts]
    assert set(finished) == {True, False}
    assert all(rollout.reward == 0 for rollout in batch.rollouts if not rollout.finished)
    assert all(len(rollout.completion_ids) <= 40 for rollout in batch.rollouts)
    assert inputs["completion_mask"].any(1).tolist() == finished


def test_calls_have_streams_of_their_own_and_a_resumed_run_has_the_same(tmp_path, number) -> None:
    trainer = trainer_of(tmp_path, number)
    trainer.model.train()
    prompts = [one for one in trainer.train_dataset["prompt"][:2] for _ in range(G)]
    first, again = (trainer.rollout_func(prompts, trainer) for _ in range(2))
    assert first["prompt_ids"][:G] == again["prompt_ids"][:G]
    assert first["completion_ids"] != again["completion_ids"]
    resumed = gpo.trl.rollout_func(verifier=number, recipe=RECIPE)
    trainer.reward_funcs = [resumed.reward]
    assert resumed(prompts, trainer) == first


def test_evaluation_samples_prompts_alone_and_is_counted_apart(tmp_path, number) -> None:
    trainer = trainer_of(tmp_path, number, per_device_eval_batch_size=4 * G, log_completions=True)
    logged = trainer.evaluate()
    assert logged["eval_gpo/fresh/value"] == logged["eval_reward"]
    assert logged["eval_gpo/reset_frac"] == 0
    assert len(trainer.rollout_func.batch.resets) == 0
    assert not trainer.rollout_func.tokens


def test_an_adapter_trains_alone(tmp_path, number) -> None:
    adapter = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    trainer = trainer_of(tmp_path, number, adapter=adapter, max_steps=1)
    trainer.train()
    moved = {name for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert moved
    assert all("lora" in name for name in moved)
    assert trainer.state.log_history[0]["grad_norm"] > 0
    assert trainer.state.log_history[0]["gpo/reset_frac"] > 0


# ---- refusals


@pytest.fixture(scope="module")
def shared_trainer(tmp_path_factory, number):
    return trainer_of(tmp_path_factory.mktemp("shared"), number)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("use_vllm", True, "use_vllm is True in the trainer, but gpo samples with the trainer's own model"),
        ("use_transformers_continuous_batching", True, "use_transformers_continuous_batching is True"),
        ("top_p", 0.9, "top_p is 0.9 in the trainer, but the log-probabilities that are trained are those"),
        ("top_k", 20, "top_k is 20"),
        ("min_p", 0.1, "min_p is 0.1"),
        ("repetition_penalty", 1.1, "repetition_penalty is 1.1"),
        ("temperature", 0.0, "temperature is 0.0 in the trainer; give a positive number"),
        ("tools", [print], "tools is .* only single-turn text is supported"),
        ("is_fsdp_enabled", True, "fsdp is True in the trainer, but only models that are whole"),
        ("is_deepspeed_enabled", True, "deepspeed is True in the trainer"),
        ("reward_funcs", [print], "reward_funcs has to hold the rollout function's own `reward`"),
    ],
)
def test_what_rollouts_cannot_honour_is_refused(shared_trainer, monkeypatch, name, value, message) -> None:
    monkeypatch.setattr(shared_trainer, name, value)
    rollouts = gpo.trl.rollout_func(verifier=AllRight())
    if name != "reward_funcs":
        monkeypatch.setattr(shared_trainer, "reward_funcs", [rollouts.reward])
    with pytest.raises(InputError, match=message) as caught:
        rollouts([], shared_trainer)
    assert "\n" not in str(caught.value)


def test_generation_settings_and_bare_reward_functions_are_refused(shared_trainer, monkeypatch) -> None:
    rollouts = gpo.trl.rollout_func(verifier=AllRight())
    monkeypatch.setattr(shared_trainer, "reward_funcs", [rollouts.reward, len])
    with pytest.raises(InputError, match="reward_funcs: len would see only what was sampled after a reset"):
        rollouts([], shared_trainer)
    monkeypatch.setattr(shared_trainer.args, "generation_kwargs", {"num_beams": 2})
    with pytest.raises(InputError, match=r"generation_kwargs is {'num_beams': 2} in the trainer"):
        rollouts([], shared_trainer)


def test_groups_that_do_not_fit_are_refused(shared_trainer, monkeypatch) -> None:
    rollouts = shared_trainer.rollout_func
    monkeypatch.setattr(shared_trainer.model, "training", True)
    rows = shared_trainer.train_dataset["prompt"]
    for prompts in ([rows[0]] * G + [rows[1]] * 2, [rows[0]] * 2 + [rows[1]] * G + [rows[2]] * 2):
        with pytest.raises(InputError, match=f"num_generations is {G}, .* shared by processes"):
            rollouts(prompts, shared_trainer)
    with pytest.raises(InputError, match=r"reset_share is 0.5, less than one of this process's 1 groups"):
        rollouts([rows[0]] * G, shared_trainer)
    with pytest.raises(InputError, match="are not those that the rollout function sampled last"):
        rollouts.reward(completion_ids=[[1]], log_metric=print, log_extra=print)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reset_share": 0.6}, "reset_share is 0.6; give 0 to 0.5, .* or 1 for a reset group in every place"),
        ({"recipe": Recipe(max_reset_frac=0.8)}, "reset_share is 0.8; give 0 to 0.5"),
        ({"reset_share": 1}, "reset_share is 1, which samples one .* 'succeeded' ones are known only among"),
        (
            {"recipe": Recipe.named("pivot"), "reset_share": 1},
            "use Recipe.named..pivot., credit=.group.. and",
        ),
        ({"recipe": Recipe(rule="base")}, "the recipe trains no resets"),
        ({"recipe": Recipe(resets=False)}, "the recipe trains no resets"),
        ({"recipe": Recipe(trained=("explore", "values"))}, "the recipe trains no resets"),
        ({"recipe": Recipe(trained=("resets",))}, "trained: lacks 'explore'"),
        ({"recipe": Recipe(splice=True)}, "splice is True in the recipe, which only `gpo train` can do"),
        ({"recipe": Recipe.named("pivot")}, "credit is 'split' in the recipe, which only `gpo train` can do"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message) -> None:
    with pytest.raises(InputError, match=message):
        gpo.trl.rollout_func(verifier=AllRight(), **settings)


@pytest.mark.parametrize(
    ("split", "name", "found"),
    [
        ("test", None, "a data set's split 'test'"),
        ("test[:10%]", "gsm8k", "gsm8k's split 'test[:10%]'"),
        ("train+validation", "own", "own's split 'train+validation'"),
        ("train", "math-500", "math-500, the benchmark math500, which has no split to train on"),
        ("train", "aime_2024", "aime_2024, the benchmark aime2024, which has no split to train on"),
        ("train", "gsm8k", None),
        (None, None, None),
    ],
)
def test_a_data_set_for_testing_is_not_trained_on_unless_that_is_said(split, name, found) -> None:
    dataset = Dataset.from_dict({"prompt": ["q"], "answer": ["2"]}, split=split)
    dataset.info.dataset_name = name
    dataset = dataset.shuffle(seed=0)
    if found is None:
        check_split(dataset, is_allowed=False)
        return
    with pytest.raises(InputError, match=re.escape(f"would train on {found}, and no model")):
        check_split(dataset, is_allowed=False)
    with pytest.warns(DataWarning, match=re.escape(f"trains on {found}; do not test")):
        check_split(dataset, is_allowed=True)


def test_a_trainer_with_test_rows_is_refused_at_its_first_call(shared_trainer, monkeypatch) -> None:
    rollouts = gpo.trl.rollout_func(verifier=AllRight())
    monkeypatch.setattr(shared_trainer, "reward_funcs", [rollouts.reward])
    rows = Dataset.from_dict({"prompt": ["q"], "answer": ["2"]}, split="test")
    monkeypatch.setattr(shared_trainer, "train_dataset", rows)
    with pytest.raises(InputError, match="give rollout_func allow_test=True"):
        rollouts([], shared_trainer)


def test_a_trainer_learns_from_reset_groups_alone(tmp_path, number) -> None:
    pivot = Recipe.named("pivot", credit="group", splitter=LINES)
    trainer = trainer_of(tmp_path, number, recipe=pivot, share=1, max_steps=1)
    before = trainer.model.get_input_embeddings().weight.detach().clone()
    trainer.train()
    batch, logged = trainer.rollout_func.batch, trainer.state.log_history[0]
    assert logged["gpo/reset_frac"] == len(batch.resets) / 8 > 0.5
    assert logged["gpo/num_untrained"] == 8
    assert logged["gpo/fresh/value"] == sum(group.rollouts[0].reward for group in batch.fresh) / 8
    assert not torch.equal(trainer.model.get_input_embeddings().weight, before)


def test_the_default_recipe_is_accepted_and_its_share_is_the_recipes() -> None:
    assert gpo.trl.rollout_func(verifier=AllRight())._reset_share == Recipe().max_reset_frac
    assert gpo.trl.rollout_func(verifier=AllRight(), reset_share=0.25)._reset_share == 0.25


def test_another_version_of_trl_is_checked_on_its_first_batch(tmp_path, number, monkeypatch) -> None:
    monkeypatch.setattr(gpo.trl, "_VERSION", "1.17.0")
    with pytest.warns(DataWarning, match=r"with TRL 1.16 and this is 1.17.0; its first batch is checked"):
        trainer = trainer_of(tmp_path, number, max_steps=1)
    trainer.train()
    assert trainer.rollout_func.check.is_done
    assert not trainer.model._forward_pre_hooks


def test_a_version_that_trains_other_tokens_is_refused(tmp_path, number, monkeypatch) -> None:
    monkeypatch.setattr(gpo.trl, "_VERSION", "1.17.0")
    with pytest.warns(DataWarning, match="its first batch is checked"):
        trainer = trainer_of(tmp_path, number, max_steps=1)
    ours = trainer.rollout_func

    def other(prompts, trainer):
        output = ours(prompts, trainer)
        return output | {"prompt_ids": [ids[:-1] for ids in output["prompt_ids"]]}

    trainer.rollout_func = other
    told = r"gpo.trl: TRL 1.17.0 trains other tokens than were sampled; pip install 'trl==1.16.\*'"
    with pytest.raises(InputError, match=told):
        trainer.train()


def test_a_trainer_without_the_settings_that_are_checked_is_one_line(shared_trainer, monkeypatch) -> None:
    rollouts = gpo.trl.rollout_func(verifier=AllRight())
    monkeypatch.delattr(shared_trainer, "top_k")
    with pytest.raises(InputError, match=r"this version of TRL is not one that it knows .*top_k"):
        rollouts([], shared_trainer)


def right(completions, answer, **columns) -> list[float]:
    """As in TRL: messages come as messages, and every column under its own name."""
    return [
        float(text[0]["content"].strip().endswith(one)) for text, one in zip(completions, answer, strict=True)
    ]


def easy(completions, level) -> list[float | None]:
    return [None if one > 20 else float(one < 10) for one in level]


def test_a_list_of_trl_rewards_is_searched_and_trained_by_its_mean(tmp_path) -> None:
    trainer = trainer_of(tmp_path, [right, easy], seed=1)
    _, batch = generated(trainer)
    known = {str(row["prompt"]): row for row in trainer.train_dataset}
    for rollout in batch.rollouts:
        row = known[str(trainer.rollout_func._asked[rollout.state.problem.id].prompt)]
        says = [float(rollout.text.strip().endswith(row["answer"]))] if rollout.finished else [0.0]
        says += [float(row["level"] < 10)] if row["level"] <= 20 and rollout.finished else []
        assert rollout.reward == sum(says) / len(says)
    assert {rollout.reward for rollout in batch.rollouts} > {0.0}


@pytest.mark.parametrize(
    ("given", "weights", "message"),
    [
        ([], None, r"give at least one, and functions alone, not \[\]"),
        ([right, "math"], None, "give at least one, and functions alone"),
        ([right, easy], [1.0], r"reward_weights: are \[1.0\] for 2 functions; give a positive one for each"),
        ([right], [-1.0], "give a positive one for each"),
        (right, [1.0], "reward_weights: are those of a list of reward functions; leave them out"),
        ("math", None, "verifier: is 'math'; give gpo.verifiers.load"),
    ],
)
def test_what_is_no_reward_is_refused(given, weights, message) -> None:
    with pytest.raises(InputError, match=message):
        gpo.trl.rollout_func(verifier=given, reward_weights=weights)


def test_without_trl_there_is_an_import_error(monkeypatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ImportError, match=r"^gpo.trl needs TRL 1.16: pip install 'trl==1.16.\*'$"):
        importlib.reload(gpo.trl)
    monkeypatch.undo()
    importlib.reload(gpo.trl)


# ---- the front door


def accuracy(model, verifier) -> float:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(gpo.DEMO_MODEL)
    policy = gpo.TransformersPolicy(model, tokenizer, max_tokens=96)
    held_out = tasks.problems(tasks.load("chain_sum", "test", size=400, seed=0), policy.prompt_ids)
    return gpo.evaluate(policy, verifier, held_out, seed=0).accuracy


@pytest.mark.thorough
def test_after_a_short_run_more_problems_are_right(tmp_path, number) -> None:
    settings = {"max_steps": 6, "learning_rate": 5e-4, "lr_scheduler_type": "constant"}
    trainer = trainer_of(tmp_path, number, **settings)
    before = accuracy(trainer.model, number)
    trainer.train()
    # The difference of two rates of 400 has a standard error of 0.035: 0.14 by chance has probability 3e-5.
    assert accuracy(trainer.model, number) > before + 0.14


def test_the_grpo_example_runs_and_logs_what_the_search_did(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = ROOT / "examples" / "trl_grpo.py"
    assert len(example.read_text().splitlines()) < 40
    trainer = runpy.run_path(str(example))["main"](max_steps=1)
    history = [line for line in trainer.state.log_history if "reward" in line]
    assert len(history) == 1
    assert all(0 < line["gpo/reset_frac"] <= 0.5 for line in history)
    tokens = trainer.rollout_func.tokens
    for name in ("explore", "values", "resets", "untrained"):
        assert tokens[name] == sum(line[f"gpo/tokens/{name}"] for line in history) > 0


@pytest.mark.thorough
def test_the_rloo_example_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = ROOT / "examples" / "trl_rloo.py"
    assert len(example.read_text().splitlines()) < 40
    trainer = runpy.run_path(str(example))["main"](max_steps=1)
    assert (trainer.scale_rewards, trainer.loss_type) == ("none", "luspo")
    assert trainer.state.log_history[0]["grad_norm"] > 0


PAIR = """
import random, sys, torch
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer
import gpo.trl

class Ends:  # in this process, as two more of the verifier's would take the test's time
    num_timeouts = 0
    def score(self, problems, texts):
        return [float(text.endswith("Answer: " + p.answer)) for p, text in zip(problems, texts, strict=True)]
    def check(self, problem): int(problem.answer)

draws = [random.Random(i).choices(range(1, 10), k=6) for i in range(64)]
sums = [" + ".join(map(str, terms)) for terms in draws]
question = "State the final answer to the following arithmetic problem: "
prompts = [[{"role": "user", "content": question + one + " ="}] for one in sums]
dataset = Dataset.from_dict({"prompt": prompts, "gold": list(map(sum, draws))})
lines = gpo.steps.newline(min_tokens=1)
recipe = gpo.Recipe(rule="drop", explored="failed", splitter=lines, search_traces=3.0)
rollouts = gpo.trl.rollout_func(verifier=Ends(), recipe=recipe, answer_column="gold")
trainer = GRPOTrainer(
    model=AutoModelForCausalLM.from_pretrained(gpo.DEMO_MODEL), rollout_func=rollouts,
    processing_class=PreTrainedTokenizerFast.from_pretrained(gpo.DEMO_MODEL),
    reward_funcs=rollouts.reward, train_dataset=dataset,
    args=GRPOConfig(
        output_dir=sys.argv[1], use_cpu=True, bf16=False, num_generations=4, per_device_train_batch_size=16,
        max_steps=1, logging_steps=1, max_completion_length=96, learning_rate=1e-3, save_strategy="no",
    ),
)
before = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
trainer.train()
assert trainer.accelerator.num_processes == 2
after = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
first, second = trainer.accelerator.gather(after[None])
assert torch.equal(first, second) and not torch.equal(first, before)
batch = rollouts.batch
states = gather_object([group.state.key for group in batch.groups])
resets = gather_object([len(batch.resets)])
values = gather_object([gpo.trl.batch.metrics(batch)["gpo/fresh/value"]])
assert len(states) == len(set(states)) == 8, states
assert min(resets) >= 1, resets
logged = trainer.state.log_history[0]
assert abs(logged["gpo/fresh/value"] - sum(values) / 2) < 1e-6
advantages = list(trainer._logs["advantages"])
assert len(advantages) == 32 and all(abs(sum(advantages[i : i + 4])) < 1e-4 for i in range(0, 32, 4))
print("two processes agree")
"""


@pytest.mark.thorough
def test_two_processes_keep_their_groups_and_train_one_model(tmp_path) -> None:
    script = tmp_path / "pair.py"
    script.write_text(PAIR)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    result = subprocess.run(
        [*launcher, str(script), str(tmp_path)],
        env=os.environ | {"ACCELERATE_USE_CPU": "true"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count("two processes agree") == 2
