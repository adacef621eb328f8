"""Groups to weights: policy gradient with clipped importance ratios (PPO, GRPO, Dr. GRPO, RLOO, REINFORCE).

    loss = - sum over sampled tokens of
        (w min(ratio A, clip(ratio, 1 - c, 1 + c') A) - beta ratio k3 + alpha A H) / Z

    ratio = pi / pi_old    pi_old is the trainer's own, before the round's first update (arXiv 1707.06347)
    w = min(pi_old / pi_sampler, cap), times the group's weight: truncated importance sampling for an engine
        that computes a little differently from the trainer (1 where both are the same program)
    Z: tokens of the minibatch, or as `normalisation` says
    k3 = pi_ref / pi - log(pi_ref / pi) - 1, GRPO's estimate of the divergence from the reference; only with
        the ratio is its gradient that of the divergence (DeepSeek-V3.2, arXiv 2512.02556; TRL's default)
    H: the entropy at a token; A H keeps it up where the advantage is positive, and lowers it where it is
        negative: the information-bottleneck regulariser (IBRO, arXiv 2507.18391, listing 1)

Only sampled tokens are trained: the prompt and a given prefix are context. A rollout whose loss is constant
is left out: one without an advantage, unless a divergence is part of the loss.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from gpo.learn import reading
from gpo.learn.advantages import dr_grpo, grpo, rloo
from gpo.learn.batches import padding_frac
from gpo.learn.checkpoint import load_state, save_state
from gpo.learn.critic import value_losses
from gpo.learn.examples import Example, Flat
from gpo.learn.network import Network, whole
from gpo.learn.optimisation import Optimisation
from gpo.learn.process import StepRewards
from gpo.ranks import Ranks
from gpo.seeds import derive_seed
from gpo.types import Group, StepValues

__all__ = ["Optimisation", "PolicyGradient", "dr_grpo", "grpo", "rloo"]


class PolicyGradient:
    """Updates a causal LM in place from groups of its own rollouts.

    `reference` is the frozen model that `kl_coef` holds the policy to; a model with an adapter is its own
    reference, with the adapter off. Under `ranks` every process calls `update` with the same groups and
    ends with the same weights. InputError for a model that cannot be trained as it is.
    """

    def __init__(
        self,
        model: Any,
        settings: Optimisation,
        *,
        temperature: float,
        seed: int,
        reference: Any = None,
        ranks: Ranks | None = None,
    ) -> None:
        settings.check_complete()
        self.model, self.settings, self.seed = model, settings, seed
        self.ranks = ranks or Ranks()
        self.network = Network(model, settings, temperature, self.ranks, reference)
        self.parameters = self.network.parameters
        self.optimizer = self.network.optimizer
        self.num_updates = self.round_index = 0

    def update(
        self,
        groups: Sequence[Group],
        *,
        step_values: Sequence[StepValues] = (),
        step_rewards: Sequence[StepRewards] = (),
        round_index: int | None = None,
    ) -> dict[str, float]:
        """Learns from the groups in shuffled minibatches; returns its metrics, means over updates.

        A trajectory in `step_values` is credited step by step, in place of its group's advantage; PPO
        fits its critic to them. The `step_rewards` of gpo.step_rewards add to what the outcome gives.
        `round_index`, from 1, names the order of the minibatches and the place in a schedule; without it, it
        is the round after the last one. FloatingPointError before a step whose gradient is not finite.
        """
        settings, network = self.settings, self.network
        self.round_index = round_index = self.round_index + 1 if round_index is None else round_index
        with network.training():
            examples = reading.credited(groups, step_values, settings, network, step_rewards)
            plan = list(self._minibatches(len(examples), round_index))
            before = reading.complete(examples, plan[0] if plan else [], step_values, settings, network)
            steps = [self._step([examples[i] for i in rows], round_index) for rows in plan]
        network.publish()
        means = {f"train/{key}": sum(step[key] for step in steps) / len(steps) for key in (steps or [{}])[0]}
        measured = reading.metrics(groups, examples, settings) | before | means
        if own := [reward for one in step_rewards for reward in one.own]:
            measured["train/step_reward"] = sum(own) / len(own)
        return {"train/updates": float(len(steps)), **measured}

    def _minibatches(self, num: int, round_index: int) -> Iterator[list[int]]:
        """A new order for every pass, cut evenly: a small remainder would make its own step."""
        num_parts = -(-num // self.settings.minibatch)
        for epoch in range(self.settings.epochs if num else 0):
            seed = derive_seed(self.seed, "shuffle", round_index, epoch)
            order = np.random.default_rng(seed).permutation(num)
            yield from (part.tolist() for part in np.array_split(order, num_parts))

    def _step(self, minibatch: Sequence[Example], round_index: int) -> dict[str, float]:
        # Adam's steps are as long for few rollouts as for many, but noisier: arXiv 2205.10287's scaling.
        share = min(1.0, len(minibatch) / self.settings.minibatch)
        factor = self.settings.rate_factor(self.num_updates, round_index) * math.sqrt(share)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.optimizer.zero_grad(set_to_none=True)
        measured = self.accumulate(minibatch)
        norm = self._clipped(self.parameters.values())
        critic_norm = self._clipped(self.network.critic_parameters.values())
        if not math.isfinite(norm + critic_norm + measured["loss"]):
            raise FloatingPointError(
                f"update {self.num_updates + 1}: the loss is {measured['loss']:g}, its gradient {norm:g}"
            )
        self.optimizer.step()
        self.num_updates += 1
        return measured | {"grad_norm": norm, "learning_rate": self.settings.learning_rate * factor}

    def _clipped(self, parameters: Any) -> float:
        """The norm of the parameters' gradient, which is scaled down to the greatest allowed."""
        return float(whole(clip_grad_norm_(parameters, self.settings.max_grad_norm)))

    def accumulate(self, minibatch: Sequence[Example]) -> dict[str, float]:
        """Adds the minibatch's gradient, of all processes; returns its loss and means over its tokens."""
        lengths = [example.length for example in minibatch]
        num_tokens = sum(len(example.rollout.action_ids) for example in minibatch)
        scales = self._scales(minibatch, num_tokens)
        sums: Counter[str] = Counter()
        area = 0
        for rows, is_real in self.network.shares(lengths):
            loss, measured = self._loss([minibatch[i] for i in rows], [scales[i] for i in rows], num_tokens)
            # Sharded gradients are averaged over the processes, where a sum is meant.
            scale = self.ranks.num if self.ranks.is_sharded else 1
            (loss * (scale if is_real else 0)).backward()  # type: ignore[no-untyped-call]
            if is_real:
                area += len(rows) * max(lengths[i] for i in rows)
                sums.update(measured)
        self.network.sum_gradients()
        names = self._measures()
        totals = torch.tensor([*(sums[name] for name in names), area], dtype=torch.float64)
        *values, total_area = self.ranks.sum(totals).tolist()
        means = {
            name: value if name in ("loss", "value_loss") else value / num_tokens
            for name, value in zip(names, values, strict=True)
        }
        return means | {"padding_frac": padding_frac(sum(lengths), total_area)}

    def _measures(self) -> list[str]:
        names = ["loss", "clip_frac", "ratio_mean", "update_kl", "sampler_capped_frac"]
        if self.settings.kl_coef:
            names.append("kl")
        return [*names, "value_loss"] if self.settings.algorithm == "ppo" else names

    def _scales(self, minibatch: Sequence[Example], num_tokens: int) -> list[float]:
        """What the loss of each example's tokens is multiplied by; groups are summed, never averaged."""
        if self.settings.norm == "constant":
            return [example.weight / float(self.settings.loss_constant or 1) for example in minibatch]
        if self.settings.norm == "rollouts":
            return [e.weight / len(minibatch) / len(e.rollout.action_ids) for e in minibatch]
        return [example.weight / num_tokens for example in minibatch]

    def _loss(
        self, rows: Sequence[Example], scales: Sequence[float], num_tokens: int
    ) -> tuple[Tensor, dict[str, float]]:
        """The summed loss of a few rows, and sums of what is measured on the way."""
        settings = self.settings
        new_N, values_N, entropies_N = self.network.read([example.rollout for example in rows])
        flat = Flat.of(rows, new_N)
        ratio_N = torch.exp(new_N - flat.old_N)
        bounded_N = ratio_N.clamp(*settings.ratio_bounds)
        gain_N, bounded_gain_N = ratio_N * flat.advantages_N, bounded_N * flat.advantages_N
        weight_N = torch.exp(flat.old_N - flat.sampler_N).clamp(max=settings.importance_cap)
        loss_N = -weight_N * torch.minimum(gain_N, bounded_gain_N)
        with torch.no_grad():
            measured = {
                "clip_frac": (bounded_gain_N < gain_N).sum(),
                "ratio_mean": ratio_N.sum(),
                "update_kl": k3(flat.old_N, new_N).sum(),
                "sampler_capped_frac": (
                    flat.old_N - flat.sampler_N > math.log(settings.importance_cap)
                ).sum(),
            }
        if flat.reference_N is not None:
            divergence_N = ratio_N * k3(new_N, flat.reference_N)
            measured["kl"] = divergence_N.detach().sum()
            if settings.kl_in == "loss":
                loss_N = loss_N + settings.kl_coef * divergence_N
        if entropies_N is not None:
            loss_N = loss_N - settings.ib_coef * flat.advantages_N * entropies_N
        loss = (loss_N * flat.spread(scales)).sum()
        measured["loss"] = loss.detach()
        if values_N is not None and flat.values_N is not None and flat.targets_N is not None:
            errors_N = value_losses(values_N, flat.values_N, flat.targets_N, settings.value_clip)
            value_loss = errors_N.sum() / num_tokens
            measured["value_loss"] = value_loss.detach()
            # The critic does not share a weight with the policy, so adding the losses mixes nothing.
            loss = loss + value_loss
        return loss, {name: value.item() for name, value in measured.items()}

    def save(self, path: Path) -> None:
        """Writes the optimizer's state and the critic to `path` as safetensors: no pickle."""
        save_state(path, self.network, self.num_updates)

    def load(self, path: Path) -> None:
        """Restores the state that `save` wrote."""
        self.num_updates = load_state(path, self.network)


def k3(sampled_N: Tensor, other_N: Tensor) -> Tensor:
    """[N] Schulman's estimate of KL(sampled || other) from samples: r - log r - 1, r = other / sampled.

    Never negative, and unbiased (arXiv 2402.03300, eq. 4).
    """
    log_r_N = other_N - sampled_N
    return torch.exp(log_r_N) - log_r_N - 1
