"""Rollouts as they are trained: credited, and read by the networks before the round's first update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gpo.learn.advantages import credit, trajectory_key
from gpo.learn.critic import gae, targets
from gpo.learn.examples import Example, sampler_logprobs
from gpo.learn.network import Network
from gpo.learn.optimisation import Optimisation
from gpo.learn.process import StepRewards, process_advantages
from gpo.types import Group, Rollout, StepValues

_LEAST_STD = 0.1
"""Advantages are divided by no less: where nearly all is as the critic believed, what is left is noise."""
_NUM_PROBES = 8
_SAME_NATS = 1e-3
"""An engine that is this close to the trainer on every token of so many rollouts is the trainer."""


def credited(
    groups: Sequence[Group],
    step_values: Sequence[StepValues],
    settings: Optimisation,
    network: Network,
    step_rewards: Sequence[StepRewards] = (),
) -> list[Example]:
    """The rollouts whose loss is not constant, each with its advantages; PPO's follow from its critic."""
    added = process_advantages(groups, step_rewards)
    known: dict[tuple[object, ...], Example] = {}
    if settings.kl_in == "reward" and settings.how.advantages:
        known = _read_all(groups, network)
        groups = [_penalised(group, known, settings.kl_coef) for group in groups]
    is_kept_anyway = settings.how.advantages is None or (settings.kl_coef > 0 and settings.kl_in == "loss")
    found = []
    for group, advantages in zip(groups, credit(groups, settings.how, step_values), strict=True):
        for rollout, outcome_T in zip(group.rollouts, advantages, strict=True):
            advantages_T = outcome_T + settings.step_reward_weight * added.get(trajectory_key(rollout), 0.0)
            if is_masked(rollout, settings) or not (advantages_T.any() or is_kept_anyway):
                continue
            if not rollout.action_ids or not group.weight:
                continue
            example = known.get(trajectory_key(rollout)) or Example(rollout)
            example = replace(example, weight=group.weight, advantages_T=_tensor(advantages_T))
            found.append(example)
    return found


def is_masked(rollout: Rollout, settings: Optimisation) -> bool:
    return settings.mask_truncated and not rollout.finished


def complete(
    examples: Sequence[Example],
    first: Sequence[int],
    step_values: Sequence[StepValues],
    settings: Optimisation,
    network: Network,
) -> dict[str, float]:
    """Reads what the updates need, before the first; returns what is measured of engine and critic.

    An engine that agrees with the trainer is taken at its word: a few rollouts are read, and the others
    only if these differ, or if the critic has to read them anyway.
    """
    if not examples:
        return {}
    is_ppo = settings.how.advantages is None
    if is_ppo:
        network.module.centre(sum(e.rollout.reward for e in examples) / len(examples))
    _read_old(examples if is_ppo else [examples[i] for i in first[:_NUM_PROBES]], network)
    gaps = [
        gap
        for example in examples
        if example.old_T is not None
        for gap in (example.old_T - sampler_logprobs(example, example.old_T)).abs().tolist()
    ]
    is_given = all(len(e.rollout.logprobs) == len(e.rollout.action_ids) for e in examples)
    for example in examples:
        if example.old_T is None and is_given and max(gaps) < _SAME_NATS:
            example.old_T = torch.tensor(example.rollout.logprobs)
    _read_old(examples, network)
    if network.reference:
        _read_reference([e for e in examples if e.reference_T is None], network)
    measured = {"train/sampler_mismatch": sum(gaps) / len(gaps), "train/sampler_mismatch_max": max(gaps)}
    return measured | (_criticise(examples, step_values, settings) if is_ppo else {})


def _read_all(groups: Sequence[Group], network: Network) -> dict[tuple[object, ...], Example]:
    """Every rollout with tokens, with its log-probabilities under policy and reference."""
    rollouts = [rollout for group in groups for rollout in group.rollouts if rollout.action_ids]
    known = {trajectory_key(rollout): Example(rollout) for rollout in rollouts}
    _read_old(list(known.values()), network)
    _read_reference(list(known.values()), network)
    return known


def _penalised(group: Group, known: dict[tuple[object, ...], Example], kl_coef: float) -> Group:
    """The group with k1 = log pi_old / pi_ref of each rollout subtracted from its reward."""
    return replace(
        group,
        rollouts=tuple(
            replace(r, reward=r.reward - kl_coef * float(_k1(known[trajectory_key(r)]).sum()))
            if r.action_ids
            else r
            for r in group.rollouts
        ),
    )


def _k1(example: Example) -> Tensor:
    if example.old_T is None or example.reference_T is None:
        raise ValueError("the divergence is known of what policy and reference have read")
    return example.old_T.cpu() - example.reference_T


def _read_old(examples: Sequence[Example], network: Network) -> None:
    def read(rollouts: Sequence[Rollout]) -> Tensor:
        logprobs_N, values_N, _ = network.read(rollouts)
        return torch.stack([logprobs_N] if values_N is None else [logprobs_N, values_N])

    unread = [example for example in examples if example.old_T is None]
    num = 2 if network.critic_parameters else 1
    for example, tensor in zip(unread, _shared(unread, network, num, read), strict=True):
        example.old_T = tensor[0]
        example.values_T = tensor[1] if num > 1 else None


def _read_reference(examples: Sequence[Example], network: Network) -> None:
    reference = network.reference
    if reference is None:
        return
    parts = _shared(examples, network, 1, lambda rollouts: reference(rollouts)[None])
    for example, tensor in zip(examples, parts, strict=True):
        example.reference_T = tensor[0]


@torch.no_grad()
def _shared(
    examples: Sequence[Example], network: Network, num: int, read: Callable[[Sequence[Rollout]], Tensor]
) -> list[Tensor]:
    """[K,T] of each example the `num` = K numbers that `read` gives of a batch's tokens, as [K,N].

    The batches are shared out over the processes, and each fills in its own part of zeros.
    """
    if not examples:
        return []
    lengths = [len(example.rollout.action_ids) for example in examples]
    ends = np.cumsum(lengths)
    flat = torch.zeros(num, int(ends[-1]))
    for rows, is_real in network.shares([example.length for example in examples]):
        found_KN = read([examples[i].rollout for i in rows]).float().cpu()
        for i, part_KT in zip(rows, torch.split(found_KN, [lengths[i] for i in rows], dim=1), strict=True):
            if is_real:
                flat[:, ends[i] - lengths[i] : ends[i]] = part_KT
    return list(torch.split(network.ranks.sum(flat), lengths, dim=1))


def _criticise(
    examples: Sequence[Example], step_values: Sequence[StepValues], settings: Optimisation
) -> dict[str, float]:
    """Adds PPO's advantages to every example's, whitened over the round; gives the values' targets."""
    steps = {trajectory_key(one.rollout): one for one in step_values}
    rewards, values, advantages, returns = [], [], [], []
    for example in examples:
        if example.values_T is None:
            raise ValueError("advantages follow from values that the critic has read")
        rewards_T = np.zeros(len(example.rollout.action_ids))
        if settings.kl_in == "reward":
            rewards_T -= settings.kl_coef * _k1(example).double().numpy()
        rewards_T[-1] += example.rollout.reward
        rewards.append(rewards_T)
        values.append(example.values_T.double().numpy())
        advantages.append(gae(rewards_T, values[-1], settings.gae_lambda))
        returns.append(advantages[-1] + values[-1])
    mean, std = float(np.concatenate(advantages).mean()), float(np.concatenate(advantages).std())
    for example, advantages_T, returns_T in zip(examples, advantages, returns, strict=True):
        whitened_T = _tensor((advantages_T - mean) / max(std, _LEAST_STD))
        example.advantages_T = whitened_T + (0.0 if example.advantages_T is None else example.advantages_T)
        example.targets_T = _tensor(targets(returns_T, steps.get(trajectory_key(example.rollout))))
    errors = np.concatenate([r.sum() - v[:1] for r, v in zip(rewards, values, strict=True)])
    outcomes = np.array([r.sum() for r in rewards])
    explained = 1 - float((errors**2).mean()) / float(outcomes.var()) if outcomes.var() > 0 else math.nan
    return {"train/value_explained_frac": explained, "train/value_mean": float(np.concatenate(values).mean())}


def metrics(groups: Sequence[Group], examples: Sequence[Example], settings: Optimisation) -> dict[str, float]:
    """What a round gave to learn from."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    several = [group for group in groups if len(group.rollouts) > 1]
    entropies = [x for example in examples for x in example.rollout.entropies]
    return {
        "train/rollouts": float(len(examples)),
        "train/tokens": float(sum(len(example.rollout.action_ids) for example in examples)),
        "train/signal_groups_frac": sum(g.has_signal for g in several) / len(several)
        if several
        else math.nan,
        "train/masked_rollouts": float(sum(is_masked(rollout, settings) for rollout in rollouts)),
        "train/entropy": sum(entropies) / len(entropies) if entropies else math.nan,
    }


def _tensor(numbers: np.ndarray) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)
