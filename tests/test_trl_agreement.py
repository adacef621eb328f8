"""The learner's gradient against TRL's GRPO on the same batch: prompts and prefixes of different lengths."""

import warnings

import pytest
import torch
from datasets import Dataset

from gpo import DEMO_MODEL
from gpo.learn.policy_gradient import Optimisation, PolicyGradient
from gpo.learn.reading import complete, credited
from gpo.policies.transformers import TransformersPolicy
from gpo.types import Group, Problem, Request, Rollout, State

REWARDS = ((1.0, 0.0, 0.0, 1.0), (0.0, 0.25, 1.0, 0.0))
MAX_TOKENS = 48  # times 8 rollouts: 384


@pytest.fixture(scope="module")
def sampled() -> tuple[TransformersPolicy, list[Group]]:
    """A group at a prompt and one at a reset state, sampled by the tiny model; two rollouts are cut."""
    policy = TransformersPolicy.load(DEMO_MODEL, max_tokens=MAX_TOKENS)
    ids = policy.prompt_ids("State the final answer to the following arithmetic problem: 3 + 4 - 2 + 8 =")
    states = [State(Problem("a", ids, "13"))]
    first = policy.sample([Request(states[0], 1, 5)])[0][0]
    states.append(State(Problem("b", ids[:-2] + ids[-2:], "13"), first.action_ids[:12]))
    drawn = policy.sample([Request(state, 4, 7) for state in states])
    groups = [
        Group(
            state,
            tuple(
                Rollout(state, one.action_ids, one.logprobs, one.entropies, "", one.finished, reward, 0)
                for one, reward in zip(samples, rewards, strict=True)
            ),
        )
        for state, samples, rewards in zip(states, drawn, REWARDS, strict=True)
    ]
    return policy, groups


def trl_trainer(policy: TransformersPolicy, groups: list[Group], folder, **config):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl import GRPOConfig, GRPOTrainer

        rollouts = [rollout for group in groups for rollout in group.rollouts]

        def rollout_func(prompts, trainer):
            return {
                "prompt_ids": [list(rollout.state.ids) for rollout in rollouts],
                "completion_ids": [list(rollout.action_ids) for rollout in rollouts],
                "logprobs": None,
                "reward": [rollout.reward for rollout in rollouts],
            }

        args = GRPOConfig(
            output_dir=str(folder), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[],
            per_device_train_batch_size=8, num_generations=4, max_completion_length=MAX_TOKENS,
            temperature=1.0, num_iterations=2, disable_dropout=True, **config,
        )  # fmt: skip
        return GRPOTrainer(
            model=policy.model,
            reward_funcs=lambda completions, reward, **_: reward,
            args=args,
            train_dataset=Dataset.from_list([{"prompt": "a"}, {"prompt": "b"}]),
            processing_class=policy._tokenizer,
            rollout_func=rollout_func,
        )


def perturb(model, scale: float) -> None:
    """Moves the weights, so that ratios, clips and divergences are not those of equal policies."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += scale * parameter.abs().mean() * torch.randn(parameter.shape, generator=generator)


def gradient_of(model) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"loss_type": "grpo"}, {"algorithm": "grpo", "normalisation": "rollouts"}),
        ({"loss_type": "bnpo", "scale_rewards": "none"}, {"algorithm": "dr-grpo", "normalisation": "tokens"}),
        ({"loss_type": "dr_grpo", "scale_rewards": "none"}, {"algorithm": "dr-grpo", "loss_constant": 384.0}),
        (
            {"loss_type": "dapo", "beta": 0.3, "epsilon_high": 0.28},
            {"algorithm": "grpo", "kl_coef": 0.3, "clip_high": 0.28},
        ),
    ],
)  # fmt: skip
def test_the_gradient_is_trls(sampled, tmp_path, theirs, ours) -> None:
    policy, groups = sampled
    model = policy.model
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    reference = TransformersPolicy.load(DEMO_MODEL, max_tokens=MAX_TOKENS).model
    try:
        trainer = trl_trainer(policy, groups, tmp_path, **theirs)
        model.train()
        batch = trainer._generate_and_score_completions([{"prompt": name} for name in "aaaabbbb"])
        settings = Optimisation(microbatch_tokens=300, **ours)
        learner = PolicyGradient(model, settings, temperature=1.0, seed=0, reference=reference)
        with learner.network.training():
            rows = credited(groups, (), settings, learner.network)
            complete(rows, range(8), (), settings, learner.network)
        assert [float(row.advantages_T[0]) for row in rows] == pytest.approx(
            batch["advantages"].tolist(), abs=1e-5
        )
        perturb(model, 0.05)
        trainer.current_gradient_accumulation_steps = 1
        model.zero_grad()
        loss = trainer.compute_loss(model, batch)
        loss.backward()
        expected = gradient_of(model)
        model.zero_grad()
        with learner.network.training():
            measured = learner.accumulate(rows)
        found = gradient_of(model)
    finally:
        model.load_state_dict(weights)
    assert 0.05 < measured["clip_frac"] < 0.95
    assert measured["loss"] == pytest.approx(float(loss.detach()), rel=1e-3, abs=1e-5)
    assert torch.nn.functional.cosine_similarity(found.double(), expected.double(), dim=0) > 0.9999
    assert float(found.norm() / expected.norm()) == pytest.approx(1.0, abs=1e-3)
