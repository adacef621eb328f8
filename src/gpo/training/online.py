"""Online learning: the groups of each round to weights, by policy gradient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gpo import proposals, step_rewards
from gpo.command_settings import TrainSettings
from gpo.gpo import Round
from gpo.learn.policy_gradient import PolicyGradient
from gpo.learn.process import StepRewards
from gpo.proposals import Proposal
from gpo.protocols import Policy
from gpo.ranks import Ranks
from gpo.recipe import Recipe
from gpo.record import Json
from gpo.record.runs import write_round
from gpo.rules import CRITIC_RULES
from gpo.setup.data import check_training
from gpo.training.loop import Learner, Training
from gpo.training.metrics import Clock, sampling_metrics
from gpo.training.weights import load_policy, optimisation, processes
from gpo.types import Group, InputError, Problem, ValueCurve
from gpo.values.kept import KeptCritic

if TYPE_CHECKING:
    from gpo.policies.described import DescribedPolicy
    from gpo.policies.transformers import TransformersPolicy


CRITIC = "critic.safetensors"


class Online(Learner):
    """Trains on the groups that each round samples."""

    settings: TrainSettings
    critic: KeptCritic | None = None

    def __init__(self, settings: TrainSettings) -> None:
        check_training(settings)
        self.settings, self.ranks = settings, processes(settings)
        self.recipe, self.optimisation = settings.part(Recipe), optimisation(settings)
        if self.recipe.rule in CRITIC_RULES and self.ranks.num > 1:
            raise InputError(
                f"rule: {self.recipe.rule!r} reads and fits its critic in one process; train with one, or "
                "give another recipe or rule"
            )

    def read(self, asking: DescribedPolicy, held_out: Sequence[Problem]) -> None:
        """Tries the user's own functions of steps on a problem."""
        del asking
        for setting in ("step_reward", "proposal") if held_out else ():
            proposals.try_out(getattr(self.settings, setting), held_out[0], setting)

    def load(self, policy: TransformersPolicy, checkpoint: Path | None) -> None:
        """The reference is the policy at the start, loaded again, unless the adapter can be turned off."""
        settings = self.settings
        has_adapter = bool(settings.adapter or settings.lora_rank)
        needs_copy = settings.kl_coef > 0 and not has_adapter
        self.learner = PolicyGradient(
            policy.model,
            self.optimisation,
            temperature=settings.temperature,
            seed=settings.seed,
            reference=load_policy(settings, self.ranks, None).model if needs_copy else None,
            ranks=self.ranks,
        )
        if self.recipe.rule in CRITIC_RULES:
            self.critic = KeptCritic(policy, seed=settings.seed, success_at=settings.success_at)
        if checkpoint:
            self.learner.load(checkpoint / "optimizer.safetensors")
        if checkpoint and self.critic:
            self.critic.load(checkpoint / CRITIC)

    def learn(self, run: Training, index: int, clock: Clock) -> Json:
        data = run.sample(index)
        write_round(run.folder, data)
        groups = within(data.groups, run.left()["samples"], is_split=self.recipe.credit == "split")
        num_samples = sum(len(group.rollouts) for group in groups)
        run.log.watch("learning from", 0, num_samples)
        clock.lap("other")
        step_values = data.step_values if self.settings.step_credit else ()
        learned = self.learner.update(
            groups,
            step_values=step_values,
            step_rewards=self.step_rewards(run, groups, data.explored),
            round_index=index,
        )
        if self.critic:
            learned |= self.criticised(run, data)
        clock.lap("train")
        return {"tokens": data.tokens, "samples": num_samples, "metrics": sampling_metrics(data) | learned}

    def criticised(self, run: Training, data: Round) -> dict[str, float]:
        """The critic has learned from the round; says so when it begins or ceases to name steps."""
        assert self.critic is not None  # noqa: S101 - for the type checker
        was_ready = self.critic.is_ready
        found = self.critic.learn(data.rollouts)
        if data.index == 1 or was_ready != self.critic.is_ready:
            rule = self.recipe.rule if self.critic.is_ready else "entropy"
            told = f"{found['critic/log_loss']:.3f} against {found['critic/base_log_loss']:.3f} nats"
            run.ui.log(
                f"note: from round {data.index + 1} on the rule {rule} names steps: the critic foretells "
                f"outcomes at {told} for their mean"
            )
        return found

    def step_rewards(
        self, run: Training, groups: Sequence[Group], explored: Sequence[Group]
    ) -> list[StepRewards]:
        """Those of all rollouts, by the policy that sampled them; none unless they were asked for."""
        reward, policy = self.settings.reward(), run.weights.engine or run.weights.policy
        if reward is None:
            return []
        splitter = run.recipe.step_splitter()
        return step_rewards.rewarded(shared(reward, self.ranks), policy, splitter, groups, explored)

    def save(self, checkpoint: Path) -> None:
        self.learner.save(checkpoint / "optimizer.safetensors")
        if self.critic:
            self.critic.save(checkpoint / CRITIC)


def shared(reward: Proposal, ranks: Ranks) -> Proposal:
    """The same step rewards on every process: each rewards its part of the trajectories, and all get all."""

    def rewards(policy: Policy, traces: Sequence[ValueCurve]) -> list[list[float] | None]:
        lengths = [trace.num_steps for trace in traces]
        mine = ranks.mine(lengths)
        flat = torch.zeros(sum(lengths), dtype=torch.float64)
        parts = torch.split(flat, lengths)
        for i, found in zip(mine, reward(policy, [traces[i] for i in mine]), strict=True):
            parts[i].copy_(torch.tensor(found))
        return [part.tolist() for part in torch.split(ranks.sum(flat), lengths)]

    return rewards


def within(groups: Sequence[Group], num: float, *, is_split: bool) -> list[Group]:
    """The first groups that together have at most `num` rollouts.

    With split credit those of the first prompts: the parts of a trajectory train with its reset group.
    """
    names = [group.state.problem.id if is_split else str(place) for place, group in enumerate(groups)]
    sizes: Counter[str] = Counter()
    for name, group in zip(names, groups, strict=True):
        sizes[name] += len(group.rollouts)
    totals = zip(sizes, accumulate(sizes.values()), strict=True)
    kept = {name for name, total in totals if total <= num}
    return [group for name, group in zip(names, groups, strict=True) if name in kept]
